"""PointCLIP's six depth maps of a point crop, for a frozen CLIP.

Written from a description of the method (Zhang et al., CVPR 2022), not from its code. As there: six views, perspective
splats of one pixel on a 128×128 canvas, a pixel's depth the harmonic mean of the depths that fall on it, raw depth in
three channels without CLIP's mean and standard deviation, equal view weights (the better figures of its authors weight
the views by a search on the test labels; that is not done here).
"""

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch_scatter import scatter_sum

from clip2.evaluate.rivals.depth_views import Y_UP_FROM_Z_UP, Crops, Projection, euler_rotation

TEMPLATE = "point cloud depth map of a {}."
CANVAS = 128
"""Pixels a side."""
DISTANCE = 1.6
"""From camera to sphere: depths are 0.6 to 2.6, and tan(asin(1/1.6)) = 0.80 of the half canvas is hit."""
VIEW_ANGLES = tuple(
    (x * math.pi / 2, y * math.pi / 2, math.pi / 2) for x, y in ((0, 0), (1, 0), (2, 0), (3, 0), (0, -1), (0, 1))
)
"""Euler angles (x, y, z) of the six views: four around the object, one from above, one from below. The first rotation,
Rz(90°), takes +y to the top row of the canvas."""


def view_rotations() -> Tensor:
    """(6, 3, 3) float32: z-up crop → camera axes of each view (x down the rows, y along the columns, z depth)."""
    return torch.tensor(np.stack([euler_rotation(a) @ Y_UP_FROM_Z_UP for a in VIEW_ANGLES]), dtype=torch.float32)


def depth_maps(crops: Crops) -> Tensor:
    """The six depth maps of each crop.

    Args:
        crops: z up, in the unit sphere.

    Returns:
        (n, 6, 128, 128) float32: Σ(z·1/z) / Σ(1/z) over the points on a pixel, 0 where there is none.
    """
    rotations = view_rotations().to(crops.points.device)
    n_views = len(rotations)
    cam = torch.einsum("vij,pj->vpi", rotations, crops.points)
    depth = cam[..., 2] + DISTANCE
    pixel = torch.ceil((cam[..., :2] / depth[..., None] + 1) * (CANVAS / 2) - 0.5).long()
    view = torch.arange(n_views, device=depth.device)[:, None]
    flat = (((crops.crop * n_views + view) * CANVAS + pixel[..., 0]) * CANVAS + pixel[..., 1]).reshape(-1)
    size = crops.n * n_views * CANVAS * CANVAS
    inverse = (1 / depth).reshape(-1)
    counts = scatter_sum(torch.ones_like(inverse), flat, 0, dim_size=size)
    maps = counts / scatter_sum(inverse, flat, 0, dim_size=size).clamp(min=1e-6)
    return maps.view(crops.n, n_views, CANVAS, CANVAS)


def pictures(crops: Crops, size: int) -> Tensor:
    """(n, 6, size, size): the depth maps, enlarged bilinearly."""
    return functional.interpolate(depth_maps(crops), (size, size), mode="bilinear", align_corners=True)


PROJECTION = Projection("pointclip", TEMPLATE, len(VIEW_ANGLES), pictures, normalised=False, max_points=0, chunk=64)
