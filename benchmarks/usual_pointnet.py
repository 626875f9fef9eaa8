"""PointNet++ with single-scale grouping (Qi et al. 2017) in plain float32 torch, as it is usually written.

Farthest points one after the other in Python, a ball query by sorting, three convolutions on every grouped point.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def square_distance(a: Tensor, b: Tensor) -> Tensor:
    """(B, N, 3), (B, M, 3) → (B, N, M)."""
    inner = a @ b.transpose(1, 2)
    return a.square().sum(2)[:, :, None] + b.square().sum(2)[:, None] - 2 * inner


def take(values: Tensor, index: Tensor) -> Tensor:
    """(B, N, C) at (B, ...) → (B, ..., C)."""
    batch = torch.arange(len(values), device=values.device).view(-1, *[1] * (index.dim() - 1))
    return values[batch.expand_as(index), index]


def farthest_points(xyz: Tensor, m: int) -> Tensor:
    """(B, N, 3) → (B, m), from a random start."""
    b, n, _ = xyz.shape
    chosen = torch.zeros(b, m, dtype=torch.long, device=xyz.device)
    distance = torch.full((b, n), 1e10, device=xyz.device)
    farthest = torch.randint(0, n, (b,), device=xyz.device)
    rows = torch.arange(b, device=xyz.device)
    for i in range(m):
        chosen[:, i] = farthest
        new = (xyz - xyz[rows, farthest][:, None]).square().sum(2)
        distance = torch.minimum(distance, new)
        farthest = distance.max(1).indices
    return chosen


def ball(centre: Tensor, xyz: Tensor, k: int, radius: float) -> Tensor:
    """(B, M, 3), (B, N, 3) → (B, M, K) the first K points within the radius, the first of all for missing ones."""
    n = xyz.shape[1]
    index = torch.arange(n, device=xyz.device).expand(len(xyz), centre.shape[1], n).clone()
    index[square_distance(centre, xyz) > radius**2] = n
    index = index.sort(2).values[:, :, :k]
    first = index[:, :, :1].clamp(max=n - 1)
    return torch.where(index == n, first, index)


class Abstraction(nn.Module):
    """Centroids, groups around them, a perceptron on every grouped point, maximum. ``centroids`` None takes all."""

    def __init__(
        self, centroids: int | None, radius: float, neighbours: int, channels: int, widths: tuple[int, ...]
    ) -> None:
        super().__init__()
        self.centroids, self.radius, self.neighbours = centroids, radius, neighbours
        layers: list[nn.Module] = []
        for before, width in zip((channels + 3, *widths), widths):
            layers += [nn.Conv2d(before, width, 1), nn.BatchNorm2d(width), nn.ReLU()]
        self.layers = nn.Sequential(*layers)

    def forward(self, xyz: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N, 3), (B, N, C) → (B, M, 3), (B, M, C')."""
        if self.centroids is None:
            centre, grouped = xyz[:, :1], torch.cat([xyz, features], 2)[:, None]
        else:
            centre = take(xyz, farthest_points(xyz, self.centroids))
            group = ball(centre, xyz, self.neighbours, self.radius)
            offsets = take(xyz, group) - centre[:, :, None]
            grouped = torch.cat([offsets, take(features, group)], 3)
        hidden = self.layers(grouped.permute(0, 3, 2, 1))  # (B, C, K, M)
        return centre, hidden.max(2).values.transpose(1, 2)


class UsualPointNet2(nn.Module):
    """The paper's SSG network with its classifier's last layer as wide as the teacher's space."""

    def __init__(
        self, dim: int, centroids: tuple[int, int] = (512, 128), neighbours: tuple[int, int] = (32, 64)
    ) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            [
                Abstraction(centroids[0], 0.2, neighbours[0], 3, (64, 64, 128)),
                Abstraction(centroids[1], 0.4, neighbours[1], 128, (128, 128, 256)),
                Abstraction(None, 0.0, 0, 256, (256, 512, 1024)),
            ]
        )
        self.head = nn.Sequential(
            nn.Linear(1024, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Dropout(0.4),
            nn.Linear(512, 256), nn.BatchNorm1d(256), nn.ReLU(), nn.Dropout(0.4),
            nn.Linear(256, dim),
        )  # fmt: skip

    def forward(self, points: Tensor) -> Tensor:
        """(B, N, 3) → (B, D) unit vectors."""
        xyz = points - points.mean(1, keepdim=True)
        xyz = xyz / xyz.norm(dim=2).amax(1)[:, None, None].clamp(min=1e-6)
        features = xyz
        for level in self.levels:
            xyz, features = level(xyz, features)
        return F.normalize(self.head(features[:, 0]), dim=1)
