"""PointCLIP V2's "realistic projection": ten dense, smooth depth pictures of a point crop, for a frozen CLIP.

Written anew from a description of the method (Zhu et al., ICCV 2023; constants as in its published, MIT-licensed code).
Each view quantises the crop in a grid of 112×112 columns and 8 layers, whose cells hold the largest depth in them; each
layer is made dense by a 7×7 maximum and smooth by a 3×3 Gaussian; the picture is one minus the largest value over the
layers, in units of its own maximum. View weights are equal and prompts generic: those of its authors were chosen on
the test labels of each data set.
"""

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from clip2.evaluate.rivals.depth_views import Y_UP_FROM_Z_UP, Crops, Projection, euler_rotation

TEMPLATE = "point cloud depth map of a {}."
"""PointCLIP's: V2's own prompts are per data set, found with the test labels."""
GRID, LAYERS = 112, 8
FILL = 0.8
"""Share of the picture's width that the longest side of the rotated crop's bounding box takes."""
DEPTH_BIAS = 0.2
"""Added to depths of 0 to 1, so that the far end is not the empty cells' 0."""
POOL_PADDING = 2
"""Of the 7×7 maximum; one less than keeps the size, so pictures are 110×110."""
SIGMA = 3.0
_QUARTER = math.pi / 4
VIEW_ANGLES = (
    *((x * _QUARTER, 0.0, math.pi / 2) for x in (1, 3, 5, 7, 0, 2, 4, 6)),
    *((0.0, y, math.pi / 2) for y in (-math.pi / 2, math.pi / 2)),
)
"""Euler angles (x, y, z) of the ten views: around the object at 45° and at 90°, then the two poles."""
TILTS = (*[math.pi / 9] * 8, *[math.pi / 15] * 2)
"""A second rotation of each view, about the picture's horizontal: shows more surface than a view straight on."""


def view_rotations() -> Tensor:
    """(10, 3, 3) float32: z-up crop → camera axes of each view (x down the rows, y along the columns, z to the eye)."""
    tilted = [euler_rotation((0, tilt, 0)) @ euler_rotation(a) for a, tilt in zip(VIEW_ANGLES, TILTS, strict=True)]
    return torch.tensor(np.stack(tilted) @ Y_UP_FROM_Z_UP, dtype=torch.float32)


def grids(crops: Crops) -> Tensor:
    """(n, 10, 8, 112, 112): cell (layer, row, column) holds the largest scaled depth of its points, empty cells 0."""
    rotations = view_rotations().to(crops.points.device)
    n_views = len(rotations)
    cam = torch.einsum("vij,pj->vpi", rotations, crops.points)
    owner = crops.crop[None, :, None].expand_as(cam)
    empty = cam.new_zeros(n_views, crops.n, 3)
    low = empty.scatter_reduce(1, owner, cam, "amin", include_self=False)
    high = empty.scatter_reduce(1, owner, cam, "amax", include_self=False)
    extent = (high - low).amax(2, keepdim=True).clamp(min=1e-6)
    unit = (cam - ((low + high) / 2)[:, crops.crop]) / extent[:, crops.crop] + 0.5  # 0 to 1
    plane = torch.ceil(((unit[..., :2] - 0.5) * FILL + 0.5) * GRID).long().clamp(1, GRID - 2)
    depth = (unit[..., 2] + DEPTH_BIAS) / (1 + DEPTH_BIAS) * (LAYERS - 2)
    layer = depth.ceil().long().clamp(1, LAYERS - 2)
    view = torch.arange(n_views, device=cam.device)[:, None]
    cell = (((crops.crop * n_views + view) * LAYERS + layer) * GRID + plane[..., 0]) * GRID + plane[..., 1]
    grid = cam.new_zeros(crops.n * n_views * LAYERS * GRID * GRID)
    grid.scatter_reduce_(0, cell.reshape(-1), depth.clamp(1, LAYERS - 2).reshape(-1), "amax")
    return grid.view(crops.n, n_views, LAYERS, GRID, GRID)


def densify(grid: Tensor) -> Tensor:
    """(n, V, 8, 112, 112) cells → (n, V, 110, 110) pictures: 1 where there is nothing, 0 for the nearest.

    The maximum and the Gaussian are separable. The first and the last layer are always empty and left out.
    """
    n, n_views = grid.shape[:2]
    layers = functional.pad(grid[:, :, 1:-1].flatten(0, 1), (POOL_PADDING,) * 4)
    layers = _max_of_seven(_max_of_seven(layers, 2), 3)
    bell = torch.exp(-torch.tensor([1.0, 0.0, 1.0], device=grid.device) / (2 * SIGMA**2))
    side, middle = (bell / bell.sum())[:2].tolist()
    layers = functional.pad(layers, (1, 1, 1, 1))
    layers = middle * layers[..., 1:-1, :] + side * (layers[..., :-2, :] + layers[..., 2:, :])
    layers = middle * layers[..., 1:-1] + side * (layers[..., :-2] + layers[..., 2:])
    nearest = layers.amax(1)
    return (1 - nearest / nearest.amax((1, 2), keepdim=True)).view(n, n_views, *nearest.shape[1:])


def _max_of_seven(values: Tensor, axis: int) -> Tensor:
    """Maximum of each 7 neighbours along an axis, by doubling: many times faster on a CPU than max_pool."""
    for reach in (1, 2, 3):
        n = values.shape[axis] - reach
        values = torch.maximum(values.narrow(axis, 0, n), values.narrow(axis, reach, n))
    return values


def pictures(crops: Crops, size: int) -> Tensor:
    """(n, 10, size, size): resized bilinearly."""
    return functional.interpolate(densify(grids(crops)), (size, size), mode="bilinear", align_corners=True)


PROJECTION = Projection("pointclip_v2", TEMPLATE, len(VIEW_ANGLES), pictures, normalised=False, max_points=0, chunk=4)
