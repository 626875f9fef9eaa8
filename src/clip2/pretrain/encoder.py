"""PointNet++ with single-scale grouping (Qi et al. 2017), for crops of very different size and number of points.

Shapes: B crops, N points a crop, M centroids, K neighbours a centroid, C channels, D dimension of the teacher.

A batch is ``points`` (B, N, 3) in metres, z up, and ``count`` (B,): of each row the first ``count`` entries are the
crop's distinct points, the others repeat them and only fill the row. Nothing that is computed here depends on the
filling, nor on where in space the crop lies. With farthest-point centroids it does not depend on the order either.

What differs from the paper's PointNet++, and why:

* Neighbours are the K nearest inside the radius, the same on every device.
* The first linear layer of a level runs on the N points and not on the M·K grouped ones. It is the same function, since
  W [f_j, (x_j - c_i) / r] = W [f_j, x_j / r] - W_x c_i / r, at a small part of the cost.
* Coordinates are divided by the crop's largest norm, which throws its metric size away; a car and a toy car look alike.
  So the size is an input of its own (:func:`describe_size`), to every level.
"""

from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clip2.pretrain.neighbours import (
    ball_query,
    farthest_points,
    gather_points,
    group_max,
    strided_points,
    valid_mask,
)

SIZE_FEATURES = 4


@dataclass(frozen=True)
class Level:
    """One set abstraction: ``centroids`` groups of ``neighbours`` points within ``radius`` (of the unit sphere)."""

    centroids: int
    neighbours: int
    radius: float
    widths: tuple[int, int]


@dataclass(frozen=True)
class EncoderConfig:
    """All that is needed to build an encoder; written to a model's config.json."""

    dim: int
    n_points: int
    levels: tuple[Level, ...]
    global_widths: tuple[int, int]
    head_width: int
    size_input: bool = True
    centroids: str = "strided"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "EncoderConfig":
        levels = tuple(Level(**{**level, "widths": tuple(level["widths"])}) for level in value["levels"])
        return cls(**{**value, "levels": levels, "global_widths": tuple(value["global_widths"])})


def centre_and_scale(points: Tensor) -> tuple[Tensor, Tensor]:
    """Crops -> (B, N, 3) inside the unit sphere around the middle of their bounding box, and the (B,) radius in metres.

    The middle of the box and not the mean, since a LiDAR's points crowd on the near side.
    """
    low, high = points.amin(1), points.amax(1)
    centred = points - ((low + high) / 2)[:, None]
    radius = centred.norm(dim=2).amax(1).clamp(min=1e-3)
    return centred / radius[:, None, None], radius


def describe_size(unit: Tensor, radius: Tensor, count: Tensor) -> Tensor:
    """(B, 4) logarithms of height, the two horizontal extents and the radius, in metres; the same for any yaw.

    The horizontal extents are taken along the principal axes of the points' plan view, whose angle has a closed form:
    ½ atan2(2 cov_xy, cov_xx - cov_yy).
    """
    weight = valid_mask(count, unit.shape[1]).to(unit.dtype) / count[:, None].to(unit.dtype)
    plan = unit[..., :2] - (unit[..., :2] * weight[..., None]).sum(1, keepdim=True)
    x, y = plan.unbind(2)
    angle = 0.5 * torch.atan2(2 * (x * y * weight).sum(1), (x * x * weight).sum(1) - (y * y * weight).sum(1))
    cos, sin = angle.cos()[:, None], angle.sin()[:, None]
    axes = torch.stack([unit[..., 2], x * cos + y * sin, y * cos - x * sin], 2)
    extent = (axes.amax(1) - axes.amin(1)) * radius[:, None]
    return torch.cat([extent, radius[:, None]], 1).clamp(min=0.02).log()


class SetAbstraction(nn.Module):
    """One level: choose centroids, group their neighbours, a two-layer perceptron on each, maximum over the group."""

    def __init__(self, level: Level, channels: int, centroids: str) -> None:
        super().__init__()
        self.level, self.centroids = level, centroids
        first, second = level.widths
        self.features = nn.Linear(channels, first)
        self.offsets = nn.Linear(3, first, bias=False)
        self.grouped = nn.Linear(first, second)
        self.norm = nn.BatchNorm1d(second)

    def forward(self, xyz: Tensor, features: Tensor, count: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, N, 3), (B, N, C), (B,) -> centroids (B, M, 3), features (B, M, C'), number of distinct centroids (B,)."""
        level = self.level
        with torch.no_grad():
            if self.centroids == "farthest":
                chosen = farthest_points(xyz, count, level.centroids)
            else:
                chosen = strided_points(count, level.centroids)
            centre = gather_points(xyz, chosen)
            group = ball_query(centre, xyz, count, level.neighbours, level.radius)
        # In float32 also under autocast: the difference of two bfloat16 coordinates would be mostly rounding.
        with torch.autocast(xyz.device.type, enabled=False):
            at_points, at_centres = self.offsets(xyz / level.radius), self.offsets(centre / level.radius)
        pointwise = self.features(features) + at_points
        pooled = group_max(pointwise, at_centres, group, self.grouped.weight, self.grouped.bias)
        pooled = F.relu(self.norm(pooled.flatten(0, 1)).view_as(pooled))
        return centre, pooled, count.clamp(max=level.centroids)


class PointEncoder(nn.Module):
    """PointNet++ SSG: levels of set abstraction, a global one, and a head to the teacher's dimension."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        size = SIZE_FEATURES * config.size_input
        channels, levels = 3, []
        for level in config.levels:
            levels.append(SetAbstraction(level, channels + size, config.centroids))
            channels = level.widths[1]
        self.levels = nn.ModuleList(levels)
        first, second = config.global_widths
        self.whole = nn.Sequential(nn.Linear(channels + 3 + size, first), nn.ReLU(), nn.Linear(first, second))
        self.head = nn.Sequential(
            nn.BatchNorm1d(second),
            nn.ReLU(),
            nn.Linear(second, config.head_width),
            nn.BatchNorm1d(config.head_width),
            nn.ReLU(),
            nn.Linear(config.head_width, config.dim),
        )

    def forward(self, points: Tensor, count: Tensor) -> Tensor:
        """(B, N, 3) points in metres, z up, and (B,) numbers of distinct ones -> (B, D) unit vectors, float32."""
        with torch.no_grad(), torch.autocast(points.device.type, enabled=False):
            xyz, radius = centre_and_scale(points.float())
            size = describe_size(xyz, radius, count) if self.config.size_input else None
        features = xyz
        for level in self.levels:
            xyz, features, count = level(xyz, self._with_size(features, size), count)
        features = torch.cat([features, xyz.to(features.dtype)], 2)
        whole = self.whole(self._with_size(features, size)).max(1).values
        return F.normalize(self.head(whole).float(), dim=1)

    @staticmethod
    def _with_size(features: Tensor, size: Tensor | None) -> Tensor:
        if size is None:
            return features
        # In the features' precision, which under autocast is the next layer's.
        return torch.cat([features, size[:, None].to(features.dtype).expand(-1, features.shape[1], -1)], 2)
