"""Augmentation of a batch of crops, on the batch's own device, without a loop over crops.

A batch is as in :mod:`clip2.pretrain.encoder`: points (B, N, 3) in metres, z up, and the (B,) number of distinct ones.
"""

import math

import torch
from torch import Tensor

from clip2.pretrain.neighbours import gather_points, valid_mask
from clip2.pretrain.settings import PretrainSettings

KEEP_AT_LEAST = 3


def keep_points(points: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
    """Drop the points where ``keep`` (B, N) is False: the kept ones come first, in order, then repeats of them."""
    b, n = keep.shape
    count = keep.sum(1)
    place = torch.arange(n, device=keep.device)[None]
    # Each kept point writes its place into the slot of its rank, all others theirs into one slot more; no sorting.
    order = torch.zeros(b, n + 1, dtype=torch.long, device=keep.device)
    order.scatter_(1, torch.where(keep, keep.cumsum(1) - 1, n), place.expand(b, n))
    return gather_points(points, order.gather(1, place % count[:, None])), count


def drop_points(
    points: Tensor, count: Tensor, dropout: float, occlusion: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Thin each crop by a random share up to ``dropout``, and hide a part, up to the share ``occlusion`` of its width.

    Hidden is a slab across a random, nearly horizontal direction, half of the time at the crop's edge: what a frustum
    cut too narrow, or something in front, leaves. A crop that would be left with fewer than three points stays whole.
    """
    b, n = points.shape[:2]

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, device=points.device)

    valid = valid_mask(count, n)
    keep = valid & (uniform(b, n) >= uniform(b, 1) * dropout)
    azimuth, slope = 2 * math.pi * uniform(b, 1), uniform(b, 1) - 0.5
    along = points[..., 0] * azimuth.cos() + points[..., 1] * azimuth.sin() + points[..., 2] * slope
    low, high = along.amin(1, keepdim=True), along.amax(1, keepdim=True)
    along = (along - low) / (high - low).clamp(min=1e-6)
    width = uniform(b, 1) * occlusion
    start = torch.where(uniform(b, 1) < 0.5, 1 - width, uniform(b, 1) * (1 - width))
    keep &= (along < start) | (along > start + width)
    enough = keep.sum(1, keepdim=True) >= KEEP_AT_LEAST
    return keep_points(points, torch.where(enough, keep, valid))


def move_points(points: Tensor, settings: PretrainSettings, generator: torch.Generator) -> Tensor:
    """Random yaw, mirroring, scale and jitter. Heights are changed by the scale and the jitter only."""
    b = len(points)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, device=points.device)

    yaw = (2 * uniform(b) - 1) * math.radians(settings.rotate_deg)
    mirror = torch.where(uniform(b) < settings.mirror, -1.0, 1.0)
    low, high = math.log(settings.scale_min), math.log(settings.scale_max)
    scale = (low + (high - low) * uniform(b)).exp()[:, None, None]
    x, y, z = points[..., 0], points[..., 1] * mirror[:, None], points[..., 2]
    cos, sin = yaw.cos()[:, None], yaw.sin()[:, None]
    moved = torch.stack([cos * x - sin * y, sin * x + cos * y, z], 2) * scale
    noise = torch.randn(points.shape, generator=generator, device=points.device)
    return moved + settings.jitter_m * noise


def augment(
    points: Tensor, count: Tensor, settings: PretrainSettings, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """All of it, with the settings' strengths. Metric size stays true up to the scale, which size features see too."""
    points, count = drop_points(points, count, settings.dropout, settings.occlusion, generator)
    return move_points(points, settings, generator), count
