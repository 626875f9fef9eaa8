"""What both ways of tuning share: the order of the triplets, the optimiser, the learning rate, the log."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from clip2.evaluate.rivals.tune_settings import TuneSettings
from clip2.pretrain.data import step_seed
from clip2.runtime.errors import InputError

WARMUP = 0.05
"""Share of the steps in which the learning rate rises."""
MAX_SCALE = 100.0
"""Upper limit of 1 / temperature, CLIP's own."""


@dataclass
class Schedule:
    """The steps of a run: which triplets each takes. All randomness is a function of (seed, step).

    Epochs leave out what does not fill a batch.
    """

    n: int
    settings: TuneSettings
    batch_size: int = field(init=False)
    per_epoch: int = field(init=False)

    def __post_init__(self) -> None:
        self.batch_size = min(self.settings.batch_size, self.n)
        self.per_epoch = self.n // self.batch_size

    @property
    def total(self) -> int:
        return self.settings.epochs * self.per_epoch

    def steps(self) -> Iterator[tuple[int, Tensor]]:
        """(step, (B,) int64 triplets)."""
        for epoch in range(self.settings.epochs):
            generator = torch.Generator().manual_seed(step_seed(self.settings.seed, epoch, 0))
            order = torch.randperm(self.n, generator=generator)
            for position in range(self.per_epoch):
                items = order[position * self.batch_size : (position + 1) * self.batch_size]
                yield epoch * self.per_epoch + position, items

    def share(self, step: int) -> float:
        """Of the peak learning rate: linear warm-up, then half a cosine down to 0."""
        warmup = WARMUP * self.total
        if step < warmup:
            return (step + 1) / (warmup + 1)
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (self.total - warmup)))


class Trainer:
    """AdamW over some modules, and a log of the epochs' mean losses."""

    def __init__(self, modules: Iterable[nn.Module], schedule: Schedule, lr: float) -> None:
        self._parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
        matrices = [p for p in self._parameters if p.dim() > 1]
        others = [p for p in self._parameters if p.dim() <= 1]
        self.optimiser = torch.optim.AdamW(
            [
                {"params": matrices, "weight_decay": schedule.settings.weight_decay},
                {"params": others, "weight_decay": 0.0},
            ],
            lr=lr,
        )
        self._schedule, self._lr = schedule, lr
        self._sums: dict[str, float] = {}
        self.log: list[dict[str, float]] = []

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint holds of it, as of a module; :meth:`load_state_dict` takes it back."""
        return {"optimiser": self.optimiser.state_dict(), "sums": dict(self._sums), "log": list(self.log)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.optimiser.load_state_dict(state["optimiser"])
        self._sums, self.log = state["sums"], state["log"]

    def start(self, step: int) -> None:
        """Before a step's backward pass."""
        for group in self.optimiser.param_groups:
            group["lr"] = self._lr * self._schedule.share(step)
        self.optimiser.zero_grad(set_to_none=True)

    def finish(self, step: int, **losses: Tensor) -> None:
        """After it: the update. At an epoch's end, its mean losses go to the log."""
        nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self.optimiser.step()
        for name, loss in losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + loss.item()
        if not math.isfinite(sum(self._sums.values())):
            raise InputError(f"setting lr={self._lr}: the loss is not finite at step {step}; try a lower one")
        if (step + 1) % self._schedule.per_epoch == 0:
            means = {name: round(total / self._schedule.per_epoch, 5) for name, total in self._sums.items()}
            self.log.append({"epoch": step // self._schedule.per_epoch, **means})
            self._sums.clear()
