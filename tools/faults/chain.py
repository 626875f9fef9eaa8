"""A tiny experiment in a folder of its own, that faults are put into, and what its artefacts hold."""

import json
import math
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import pyarrow.parquet as pq
import yaml
from safetensors import SafetensorError, safe_open

REPOSITORY = Path(__file__).resolve().parents[2]
COPIED = ("Snakefile", "rules", "config.yaml", "config", "schemas", "envs", "profiles", "src", "resources")
TINY = {
    "sources": {
        "world": {
            "world": {
                "train_scenes": 2,
                "val_scenes": 1,
                "key_frames": 2,
                "sweeps_per_key_frame": 1,
                "image_width": 512,
            },
            "settings": {"train_shards": 2, "val_shards": 1, "n_sweeps": 2},
        },
    },
    "baselines": {
        "pointclip_tp": {"tune": {"max_triplets": 30, "epochs": 1}},
        "pointclip_v2_tp": None,
        "clip2point_tp": None,
        "clip2point": None,
    },
    "models": {"small": {"epochs": 2, "checkpoint_seconds": 0}},
    "evaluation": {"zeroshot": {"bootstrap": 20}, "ensemble": {"max_triplets": 30}},
}
TARGETS = (
    *("results/nuscenes_zeroshot.json", "results/nuscenes_zeroshot.png", "results/triplets.png"),
    *("results/audit.json", "results/tracks_audit.json", "results/labels/labels.parquet", "results/search/car.json"),
)
NO_FIGURES = ("sha256", "provenance", "git", "weights_sha256", "seconds", "samples_per_s")
"""Keys of headers, results and logs that say how and when a file was made, and not what it holds."""


class Job(NamedTuple):
    """One job of the chain, as Snakemake starts it."""

    rule: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    log: str
    arguments: tuple[str, ...]
    """After ``python -m clip2``; empty where another program does it."""


@dataclass
class Chain:
    """A checkout in which the tiny experiment is, or will be, finished."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> "Chain":
        """Bring this checkout there and run it to its end; what of it is done and the same is not done again."""
        chain = cls(folder)
        for name in COPIED:
            for source in [REPOSITORY / name, *(REPOSITORY / name).rglob("*")]:
                target = folder / source.relative_to(REPOSITORY)
                if source.is_file() and "__pycache__" not in source.parts and not _equal(source, target):
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(source, target)
        (folder / "tiny.yaml").write_text(yaml.safe_dump(TINY), encoding="utf-8")
        for _ in range(2):  # what search finds has the boxes of labels, if these were there before it
            chain.run(*TARGETS)
        return chain

    def command(self, *targets: str) -> list[str]:
        """What a person would type."""
        return [sys.executable, "-m", "snakemake", "--cores", "2", "--configfile", "tiny.yaml", *targets]

    @property
    def environment(self) -> dict[str, str]:
        """With this checkout's screen."""
        return {**os.environ, "PYTHONPATH": str(REPOSITORY / "src"), "COLUMNS": "200"}

    def start(self, *targets: str) -> "subprocess.Popen[str]":
        """A run in a session of its own, whose number is its own process number."""
        out = (self.folder / "run.log").open("w")
        return subprocess.Popen(
            self.command("--", *targets), cwd=self.folder, env=self.environment, stdout=out, stderr=subprocess.STDOUT,
            start_new_session=True, text=True,
        )  # fmt: skip

    def run(self, *targets: str, check: bool = True) -> tuple[int, str]:
        """Run to the end: exit code, and what was printed."""
        done = subprocess.run(
            self.command("--", *targets), cwd=self.folder, env=self.environment, capture_output=True, text=True
        )
        if check and done.returncode:
            raise AssertionError(f"{' '.join(targets)}\n{done.stdout}{done.stderr}")
        return done.returncode, done.stdout + done.stderr

    def verify(self) -> str:
        """What ``clip2 verify`` prints of all results."""
        command = [sys.executable, "-m", "clip2", "verify", "--configfile", "tiny.yaml"]
        done = subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True)
        return done.stdout + done.stderr

    def jobs(self) -> list[Job]:
        """All jobs of the chain, in the order of a dry run; a rule that publishes copies stands for all."""
        command = self.command("-n", "-p", "--forceall", "--", *TARGETS)
        told = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=True
        )
        found: dict[str, Job] = {}
        for block in re.split(r"^\[.*\]$", told.stdout + told.stderr, flags=re.M):
            part = dict(re.findall(r"^    (input|output|log): (.*)$", block, re.M))
            name = re.search(r"^rule (\w+):", block, re.M)
            shell = re.search(r"-m clip2 (.*?) > \S+ 2>&1", block)
            if name and "log" in part:
                files = {
                    key: tuple(part.get(key, "").replace(" (update)", "").split(", ")) for key in ("input", "output")
                }
                arguments = tuple(shlex.split(shell[1])) if shell else ()
                key = f"{name[1].removesuffix('_json').removesuffix('_png')} {files['output'][0].split('/')[-1][:5]}"
                found.setdefault(key, Job(name[1], files["input"], files["output"], part["log"], arguments))
        return list(found.values())

    def seconds(self, job: Job) -> float:
        """What a job took."""
        path = self.folder / "results/benchmarks" / Path(job.log).relative_to("logs").with_suffix(".tsv")
        return float(path.read_text().splitlines()[1].split("\t")[0]) if path.is_file() else 3.0

    def left_over(self) -> list[str]:
        """Unfinished files."""
        return [str(path) for path in (self.folder / "results").rglob(".*.part")]


def _equal(one: Path, other: Path) -> bool:
    return other.is_file() and one.read_bytes() == other.read_bytes()


def same(one: Path, other: Path) -> bool:
    """Whether two artefacts hold the same, apart from how and when they were made."""
    if not (one.is_file() and other.is_file()):
        return False
    if one.read_bytes() == other.read_bytes():
        return True
    try:
        return _alike(_content(one), _content(other))
    except (ValueError, KeyError, OSError, SafetensorError):  # one of them is damaged
        return False


def changed(paths: Sequence[str], folder: Path, reference: Path) -> list[str]:
    """Those of some files that are not what they are in the reference."""
    return [path for path in paths if not same(folder / path, reference / path)]


def _content(path: Path) -> Any:
    if path.suffix == ".json":
        return _scrubbed(json.loads(path.read_text(encoding="utf-8")))
    if path.suffix == ".jsonl":
        return [_scrubbed(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
    if path.suffix == ".parquet":
        with pq.ParquetFile(path) as file:
            header = json.loads((file.metadata.metadata or {})[b"clip2"])
            return _scrubbed(header), file.read().to_pydict()
    if path.suffix == ".h5":
        with h5py.File(path) as file:
            arrays = {name: (data.shape, str(data.dtype), data[()].tobytes()) for name, data in file.items()}
            return _scrubbed(json.loads(file.attrs["clip2"])), arrays
    if path.suffix == ".safetensors":
        with safe_open(path, "np") as file:
            header = json.loads((file.metadata() or {}).get("clip2", "{}"))
            return _scrubbed(header), {name: file.get_tensor(name).tobytes() for name in file.keys()}  # noqa: SIM118
    return path.read_bytes()


def _alike(one: Any, other: Any) -> bool:
    """Whether two contents are the same but for the last digits of figures, which hang on where in memory they lay."""
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-4, abs_tol=1e-5) or (math.isnan(one) and math.isnan(other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_alike(value, other[key]) for key, value in one.items())
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_alike, one, other))
    return bool(one == other)


def _scrubbed(value: Any) -> Any:
    """Without what says how and when."""
    if isinstance(value, dict):
        return {key: _scrubbed(inner) for key, inner in value.items() if key not in NO_FIGURES}
    if isinstance(value, list):
        return [_scrubbed(inner) for inner in value]
    return value
