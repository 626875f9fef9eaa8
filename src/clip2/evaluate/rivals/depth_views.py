"""What the rivals that see points as depth maps have in common: crops in, one-channel pictures, a CLIP image tower.

Camera axes: x down the rows of the picture, y along its columns, z into it — except where a module says otherwise.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch_scatter import scatter_sum

from clip2.pretrain.precision import mixed_precision
from clip2.pretrain.sampling import sample_rows
from clip2.teach.teacher import Teacher, batch_on

ENCODE_BATCH = 96
"""Depth maps a forward pass: enough for a GPU, and a CPU's caches like it a fifth better than 256."""

Y_UP_FROM_Z_UP = np.array([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]])
"""(x, y, z) with z up → (y, z, x) with y up, a rotation. All three rivals were made for y-up CAD models; our crops are
z-up. Camera "front" of the rivals, on their +z axis, is on our +x axis."""


@dataclass(frozen=True)
class Crops:
    """Points (P, 3) of ``n`` crops, float32, z up, and (P,) int64 which crop each belongs to."""

    points: Tensor
    crop: Tensor
    n: int


@dataclass(frozen=True)
class Projection:
    """How one rival turns crops into pictures, and what it asks about them.

    Attributes:
        template: prompt of its zero-shot recognition.
        n_views: V, pictures a crop.
        maps: crops and a picture's size S → (n, V, S, S) float32 pixels.
        normalised: whether CLIP's mean and standard deviation follow.
        max_points: crops with more points are thinned evenly to so many; 0 for none.
        chunk: crops drawn at a time, for the memory.
    """

    name: str
    template: str
    n_views: int
    maps: Callable[[Crops, int], Tensor]
    normalised: bool
    max_points: int
    chunk: int


def pack_crops(crops: Sequence[NDArray[np.float32]], device: torch.device, max_points: int = 0) -> Crops:
    """Arrays (N_i ≥ 1, 3+), metres, end to end on ``device``; with ``max_points``, thinned evenly in scan order."""
    if max_points:
        crops = [thin(crop, max_points) for crop in crops]
    lengths = torch.tensor([len(crop) for crop in crops], dtype=torch.long, device=device)
    points = np.concatenate([np.empty((0, 3), np.float32), *(crop[:, :3] for crop in crops)])
    owner = torch.arange(len(crops), device=device).repeat_interleave(lengths)
    return Crops(torch.from_numpy(points).to(device, torch.float32), owner, len(crops))


def thin(crop: NDArray[np.float32], max_points: int) -> NDArray[np.float32]:
    """At most ``max_points`` of a crop's points, spread evenly over their order."""
    if len(crop) <= max_points:
        return crop
    rows, _ = sample_rows(torch.tensor([0]), torch.tensor([len(crop)]), max_points)
    return crop[rows[0].numpy()]


def to_unit_sphere(crops: Crops) -> Crops:
    """Each crop centred on the mean of its points and divided by its largest norm."""
    counts = torch.bincount(crops.crop, minlength=crops.n).clamp(min=1)
    mean = scatter_sum(crops.points, crops.crop, 0, dim_size=crops.n) / counts[:, None]
    centred = crops.points - mean[crops.crop]
    norms = centred.norm(dim=1)
    largest = torch.zeros(crops.n, device=norms.device).scatter_reduce_(0, crops.crop, norms, "amax")
    return Crops(centred / largest.clamp(min=1e-6)[crops.crop][:, None], crops.crop, crops.n)


def euler_rotation(angles: tuple[float, float, float]) -> NDArray[np.float64]:
    """Rx @ Ry @ Rz, radians."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(angles), np.sin(angles)
    Rx = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    Ry = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    Rz = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return Rx @ Ry @ Rz


def draw(projection: Projection, crops: Sequence[NDArray[np.float32]], teacher: Teacher) -> Tensor:
    """(n, V, S, S) pictures of crops at the size S that the teacher takes, on its device."""
    size = teacher.image_size
    parts = [torch.empty(0, projection.n_views, size, size, device=teacher.device)]
    for start in range(0, len(crops), projection.chunk):
        part = pack_crops(crops[start : start + projection.chunk], teacher.device, projection.max_points)
        parts.append(projection.maps(to_unit_sphere(part), size))
    return torch.cat(parts)


def mean_and_std(teacher: Teacher) -> tuple[Tensor, Tensor]:
    """The colour normalisation of the teacher's own preprocessing, (3, 1, 1) each."""
    step = next(step for step in teacher.preprocess.transforms if hasattr(step, "mean") and hasattr(step, "std"))
    mean, std = (torch.tensor(list(values), device=teacher.device).view(3, 1, 1) for values in (step.mean, step.std))
    return mean, std


def to_pixels(projection: Projection, maps: Tensor, teacher: Teacher) -> Tensor:
    """(m, S, S) pictures → (m, 3, S, S) as an image tower takes them."""
    pixels = maps[:, None].expand(-1, 3, -1, -1)
    if not projection.normalised:
        return pixels
    mean, std = mean_and_std(teacher)
    return (pixels - mean) / std


def encode_maps(projection: Projection, maps: Tensor, teacher: Teacher, tower: nn.Module | None = None) -> Tensor:
    """(n, V, S, S) pictures → (n, V, D) unit vectors, through the teacher or through a depth tower of its shape."""
    parts = [torch.empty(0, teacher.dim, device=teacher.device)]
    for part in maps.flatten(0, 1).split(batch_on(teacher.device, ENCODE_BATCH)) if len(maps) else ():
        pixels = to_pixels(projection, part, teacher)
        if tower is None:
            parts.append(teacher.encode_pixels(pixels, ENCODE_BATCH))
        else:
            with torch.inference_mode(), mixed_precision(teacher.device):
                parts.append(functional.normalize(tower(pixels).float(), dim=-1))
    return torch.cat(parts).view(len(maps), projection.n_views, teacher.dim)


Given = TypeVar("Given")


class OncePerBatch(Generic[Given]):
    """A costly function of a batch that several methods share: computed when first asked for, kept until the next."""

    def __init__(self, compute: Callable[[Given], Tensor]) -> None:
        self._compute = compute
        self._batch: Any = None
        self._value: Tensor | None = None

    def __call__(self, batch: Given) -> Tensor:
        if batch is not self._batch or self._value is None:
            self._value = self._compute(batch)
            self._batch = batch
        return self._value
