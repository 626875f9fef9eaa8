"""A scene of nuScenes' size through labels and exports, and many: ``python -m benchmarks.scene --folder DIR``.

Made: a built-in street of 40 key frames and six cameras, its boxes found by the small detector; each stage runs as the
workflow runs it, on one core. nuScenes has 850 such scenes in 20 shards, so the time of all is 850 times that of one,
less what starting a process takes. Tracking is also run over such a shard: the scene's triplets 43 times.

What goes over all scenes in one process is first run over labels of ``--scenes`` scenes (made rows: 40 samples, 240
pictures and 1,400 labels each), whose pictures are not touched.
"""

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import describe_machine
from benchmarks.made import TINY_CLIP, TINY_OWL, words
from benchmarks.peak import Usage, measure
from benchmarks.scale.run import Stage, rows_of
from clip2.scans.shards import shard_names
from clip2.store.atomic import write_json
from clip2.store.hdf5 import new_hdf5, write_header
from clip2.store.ragged import RaggedReader, ragged_writer, write_array
from clip2.store.schemas import FRAMES, LABELS, TRIPLETS
from clip2.store.tables import iterate_rows, read_header, write_table
from clip2.teach.embeddings import read_embeddings

SCENES, SAMPLES, CAMERAS, LABELS_A_SAMPLE = 850, 40, 6, 35
SCENES_A_SHARD = 43
SCENE_FORMATS = ("kitti", "nuscenes", "coco", "mcap", "ply")
MANY_FORMATS = ("nuscenes", "coco")
REPOSITORY = Path(__file__).resolve().parents[1]


class Bench:
    """A folder in which commands run one after the other, on one core."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.stages = folder.resolve(), list[Stage]()
        self.environment = {**os.environ, "PYTHONPATH": f"{REPOSITORY}/src:{REPOSITORY}", "OMP_NUM_THREADS": "1"}

    def run(self, *arguments: Any, settings: dict[str, Any] | None = None) -> Usage:
        """Run ``python -m …`` in the folder."""
        flags = ["--threads", "1"] + (["--settings", json.dumps(settings)] if settings is not None else [])
        command = [sys.executable, "-m", *map(str, arguments), *flags]
        return measure(command, self.folder, self.environment, self.folder)

    def add(self, name: str, rows: int, unit: str, used: Usage, note: str = "") -> None:
        stage = Stage(name, rows, unit, round(used.peak_mb), round(used.seconds, 1), round(used.cpu_seconds, 1), note)
        self.stages.append(stage)
        print(f"{name}: {rows:,} {unit}, {stage.cpu_seconds} s of a core, {stage.peak_mb:,} MB {note}", flush=True)


def one_scene(bench: Bench, key_frames: int, width: int) -> None:
    """The stages from frames to exports."""
    world = {
        "version": "v1.0-trainval",
        "train_scenes": 1,
        "val_scenes": 0,
        "key_frames": key_frames,
        "image_width": width,
    }
    if not (bench.folder / "raw/v1.0-trainval/scene.json").is_file():
        bench.run("clip2_world", "nuscenes", "--root", "raw", settings=world)
    shard = shard_names("train", 1)[0]
    frames, boxes, triplets = f"frames/{shard}.parquet", "boxes.parquet", f"triplets/{shard}.parquet"
    embeddings, tracks, model = f"embeddings/{shard}.h5", f"tracks/{shard}.parquet", "model"
    source = {"version": "v1.0-trainval", "train": "train", "val": "train", "train_shards": 1}
    bench.run("clip2", "ingest", "nuscenes", "--root", "raw", "--source", "street", "--out", "frames", settings=source)
    detector = {"model": str(TINY_OWL), "vocabulary": str(REPOSITORY / "resources/vocabularies/driving.txt")}
    if not (bench.folder / boxes).is_file():
        bench.run(
            "clip2",
            "detect",
            "--frames",
            frames,
            "--data-root",
            "raw",
            "--out",
            boxes,
            "--device",
            "cpu",
            settings=detector,
        )
    used = bench.run(
        "clip2", "lift", "--frames", frames, "--detections", boxes, "--data-root", "raw", "--out", triplets, settings={}
    )
    n = rows_of(bench.folder / triplets)
    bench.add("lift", n, "triplets", used, f"of {key_frames * CAMERAS} pictures")
    teacher = {"model": str(TINY_CLIP)}
    bench.run("clip2", "embed", "--triplets", triplets, "--out", embeddings, "--device", "cpu", settings=teacher)
    used = bench.run(
        "clip2",
        "track",
        "--frames",
        frames,
        "--triplets",
        triplets,
        "--embeddings",
        embeddings,
        "--out",
        tracks,
        settings={},
    )
    bench.add("track", n, "triplets", used)
    copies = repeated(bench.folder, [frames, triplets, embeddings], SCENES_A_SHARD)
    used = bench.run(
        "clip2",
        "track",
        "--frames",
        copies[0],
        "--triplets",
        copies[1],
        "--embeddings",
        copies[2],
        "--out",
        f"many/{tracks}",
        settings={},
    )
    bench.add("track", n * SCENES_A_SHARD, "triplets", used, f"{SCENES_A_SHARD} scenes")
    training = {"encoder": "pointnet2-tiny", "n_points": 128, "epochs": 1, "batch_size": 64, "holdout": 0}
    bench.run(
        "clip2",
        "pretrain",
        "--triplets",
        triplets,
        "--embeddings",
        embeddings,
        "--out",
        model,
        "--device",
        "cpu",
        settings=training,
    )
    used = bench.run(
        "clip2",
        "label",
        "--frames",
        frames,
        "--triplets",
        triplets,
        "--tracks",
        tracks,
        "--data-root",
        "raw",
        "--model",
        model,
        "--out",
        "labels.parquet",
        "--device",
        "cpu",
        settings={},
    )
    n = rows_of(bench.folder / "labels.parquet")
    bench.add("label", n, "labels", used)
    for name in SCENE_FORMATS:
        used = bench.run(
            "clip2",
            "export",
            name,
            "--labels",
            "labels.parquet",
            "--frames",
            frames,
            "--data-root",
            "raw",
            "--out",
            f"exported/{name}",
            settings={},
        )
        bench.add(f"export {name}", n, "labels", used)


def repeated(folder: Path, files: list[str], times: int) -> list[str]:
    """Frames, triplets and embeddings of a scene, and the triplets' points, so many times under other names."""
    frames, triplets, embeddings = (folder / name for name in files)
    made = [folder / "many" / name for name in files]
    for path, out, schema in ((frames, made[0], FRAMES), (triplets, made[1], TRIPLETS)):
        named = [name for name in schema.names if name in ("frame_id", "scene", "sample", "triplet_id")]
        rows = (
            row | {name: f"{row[name]}/{number}" for name in named}
            for number in range(times)
            for row in iterate_rows(path)
        )
        write_table(out, rows, schema, read_header(path))
    with RaggedReader(triplets.with_suffix(".h5")) as points, ragged_writer(made[1].with_suffix(".h5")) as writer:
        for row in [*range(len(points))] * times:
            writer.append(points[row])
    said = read_embeddings(embeddings)
    made[2].parent.mkdir(parents=True, exist_ok=True)
    with new_hdf5(made[2]) as file:
        write_array(file, "image", np.tile(said.image, (times, 1)), rows=1024)
        write_array(file, "text", said.text)
        write_array(file, "label_index", np.tile(said.label_index, times))
        write_header(file, said.header)
    return [str(path.relative_to(folder)) for path in made]


def many_scenes(bench: Bench, scenes: int) -> None:
    """Exports over made labels of many scenes."""
    folder, shards = bench.folder / f"many {scenes}", shard_names("train", max(1, round(scenes * 20 / SCENES)))
    header = {
        "source": "made",
        "source_kind": "built-in world",
        "dataset": "folder",
        "split": "train",
        "sensor": "lidar",
        "units": "m",
        "axes": {"points": "z up", "up": "z"},
        "provenance": {"inputs": {}},
    }
    eye, T_cam = np.eye(4).ravel().tolist(), [0.0, -1, 0, 0, 0, 0, -1, 0, 1, 0, 0, 0, 0, 0, 0, 1]
    frame = dict.fromkeys(FRAMES.names) | {
        "image_path": "a.jpg",
        "width": 1600,
        "height": 900,
        "clouds": [],
        "K": [1200.0, 0, 800, 0, 1200, 450, 0, 0, 1],
        "T_cam_from_points": T_cam,
        "T_scene_from_points": eye,
    }
    for number, shard in enumerate(shards):
        rows = (
            frame
            | {
                "frame_id": f"{s}-{k}-{c}",
                "scene": f"scene-{s:04d}",
                "sample": f"{s}-{k}",
                "camera": f"CAM_{c}",
                "timestamp_us": 500_000 * k,
            }
            for s in range(number, scenes, len(shards))
            for k in range(SAMPLES)
            for c in range(CAMERAS)
        )
        write_table(folder / f"frames/{shard}.parquet", rows, FRAMES, {"kind": "frames", **header})
    names, rng = words(35).names, np.random.default_rng(0)
    places = [[1, 0, 0, x, 0, 1, 0, y, 0, 0, 1, 0, 0, 0, 0, 1] for x, y in rng.uniform(-50, 50, (997, 2)).tolist()]
    label = dict.fromkeys(LABELS.names) | {
        "score": 0.6,
        "size_lwh": [4.0, 2, 1.5],
        "size_from": "measured",
        "velocity": [0.0, 0, 0],
        "n_points": 50,
        "range_m": 20,
        "box": [9, 9, 90, 90],
    }
    rows = (
        label
        | {
            "scene": f"scene-{s:04d}",
            "sample": f"{s}-{k}",
            "timestamp_us": 500_000 * k,
            "track_id": f"{s}-{i}",
            "label": "car" if i % 3 else names[i],
            "T_points_from_box": places[(s + i * k) % 997],
            "names": [{"name": names[(i + j) % 35], "probability": 0.5 / (j + 1)} for j in range(5)],
        }
        for s in range(scenes)
        for k in range(SAMPLES)
        for i in range(LABELS_A_SAMPLE)
    )
    write_table(folder / "labels.parquet", rows, LABELS, {"kind": "labels", **header})
    n = scenes * SAMPLES * LABELS_A_SAMPLE
    code = "import clip2, sys; l = clip2.Labels(sys.argv[1]).where('car', 0.5); print(l.boxes.shape, sum(1 for _ in l))"
    script = folder / "read.py"
    script.write_text(code)
    used = measure([sys.executable, script, folder / "labels.parquet"], bench.folder, bench.environment)
    bench.add("clip2.Labels, boxes and rows", n, "labels", used, f"{scenes} scenes")
    for name in MANY_FORMATS:
        used = bench.run(
            "clip2",
            "export",
            name,
            "--labels",
            folder / "labels.parquet",
            "--frames",
            *sorted((folder / "frames").glob("*.parquet")),
            "--data-root",
            folder,
            "--out",
            f"exported/many {name}",
            settings={"files": "none"},
        )
        bench.add(f"export {name}", n, "labels", used, f"{scenes} scenes")


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="for the data and the results: 2 GB")
    parser.add_argument("--key-frames", type=int, default=SAMPLES, help="of the one scene")
    parser.add_argument("--width", type=int, default=1600, help="of its pictures, pixels")
    parser.add_argument("--scenes", type=int, nargs="*", default=[50, 200], help="for what goes over all scenes")
    parser.add_argument("--out", type=Path, default=Path("results/scene.json"), help="figures (.json)")
    a = parser.parse_args()
    a.folder.mkdir(parents=True, exist_ok=True)
    bench = Bench(a.folder)
    for scenes in a.scenes:
        many_scenes(bench, scenes)
    if a.key_frames:
        one_scene(bench, a.key_frames, a.width)
    write_json(a.out, {"kind": "scene", "machine": describe_machine(), "stages": [asdict(s) for s in bench.stages]})


if __name__ == "__main__":
    main()
