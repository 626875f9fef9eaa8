"""At the size of nuScenes: memory that does not grow with the data set, and a plan that is known beforehand.

Real: the devkit, to which the streamed tables are held; Snakemake, for the plan of the 850-scene configuration. Made: a
data set in nuScenes' format whose tables repeat the frames of a tiny built-in world (benchmarks.scale.tables), training
shards of noise, and an empty data root for the plan.
"""

import json
import math
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from conftest import REPOSITORY, copy_checkout
from nuscenes.nuscenes import NuScenes
from test_workflow import planned

from clip2.evaluate.localization.nuscenes_detection import _parts
from clip2.pretrain.pack import Shard, build_pack
from clip2.pretrain.settings import PretrainSettings
from clip2.runtime.errors import InputError
from clip2.scans.nuscenes import annotations as nuscenes_annotations
from clip2.scans.nuscenes import devkit
from clip2.scans.nuscenes import frames as nuscenes_frames
from clip2.scans.nuscenes.official_splits import official_splits
from clip2.scans.nuscenes.rows import records, rows
from clip2.scans.nuscenes.settings import NuscenesSettings
from clip2.scans.shards import shard_names
from clip2.store.ragged import ragged_writer
from clip2.store.schemas import TRIPLETS
from clip2.store.tables import iterate_rows, write_table
from clip2.workflow.sources import NUSCENES_TABLES
from clip2_world.streets import nuscenes_stage as world
from clip2_world.streets.nuscenes_settings import WorldSettings

SCENES, SAMPLES, RECORDINGS, BOXES = (2, 1), 10, 10 * 77 + 3, 95
SETTINGS = NuscenesSettings(train_shards=2, val_shards=1, n_sweeps=12)


@pytest.fixture(scope="module")
def repeated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data root whose tables repeat the frames of two tiny scenes."""
    root = tmp_path_factory.mktemp("repeated")
    base = WorldSettings(version="v1.0-base", train_scenes=1, val_scenes=1, key_frames=2, image_width=64)
    world.run(root, base)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(REPOSITORY))
        from benchmarks.scale.tables import Base, Size, write_tables

        size = Size(*SCENES, samples=SAMPLES, sample_data=RECORDINGS, boxes=BOXES)
        write_tables(Base(root / "v1.0-base"), root / "v1.0-trainval", size)
    return root


@pytest.fixture(scope="module")
def nusc(repeated: Path) -> NuScenes:
    """All of it in the devkit's hands."""
    return NuScenes("v1.0-trainval", str(repeated), verbose=False)


# --- Tables, row by row


@pytest.mark.parametrize("indent", [None, 0, 1])
@pytest.mark.parametrize("block", [1, 7, 60, 1000])
@pytest.mark.parametrize("n", [0, 1, 5])
def test_records_are_those_of_json(tmp_path: Path, n: int, block: int, indent: int | None) -> None:
    table = [
        {"token": f"{i:032x}", "text": 'a "b]", {c}\n é', "list": [[1.5e-3, -i], []], "none": None} for i in range(n)
    ]
    path = tmp_path / "t.json"
    path.write_text(json.dumps(table, indent=indent) + "\n", encoding="utf-8")
    if n and block < 100:  # no row fits: told, and not searched for in ever more text
        with pytest.raises(InputError, match="row 0 is broken"):
            list(records(path, block))
        block = 200
    assert list(records(path, block)) == table


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"token": "a"}, {"token"', "row 1 is broken or cut short"),
        ('[{"token": "a"} {"token": "b"}]', "row 0 is broken"),
        ('[{"token": "a"},', "row 1 is broken or cut short"),
        ('{"token": "a"}', "does not begin with '\\['"),
        ("", "does not begin"),
        ('[{"other": 1}]', "row 0 has no 'token'"),
        (None, "table t.json is missing"),
    ],
)
def test_broken_tables_are_named(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "t.json").write_text(text)
    with pytest.raises(InputError, match=message):
        list(rows(tmp_path / "t.json", "token"))


def peak_of(work: Callable[[], Any]) -> int:
    """Most bytes of Python and numpy that were held at a time."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_a_table(tmp_path: Path) -> None:
    peaks = []
    for n in (500, 5000):
        path = tmp_path / f"{n}.json"
        path.write_text(json.dumps([{"token": f"{i:032x}", "rotation": [0.5] * 4} for i in range(n)]))
        peaks.append(peak_of(lambda path=path: sum(1 for _ in records(path, block=8192))))
    assert peaks[1] < 1.2 * peaks[0]


# --- Against the devkit


def test_the_made_data_set_has_the_rows_it_says(nusc: NuScenes) -> None:
    counts = [len(getattr(nusc, name)) for name in ("scene", "sample", "sample_data", "ego_pose", "sample_annotation")]
    assert counts == [sum(SCENES), SAMPLES, RECORDINGS, RECORDINGS, BOXES]
    assert all(len(sample["data"]) == 12 for sample in nusc.sample)


def test_frames_and_boxes_are_those_of_the_devkit(repeated: Path, nusc: NuScenes, tmp_path: Path) -> None:
    nuscenes_frames.run(repeated, tmp_path / "frames", "s", SETTINGS)
    nuscenes_annotations.run(repeated, tmp_path / "annotations", "s", SETTINGS)
    shards = [name for role, n in SETTINGS.n_shards.items() for name in shard_names(role, n)]
    frames = [row for shard in shards for row in iterate_rows(tmp_path / "frames" / f"{shard}.parquet")]
    boxes = [row for shard in shards for row in iterate_rows(tmp_path / "annotations" / f"{shard}.parquet")]
    assert (len(frames), len(boxes)) == (6 * SAMPLES, BOXES)
    for frame in frames:
        sample = nusc.get("sample", frame["sample"])
        image, lidar = (nusc.get("sample_data", sample["data"][name]) for name in (frame["camera"], "LIDAR_TOP"))
        assert frame["frame_id"] == image["token"]
        assert frame["image_path"] == image["filename"]
        assert frame["scene"] == nusc.get("scene", sample["scene_token"])["name"]
        T_global_from_points = devkit.T_global_from_sensor(nusc, lidar)
        T = np.linalg.inv(devkit.T_global_from_sensor(nusc, image)) @ T_global_from_points
        np.testing.assert_allclose(np.reshape(frame["T_cam_from_points"], (4, 4)), T, atol=1e-9)
        sweep = lidar
        for cloud in frame["clouds"]:
            T = np.linalg.inv(T_global_from_points) @ devkit.T_global_from_sensor(nusc, sweep)
            np.testing.assert_allclose(np.reshape(cloud["T_points_from_cloud"], (4, 4)), T, atol=1e-9)
            assert cloud["path"] == sweep["filename"]
            sweep = nusc.get("sample_data", sweep["prev"]) if sweep["prev"] else None
        assert len(frame["clouds"]) == SETTINGS.n_sweeps or sweep is None
    in_order = {sample["token"]: [row for row in boxes if row["sample"] == sample["token"]] for sample in nusc.sample}
    for sample in nusc.sample:
        theirs = [nusc.get("sample_annotation", token) for token in sample["anns"]]
        ours = in_order[sample["token"]]
        assert [row["annotation_id"] for row in ours] == [row["token"] for row in theirs]
        for key, name in (("category_name", "category"), ("num_lidar_pts",) * 2, ("instance_token", "instance")):
            assert [row[name] for row in ours] == [row[key] for row in theirs]
        levels = [nusc.get("visibility", row["visibility_token"])["level"] for row in theirs]
        assert [row["visibility"] for row in ours] == levels


def test_the_devkit_on_some_scenes_knows_what_it_knows_of_them(repeated: Path, nusc: NuScenes) -> None:
    chosen = {nusc.scene[-1]["name"], "scene-that-is-not-there"}
    some = devkit.open_scenes(repeated, "v1.0-trainval", chosen)
    samples = [row for row in nusc.sample if row["scene_token"] == nusc.scene[-1]["token"]]
    assert [row["token"] for row in some.sample] == [row["token"] for row in samples]
    for mine, theirs in zip(some.sample, samples, strict=True):
        assert mine["anns"] == theirs["anns"]
        assert mine["data"] == {"LIDAR_TOP": theirs["data"]["LIDAR_TOP"]}
        lidar = some.get("sample_data", mine["data"]["LIDAR_TOP"])
        assert some.get("ego_pose", lidar["ego_pose_token"]) == nusc.get("ego_pose", lidar["ego_pose_token"])
        assert [some.get("sample_annotation", t) for t in mine["anns"]] == [
            nusc.get("sample_annotation", t) for t in theirs["anns"]
        ]


@pytest.mark.parametrize("missing", ["ego_pose", "sample"])
def test_tables_that_do_not_belong_together_are_named(repeated: Path, tmp_path: Path, missing: str) -> None:
    root = tmp_path / "broken"
    for path in (repeated / "v1.0-trainval").iterdir():
        (root / "v1.0-trainval").mkdir(parents=True, exist_ok=True)
        text = json.dumps(json.loads(path.read_text())[:-1]) if path.stem == missing else path.read_text()
        (root / "v1.0-trainval" / path.name).write_text(text)
    with pytest.raises(InputError, match=rf"table {missing}.json lacks row \w+"):
        nuscenes_frames.run(root, tmp_path / "frames", "s", SETTINGS)


# --- Measuring


def test_peak_memory_is_that_of_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not of what measures it, which holds more."""
    monkeypatch.syspath_prepend(str(REPOSITORY))
    from benchmarks.peak import measure

    held = np.ones(300 << 20, np.uint8)
    used = measure([sys.executable, "-c", "x = b'x' * (100 << 20)"], tmp_path, {})
    assert 100 < used.peak_mb < 200 < len(held) / 2**20
    with pytest.raises(RuntimeError, match="told"):
        measure([sys.executable, "-c", "raise SystemExit('told')"], tmp_path, {})
    stopped = measure([sys.executable, "-c", "import time; time.sleep(99)"], tmp_path, {}, enough=lambda output: True)
    assert stopped.stopped
    assert stopped.seconds < 60


# --- Packing


def test_memory_of_packing_does_not_grow_with_the_data_set(tmp_path: Path) -> None:
    """Beyond the columns of a few bytes a triplet: the same shard 2 and 12 times."""
    n, dim, rng = 400, 64, np.random.default_rng(0)
    shard = Shard(tmp_path / "t.parquet", tmp_path / "t.h5", tmp_path / "e.h5")
    made = {"axes": {"up": "z"}, "source_kind": "built-in world"}
    same = {"frame_id": "", "scene": "", "sample": "", "box": [0] * 4, "score": 1, "range_m": 1, "extent": [1] * 3,
            "n_points": 500, "image": b""}  # fmt: skip
    write_table(shard.triplets, ({**same, "triplet_id": str(i), "label": "a"} for i in range(n)), TRIPLETS, made)
    with ragged_writer(shard.points) as points:
        for _ in range(n):
            points.append(rng.normal(size=(500, 4)))
    with h5py.File(shard.embeddings, "w") as file:
        file["image"], file["text"] = np.ones((n, dim), np.float16), np.ones((1, dim), np.float16)
        file["label_index"] = np.zeros(n, np.int32)
        file.attrs["clip2"] = json.dumps({"labels": ["a"], "teacher": {"model": "made"}, "templates": ["{}"]})
    peaks = [
        peak_of(lambda k=k: build_pack([shard] * k, tmp_path / str(k), PretrainSettings(max_points=128)))
        for k in (2, 12)
    ]
    assert (tmp_path / "12" / "points.f16").stat().st_size == 12 * n * 128 * 3 * 2
    assert peaks[1] - peaks[0] < 10 * n * 100
    assert peaks[1] < 1.2 * peaks[0]


# --- The devkit's evaluation in parts


@pytest.mark.parametrize(
    ("counts", "parts"),
    [
        ([5, 5, 5], [[0], [1], [2]]),
        ([2, 3, 4, 0], [[0, 1], [2, 3]]),
        ([0, 0, 9, 0, 1], [[0, 1, 2, 3], [4]]),
        ([0, 0], [[0, 1]]),
    ],
)
def test_parts_have_detections_each(counts: list[int], parts: list[list[int]]) -> None:
    assert _parts(counts, 6) == parts


# --- The plan


def test_the_plan_of_850_scenes_is_some_dozens_of_jobs(tmp_path: Path) -> None:
    checkout = copy_checkout(tmp_path / "checkout")
    tables = tmp_path / "data" / "v1.0-trainval"
    tables.mkdir(parents=True)
    for name in NUSCENES_TABLES:
        (tables / f"{name}.json").write_text("[]")
    splits = official_splits()
    scenes = [{"name": name, "nbr_samples": 40} for split in ("train", "val") for name in splits[split]]
    (tables / "scene.json").write_text(json.dumps(scenes))
    (tables / "sample_annotation.json").write_text(json.dumps([{"token": "of a box"}]))
    jobs = planned(
        checkout, "results/nuscenes_zeroshot.json", "--configfile", "config/nuscenes.yaml",
        "--config", f"dataroot={tables.parent}",
    )  # fmt: skip
    stages = {name: jobs[name] for name in ("ingest_nuscenes", "annotations_nuscenes", "detect", "lift", "embed",
                                            "pretrain", "objects", "zeroshot")}  # fmt: skip
    assert stages == {
        **dict.fromkeys(("ingest_nuscenes", "annotations_nuscenes", "pretrain", "zeroshot"), 1),
        **dict.fromkeys(("detect", "lift", "embed"), 17),
        "objects": 4,
    }
    assert math.fsum(jobs.values()) < 100
