"""CLIP2Point's depth pictures: an orthographic rasteriser of discs, in plain torch.

Written from a description of the method (Huang et al., ICCV 2023), not from its code. As there: 1024 points, discs of
radius 0.02 in a picture that spans [-1, 1], the nearest disc wins, six test views, depths scaled by 200/255, background
1, CLIP's mean and standard deviation; the tower that sees them is a copy of CLIP's, fine-tuned
(evaluate.rivals.tune_tower).
"""

import math
from collections.abc import Sequence
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from clip2.evaluate.rivals.depth_views import Y_UP_FROM_Z_UP, Crops, Projection

TEMPLATE = "image of a {}"
CANVAS = 224
"""Pixels a side."""
RADIUS = 0.02
"""Of a point's disc; the picture is 2 wide."""
N_POINTS = 1024
NEAR_TO_FAR = 200 / 255
TEST_VIEWS = ((0, 0), (90, 0), (180, 0), (270, 0), (0, 90), (180, -90))
"""(azimuth, elevation) in degrees."""


def view_rotation(azimuth: float, elevation: float) -> NDArray[np.float64]:
    """(3, 3): z-up crop → camera axes (x to the right of the picture, y up it, z into it).

    The camera stands at azimuth from the front (+x of the crop, +z of a y-up model) and looks at the centre. Straight
    from above or below, "up" is the limit of cameras that are almost there.
    """
    a, e = math.radians(azimuth), math.radians(elevation)
    forward = -np.array([math.cos(e) * math.sin(a), math.sin(e), math.cos(e) * math.cos(a)])
    up = np.array([-math.sin(e) * math.sin(a), math.cos(e), -math.sin(e) * math.cos(a)])
    return np.stack([np.cross(forward, up), up, forward]) @ Y_UP_FROM_Z_UP


def depth_maps(crops: Crops, rotations: Tensor, canvas: int = CANVAS) -> Tensor:
    """Distance from the camera plane to the nearest disc on each pixel.

    Args:
        crops: z up, in the unit sphere.
        rotations: (V, 3, 3) views of all crops, or (n, V, 3, 3) of each crop, of :func:`view_rotation`.

    Returns:
        (n, V, canvas, canvas) float32, 0 to 2; infinite where no disc is. A disc covers the pixels whose centre is
        less than its radius away; row 0 is the top, and the centre of pixel i lies at (2i + 1) / canvas - 1.
    """
    own = rotations[None].expand(crops.n, -1, -1, -1) if rotations.dim() == 3 else rotations
    n_views = own.shape[1]
    cam = torch.einsum("pvij,pj->pvi", own[crops.crop], crops.points)
    column = (cam[..., 0] + 1) * (canvas / 2) - 0.5
    row = (1 - cam[..., 1]) * (canvas / 2) - 0.5
    depth = cam[..., 2] + 1.0  # the camera stands at distance 1
    reach = RADIUS * canvas / 2
    view = torch.arange(n_views, device=depth.device)
    base = (crops.crop[:, None] * n_views + view) * canvas
    nearest_row, nearest_column = row.round().long(), column.round().long()
    maps = depth.new_full((crops.n * n_views * canvas * canvas,), torch.inf)
    steps = range(-math.ceil(reach + 0.5), math.ceil(reach + 0.5) + 1)
    for down, right in product(steps, steps):
        if math.hypot(max(abs(down) - 0.5, 0), max(abs(right) - 0.5, 0)) >= reach:
            continue  # out of reach wherever in its own pixel the point lies
        r, c = nearest_row + down, nearest_column + right
        hit = (r - row) ** 2 + (c - column) ** 2 < reach**2
        hit &= (r >= 0) & (r < canvas) & (c >= 0) & (c < canvas)
        maps.scatter_reduce_(0, ((base + r) * canvas + c)[hit], depth[hit], "amin")
    return maps.view(crops.n, n_views, canvas, canvas)


def shade(maps: Tensor) -> Tensor:
    """Depths → pixels: (z - min) / max · 200/255 over the pixels of a picture that are hit, 1 elsewhere.

    The division is by the largest depth itself, not by the range.
    """
    hit = torch.isfinite(maps)
    low = maps.amin((-2, -1), keepdim=True)
    high = maps.masked_fill(~hit, 0).amax((-2, -1), keepdim=True).clamp(min=1e-6)
    return torch.where(hit, (maps - low) / high * NEAR_TO_FAR, 1.0)


def resize(maps: Tensor, size: int) -> Tensor:
    """(n, V, 224, 224) → (n, V, size, size); the method's own size is not touched."""
    if maps.shape[-1] == size:
        return maps
    return functional.interpolate(maps, (size, size), mode="bilinear", antialias=True)


def stack_rotations(views: Sequence[tuple[float, float]], device: torch.device) -> Tensor:
    """(V, 3, 3) float32 of (azimuth, elevation) pairs."""
    return torch.tensor(np.stack([view_rotation(*view) for view in views]), dtype=torch.float32, device=device)


def pictures(crops: Crops, size: int) -> Tensor:
    """(n, 6, size, size): the test views."""
    return resize(shade(depth_maps(crops, stack_rotations(TEST_VIEWS, crops.points.device))), size)


PROJECTION = Projection("clip2point", TEMPLATE, len(TEST_VIEWS), pictures, True, max_points=N_POINTS, chunk=16)
