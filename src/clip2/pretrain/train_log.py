"""train_log.jsonl: one JSON line a step, written without making the GPU wait."""

import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor

from clip2.runtime.errors import InputError

Moment = torch.cuda.Event | float


@dataclass(frozen=True)
class _Block:
    """Steps whose numbers are on their way to the host; they are there when ``end`` has passed."""

    steps: list[dict[str, Any]]
    values: Tensor
    end: Moment


class TrainLog:
    """Adds lines to a log.

    The numbers of a step stay on the GPU until a block of steps is full. One copy then takes them to the host, and is
    read when the next block is full, by which time it is long done. On a CPU it is read at once.

    ``samples_per_s`` is the mean of a block, ``seconds`` counts from the start of this run.
    """

    def __init__(self, path: Path, device: torch.device, batch_size: int, block: int) -> None:
        self._file = path.open("a", encoding="utf-8", buffering=1)
        self._device, self._batch_size, self._block = device, batch_size, block
        self._steps: list[dict[str, Any]] = []
        self._values: list[Tensor] = []
        self._under_way: _Block | None = None
        self._told, self._seconds = self._now(), 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if kind is None:
            self.flush()
        self._file.close()

    def add(self, step: int, epoch: int, lr: float, values: Tensor) -> None:
        """Note a step.

        Args:
            values: (5,) on the device: loss, its text and its image term, 1 / temperature of the text and image term.

        Raises:
            InputError: a loss is not finite, at this step or one of the last blocks.
        """
        self._steps.append({"step": step, "epoch": epoch, "lr": lr})
        self._values.append(values)
        if len(self._steps) == self._block:
            self._send()
            if self._device.type == "cpu":
                self._write()

    def flush(self) -> None:
        """Write everything, which waits for the GPU."""
        self._send()
        self._write()

    def _send(self) -> None:
        """Start to copy what there is; meanwhile write what was copied before."""
        if not self._steps:
            return
        values = torch.stack(self._values).to("cpu", non_blocking=True)
        block = _Block(self._steps, values, self._now())
        self._steps, self._values = [], []
        self._write()
        self._under_way = block

    def _write(self) -> None:
        block, self._under_way = self._under_way, None
        if block is None:
            return
        took = _between(self._told, block.end)
        rate = len(block.steps) * self._batch_size / max(took, 1e-9)
        for i, (step, values) in enumerate(zip(block.steps, block.values.tolist(), strict=True), 1):
            loss, text, image, text_scale, image_scale = values
            record = {
                **step,
                "loss": loss,
                "loss_text": text,
                "loss_image": image,
                "temperature_text": 1 / text_scale,
                "temperature_image": 1 / image_scale,
                "samples_per_s": round(rate, 1),
                "seconds": round(self._seconds + took * i / len(block.steps), 3),
            }
            self._file.write(json.dumps(record) + "\n")
            if not math.isfinite(loss):
                raise InputError(f"setting lr: the loss is {loss} at step {step['step']}; try a lower one")
        self._told, self._seconds = block.end, self._seconds + took

    def _now(self) -> Moment:
        """This moment: of the GPU's own work, or on the clock."""
        if self._device.type != "cuda":
            return time.monotonic()
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self._device))
        return event


def _between(start: Moment, end: Moment) -> float:
    """Seconds; waits until ``end`` has passed."""
    if isinstance(start, float) or isinstance(end, float):
        return float(end) - float(start)  # type: ignore[arg-type]
    end.synchronize()
    return start.elapsed_time(end) / 1000
