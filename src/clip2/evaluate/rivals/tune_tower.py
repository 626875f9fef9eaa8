"""CLIP2Point's training: a copy of the teacher's image tower that learns to see depth pictures.

On pairs, the method's own loss: contrast of the mean of two depth views with the picture, plus that of the two views
with each other, a, as a / w² + ln(w + 1) with a learned w. On triplets, our choice, contrast with the text is added, in
which items of the same text are not each other's negatives. Every contrast is symmetric InfoNCE with a learnable
temperature.
"""

import logging
import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from clip2.evaluate.rivals.clip2point import PROJECTION, TEST_VIEWS, depth_maps, resize, shade, view_rotation
from clip2.evaluate.rivals.depth_views import pack_crops, to_pixels, to_unit_sphere
from clip2.evaluate.rivals.towers import copy_visual
from clip2.evaluate.rivals.tune_data import TuneData
from clip2.evaluate.rivals.tune_settings import TuneSettings
from clip2.evaluate.rivals.tune_steps import MAX_SCALE, Schedule, Trainer
from clip2.pretrain.checkpoint import load_checkpoint, save_checkpoint
from clip2.pretrain.data import step_seed
from clip2.pretrain.loss import ContrastiveLoss, info_nce
from clip2.pretrain.precision import mixed_precision
from clip2.runtime.console import progress
from clip2.runtime.errors import InputError
from clip2.teach.teacher import Teacher

log = logging.getLogger(__name__)

LR = 5e-5
TRAIN_VIEWS = (*TEST_VIEWS, (45, 30), (135, 30), (225, 30), (315, 30))
"""(azimuth, elevation): ten, as in the method; which ten is ours. Each draw adds a random turn about the vertical."""
DRAW = 32
"""Crops drawn at a time."""
CHECKPOINT_S = 600.0
"""Seconds between checkpoints."""


class DepthLoss(nn.Module):
    """Losses of two depth views of each item against its picture, its text, and each other."""

    def __init__(self, temperature: float, with_text: bool) -> None:
        super().__init__()
        self.with_text = with_text
        self.cross = ContrastiveLoss(float(with_text), 1.0, temperature, MAX_SCALE)
        self.log_scale = nn.Parameter(torch.tensor(1 / temperature).log())
        self.w = nn.Parameter(torch.tensor(1.0))

    def forward(self, views: Tensor, images: Tensor, texts: Tensor, labels: Tensor, items: Tensor) -> Tensor:
        """(B, 2, D) unit vectors of views, (B, D) unit vectors of pictures and texts → the loss.

        Args:
            labels: (B,) which text.
            items: (B,) which triplet.
        """
        mean = functional.normalize(views.mean(1), dim=-1)
        ones = torch.ones(len(items), device=views.device)
        cross = self.cross(mean, images, texts, labels, ones * self.with_text, items).total
        same = items[:, None] == items[None]
        scale = self.log_scale.clamp(0, math.log(MAX_SCALE)).exp()
        views_agree = info_nce(views[:, 0], views[:, 1], scale, same, ones)
        return cross + views_agree / self.w**2 + torch.log(self.w.abs() + 1)


def random_rotations(n: int, generator: torch.Generator) -> Tensor:
    """(n, 2, 3, 3) float32: two of TRAIN_VIEWS for each crop, each with its own turn about the vertical."""
    which = torch.randint(len(TRAIN_VIEWS), (n, 2), generator=generator)
    turn = torch.rand(n, 2, generator=generator) * 360
    rotations = [
        torch.tensor(view_rotation(TRAIN_VIEWS[view][0] + angle, TRAIN_VIEWS[view][1]), dtype=torch.float32)
        for view, angle in zip(which.flatten().tolist(), turn.flatten().tolist(), strict=True)
    ]
    return torch.stack(rotations).view(n, 2, 3, 3)


def draw_pairs(data: TuneData, items: list[int], rotations: Tensor, teacher: Teacher) -> Tensor:
    """(2B, 3, S, S) pixels: the two depth views of each of B crops, one after the other."""
    parts = []
    for start in range(0, len(items), DRAW):
        crops = pack_crops([data.crops[i] for i in items[start : start + DRAW]], teacher.device, PROJECTION.max_points)
        maps = depth_maps(to_unit_sphere(crops), rotations[start : start + DRAW].to(teacher.device))
        parts.append(resize(shade(maps), teacher.image_size).flatten(0, 1))
    return to_pixels(PROJECTION, torch.cat(parts), teacher)


def backward_in_parts(
    encode: Callable[[Tensor], Tensor], pixels: Tensor, loss_of: Callable[[Tensor], Tensor], part: int
) -> Tensor:
    """Gradients of ``loss_of(encode(pixels))``, with the graph of ``part`` pictures in memory at a time.

    A contrastive loss needs all vectors at once, and its gradient with respect to them: so they are computed without
    a graph first, and each part again with one (gradient caching, Gao et al. 2021). Returns the loss, detached.
    """
    if len(pixels) <= part:
        loss = loss_of(encode(pixels))
        loss.backward()
        return loss.detach()
    with torch.no_grad():
        vectors = torch.cat([encode(piece) for piece in pixels.split(part)])
    vectors.requires_grad_(True)
    loss = loss_of(vectors)
    loss.backward()
    assert vectors.grad is not None
    for piece, gradient in zip(pixels.split(part), vectors.grad.split(part), strict=True):
        encode(piece).backward(gradient)
    return loss.detach()


def tune_tower(
    data: TuneData, texts: Tensor, teacher: Teacher, settings: TuneSettings, checkpoint: Path, digest: str
) -> tuple[nn.Module, list[dict[str, float]]]:
    """Train; returns the tower and the log of its epochs.

    Args:
        texts: (L, D) unit vectors of ``data.names``; used where ``settings.pre_trained_on`` is "triplets".
        checkpoint: file that a stopped run is taken up from, with the same outcome: hours of work on a large teacher.
        digest: of settings and inputs; a checkpoint with another one is not used.
    """
    device = teacher.device
    torch.manual_seed(settings.seed)
    tower = copy_visual(teacher).to(device).requires_grad_(True)
    criterion = DepthLoss(settings.temperature, settings.pre_trained_on == "triplets").to(device)
    images, labels = data.images.to(device), data.labels.to(device)
    schedule = Schedule(len(data.crops), settings)
    trainer = Trainer((tower, criterion), schedule, settings.lr or LR)

    def encode(pixels: Tensor) -> Tensor:
        with mixed_precision(device):
            return functional.normalize(tower(pixels).float(), dim=-1)

    parts: dict[str, nn.Module | Trainer] = {"tower": tower, "criterion": criterion, "trainer": trainer}
    first, saved = _resume(parts, checkpoint, digest, device), time.monotonic()
    steps = ((step, chosen) for step, chosen in schedule.steps() if step >= first)
    for step, chosen in progress(steps, "steps", schedule.total, first):
        generator = torch.Generator().manual_seed(step_seed(settings.seed, step, 1))
        pixels = draw_pairs(data, chosen.tolist(), random_rotations(len(chosen), generator), teacher)
        items = chosen.to(device)
        own = labels[items]
        trainer.start(step)

        def loss_of(vectors: Tensor, items: Tensor = items, own: Tensor = own) -> Tensor:
            views = vectors.view(len(items), 2, -1)
            return criterion(views, images[items], texts[own], own, items)

        loss = backward_in_parts(encode, pixels, loss_of, settings.forward_batch)
        trainer.finish(step, loss=loss)
        if time.monotonic() - saved >= CHECKPOINT_S and step + 1 < schedule.total:
            states = {name: part.state_dict() for name, part in parts.items()}
            save_checkpoint(checkpoint, digest, {"step": step + 1, **states})
            saved = time.monotonic()
    return tower.eval(), trainer.log


def _resume(parts: dict[str, nn.Module | Trainer], checkpoint: Path, digest: str, device: torch.device) -> int:
    """Load the checkpoint, if there is one of this run, into ``parts``; the step to resume at."""
    state = load_checkpoint(checkpoint, digest, device)
    if state is None:
        return 0
    try:
        step = int(state["step"])
        for name, part in parts.items():
            part.load_state_dict(state[name])
    except (KeyError, RuntimeError, TypeError, ValueError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{checkpoint}: is damaged ({reason}); delete it and run again") from None
    log.info("taken up again at step %d", step)
    return step
