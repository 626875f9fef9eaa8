"""Triton kernels of a group's two layers and maximum; the twin is :func:`clip2.pretrain.neighbours.plain_group_max`.

Written out, a crop's grouped tensors are some 80 MB of traffic forward and as much backward, at 1,024 points, and all
other tensors together a tenth of that. Here they never reach memory: a program gathers the neighbours of a few
centroids, multiplies them on tensor cores, and writes the maximum and which neighbour won. The backward pass gathers
them again. Of a group and channel only the winner has a gradient, so the gradient of the (K, C) values is the output's
gradient, scattered in registers.

Centroids of all crops are numbered through, and a tile is P of them with their K neighbours, K filled up to a power of
two by repeating the last one: the first of equals wins, so the repeats never do. Shapes are as in ``neighbours.py``.
Import this module only where Triton is installed.
"""
# mypy: allow-untyped-defs, allow-incomplete-defs
# In a kernel, only what Triton compiles in as a constant is annotated.

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

# Rows of a tile, P·K, and columns of a result: eight warps are two warp groups, each with the 64 rows that Hopper's
# matrix instruction takes, and hold a (128, 64) float32 result in 32 registers a thread. That leaves room for what is
# gathered, and for two programs or more a processor, of which one gathers while another multiplies.
ROWS = 128
COLUMNS = 64
WARPS = 8
# Parts of a weight's sum over tiles: with two blocks of channels, eight programs for each of an H100's 132 processors.
SPLITS = 512


@triton.jit
def neighbour_rows(index, first, n, m, k, total, P: tl.constexpr, K: tl.constexpr):
    """(P, K) rows of the tile's neighbours among all B·N points; 0 for centroids beyond the last."""
    centroid = first + tl.arange(0, P)
    slot = tl.minimum(tl.arange(0, K), k - 1)
    inside = (centroid < total)[:, None] & (slot >= 0)[None, :]
    found = tl.load(index + centroid.to(tl.int64)[:, None] * k + slot[None, :], inside, 0)
    return tl.where(inside, (centroid // m)[:, None].to(tl.int64) * n + found, 0)


@triton.jit
def offsets_of(pointwise, at_centres, rows, first, feature, total, F: tl.constexpr, P: tl.constexpr):
    """(P, K, features) p_j - q_i of the tile, in float32: the difference of two close numbers."""
    centroid = first + tl.arange(0, P)
    inside = (centroid < total)[:, None] & (feature >= 0)[None, :]
    q = tl.load(at_centres + centroid.to(tl.int64)[:, None] * F + feature[None, :], inside, 0.0)
    p = tl.load(pointwise + rows[:, :, None] * F + feature[None, None, :])
    return p - q[:, None, :]


@triton.jit
def winners_gradient(grad, winner, first, channel, total, C: tl.constexpr, P: tl.constexpr, K: tl.constexpr):
    """(P·K, channels) gradient of the grouped values: the output's where the neighbour won, else 0."""
    centroid = first + tl.arange(0, P)
    inside = (centroid < total)[:, None] & (channel >= 0)[None, :]
    at = centroid.to(tl.int64)[:, None] * C + channel[None, :]
    g = tl.load(grad + at, inside, 0.0)
    won = tl.load(winner + at, inside, 0).to(tl.int32)
    own = tl.arange(0, K)[None, :, None] == won[:, None, :]
    return tl.reshape(tl.where(own, g[:, None, :], 0.0).to(grad.dtype.element_ty), (P * K, channel.shape[0]))


@triton.jit
def forward_kernel(
    pointwise, at_centres, index, weight, bias, pooled, winner, n, m, k, total,
    F: tl.constexpr, C: tl.constexpr, P: tl.constexpr, K: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """One program a tile: max over its groups of W relu(p_j - q_i) + b, and the slot that had it."""
    first = tl.program_id(0) * P
    feature = tl.arange(0, F)
    rows = neighbour_rows(index, first, n, m, k, total, P, K)
    offsets = offsets_of(pointwise, at_centres, rows, first, feature, total, F, P)
    hidden = tl.reshape(tl.maximum(offsets, 0.0).to(weight.dtype.element_ty), (P * K, F))
    centroid = first + tl.arange(0, P)
    for start in range(0, C, BLOCK_C):
        channel = start + tl.arange(0, BLOCK_C)
        w = tl.load(weight + channel[None, :] * F + feature[:, None])
        values = tl.reshape(tl.dot(hidden, w, input_precision="ieee"), (P, K, BLOCK_C))
        best, slot = tl.max(values, 1, return_indices=True)
        best += tl.load(bias + channel)[None, :]
        inside = (centroid < total)[:, None] & (channel >= 0)[None, :]
        at = centroid.to(tl.int64)[:, None] * C + channel[None, :]
        tl.store(pooled + at, best.to(pooled.dtype.element_ty), inside)
        tl.store(winner + at, slot.to(tl.uint8), inside)


@triton.jit
def input_gradient_kernel(
    grad, winner, pointwise, at_centres, index, weight, d_pointwise, d_centres, n, m, k, total,
    F: tl.constexpr, C: tl.constexpr, P: tl.constexpr, K: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_F: tl.constexpr,
):  # fmt: skip
    """Program (tile, features): the gradient G W where the offset was positive, for the points and for the centres.

    A point has many groups, so additions are atomic and their order differs from run to run. Neighbours that won
    nothing, as all the repeats that fill up a group, add nothing; they would queue for the same few points.
    """
    first = tl.program_id(0) * P
    feature = tl.program_id(1) * BLOCK_F + tl.arange(0, BLOCK_F)
    d_hidden = tl.zeros((P * K, BLOCK_F), tl.float32)
    for start in range(0, C, BLOCK_C):
        channel = start + tl.arange(0, BLOCK_C)
        g = winners_gradient(grad, winner, first, channel, total, C, P, K)
        w = tl.load(weight + channel[:, None] * F + feature[None, :])
        d_hidden = tl.dot(g, w, d_hidden, input_precision="ieee")
    rows = neighbour_rows(index, first, n, m, k, total, P, K)
    offsets = offsets_of(pointwise, at_centres, rows, first, feature, total, F, P)
    d_offsets = tl.where(offsets > 0, tl.reshape(d_hidden, (P, K, BLOCK_F)), 0.0)
    some = tl.max(tl.abs(d_offsets), 2) > 0
    target = d_pointwise + rows[:, :, None] * F + feature[None, None, :]
    tl.atomic_add(target, d_offsets, some[:, :, None], sem="relaxed")
    centroid = first + tl.arange(0, P)
    inside = (centroid < total)[:, None] & (feature >= 0)[None, :]
    tl.store(d_centres + centroid.to(tl.int64)[:, None] * F + feature[None, :], -tl.sum(d_offsets, 1), inside)


@triton.jit
def weight_gradient_kernel(
    grad, winner, pointwise, at_centres, index, partial, n, m, k, total,
    F: tl.constexpr, C: tl.constexpr, P: tl.constexpr, K: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_F: tl.constexpr,
):  # fmt: skip
    """Program (channels, features, s): Gᵀ relu(p_j - q_i), summed over every S-th tile, into ``partial`` (S, C, F)."""
    channel = tl.program_id(0) * BLOCK_C + tl.arange(0, BLOCK_C)
    feature = tl.program_id(1) * BLOCK_F + tl.arange(0, BLOCK_F)
    split = tl.program_id(2)
    d_weight = tl.zeros((BLOCK_C, BLOCK_F), tl.float32)
    for tile in range(split, tl.cdiv(total, P), tl.num_programs(2)):
        first = tile * P
        rows = neighbour_rows(index, first, n, m, k, total, P, K)
        offsets = offsets_of(pointwise, at_centres, rows, first, feature, total, F, P)
        hidden = tl.reshape(tl.maximum(offsets, 0.0).to(grad.dtype.element_ty), (P * K, BLOCK_F))
        g = winners_gradient(grad, winner, first, channel, total, C, P, K)
        d_weight = tl.dot(tl.trans(g), hidden, d_weight, input_precision="ieee")
    tl.store(partial + (split * C + channel)[:, None] * F + feature[None, :], d_weight)


class GroupMax(torch.autograd.Function):
    """:func:`clip2.pretrain.neighbours.group_max` with products in ``dtype`` and sums in float32.

    Keeps its inputs and one byte a group and channel for the backward pass.
    """

    @staticmethod
    def forward(
        ctx: Any, pointwise: Tensor, at_centres: Tensor, group: Tensor, weight: Tensor, bias: Tensor, dtype: torch.dtype
    ) -> Tensor:
        b, m, _ = group.shape
        pointwise, at_centres = pointwise.float().contiguous(), at_centres.float().contiguous()
        group, low = group.contiguous(), weight.to(dtype).contiguous()
        pooled = torch.empty(b, m, len(weight), dtype=dtype, device=pointwise.device)
        winner = torch.empty(b, m, len(weight), dtype=torch.uint8, device=pointwise.device)
        ctx.save_for_backward(pointwise, at_centres, group, low, winner)
        ctx.types = weight.dtype, bias.dtype
        blocks = block_sizes(weight.shape[1], len(weight), group.shape[2])
        with torch.cuda.device_of(pointwise):
            forward_kernel[(triton.cdiv(b * m, blocks["P"]),)](
                pointwise, at_centres, group, low, bias, pooled, winner, *_sizes(pointwise, group), **blocks
            )  # fmt: skip
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        pointwise, at_centres, group, low, winner = ctx.saved_tensors
        channels, features = low.shape
        grad = grad.to(low.dtype).contiguous()
        d_pointwise, d_centres = torch.zeros_like(pointwise), torch.empty_like(at_centres)
        blocks = block_sizes(features, channels, group.shape[2], backward=True)
        parts = features // blocks["BLOCK_F"]
        sizes = _sizes(pointwise, group)
        tiles = triton.cdiv(sizes[-1], blocks["P"])
        splits = min(tiles, SPLITS)
        partial = torch.empty(splits, channels, features, device=grad.device)
        with torch.cuda.device_of(pointwise):
            input_gradient_kernel[(tiles, parts)](
                grad, winner, pointwise, at_centres, group, low, d_pointwise, d_centres, *sizes, **blocks
            )  # fmt: skip
            weight_gradient_kernel[(channels // blocks["BLOCK_C"], parts, splits)](
                grad, winner, pointwise, at_centres, group, partial, *sizes, **blocks
            )  # fmt: skip
        d_weight, d_bias = partial.sum(0).to(ctx.types[0]), grad.sum((0, 1), dtype=torch.float32).to(ctx.types[1])
        return d_pointwise, d_centres, None, d_weight, d_bias, None


def block_sizes(features: int, channels: int, k: int, backward: bool = False) -> dict[str, int]:
    """The kernels' constants. The forward one takes all features at once, which its product sums over."""
    block_k = triton.next_power_of_2(k)
    blocks = {"F": features, "C": channels, "P": max(1, ROWS // block_k), "K": block_k, "num_warps": WARPS}
    blocks["BLOCK_C"] = min(channels, COLUMNS)
    if backward:
        blocks["BLOCK_F"] = min(features, COLUMNS)
    return blocks


def _sizes(pointwise: Tensor, group: Tensor) -> tuple[int, int, int, int]:
    """n, m, k and the number of centroids of all crops."""
    b, m, k = group.shape
    return pointwise.shape[1], m, k, b * m
