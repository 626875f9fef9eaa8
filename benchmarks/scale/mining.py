"""From tables to triplets and a model: the stages at full size, each as the workflow runs it."""

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.made import write_embeddings
from benchmarks.peak import Usage
from benchmarks.scale.run import Run, largest, link, rows_of, told_twice
from benchmarks.scale.tables import Base, Size, write_tables
from clip2.detect.settings import DetectSettings
from clip2.scans.shards import shard_names
from clip2.store.atomic import write_json
from clip2.store.schemas import DETECTIONS, FRAMES
from clip2.store.tables import iterate_rows, read_header, read_table, write_table

BASE_VERSION, VERSION = "v1.0-base", "v1.0-trainval"
WORLD = {"version": BASE_VERSION, "train_scenes": 1, "val_scenes": 1, "key_frames": 3, "image_width": 1600}
TRIPLETS = 1_200_000
"""Of the full job, for the stages that read all of them."""
POINTS = 1000
"""Mean points of a made triplet; the packed set keeps 1024 at most of each."""
TEACHER_DIM = 768
TINY_DIM = 128
"""Of the small teacher's vectors."""
TRAINED_S = 60.0
"""Seconds of training after the packing."""

Boxes = dict[str, list[dict[str, Any]]]
"""Rows of a detections table, by picture."""


def make_data(run: Run) -> None:
    """The data root: a small world, and tables of full length over its files."""
    if not (run.root / BASE_VERSION / "scene.json").is_file():
        flags = ["--threads", 1, "--settings", json.dumps(WORLD)]
        run.python("-m", "clip2_world", "nuscenes", "--root", run.root, *flags)
    done = run.path("tables.json")
    if not done.is_file() or json.loads(done.read_text()) != asdict(run.size):
        write_tables(Base(run.root / BASE_VERSION), run.root / VERSION, run.size)
        write_json(done, asdict(run.size))


def ingest(run: Run) -> None:
    for name, n_sweeps in (("ingest", run.source["n_sweeps"]), ("ingest, 10 sweeps", 10)):
        out = run.path("frames" if n_sweeps == 1 else "frames10")
        used = run.clip2("ingest", "nuscenes", "--root", run.root, "--source", "nuscenes", "--out", out,
                         settings=run.source | {"n_sweeps": n_sweeps})  # fmt: skip
        run.add(name, rows_of(*out.glob("*.parquet")), "images", used, f"of {run.size.sample_data:,} recordings")


def annotations(run: Run) -> None:
    out = run.path("annotations")
    used = run.clip2("annotations", "nuscenes", "--root", run.root, "--source", "nuscenes", "--out", out,
                     settings=run.source)  # fmt: skip
    run.add("annotations", rows_of(*out.glob("*.parquet")), "boxes", used)


def detect(run: Run) -> None:
    """In two numbers of images, to see that memory does not grow; the whole shard then gets their boxes."""
    shard = largest(run.path("frames"), "train")
    boxes: Boxes = {}
    for n in (max(1, run.images // 4), run.images):
        used, boxes = find_boxes(run, shard, n)
        run.add("detect", n, "images", used, f"of a shard's {rows_of(shard):,}: time")
    give_boxes(run, shard, boxes)


def find_boxes(run: Run, shard: Path, n: int) -> tuple[Usage, Boxes]:
    """Run the detector on the first ``n`` images of a shard."""
    rows = [row for row, _ in zip(iterate_rows(shard), range(n), strict=False)]
    part, out = run.path("part.parquet"), run.path("detections.parquet")
    write_table(part, rows, FRAMES, read_header(shard))
    settings = DetectSettings(**run.detector).model_dump(mode="json")
    used = run.clip2("detect", "--frames", part, "--data-root", run.root, "--out", out, "--device", "cpu",
                     settings=settings)  # fmt: skip
    of_frame: Boxes = {}
    for box in iterate_rows(out):
        of_frame.setdefault(box["frame_id"], []).append(box)
    return used, {row["image_path"]: of_frame.get(row["frame_id"], []) for row in rows}


def give_boxes(run: Run, shard: Path, boxes: Boxes) -> None:
    """Detections of a whole shard, whose images show few pictures."""
    frames = iterate_rows(shard, ["frame_id", "image_path"])
    rows = ({**box, "frame_id": row["frame_id"]} for row in frames for box in boxes.get(row["image_path"], []))
    write_table(run.path("detections", shard.name), rows, DETECTIONS, {"kind": "detections"})


def lift(run: Run) -> None:
    shard = largest(run.path("frames"), "train")
    used = lift_shard(run, shard)
    n_boxes, n_triplets = rows_of(run.path("detections", shard.name)), rows_of(run.path("triplets", shard.name))
    run.add("lift", n_boxes, "boxes", used, f"a shard of {rows_of(shard):,} images, {n_triplets:,} triplets")


def lift_shard(run: Run, shard: Path) -> Usage:
    found, out = run.path("detections", shard.name), run.path("triplets", shard.name)
    return run.clip2("lift", "--frames", shard, "--detections", found, "--data-root", run.root, "--out", out,
                     settings=run.config["lifters"]["lidar"])  # fmt: skip


def embed(run: Run) -> None:
    shard = largest(run.path("triplets"), "train")
    out = run.path("embeddings", f"{shard.stem}.h5")
    used = run.clip2("embed", "--triplets", shard, "--out", out, "--device", "cpu", settings=run.teacher,
                     enough=told_twice("crops"))  # fmt: skip
    run.add("embed", rows_of(shard), "crops", used, f"a shard; stopped after {used.seconds:.0f} s")
    labels = read_table(shard, ["label"])["label"].to_pylist()
    spec = {"model": run.teacher["model"], "pretrained": None, "dim": TINY_DIM}
    out.parent.mkdir(exist_ok=True)
    write_embeddings(out, labels, spec)


def pretrain(run: Run) -> None:
    """All triplets: one made shard under many names."""
    n_shards = run.source["train_shards"]
    each = round(TRIPLETS * run.size.samples / Size().samples / n_shards)
    made = run.path("made")
    run.python("-c", f"from pathlib import Path; from benchmarks.made import write_triplets; "
                     f"write_triplets(Path({str(made)!r}), {each}, dim={TEACHER_DIM}, points={POINTS})")  # fmt: skip
    names = shard_names("train", n_shards)
    for name in names:
        for kind, suffix in (("t", "parquet"), ("t", "h5"), ("e", "h5")):
            link(run.path("all", kind, f"{name}.{suffix}"), made / f"{kind}.{suffix}")
    packed = run.path("checkpoint", "pack", "digest.json")
    packed.unlink(missing_ok=True)
    used = run.clip2(
        "pretrain", "--triplets", *(run.path("all", "t", f"{name}.parquet") for name in names),
        "--embeddings", *(run.path("all", "e", f"{name}.h5") for name in names),
        "--out", run.path("never"), "--checkpoints", run.path("checkpoint"), "--device", "cpu",
        settings={"encoder": "pointnet2-tiny", "batch_size": 64, "n_points": 256, "checkpoint_seconds": 10},
        enough=lambda output: packed.is_file() and time.time() - packed.stat().st_mtime > TRAINED_S,
    )  # fmt: skip
    size = sum(path.stat().st_size for path in packed.parent.iterdir()) / 1e9
    run.add("pretrain", each * n_shards, "triplets", used, f"packed ({size:.1f} GB), then {TRAINED_S:.0f} s of steps")


def audit(run: Run) -> None:
    shard = largest(run.path("triplets"), "train")
    used = run.clip2(
        "audit", "--frames", run.path("frames", shard.name), "--annotations", run.path("annotations", shard.name),
        "--triplets", shard, "--data-root", run.root, "--out", run.path("audit.json"), settings={},
    )  # fmt: skip
    run.add("audit", rows_of(shard), "triplets", used, "a shard; it takes one after the other")


MINING = (ingest, annotations, detect, lift, embed, pretrain, audit)
