"""PointCLIP's zero-shot recognition: six depth maps of a point crop through a frozen CLIP.

Written from a description of the method (Zhang et al., CVPR 2022), not from its code. As there: six views, perspective
splats of one pixel on a 128×128 canvas, a pixel's depth the harmonic mean of the depths that fall on it, raw depth in
three channels without CLIP's mean and standard deviation, equal view weights (the better figures of its authors weight
the views by a search on the test labels; that is not done here).
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch_scatter import scatter_sum

from clip2.teach.teacher import Teacher

TEMPLATE = "point cloud depth map of a {}."
CANVAS = 128
"""Pixels a side."""
DISTANCE = 1.6
"""From camera to sphere: depths are 0.6 to 2.6, and tan(asin(1/1.6)) = 0.80 of the half canvas is hit."""
ENCODE_BATCH = 96
"""Depth maps a forward pass: enough for a GPU, and a CPU's caches like it a fifth better than 256."""
VIEW_ANGLES = tuple(
    (x * math.pi / 2, y * math.pi / 2, math.pi / 2) for x, y in ((0, 0), (1, 0), (2, 0), (3, 0), (0, -1), (0, 1))
)
"""Euler angles (x, y, z) of the six views: four around the object, one from above, one from below."""


def _rotation(angles: tuple[float, float, float]) -> NDArray[np.float64]:
    """Rx @ Ry @ Rz."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(angles), np.sin(angles)
    Rx = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    Ry = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    Rz = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return Rx @ Ry @ Rz


Y_UP_FROM_Z_UP = np.array([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]])
"""(x, y, z) with z up → (y, z, x) with y up, a rotation. The views were made for ModelNet's y-up models: their first
rotation, Rz(90°), takes +y to the top row of the canvas; our crops are z-up."""


def view_rotations() -> Tensor:
    """(6, 3, 3) float32: z-up crop → camera axes of each view (x down the rows, y along the columns, z depth)."""
    return torch.tensor(np.stack([_rotation(a) @ Y_UP_FROM_Z_UP for a in VIEW_ANGLES]), dtype=torch.float32)


def to_unit_sphere(points: Tensor, crop: Tensor, n_crops: int) -> Tensor:
    """Centre each crop on the mean of its points and divide by its largest norm.

    Args:
        points: (P, 3) of all crops, metres.
        crop: (P,) int64, which crop a point belongs to.
    """
    counts = torch.bincount(crop, minlength=n_crops).clamp(min=1)
    centred = points - (scatter_sum(points, crop, 0, dim_size=n_crops) / counts[:, None])[crop]
    norms = centred.norm(dim=1)
    largest = torch.zeros(n_crops, device=points.device).scatter_reduce_(0, crop, norms, "amax")
    return centred / largest.clamp(min=1e-6)[crop][:, None]


def depth_maps(points: Tensor, crop: Tensor, n_crops: int) -> Tensor:
    """The six depth maps of each crop.

    Args:
        points: (P, 3) of all crops, z up, in the unit sphere.
        crop: (P,) int64, which crop a point belongs to.

    Returns:
        (n_crops, 6, 128, 128) float32: Σ(z·1/z) / Σ(1/z) over the points on a pixel, 0 where there is none.
    """
    rotations = view_rotations().to(points.device)
    n_views = len(rotations)
    cam = torch.einsum("vij,pj->vpi", rotations, points)
    depth = cam[..., 2] + DISTANCE
    pixel = torch.ceil((cam[..., :2] / depth[..., None] + 1) * (CANVAS / 2) - 0.5).long()
    view = torch.arange(n_views, device=points.device)[:, None]
    flat = (((crop * n_views + view) * CANVAS + pixel[..., 0]) * CANVAS + pixel[..., 1]).reshape(-1)
    size = n_crops * n_views * CANVAS * CANVAS
    inverse = (1 / depth).reshape(-1)
    counts = scatter_sum(torch.ones_like(inverse), flat, 0, dim_size=size)
    maps = counts / scatter_sum(inverse, flat, 0, dim_size=size).clamp(min=1e-6)
    return maps.view(n_crops, n_views, CANVAS, CANVAS)


def encode_text(teacher: Teacher, names: Sequence[str]) -> Tensor:
    """(C, D) unit vectors of PointCLIP's prompt."""
    return teacher.encode_labels(names, (TEMPLATE,))


def scores(teacher: Teacher, text: Tensor, crops: Sequence[NDArray[np.float32]]) -> Tensor:
    """Mean over the six views of the cosine between view and text: PointCLIP's logits up to a constant factor.

    Args:
        text: (C, D) of :func:`encode_text`.
        crops: n arrays (N_i ≥ 1, 3+), metres, z up.

    Returns:
        (n, C) float32 on the teacher's device.
    """
    if not crops:
        return text.new_zeros(0, len(text))
    lengths = torch.tensor([len(c) for c in crops], device=teacher.device)
    points = torch.from_numpy(np.concatenate([c[:, :3] for c in crops])).to(teacher.device, torch.float32)
    crop = torch.arange(len(crops), device=teacher.device).repeat_interleave(lengths)
    maps = depth_maps(to_unit_sphere(points, crop, len(crops)), crop, len(crops)).flatten(0, 1)[:, None]
    size = (teacher.image_size, teacher.image_size)
    pixels = functional.interpolate(maps, size, mode="bilinear", align_corners=True).expand(-1, 3, -1, -1)
    views = teacher.encode_pixels(pixels, ENCODE_BATCH).view(len(crops), -1, text.shape[1])
    return (views @ text.T).mean(1)
