"""How time and peak memory grow with size: whole stages at 1×, 4× and 16×, each run in a fresh process."""

import multiprocessing
import resource
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from benchmarks.growth_jobs import JOBS
from benchmarks.options import Options
from benchmarks.timing import clock_of, cores_of, wait_for

STEPS = (1, 4, 16)
LEAST_RISE = 0.1
"""From one size to the next: less counts as noise."""


@dataclass(frozen=True)
class Growth:
    """Cost of one job at growing sizes.

    Attributes:
        seconds: by size, of every turn.
        peak_mb: by size, the process's peak memory (2²⁰ bytes), libraries included.
        gpu_mb: by size, the GPU's peak memory; None on a CPU.
    """

    name: str
    unit: str
    sizes: list[int]
    seconds: list[list[float]]
    peak_mb: list[float]
    gpu_mb: list[float] | None

    @property
    def median_s(self) -> list[float]:
        return [median(turns) for turns in self.seconds]

    def exponent(self) -> float:
        """p of time ∝ size^p: the slope of log time against log size. A fixed cost of starting makes it smaller."""
        return float(np.polyfit(np.log(self.sizes), np.log(self.median_s), 1)[0])

    def exponent_beyond_start(self) -> float | None:
        """p of time = start + c · size^p, which three sizes a factor 4 apart give exactly: log4 (t3 - t2) / (t2 - t1).

        None where time grows too little to tell.
        """
        first, second, third = self.median_s
        if second < (1 + LEAST_RISE) * first or third < (1 + LEAST_RISE) * second:
            return None
        return float(np.log((third - second) / (second - first)) / np.log(4))

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "unit": self.unit,
            "sizes": self.sizes,
            "seconds": self.seconds,
            "median_s": self.median_s,
            "peak_mb": self.peak_mb,
            "gpu_mb": self.gpu_mb,
            "exponent": self.exponent(),
            "exponent_beyond_start": self.exponent_beyond_start(),
        }


def run(options: Options) -> Iterator[Growth]:
    """Every job of :data:`JOBS` at three sizes, the sizes in turns."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benchmarks.growth"])  # so that a process starts with all its imports done
    for name, job in JOBS.items():
        sizes = [job.base[0 if options.quick else 1] * step for step in STEPS]
        folders = [options.scratch / f"growth {name}" / str(size) for size in sizes]
        for folder, size in zip(folders, sizes):
            folder.mkdir(parents=True)
            job.prepare(folder, size)
        turns = 1 if options.quick else 3 if options.gpu else 2
        with context.Pool(1, maxtasksperchild=1) as pool:
            costs = [
                [pool.apply(cost, (name, folder, str(options.device))) for folder in folders] for _ in range(turns)
            ]
        seconds, peak, gpu = (list(map(list, zip(*part))) for part in zip(*(zip(*turn) for turn in costs)))
        gpu_mb = [max(turns) for turns in gpu] if options.gpu else None
        yield Growth(name, job.unit, sizes, seconds, [max(turns) for turns in peak], gpu_mb)


def cost(name: str, folder: Path, device: str) -> tuple[float, float, float]:
    """Seconds, peak MB of this process and peak MB of its GPU memory."""
    where = torch.device(device)
    clock = clock_of(where)
    with cores_of(where):
        start = clock()
        JOBS[name].work(folder, device)
        wait_for(where)
        seconds = clock() - start
    gpu = torch.cuda.max_memory_allocated(where) / 2**20 if where.type == "cuda" else 0.0
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, gpu
