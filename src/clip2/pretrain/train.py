"""The training loop."""

import copy
import json
import logging
import math
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from clip2.console import progress
from clip2.errors import InputError
from clip2.pretrain.augment import augment
from clip2.pretrain.checkpoint import load_checkpoint, save_checkpoint
from clip2.pretrain.data import TrainingSet, step_seed
from clip2.pretrain.encoder import PointEncoder
from clip2.pretrain.loss import ContrastiveLoss
from clip2.pretrain.precision import mixed_precision
from clip2.pretrain.presets import encoder_config
from clip2.pretrain.settings import PretrainSettings

log = logging.getLogger(__name__)

LOG_NAME = "train_log.jsonl"
CHECKPOINT_NAME = "checkpoint.pt"


def train(data: TrainingSet, settings: PretrainSettings, folder: Path, digest: str) -> tuple[PointEncoder, float]:
    """Train on ``data``; returns the encoder with averaged weights, and 1 / temperature of the text term.

    Args:
        data: where it lies is where the training runs.
        folder: takes checkpoints and the log, and is where a stopped run is taken up again. A run that was stopped
            ends, on a CPU, with the same numbers as one that was not: all randomness is a function of (seed, step).
        digest: of settings and inputs; a checkpoint with another one is not used.
    """
    device = data.device
    torch.manual_seed(settings.seed)
    encoder = PointEncoder(encoder_config(settings, data.text.shape[1])).to(device)
    criterion = ContrastiveLoss(
        settings.text_weight, settings.image_weight, settings.temperature, settings.max_scale
    ).to(device)
    average = copy.deepcopy(encoder)
    optimiser = make_optimiser(encoder, criterion, settings)

    batch_size = min(settings.batch_size, len(data))
    steps_per_epoch = len(data) // batch_size
    total = settings.epochs * steps_per_epoch
    parts: dict[str, Any] = {"encoder": encoder, "criterion": criterion, "average": average, "optimiser": optimiser}
    first = _resume(parts, folder, digest, device)

    last_saved = started = time.monotonic()
    order: Tensor | None = None
    with (folder / LOG_NAME).open("a", encoding="utf-8", buffering=1) as log_file:
        for step in progress(range(first, total), "steps", total, done=first):
            tick = time.monotonic()
            epoch, position = divmod(step, steps_per_epoch)
            if order is None or position == 0:
                order = data.order(epoch, settings.balance, settings.seed)
            generator = torch.Generator(device).manual_seed(step_seed(settings.seed, step, 1))
            items = order[position * batch_size : (position + 1) * batch_size]
            batch = data.batch(items, settings.n_points, generator)
            points, count = augment(batch.points, batch.count, settings, generator)

            lr = learning_rate(step, total, settings)
            for group in optimiser.param_groups:
                group["lr"] = lr
            with mixed_precision(device):
                features = encoder(points, count)
            losses = criterion(features, batch.images, batch.texts, batch.labels, batch.text_weights, batch.items)
            optimiser.zero_grad(set_to_none=True)
            losses.total.backward()
            optimiser.step()
            update_average(average, encoder, min(settings.ema_decay, (1 + step) / (10 + step)))

            text_scale, image_scale = (scale.item() for scale in criterion.scales())
            total_loss, text_loss, image_loss = torch.stack(losses).tolist()
            now = time.monotonic()
            record = {
                "step": step,
                "epoch": epoch,
                "loss": total_loss,
                "loss_text": text_loss,
                "loss_image": image_loss,
                "lr": lr,
                "temperature_text": 1 / text_scale,
                "temperature_image": 1 / image_scale,
                "samples_per_s": round(batch_size / max(now - tick, 1e-9), 1),
                "seconds": round(now - started, 3),
            }
            log_file.write(json.dumps(record) + "\n")
            if not math.isfinite(total_loss):
                raise InputError(f"setting lr={settings.lr}: the loss is {total_loss} at step {step}; try a lower one")
            if now - last_saved >= settings.checkpoint_seconds and step + 1 < total:
                state = {name: part.state_dict() for name, part in parts.items()}
                save_checkpoint(folder / CHECKPOINT_NAME, digest, {"step": step + 1, **state})
                last_saved = time.monotonic()
    log.info("%d steps of %d triplets in %.0f s", total - first, batch_size, time.monotonic() - started)
    return average.eval(), criterion.scales()[0].item()


def make_optimiser(
    encoder: PointEncoder, criterion: ContrastiveLoss, settings: PretrainSettings
) -> torch.optim.Optimizer:
    """AdamW; biases, norms and temperatures are not decayed."""
    parameters = [*encoder.parameters(), *criterion.parameters()]
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.lr)


def learning_rate(step: int, total: int, settings: PretrainSettings) -> float:
    """Linear warm-up to ``settings.lr``, then half a cosine down to 0."""
    warmup = settings.warmup * total
    if step < warmup:
        return settings.lr * (step + 1) / (warmup + 1)
    return settings.lr * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Exponential moving average of parameters and running statistics; counters are copied."""
    for mean, value in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(value, 1 - decay)
        else:
            mean.copy_(value)


def _resume(parts: dict[str, Any], folder: Path, digest: str, device: torch.device) -> int:
    """Load the checkpoint, if there is one, into ``parts``; cut the log to its step; return the step to go on with."""
    state = load_checkpoint(folder / CHECKPOINT_NAME, digest, device)
    step = 0
    if state is not None:
        step = int(state["step"])
        for name, part in parts.items():
            part.load_state_dict(state[name])
        log.info("taken up again at step %d", step)
    path = folder / LOG_NAME
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)[:step] if path.exists() else []
    path.write_text("".join(lines), encoding="utf-8")
    return step
