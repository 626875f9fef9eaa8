"""Triton kernels of farthest point sampling and of the neighbour search; their twins are in ``neighbours.py``.

Distances must be the twins' to the last bit, so multiply and add are not fused (``enable_fp_fusion=False``).
Import this module only where Triton is installed.
"""
# mypy: allow-untyped-defs, allow-incomplete-defs
# In a kernel, only what Triton compiles in as a constant is annotated.

import torch
import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def load_xyz(xyz, place, mask):
    """x, y, z of (…, 3) points at ``place``, and 0 where the mask is off."""
    at = xyz + place * 3
    return tl.load(at, mask, 0.0), tl.load(at + 1, mask, 0.0), tl.load(at + 2, mask, 0.0)


@triton.jit
def farthest_kernel(xyz, count, index, n, m, BLOCK: tl.constexpr):
    """One program a crop. Its points and their distances to the nearest chosen one stay in registers.

    A step is one subtraction, square and minimum a point, then one maximum over the block. The chosen point's three
    coordinates are read again: from the first-level cache, which is cheaper than three more reductions.
    """
    row = tl.program_id(0).to(tl.int64)
    crop = xyz + row * n * 3
    place = tl.arange(0, BLOCK)
    valid = place < tl.load(count + row)
    x, y, z = load_xyz(crop, place, place < n)
    chosen = tl.argmax(tl.where(valid, x * x + y * y + z * z, -1.0), 0)
    distance = tl.where(valid, float("inf"), -1.0)
    for i in range(m):
        tl.store(index + row * m + i, chosen)
        dx = x - tl.load(crop + chosen * 3)
        dy = y - tl.load(crop + chosen * 3 + 1)
        dz = z - tl.load(crop + chosen * 3 + 2)
        distance = tl.minimum(distance, dx * dx + dy * dy + dz * dz)
        chosen = tl.argmax(distance, 0)


@triton.jit
def ball_kernel(centre, xyz, count, index, n, m, k, limit, BLOCK: tl.constexpr, BLOCK_K: tl.constexpr):
    """One program a centroid. The squared distances to the N points stay in registers; nothing is sorted.

    A non-negative float's bits, read as an integer, keep its order. So the K-th smallest distance is found by bisection
    over integers, each step counting the points at or below the middle: at most 31 steps, none where no more than K
    points are within the radius, and it stops early at a value with exactly K. What is below is kept, and of what is
    equal the first ones; a running sum gives each its slot.

    Args:
        limit: the radius squared.
    """
    centroid = tl.program_id(0).to(tl.int64)
    row = centroid // m
    place = tl.arange(0, BLOCK)
    x, y, z = load_xyz(xyz + row * n * 3, place, place < n)
    dx = tl.load(centre + centroid * 3) - x
    dy = tl.load(centre + centroid * 3 + 1) - y
    dz = tl.load(centre + centroid * 3 + 2) - z
    squared = tl.where(place < tl.load(count + row), dx * dx + dy * dy + dz * dz, float("inf"))
    nearest = tl.argmin(squared, 0)
    bits = tl.where(squared <= limit, squared.to(tl.int32, bitcast=True), 0x7FFFFFFF)

    # `found` points are at or below `high`, at least k of them or all that are inside; fewer than k are below `low`.
    low = 0
    high = 0x7F800000  # infinity
    found = tl.sum((bits <= high).to(tl.int32), 0)
    while (found > k) & (low < high):
        middle = low + (high - low) // 2
        here = tl.sum((bits <= middle).to(tl.int32), 0)
        enough = here >= k
        found = tl.where(enough, here, found)
        high = tl.where(enough, middle, high)
        low = tl.where(enough, low, middle + 1)

    kept = bits <= high
    if found > k:
        below = bits < high
        equal = bits == high
        room = k - tl.sum(below.to(tl.int32), 0)
        kept = below | (equal & (tl.cumsum(equal.to(tl.int32), 0) <= room))
    out = index + centroid * k
    tl.store(out + tl.cumsum(kept.to(tl.int32), 0) - 1, place, mask=kept)
    slot = tl.arange(0, BLOCK_K)
    missing = (slot >= tl.sum(kept.to(tl.int32), 0)) & (slot < k)
    tl.store(out + slot, tl.zeros_like(slot) + nearest, mask=missing)


def farthest_points(xyz: Tensor, count: Tensor, m: int) -> Tensor:
    """(B, m) int64 indices, as :func:`clip2.pretrain.neighbours.farthest_points` says."""
    b, n = xyz.shape[:2]
    index = torch.empty(b, m, dtype=torch.int64, device=xyz.device)
    block = triton.next_power_of_2(n)
    with torch.cuda.device_of(xyz):
        farthest_kernel[(b,)](
            xyz.contiguous(),
            count.contiguous(),
            index,
            n,
            m,
            BLOCK=block,
            num_warps=farthest_warps(block),
            enable_fp_fusion=False,
        )
    return index


def farthest_warps(block: int) -> int:
    """Eight points a thread, 32 registers: the m steps wait for one another, so what counts is a short step, and each
    further warp makes the reduction's barrier longer. At 1,024 points four warps, and eight crops fill a processor."""
    return min(16, max(1, block // 256))


def ball_query(centre: Tensor, xyz: Tensor, count: Tensor, k: int, radius: float) -> Tensor:
    """(B, M, min(k, N)) int32 indices, as :func:`clip2.pretrain.neighbours.ball_query` says."""
    (b, n), m = xyz.shape[:2], centre.shape[1]
    k = min(k, n)
    index = torch.empty(b, m, k, dtype=torch.int32, device=xyz.device)
    block = triton.next_power_of_2(n)
    with torch.cuda.device_of(xyz):
        ball_kernel[(b * m,)](
            centre.contiguous(),
            xyz.contiguous(),
            count.contiguous(),
            index,
            n,
            m,
            k,
            radius**2,
            BLOCK=block,
            BLOCK_K=triton.next_power_of_2(k),
            num_warps=ball_warps(block),
            enable_fp_fusion=False,
        )
    return index


def ball_warps(block: int) -> int:
    """One warp up to 1,024 points, 32 a thread: its reductions are shuffles, with no barrier, and there are half a
    million programs to fill the GPU with."""
    return max(1, block // 1024)
