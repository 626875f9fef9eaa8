"""Timing several ways of doing the same work, in turns: A B C, A B C, … so that a busy machine slows all of them."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import cv2
import torch
from threadpoolctl import threadpool_limits

Way = Callable[[], object]
"""Does the whole work once, results in the CPU's memory at its end."""


@dataclass(frozen=True)
class Comparison:
    """Some work done in several ways.

    Attributes:
        part: of the benchmark ("detect").
        name: which work ("35 words").
        sizes: what decides its cost.
        items, unit: how many of what one turn of each way handles.
        device: where the networks run.
        seconds: of each turn, by way, on the clock of :func:`clock_of`; "ours" and "usual" are always there, "limit"
            is the part that cannot be avoided.
        goal: {"ratio": x} or {"per_second": x} that this work is measured against, empty where it has none.
    """

    part: str
    name: str
    sizes: dict[str, Any]
    items: dict[str, int]
    unit: str
    device: str
    seconds: dict[str, list[float]]
    goal: dict[str, float] = field(default_factory=dict)

    def per_second(self, way: str) -> float:
        return self.items[way] / median(self.seconds[way])

    def ratios(self, way: str = "usual") -> list[float]:
        """Time an item of a way over ours, turn by turn, ascending."""
        ours, other = ([t / self.items[name] for t in self.seconds[name]] for name in ("ours", way))
        return sorted(b / a for a, b in zip(ours, other, strict=True))

    def goal_reached(self) -> bool | None:
        if not self.goal:
            return None
        reached = {"ratio": median(self.ratios()), "per_second": self.per_second("ours")}
        return all(reached[key] >= value for key, value in self.goal.items())

    def to_json(self) -> dict[str, Any]:
        ratios = self.ratios()
        return {
            "part": self.part,
            "name": self.name,
            "sizes": self.sizes,
            "items": self.items,
            "unit": self.unit,
            "device": self.device,
            "clock": "wall" if self.device.startswith("cuda") else "processor time of one core",
            "repeats": len(ratios),
            "seconds": self.seconds,
            "median_s": {way: median(times) for way, times in self.seconds.items()},
            "per_second": {way: self.per_second(way) for way in self.seconds},
            "ratio": median(ratios),
            "ratio_range": [ratios[0], ratios[-1]],
            "share_of_limit": median(self.ratios("limit")) if "limit" in self.seconds else None,
            "goal": self.goal,
            "goal_reached": self.goal_reached(),
        }


def clock_of(device: torch.device) -> Callable[[], float]:
    """Seconds: on a GPU those on the wall; on a CPU this process's own, which others on the machine do not change."""
    return time.perf_counter if device.type == "cuda" else time.process_time


def in_turns(ways: Mapping[str, Way], repeats: int, device: torch.device) -> dict[str, list[float]]:
    """Seconds of each way, turn by turn, after one turn of each that is not counted."""
    clock = clock_of(device)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(repeats + 1):
        for name, way in ways.items():
            start = clock()
            way()
            if turn:
                seconds[name].append(clock() - start)
    return seconds


@contextmanager
def cores_of(device: torch.device) -> Iterator[None]:
    """On a CPU, one core for everything that would use more; beside a GPU, everybody takes what they would."""
    if device.type != "cpu":
        yield
        return
    threads, cv_threads = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(threads)
        cv2.setNumThreads(cv_threads)


def wait_for(device: torch.device) -> None:
    """Until the device has done all that was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
