"""`clip2 search` over as much as nuScenes gives: ``python -m benchmarks.search_scale --folder DIR``.

Made: 20 shards of 60,000 triplets in 5,000 tracks, as the stages write them, with a teacher's vectors of 768 numbers
(random; 1.8 GB), pictures of true size, and labels of all of them. Each shard has vectors of its own; the tables of the
first stand under the names of all. Points are few, since a search reads those of its hits only. Needs 3 GB of disk.

The search runs in a process of its own: right after the files were dropped from the system's cache (as far as that can
be asked for), and again. Its time is told from where the text is encoded on.
"""

import argparse
import json
import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import describe_machine, in_words
from benchmarks.made import crop_jpegs, words, write_clip
from benchmarks.peak import measure
from benchmarks.scale.run import link
from clip2.scans.shards import shard_names
from clip2.store.atomic import write_json
from clip2.store.hdf5 import new_hdf5, write_header
from clip2.store.ragged import ragged_writer, write_array
from clip2.store.schemas import FRAMES, LABELS, TRACK_MEMBERS, TRACKS, TRIPLETS
from clip2.store.tables import write_table

SHARDS, EACH, TRACKED, IMAGES, DIM = 20, 60_000, 12, 10_245, 768
"""Shards, triplets of one, triplets of a track, images of a shard, numbers of a vector."""
POINTS = 12
CLIP = {
    "embed_dim": DIM,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 1},
}
"""Small, but for its vectors: its time does not count."""
MADE_BY = "owl.auto"
EYE = np.eye(4).ravel().tolist()
GOAL_S, GOAL_MB = 2.0, 1024


def make(folder: Path, shards: int = SHARDS, each: int = EACH) -> None:
    """Write what the stages would have written."""
    source, names = folder / "results/nuscenes", shard_names("train", shards)
    teacher = write_clip(folder / "teacher", CLIP)
    header = {"source": "nuscenes", "source_kind": "built-in world", "split": "train", "sensor": "lidar", "units": "m",
              "axes": {"points": "z up", "up": "z"}}  # fmt: skip
    vocabulary, jpegs, n_images = words(35).names, crop_jpegs(64), min(IMAGES, each)
    first = {kind: source / kind / f"{names[0]}.parquet" for kind in ("frames",)}
    first |= {"triplets": source / "triplets" / MADE_BY / f"{names[0]}.parquet"}
    first |= {"tracks": source / "tracks" / f"{MADE_BY}.teacher" / f"{names[0]}.parquet"}
    frame = dict.fromkeys(FRAMES.names) | {"scene": "s", "camera": "front", "image_path": "a.jpg", "width": 1600,
                                           "height": 900, "K": [1.0] * 9, "T_cam_from_points": EYE,
                                           "T_scene_from_points": EYE, "clouds": []}  # fmt: skip
    frames = (
        frame | {"frame_id": f"frame-{i:08d}", "sample": f"{i // 6:032x}", "timestamp_us": i} for i in range(n_images)
    )
    write_table(first["frames"], frames, FRAMES, {"kind": "frames", **header})
    triplet = {
        "scene": "s",
        "sample": f"{0:032x}",
        "box": [10, 20, 90, 80],
        "n_points": POINTS,
        "range_m": 20,
        "extent": [4, 2, 1.5],
    }
    triplets = (
        triplet | {"triplet_id": _triplet(i), "frame_id": f"frame-{i % n_images:08d}",
                   "sample": f"{i % n_images // 6:032x}", "label": vocabulary[i // TRACKED % 35],
                   "score": 0.1 + i % 9 / 10, "image": jpegs[i % 64]}
        for i in range(each)
    )  # fmt: skip
    write_table(first["triplets"], triplets, TRIPLETS, {"kind": "triplets", "counts": {"triplets": each}, **header})
    _write_points(first["triplets"], each)
    place = {"timestamp_us": 0, "T_scene_from_thing": EYE, "n_triplets": 1, "n_points": POINTS}
    tracks = (
        dict.fromkeys(TRACKS.names)
        | {"track_id": _triplet(i), "scene": "s", "label": vocabulary[i // TRACKED % 35], "n_triplets": TRACKED,
           "path": [place | {"sample": f"{k % n_images // 6:032x}"} for k in range(i, min(i + TRACKED, each))]}
        for i in range(0, each, TRACKED)
    )  # fmt: skip
    write_table(first["tracks"], tracks, TRACKS, {"kind": "tracks", **header})
    _write_points(first["tracks"], -(-each // TRACKED))
    members = ({"track_id": _triplet(i - i % TRACKED), "triplet_id": _triplet(i)} for i in range(each))
    write_table(first["tracks"].with_suffix(".members.parquet"), members, TRACK_MEMBERS, {"kind": "members"})
    for name in names[1:]:
        for path in first.values():
            for suffix in (".parquet", ".h5", ".members.parquet"):
                if (file := path.with_name(f"{names[0]}{suffix}")).is_file():
                    link(path.with_name(f"{name}{suffix}"), file)
    for number, name in enumerate(names):
        _write_vectors(source / "embeddings" / f"{MADE_BY}.teacher" / f"{name}.h5", each, number, vocabulary, teacher)
    write_labels(folder / "results/labels/labels.parquet", shards * each, vocabulary, header)


def _triplet(i: int) -> str:
    return f"frame-{i:08d}-{i % 40:03d}"


def _write_points(table: Path, n: int) -> None:
    cloud = np.random.default_rng(0).normal(size=(POINTS, 4)).astype(np.float32)
    with ragged_writer(table.with_suffix(".h5")) as points:
        for _ in range(n):
            points.append(cloud)


def _write_vectors(path: Path, n: int, seed: int, vocabulary: Sequence[str], teacher: Path) -> None:
    """As clip2.teach.stage writes them."""
    rng = np.random.default_rng(seed)
    labels = sorted(vocabulary)
    number = np.array([labels.index(vocabulary[k]) for k in range(35)])
    image = np.empty((n, DIM), np.float16)
    for start in range(0, n, 4096):
        part = rng.standard_normal((min(4096, n - start), DIM), np.float32)
        image[start : start + len(part)] = part / np.linalg.norm(part, axis=1, keepdims=True)
    text = rng.standard_normal((35, DIM), np.float32)
    spec = {"model": str(teacher), "pretrained": None, "dim": DIM}
    with new_hdf5(path) as file:
        write_array(file, "image", image, rows=1024)
        write_array(file, "text", (text / np.linalg.norm(text, axis=1, keepdims=True)).astype(np.float16))
        write_array(file, "label_index", number[np.arange(n) // TRACKED % 35].astype(np.int32))
        write_header(file, {"kind": "embeddings", "teacher": spec, "labels": labels, "templates": ["a photo of a {}."],
                            "source_kind": "built-in world", "provenance": {}})  # fmt: skip


def write_labels(path: Path, n: int, vocabulary: Sequence[str], header: dict[str, Any]) -> None:
    """``n`` labels, as clip2.label.stage writes them: a thing in some samples of a scene after the other."""
    names = [[{"name": vocabulary[(k + i) % 35], "probability": 0.5 / (i + 1)} for i in range(5)] for k in range(35)]
    same = {"scene": "s", "T_points_from_box": EYE, "size_lwh": [4.0, 2.0, 1.5], "size_from": "measured",
            "velocity": [0.0, 0.0, 0.0], "n_points": POINTS, "range_m": 20.0, "box": [10, 20, 90, 80]}  # fmt: skip
    rows = (
        same | {"scene": f"scene-{i * 850 // n:04d}", "sample": f"{i // 35:032x}", "timestamp_us": i,
                "track_id": _triplet(i - i % TRACKED), "label": vocabulary[i % 35],
                "score": 0.5, "names": names[i % 35], "triplet_id": _triplet(i), "frame_id": f"frame-{i:08d}"}
        for i in range(n)
    )  # fmt: skip
    write_table(path, rows, LABELS, {"kind": "labels", "names": vocabulary, **header})


class _Memory(threading.Thread):
    """The most that this process holds of its own and of files, MB, looked at every 5 ms."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.own = self.files = 0.0
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.005):
            lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
            self.own = max(self.own, int(lines["RssAnon"].split()[0]) / 1024)
            self.files = max(self.files, int(lines["RssFile"].split()[0]) / 1024)


def search_once(folder: Path, words: str, threads: int, with_labels: bool) -> dict[str, float]:
    """Search, in this process.

    Returns:
        Seconds after the text was encoded, by the clock and of all processors, and to open the files before; memory
        that is the process's own (before: the libraries'), and that of mapped files, which the system can take back.
    """
    from clip2.search import stage
    from clip2.search.query import make_query

    teacher_s, encoded, cpu = 0.0, 0.0, 0.0

    def timed(function: Any) -> Any:
        def call(*arguments: Any) -> Any:
            nonlocal teacher_s, encoded, cpu
            start = time.perf_counter()
            try:
                return function(*arguments)
            finally:
                if len(arguments[-1]):  # of the call without negatives nothing is encoded
                    encoded, cpu = time.perf_counter(), time.process_time()
                    teacher_s += encoded - start

        return call

    stage.load_teacher, stage._encode = timed(stage.load_teacher), timed(stage._encode)
    embeddings = sorted((folder / "results/nuscenes/embeddings" / f"{MADE_BY}.teacher").glob("*.h5"))
    labels = folder / "results/labels/labels.parquet" if with_labels else None
    out = folder / "results/search/result.json"
    memory = _Memory()
    memory.start()
    time.sleep(0.05)
    before, start = memory.own, time.perf_counter()
    result, _ = stage.run(embeddings, make_query([words]), out, 50, labels, "cpu", threads)
    end = time.perf_counter()
    memory.over.set()
    return {
        "search_s": round(end - encoded, 2),
        "open_s": round(encoded - start - teacher_s, 2),
        "search_cpu_s": round(time.process_time() - cpu, 2),
        "teacher_s": round(teacher_s, 2),
        "hits": len(result.hits),
        "peak_own_mb": round(memory.own),
        "before_own_mb": round(before),
        "peak_mapped_mb": round(memory.files),
    }


def drop_from_cache(folder: Path) -> None:
    """Ask the system to forget the files' pages, so that they are read from the disk again."""
    for path in folder.rglob("*.h5"):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def main() -> None:
    """Entry point; exits with 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="for the files: 3 GB")
    parser.add_argument("--shards", type=int, default=SHARDS)
    parser.add_argument("--each", type=int, default=EACH, help="triplets of a shard")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--out", type=Path, default=Path("results/search_scale.json"), help="figures (.json)")
    parser.add_argument("--once", choices=("points", "labels"), help=argparse.SUPPRESS)
    a = parser.parse_args()
    if a.once:
        print(json.dumps(search_once(a.folder, "plastic bag", a.threads, a.once == "labels")))
        return
    if not (a.folder / "results/labels/labels.parquet").is_file():
        make(a.folder, a.shards, a.each)
    runs = []
    for kind, cold in (("points", True), ("points", False), ("labels", False)):
        if cold:
            drop_from_cache(a.folder)
        command = [sys.executable, "-m", "benchmarks.search_scale", "--folder", str(a.folder), "--once", kind]
        used = measure([*command, "--threads", str(a.threads)], a.folder, dict(os.environ))
        found = json.loads(used.output.splitlines()[-1])
        runs.append({"boxes_from": kind, "from_disk": cold, **found, "process_mb": round(used.peak_mb)})
        print(runs[-1], flush=True)
    machine = describe_machine()
    print(f"{a.shards * a.each:,} triplets; {in_words(machine)}")
    write_json(a.out, {"kind": "search scale", "triplets": a.shards * a.each, "machine": machine, "runs": runs})
    if any(run["peak_own_mb"] > GOAL_MB or (run["search_s"] > GOAL_S and not run["from_disk"]) for run in runs):
        sys.exit(1)


if __name__ == "__main__":
    main()
