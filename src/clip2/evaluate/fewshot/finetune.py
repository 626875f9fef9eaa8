"""Fine-tuning of the point encoder on a few annotated objects, its head begun from the text vectors.

As CLIP's authors' successors do it (WiSE-FT, Wortsman et al., CVPR 2022): the head's rows begin as the class names'
text vectors, so that before the first step it answers as zero-shot does. Batch statistics stay those of the
pretraining: a handful of objects has none of its own.
"""

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from clip2.evaluate.fewshot.settings import FewshotSettings
from clip2.pretrain.augment import augment
from clip2.pretrain.encoder import PointEncoder
from clip2.pretrain.pack import thin
from clip2.pretrain.precision import mixed_precision
from clip2.pretrain.sampling import sample_rows
from clip2.pretrain.settings import PretrainSettings
from clip2.store.crops import points_by_place


@dataclass(frozen=True)
class Crops:
    """Crops end to end: points (ΣN, 3) float16 around each crop's middle, starts and lengths (n,)."""

    points: Tensor
    starts: Tensor
    lengths: Tensor

    @classmethod
    def pack(cls, crops: Sequence[NDArray[np.float32]], max_points: int, device: torch.device) -> "Crops":
        """By place and thinned to ``max_points``, as the pretraining's are."""
        offsets = np.concatenate([[0], np.cumsum([len(crop) for crop in crops])]).astype(np.int64)
        xyz = np.concatenate([np.empty((0, 3), np.float32), *(crop[:, :3] for crop in crops)])
        points, lengths = thin(*points_by_place(xyz, offsets), np.arange(len(crops)), max_points)
        ends = torch.from_numpy(np.cumsum(lengths, dtype=np.int64))
        sizes = torch.from_numpy(lengths.astype(np.int64))
        return cls(torch.from_numpy(points).to(device), (ends - sizes).to(device), sizes.to(device))

    @classmethod
    def join(cls, parts: Sequence["Crops"]) -> "Crops":
        """Several in one."""
        lengths = torch.cat([part.lengths for part in parts])
        return cls(torch.cat([part.points for part in parts]), lengths.cumsum(0) - lengths, lengths)

    def batch(self, items: Tensor, n: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """(B, n, 3) float32 points and (B,) counts of distinct ones."""
        index, count = sample_rows(self.starts[items], self.lengths[items], n, generator)
        return self.points[index].float(), count

    def __len__(self) -> int:
        return len(self.lengths)


def finetune(
    encoder: PointEncoder,
    text: Tensor,
    scale: float,
    crops: Crops,
    labels: Tensor,
    settings: FewshotSettings,
    augmentation: PretrainSettings,
    seed: int,
) -> tuple[PointEncoder, Tensor]:
    """Train a copy of ``encoder`` and a head on a few crops.

    Args:
        text: (C, D) where the head begins.
        scale: what cosines are multiplied with to be logits; stays as it is.
        crops, labels: n crops and their (n,) classes, on the encoder's device.
        augmentation: whose strengths of augmentation are used: the pretraining's.

    Returns:
        The encoder in evaluation mode, and the head (C, D).
    """
    device = text.device
    tuned = copy.deepcopy(encoder).eval()  # eval: normalisation layers keep their running statistics
    head = text.clone().requires_grad_(True)
    optimiser = torch.optim.Adam([*tuned.parameters(), head], lr=settings.finetune_lr)
    generator = torch.Generator(device).manual_seed(seed)
    order = _batches(len(crops), settings.finetune_batch, generator)
    for step in range(settings.finetune_steps):
        for group in optimiser.param_groups:
            group["lr"] = settings.finetune_lr * 0.5 * (1 + math.cos(math.pi * step / settings.finetune_steps))
        items = next(order)
        points, count = crops.batch(items, encoder.config.n_points, generator)
        points, count = augment(points, count, augmentation, generator)
        with mixed_precision(device):
            features = tuned(points, count)
        loss = F.cross_entropy(scale * features @ head.T, labels[items])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    return tuned.requires_grad_(False), head.detach()


def _batches(n: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Random orders of all n, one after another, in batches of at most ``size``."""
    while True:
        yield from torch.randperm(n, generator=generator, device=generator.device).split(size)


@torch.inference_mode()
def tuned_scores(encoder: PointEncoder, head: Tensor, crops: Crops, batch_size: int) -> NDArray[np.float32]:
    """(n, C) scores of crops."""
    parts = [torch.empty(0, len(head))]
    for items in torch.arange(len(crops), device=head.device).split(batch_size):
        points, count = crops.batch(items, encoder.config.n_points)
        with mixed_precision(head.device):
            features = encoder(points, count)
        parts.append((features @ head.T).cpu())
    return torch.cat(parts).numpy()
