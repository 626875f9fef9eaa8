"""A folder in which the stages run one after the other, and what each of them needed."""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from benchmarks.configured import REPOSITORY, configuration
from benchmarks.peak import Usage, measure
from benchmarks.scale.tables import Size


@dataclass(frozen=True)
class Stage:
    """What one stage needed."""

    name: str
    rows: int
    unit: str
    peak_mb: float
    seconds: float
    cpu_seconds: float
    note: str = ""


@dataclass
class Run:
    """The configuration of real nuScenes with the small networks, on one core of a CPU."""

    folder: Path
    size: Size
    images: int
    stages: list[Stage] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.root = self.folder / "raw"
        self.config = configuration("config/nuscenes.yaml")
        self.source = self.config["sources"]["nuscenes"]["settings"]
        self.detector = self.config["detectors"]["tiny_owl"]
        self.teacher = self.config["teachers"]["tiny_clip"]
        self.environment = {**os.environ, "PYTHONPATH": f"{REPOSITORY}/src:{REPOSITORY}", "OMP_NUM_THREADS": "1"}

    def clip2(self, *arguments: Any, settings: dict[str, Any] | None = None, **more: Any) -> Usage:
        """Run a stage's command."""
        flags = ["--settings", json.dumps(settings)] if settings is not None else []
        return self.python("-m", "clip2", *arguments, *flags, **more)

    def python(self, *arguments: Any, enough: Callable[[str], bool] | None = None) -> Usage:
        """Run Python; ``enough`` is asked of its output so far, and stops it."""
        command = [sys.executable, *map(str, arguments)]
        return measure(command, self.folder, self.environment, REPOSITORY, enough)

    def add(self, name: str, rows: int, unit: str, used: Usage, note: str = "") -> None:
        stage = Stage(name, rows, unit, round(used.peak_mb), round(used.seconds, 1), round(used.cpu_seconds, 1), note)
        self.stages.append(stage)
        print(f"{name}: {rows:,} {unit}, {stage.peak_mb:,} MB, {stage.seconds} s {note}", flush=True)

    def path(self, *parts: str) -> Path:
        return self.folder.joinpath(*parts)


def told_twice(what: str) -> Callable[[str], bool]:
    """Whether a stage's output holds two lines of the progress of ``what`` (clip2.runtime.console)."""
    return lambda output: output.count(f"{what}: ") >= 2


def rows_of(*paths: Path) -> int:
    return sum(int(pq.read_metadata(path).num_rows) for path in paths)


def largest(folder: Path, role: str) -> Path:
    """The shard of a role with the most rows."""
    return max(folder.glob(f"{role}-*.parquet"), key=rows_of)


def link(name: Path, file: Path) -> None:
    """One more name of a file, in place of what has it."""
    name.parent.mkdir(parents=True, exist_ok=True)
    name.unlink(missing_ok=True)
    name.hardlink_to(file)
