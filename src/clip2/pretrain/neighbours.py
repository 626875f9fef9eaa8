"""Which points: farthest point sampling, neighbours within a radius, and the maximum over a group of them.

Shapes: B crops, N points a crop, M centroids, K neighbours a centroid, F and C channels. Coordinates are float32, and
of a crop's N entries only the first ``count`` are distinct points (see :mod:`clip2.pretrain.encoder`).

:func:`farthest_points`, :func:`ball_query` and :func:`group_max` run a Triton kernel for tensors on a GPU, and else the
``plain_`` twin below, which is their definition: tests compare the two. Distances are squared and summed in the order
x, y, z, without fused multiply-add, so that a kernel and its twin choose the same points to the last bit.
"""

import logging
import os
from functools import cache
from importlib.util import find_spec
from shutil import which

import torch
import torch.nn.functional as F
from torch import Tensor

log = logging.getLogger(__name__)

# What the kernels hold in registers. Above it the twins take over.
KERNEL_POINTS = 8192
KERNEL_NEIGHBOURS = 256
# Distances that the twin of the neighbour search computes at a time: 4 MB of them.
PAIRS = 1 << 20


def valid_mask(count: Tensor, n: int) -> Tensor:
    """(B,) counts -> (B, n) True for the first ``count`` entries of a row."""
    return torch.arange(n, device=count.device) < count[:, None]


def gather_points(values: Tensor, index: Tensor) -> Tensor:
    """(B, N, C) values at (B, ...) indices -> (B, ..., C)."""
    b = values.shape[0]  # `len` would be fixed where the encoder is exported
    rows = torch.arange(b, device=values.device).view(b, *[1] * (index.dim() - 1))
    flat = (rows * values.shape[1] + index).reshape(-1)
    return values.reshape(-1, values.shape[2]).index_select(0, flat).view(*index.shape, values.shape[2])


def strided_points(count: Tensor, m: int) -> Tensor:
    """(B, m) indices evenly spread over each row's distinct points; with fewer than m, all of them and repeats."""
    j = torch.arange(m, device=count.device)[None]
    many = ((2 * j + 1) * count[:, None]) // (2 * m)
    return torch.where(count[:, None] >= m, many, j % count[:, None])


def farthest_points(xyz: Tensor, count: Tensor, m: int) -> Tensor:
    """(B, m) indices of farthest point sampling, started at the point farthest from the origin.

    Each next point is the one whose nearest chosen point is farthest; of equals, the first. So all distinct points come
    before any repeat, and a repeat is the crop's first point.
    """
    if torch.compiler.is_exporting():
        from clip2.pretrain import exportable

        return exportable.farthest_points(xyz, count, m)
    if _has_kernels(xyz) and xyz.shape[1] <= KERNEL_POINTS:
        from clip2.pretrain import kernels

        return kernels.farthest_points(xyz, count, m)
    return plain_farthest_points(xyz, count, m)


def ball_query(centre: Tensor, xyz: Tensor, count: Tensor, k: int, radius: float) -> Tensor:
    """(B, M, min(K, N)) indices of the K nearest distinct points within ``radius``; missing ones repeat the nearest.

    Of equally distant points the first ones. It is a set: the twin has the nearest first, the kernel the lowest index.
    """
    if torch.compiler.is_exporting():
        from clip2.pretrain import exportable

        return exportable.ball_query(centre, xyz, count, k, radius)
    if _has_kernels(xyz) and xyz.shape[1] <= KERNEL_POINTS:
        from clip2.pretrain import kernels

        return kernels.ball_query(centre, xyz, count, k, radius)
    return plain_ball_query(centre, xyz, count, k, radius)


def group_max(pointwise: Tensor, at_centres: Tensor, group: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(B, M, C) maximum over each group's neighbours j of  W relu(p_j - q_i) + b.

    Args:
        pointwise: p, (B, N, F).
        at_centres: q, (B, M, F).
        group: (B, M, K) indices into the N points.
        weight, bias: W (C, F) and b (C,).
    """
    # In mixed precision only: tensor cores have no exact float32, and without them cuBLAS is better than a kernel.
    if _has_kernels(pointwise) and torch.is_autocast_enabled("cuda") and _fits(weight, group):
        from clip2.pretrain import group_kernels

        dtype = torch.get_autocast_dtype("cuda")
        return group_kernels.GroupMax.apply(pointwise, at_centres, group, weight, bias, dtype)
    return plain_group_max(pointwise, at_centres, group, weight, bias)


def plain_farthest_points(xyz: Tensor, count: Tensor, m: int) -> Tensor:
    """The twin of :func:`farthest_points`: a loop over the m chosen."""
    distance = torch.full(xyz.shape[:2], torch.inf, device=xyz.device).masked_fill(
        ~valid_mask(count, xyz.shape[1]), -1.0
    )
    chosen = xyz.square().sum(2).masked_fill(distance < 0, -1.0).argmax(1)
    index = torch.empty(len(xyz), m, dtype=torch.long, device=xyz.device)
    for i in range(m):
        index[:, i] = chosen
        new = (xyz - gather_points(xyz, chosen[:, None])).square().sum(2)
        distance = torch.minimum(distance, new)
        chosen = distance.argmax(1)
    return index


def plain_ball_query(centre: Tensor, xyz: Tensor, count: Tensor, k: int, radius: float) -> Tensor:
    """The twin of :func:`ball_query`: all distances, of some crops at a time so that they stay in the cache."""
    b, (m, n) = len(xyz), (centre.shape[1], xyz.shape[1])
    crops = max(1, PAIRS // (m * n))
    parts = (slice(i, i + crops) for i in range(0, max(b, 1), crops))
    return torch.cat([_nearest(centre[part], xyz[part], count[part], k, radius) for part in parts])


def _nearest(centre: Tensor, xyz: Tensor, count: Tensor, k: int, radius: float) -> Tensor:
    """The K smallest pairs of squared distance and index."""
    n = xyz.shape[1]
    distance = (centre[:, :, None, 0] - xyz[:, None, :, 0]).square_()
    for axis in (1, 2):
        distance += (centre[:, :, None, axis] - xyz[:, None, :, axis]).square_()
    distance.masked_fill_(~valid_mask(count, n)[:, None], torch.inf)
    # A non-negative float's bits, read as an integer, keep its order; with the index behind them no two are equal.
    key = distance.view(torch.int32).long().mul_(n).add_(torch.arange(n, device=xyz.device))
    index = key.topk(min(k, n), dim=2, largest=False).values.remainder_(n)
    return torch.where(distance.gather(2, index) <= radius**2, index, index[..., :1])


def plain_group_max(pointwise: Tensor, at_centres: Tensor, group: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The twin of :func:`group_max`: everything written out, B·M·K·(F + C) numbers."""
    hidden = (gather_points(pointwise, group) - at_centres[:, :, None]).relu_()
    return F.linear(hidden, weight, bias).max(2).values


@cache
def _triton_works() -> bool:
    """Triton is there (torch's CPU wheels come without it), and the C compiler with which it builds its launchers."""
    works = find_spec("triton") is not None and bool(os.environ.get("CC") or which("gcc") or which("clang"))
    if not works:
        log.warning("no Triton, or no C compiler for it (gcc, clang or CC): the encoder does without its GPU kernels")
    return works


def _has_kernels(tensor: Tensor) -> bool:
    """On a GPU that multiplies bfloat16: NVIDIA's from capability 8.0 on."""
    return tensor.is_cuda and torch.cuda.get_device_capability(tensor.device) >= (8, 0) and _triton_works()


def _fits(weight: Tensor, group: Tensor) -> bool:
    """Widths that a block of a kernel can have: powers of two, from a tensor core's 16 on."""
    powers = all(width >= 16 and width & (width - 1) == 0 for width in weight.shape)
    return powers and group.shape[2] <= KERNEL_NEIGHBOURS
