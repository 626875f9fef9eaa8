"""The training loop."""

import copy
import logging
import math
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from clip2.pretrain.augment import augment
from clip2.pretrain.checkpoint import load_checkpoint, save_checkpoint
from clip2.pretrain.data import TrainingSet, step_seed
from clip2.pretrain.distributed import ALONE, Processes
from clip2.pretrain.encoder import PointEncoder
from clip2.pretrain.loss import ContrastiveLoss
from clip2.pretrain.precision import mixed_precision
from clip2.pretrain.presets import encoder_config
from clip2.pretrain.settings import PretrainSettings
from clip2.pretrain.train_log import TrainLog
from clip2.runtime.console import progress
from clip2.runtime.errors import InputError

log = logging.getLogger(__name__)

LOG_NAME = "train_log.jsonl"
CHECKPOINT_NAME = "checkpoint.pt"
LOG_BLOCK = 20
"""Steps whose losses are read from a GPU together."""


def train(
    data: TrainingSet, settings: PretrainSettings, folder: Path, digest: str, processes: Processes = ALONE
) -> tuple[PointEncoder, float]:
    """Train on ``data``; returns the encoder with averaged weights, and 1 / temperature of the text term.

    Nothing in a step makes the host wait for the GPU; the losses are read later (:class:`TrainLog`).

    Args:
        data: where it lies is where the training runs.
        folder: takes checkpoints and the log, and is where a stopped run is taken up again. A run that was stopped
            ends, on a CPU, with the same numbers as one that was not: all randomness is a function of (seed, step).
        digest: of settings and inputs; a checkpoint with another one is not used.
        processes: those that train together; each gets the same encoder.
    """
    device = data.device
    batch_size = min(settings.batch_size, len(data))
    if batch_size < processes.size:
        raise InputError(
            f"setting batch_size: {batch_size} triplets a step for {processes.size} processes; start fewer"
        )
    parts = make_parts(settings, data.text.shape[1], device)
    steps_per_epoch = len(data) // batch_size
    total = settings.epochs * steps_per_epoch
    first = _resume(parts, folder, digest, device, processes)
    processes.share_batch_norm(parts.encoder)

    last_saved = started = time.monotonic()
    order: Tensor | None = None
    block = LOG_BLOCK if device.type == "cuda" else 1
    with TrainLog(folder / LOG_NAME, device, batch_size, block) if processes.main else nullcontext() as train_log:
        steps = range(first, total)
        for step in progress(steps, "steps", total, done=first) if processes.main else steps:
            epoch, position = divmod(step, steps_per_epoch)
            if order is None or position == 0:
                order = data.order(epoch, settings.balance, settings.seed)
            items = order[position * batch_size : (position + 1) * batch_size]
            lr = learning_rate(step, total, settings)
            values = train_step(parts, data, items, step, lr, settings, processes)
            update_average(parts.average, parts.encoder, min(settings.ema_decay, (1 + step) / (10 + step)))
            if train_log is None:
                continue
            train_log.add(step, epoch, lr, values)
            if time.monotonic() - last_saved >= settings.checkpoint_seconds and step + 1 < total:
                train_log.flush()
                save_checkpoint(folder / CHECKPOINT_NAME, digest, {"step": step + 1, **parts.state()})
                last_saved = time.monotonic()
    log.info("%d steps of %d triplets in %.0f s", total - first, batch_size, time.monotonic() - started)
    return parts.average.eval(), parts.criterion.scales()[0].item()


@dataclass(frozen=True)
class Parts:
    """What changes in training; ``average`` is the encoder with averaged weights."""

    encoder: PointEncoder
    criterion: ContrastiveLoss
    average: PointEncoder
    optimiser: torch.optim.Optimizer

    def state(self) -> dict[str, Any]:
        return {name: part.state_dict() for name, part in vars(self).items()}

    def load(self, state: dict[str, Any]) -> None:
        for name, part in vars(self).items():
            part.load_state_dict(state[name])


def make_parts(settings: PretrainSettings, dim: int, device: torch.device) -> Parts:
    """All parts at their start, which is a function of the settings alone."""
    torch.manual_seed(settings.seed)
    encoder = PointEncoder(encoder_config(settings, dim)).to(device)
    criterion = ContrastiveLoss(settings.text_weight, settings.image_weight, settings.temperature, settings.max_scale)
    criterion = criterion.to(device)
    return Parts(encoder, criterion, copy.deepcopy(encoder), make_optimiser(encoder, criterion, settings))


def train_step(
    parts: Parts,
    data: TrainingSet,
    items: Tensor,
    step: int,
    lr: float,
    settings: PretrainSettings,
    processes: Processes = ALONE,
) -> Tensor:
    """One step on the batch of the triplets ``items``.

    Each process draws and augments the whole batch, so that it does not depend on their number, and encodes its
    own rows of it.

    Returns: (5,) on the device: loss, its text and image term, and, after the step, the two 1 / temperature.
    """
    generator = torch.Generator(data.device).manual_seed(step_seed(settings.seed, step, 1))
    batch = data.batch(items, settings.n_points, generator)
    points, count = augment(batch.points, batch.count, settings, generator)
    own = processes.rows(len(items))
    with mixed_precision(data.device):
        features = parts.encoder(points[own], count[own])
    features = processes.gather(features, len(items))
    losses = parts.criterion(features, batch.images, batch.texts, batch.labels, batch.text_weights, batch.things)
    parts.optimiser.zero_grad(set_to_none=True)
    losses.total.backward()
    processes.average_gradients(p for group in parts.optimiser.param_groups for p in group["params"])
    for group in parts.optimiser.param_groups:
        group["lr"] = lr
    parts.optimiser.step()
    return torch.stack([*losses, *parts.criterion.scales()]).detach()


def make_optimiser(
    encoder: PointEncoder, criterion: ContrastiveLoss, settings: PretrainSettings
) -> torch.optim.Optimizer:
    """AdamW; biases, norms and temperatures are not decayed."""
    parameters = [*encoder.parameters(), *criterion.parameters()]
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.lr, fused=next(encoder.parameters()).is_cuda)


def learning_rate(step: int, total: int, settings: PretrainSettings) -> float:
    """Linear warm-up to ``settings.lr``, then half a cosine down to 0."""
    warmup = settings.warmup * total
    if step < warmup:
        return settings.lr * (step + 1) / (warmup + 1)
    return settings.lr * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Exponential moving average of parameters and running statistics; counters are copied."""
    pairs = list(zip(average.state_dict().values(), model.state_dict().values(), strict=True))
    means, values = zip(*[pair for pair in pairs if pair[0].is_floating_point()], strict=True)
    torch._foreach_lerp_(means, values, 1 - decay)
    for mean, value in pairs:
        if not mean.is_floating_point():
            mean.copy_(value)


def _resume(parts: Parts, folder: Path, digest: str, device: torch.device, processes: Processes) -> int:
    """Load the checkpoint, if there is one, into ``parts``; cut the log to its step; return the step to resume at."""
    state = load_checkpoint(folder / CHECKPOINT_NAME, digest, device)
    step = 0 if state is None else state.get("step")
    if not isinstance(step, int):
        raise InputError(f"{folder / CHECKPOINT_NAME}: is damaged (it has no step); delete it and run again")
    path = folder / LOG_NAME
    lines: list[str] = []
    if processes.main:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
        if len(lines) < step:
            log.warning(
                "%s has only %d of the first %d steps; training starts from the beginning", path, len(lines), step
            )
            step = 0
    main_step = int(processes.tell("first step", str(step)))
    if main_step == 0:
        state, step = None, 0
    elif step != main_step:
        raise InputError(f"{folder / CHECKPOINT_NAME}: process {processes.rank} reads step {step} and the main one "
                         f"{main_step}; all need one shared folder (--checkpoints)")  # fmt: skip
    if state is not None:
        try:
            parts.load(state)
        except (KeyError, RuntimeError, TypeError, ValueError, AttributeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"{folder / CHECKPOINT_NAME}: is damaged ({reason}); delete it and run again") from None
        log.info("taken up again at step %d", step)
    if processes.main:
        path.write_text("".join(lines[:step]), encoding="utf-8")
    return step
