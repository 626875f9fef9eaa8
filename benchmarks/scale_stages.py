"""The stages that ``benchmarks.scale`` runs, each as the workflow runs it, in a process of its own."""

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from benchmarks.configured import REPOSITORY, configuration
from benchmarks.peak import Usage, measure
from benchmarks.scale_tables import Base, Size, write_tables
from clip2.detect.settings import DetectSettings
from clip2.scans.shards import shard_names
from clip2.store.atomic import write_json
from clip2.store.schemas import DETECTIONS, FRAMES
from clip2.store.tables import iterate_rows, read_header, write_table

BASE_VERSION, VERSION = "v1.0-base", "v1.0-trainval"
WORLD = {"version": BASE_VERSION, "train_scenes": 1, "val_scenes": 1, "key_frames": 3, "image_width": 1600}
TRIPLETS = 1_200_000
"""Of the full job, for the stages that read all of them."""
POINTS = 1000
"""Mean points of a made triplet; the packed set keeps 1024 at most of each."""
TEACHER_DIM = 768
ALL_METHODS = ["chance", "clip2", "teacher_2d", "pointclip", "pointclip_v2"]
"""Of the zero-shot evaluation: those that need no tuned rival."""
TRAINED_S = 60.0
"""Seconds of training after the packing."""


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
    """A folder in which the stages run one after the other."""

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
        self.n_val_shards = self.source["val_shards"]

    def clip2(self, *arguments: Any, settings: dict[str, Any] | None = None, **more: Any) -> Usage:
        """Run a stage's command."""
        told = ["--settings", json.dumps(settings)] if settings is not None else []
        command = [sys.executable, "-m", "clip2", *map(str, arguments), *told]
        return measure(command, self.folder, self.environment, REPOSITORY, **more)

    def add(self, name: str, rows: int, unit: str, used: Usage, note: str = "") -> None:
        stage = Stage(name, rows, unit, round(used.peak_mb), round(used.seconds, 1), round(used.cpu_seconds, 1), note)
        self.stages.append(stage)
        print(f"{name}: {rows:,} {unit}, {stage.peak_mb:,} MB, {stage.seconds} s {note}", flush=True)

    def path(self, *parts: str) -> Path:
        return self.folder.joinpath(*parts)


def _rows(path: Path) -> int:
    return int(pq.read_metadata(path).num_rows)


def _largest(folder: Path, role: str) -> Path:
    """The shard of a role with the most rows."""
    return max(folder.glob(f"{role}-*.parquet"), key=_rows)


def _link(name: Path, file: Path) -> None:
    """One more name of a file, in place of what has it."""
    name.parent.mkdir(parents=True, exist_ok=True)
    name.unlink(missing_ok=True)
    name.hardlink_to(file)


def make_data(run: Run) -> None:
    """The data root: a small world, and tables of full length over its files."""
    if not (run.root / BASE_VERSION / "scene.json").is_file():
        run.clip2("world", "nuscenes", "--root", run.root, "--threads", 1, settings=WORLD)
    done = run.path("tables.json")
    if not done.is_file() or json.loads(done.read_text()) != asdict(run.size):
        write_tables(Base(run.root / BASE_VERSION), run.root / VERSION, run.size)
        write_json(done, asdict(run.size))


def ingest(run: Run) -> None:
    for name, n_sweeps in (("ingest", run.source["n_sweeps"]), ("ingest, 10 sweeps", 10)):
        out = run.path("frames" if n_sweeps == 1 else "frames10")
        used = run.clip2("ingest", "nuscenes", "--root", run.root, "--source", "nuscenes", "--out", out,
                         settings=run.source | {"n_sweeps": n_sweeps})  # fmt: skip
        run.add(name, sum(map(_rows, out.glob("*.parquet"))), "images", used, f"of {run.size.sample_data:,} recordings")


def annotations(run: Run) -> None:
    out = run.path("annotations")
    used = run.clip2("annotations", "nuscenes", "--root", run.root, "--source", "nuscenes", "--out", out,
                     settings=run.source)  # fmt: skip
    run.add("annotations", sum(map(_rows, out.glob("*.parquet"))), "boxes", used)


def detect(run: Run) -> None:
    """Detect in two numbers of images, to see that memory does not grow; then give the whole shard their boxes."""
    shard = _largest(run.path("frames"), "train")
    header = read_header(shard)
    rows = list(iterate_rows(shard))
    settings = DetectSettings(**run.detector).model_dump(mode="json")
    for n in (max(1, run.images // 4), run.images):
        part, out = run.path("part.parquet"), run.path("detections.parquet")
        write_table(part, rows[:n], FRAMES, header)
        used = run.clip2("detect", "--frames", part, "--data-root", run.root, "--out", out, "--device", "cpu",
                         settings=settings)  # fmt: skip
        run.add("detect", n, "images", used, f"of a shard's {len(rows):,}: time")
    of_frame: dict[str, list[dict[str, Any]]] = {}
    for box in iterate_rows(out):
        of_frame.setdefault(box["frame_id"], []).append(box)
    boxes = {row["image_path"]: of_frame.get(row["frame_id"], []) for row in rows[: run.images]}
    everywhere = ({**box, "frame_id": row["frame_id"]} for row in rows for box in boxes.get(row["image_path"], []))
    write_table(run.path("detections", shard.name), everywhere, DETECTIONS, {"kind": "detections"})


def lift(run: Run) -> None:
    shard = _largest(run.path("frames"), "train")
    found, out = run.path("detections", shard.name), run.path("triplets", shard.name)
    used = run.clip2("lift", "--frames", shard, "--detections", found, "--data-root", run.root, "--out", out,
                     settings=run.config["lifters"]["lidar"])  # fmt: skip
    run.add("lift", _rows(found), "boxes", used, f"a shard of {_rows(shard):,} images, {_rows(out):,} triplets")


def embed(run: Run) -> None:
    shard = _largest(run.path("triplets"), "train")
    out = run.path("embeddings", f"{shard.stem}.h5")
    used = run.clip2("embed", "--triplets", shard, "--out", out, "--device", "cpu", settings=run.teacher)
    run.add("embed", _rows(shard), "crops", used, "a shard")


def pretrain(run: Run) -> None:
    """All triplets: one made shard under many names."""
    n_shards = run.source["train_shards"]
    each = round(TRIPLETS * run.size.samples / Size().samples / n_shards)
    made = run.path("made")
    code = (f"from pathlib import Path; from benchmarks.made import write_triplets; "
            f"write_triplets(Path({str(made)!r}), {each}, dim={TEACHER_DIM}, points={POINTS})")  # fmt: skip
    measure([sys.executable, "-c", code], run.folder, run.environment, REPOSITORY)
    names = shard_names("train", n_shards)
    for name in names:
        for kind, suffix in (("t", "parquet"), ("t", "h5"), ("e", "h5")):
            _link(run.path("all", kind, f"{name}.{suffix}"), made / f"{kind}.{suffix}")
    packed = run.path("checkpoint", "pack", "digest.json")
    packed.unlink(missing_ok=True)

    def trained_enough() -> bool:
        return packed.is_file() and time_since(packed) > TRAINED_S

    used = run.clip2(
        "pretrain", "--triplets", *(run.path("all", "t", f"{name}.parquet") for name in names),
        "--embeddings", *(run.path("all", "e", f"{name}.h5") for name in names),
        "--out", run.path("never"), "--checkpoints", run.path("checkpoint"), "--device", "cpu",
        settings={"encoder": "pointnet2-tiny", "batch_size": 64, "n_points": 256, "checkpoint_seconds": 10},
        enough=trained_enough,
    )  # fmt: skip
    size = sum(path.stat().st_size for path in packed.parent.iterdir()) / 1e9
    run.add("pretrain", each * n_shards, "triplets", used, f"packed ({size:.1f} GB), then {TRAINED_S:.0f} s of steps")


def time_since(path: Path) -> float:
    """Seconds since a file was written."""
    return time.time() - path.stat().st_mtime


def objects(run: Run) -> None:
    shard = _largest(run.path("frames"), "val")
    boxes, out = run.path("annotations", shard.name), run.path("objects", shard.name)
    used = run.clip2("objects", "--frames", shard, "--annotations", boxes, "--data-root", run.root, "--out", out,
                     settings=run.config["evaluation"]["objects"])  # fmt: skip
    run.add("objects", _rows(boxes), "boxes", used, f"a shard of {_rows(shard):,} images, {_rows(out):,} objects")


def _all_objects(run: Run) -> list[Path]:
    """The largest shard of objects under the names of all."""
    shard = _largest(run.path("objects"), "val")
    paths = [run.path("all", "objects", f"{name}.parquet") for name in shard_names("val", run.n_val_shards)]
    for path in paths:
        _link(path, shard)
        _link(path.with_suffix(".h5"), shard.with_suffix(".h5"))
    return paths


def _model(run: Run) -> Path:
    """A small model, trained on the lifted shard."""
    folder, shard = run.path("model"), _largest(run.path("triplets"), "train")
    if not (folder / "model.safetensors").is_file():
        run.clip2(
            "pretrain", "--triplets", shard, "--embeddings", run.path("embeddings", f"{shard.stem}.h5"),
            "--out", folder, "--device", "cpu",
            settings={"encoder": "pointnet2-tiny", "batch_size": 64, "n_points": 64, "epochs": 1},
        )  # fmt: skip
    return folder


def zeroshot(run: Run) -> None:
    """All objects, with what needs no network and with our own; and all methods on one shard."""
    paths, model = _all_objects(run), _model(run)
    for shards, methods in ((paths, ["chance"]), (paths, ["chance", "clip2"]), (paths[:1], ALL_METHODS)):
        used = run.clip2("zeroshot", "--objects", *shards, "--model", model, "--out", run.path("zeroshot.json"),
                         "--device", "cpu", settings={"methods": methods})  # fmt: skip
        run.add("zeroshot", sum(map(_rows, shards)), "objects", used, ", ".join(methods))


def audit(run: Run) -> None:
    shard = _largest(run.path("triplets"), "train")
    used = run.clip2(
        "audit", "--frames", run.path("frames", shard.name), "--annotations", run.path("annotations", shard.name),
        "--triplets", shard, "--data-root", run.root, "--out", run.path("audit.json"), settings={},
    )  # fmt: skip
    run.add("audit", _rows(shard), "triplets", used, "a shard; it takes one after the other")


STAGES: dict[str, Callable[[Run], None]] = {
    stage.__name__: stage for stage in (ingest, annotations, detect, lift, embed, pretrain, objects, zeroshot, audit)
}
