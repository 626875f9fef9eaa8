"""How much a data set holds at a glance, and the number of shards that follows from it."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nuscenes.utils.splits import create_splits_scenes

from clip2.runtime.errors import InputError
from clip2.scans.folder import outline as folder
from clip2.scans.folder.frames import run as ingest_folder
from clip2.scans.folder.settings import FolderSettings
from clip2.scans.nuscenes import outline as nuscenes
from clip2.scans.nuscenes.official_splits import official_splits
from clip2.scans.nuscenes.settings import NuscenesSettings
from clip2.scans.once import outline as once
from clip2.scans.once.settings import OnceSettings
from clip2.scans.outline import Part
from clip2.scans.scannet import outline as scannet
from clip2.scans.scannet.settings import ScannetSettings
from clip2.scans.sunrgbd import outline as sunrgbd
from clip2.scans.sunrgbd.settings import SunrgbdSettings
from clip2.store.tables import read_table
from clip2.workflow.shards import number_of_shards

CALIBRATION = {
    "sensor": "lidar",
    "up": "z",
    "units": "m",
    "clouds": {"folder": "clouds", "format": "float32x4"},
    "cameras": {
        name: {
            "image_folder": f"images/{name}",
            "width": 64,
            "height": 48,
            "K": [[50, 0, 32], [0, 50, 24], [0, 0, 1]],
            "T_cam_from_points": [[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]],
        }
        for name in ("left", "right")
    },
}


def touch(path: Path, text: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def record(scene: Path, stems: list[str]) -> None:
    """A scene of a folder: a cloud and two pictures for each stem; the last one lacks its right picture."""
    touch(scene / "calibration.json", json.dumps(CALIBRATION))
    for stem in stems:
        touch(scene / "clouds" / f"{stem}.bin")
        touch(scene / "images" / "left" / f"{stem}.png")
    for stem in stems[:-1]:
        touch(scene / "images" / "right" / f"{stem}.png")


def test_a_folder_is_counted_as_ingest_counts_it(tmp_path: Path) -> None:
    for number in range(12):
        record(tmp_path / f"drive{number}", ["a", "b", "c"])
    touch(tmp_path / "drive3" / "images" / "left" / "stray.png")  # without a cloud
    settings = FolderSettings(val_share=0.3)
    found = folder.outline(tmp_path, settings)
    ingest_folder(tmp_path, tmp_path / "out", "mine", settings)
    for role, part in found.items():
        table = read_table(tmp_path / "out" / f"{role}-000of001.parquet", columns=["scene"])
        assert part.n_frames == table.num_rows
        assert part.scenes == set(table["scene"].to_pylist())
        assert part.n_scenes == len(part.scenes) > 1
    assert not found["train"].scenes & found["val"].scenes


def test_few_scenes_may_leave_none_to_val_and_are_mined_all_the_same(tmp_path: Path) -> None:
    record(tmp_path / "drive1", ["a", "b"])
    settings = FolderSettings(val_share=0.0)
    assert folder.outline(tmp_path, settings)["val"] == Part(frozenset(), 0, 0)
    ingest_folder(tmp_path, tmp_path / "out", "mine", settings)
    assert read_table(tmp_path / "out" / "train-000of001.parquet").num_rows == 3
    with pytest.raises(InputError, match="has no such scene"):
        folder.outline(tmp_path, FolderSettings(val="scene:drive2"))
    with pytest.raises(InputError, match="names none of its 2 samples"):
        folder.outline(tmp_path, FolderSettings(val_share=1.0))


def scene_table(root: Path, lengths: dict[str, Any]) -> None:
    rows = [
        {"token": name, "name": name, "first_sample_token": f"{name}-0", "nbr_samples": n}
        for name, n in lengths.items()
    ]
    touch(root / "v1.0-trainval" / "scene.json", json.dumps(rows))
    samples = [
        {"token": f"{name}-{i}", "next": f"{name}-{i + 1}" if i + 1 < (n or 40) else "", "scene_token": name}
        for name, n in lengths.items()
        for i in range(n or 40)
    ]
    touch(root / "v1.0-trainval" / "sample.json", json.dumps(samples))


def test_nuscenes_by_its_table_of_scenes(tmp_path: Path) -> None:
    official = official_splits()
    train, val = official["train"][:3], official["val"][0]
    scene_table(tmp_path, {train[0]: 40, train[1]: 39, train[2]: None, val: 41})
    found = nuscenes.outline(tmp_path, NuscenesSettings())
    assert found["train"] == Part(frozenset(train), 3, 6 * (40 + 39 + 40))
    assert found["val"] == Part(frozenset([val]), 1, 6 * 41)
    some = nuscenes.outline(tmp_path, NuscenesSettings(train="all", val=f"sample:{val}-3,sample:{val}-5"))
    assert some["train"].n_scenes == 4
    assert some["val"] == Part(frozenset([val]), 1, 12)  # its scene is known, so that both can be compared
    with pytest.raises(InputError, match="'test' names no scene of it; it holds 4"):
        nuscenes.outline(tmp_path, NuscenesSettings(val="test"))


def test_the_official_splits_are_the_devkit_s() -> None:
    assert official_splits() == create_splits_scenes()


def test_once_as_if_all_sequences_were_as_long_as_the_first(tmp_path: Path) -> None:
    touch(tmp_path / "ImageSets" / "train.txt", "000001\n000002\n000009\n")
    touch(tmp_path / "ImageSets" / "val.txt", "000003\n")
    for sequence, frames in (("000001", 5), ("000002", 7), ("000003", 2)):
        touch(tmp_path / "data" / sequence / f"{sequence}.json")
        for camera in ("cam01", "cam03"):
            (tmp_path / "data" / sequence / camera).mkdir(parents=True)
        for number in range(frames):
            touch(tmp_path / "data" / sequence / "lidar_roof" / f"{number}.bin")
    found = once.outline(tmp_path, OnceSettings())
    assert found["train"] == Part(frozenset(["000001", "000002"]), 2, 2 * 5 * 2)  # 000009 is not there
    assert found["val"] == Part(frozenset(["000003"]), 1, 4)


def test_scannet_as_if_all_recordings_were_as_long_as_the_first(tmp_path: Path) -> None:
    touch(tmp_path / "scannetv2_train.txt", "scene0000_00\nscene0001_00\nscene0002_00\n")
    touch(tmp_path / "scannetv2_val.txt", "scene0009_00\n")
    for scene in ("scene0000_00", "scene0001_00", "scene0009_00"):
        (tmp_path / "scans" / scene).mkdir(parents=True)
    eye = np.eye(4).ravel()
    header = struct.pack("<IQ", 4, 0) + struct.pack(
        "<16f16f16f16fiiIIIIfQ", *(4 * [*eye]), 2, 1, 4, 3, 4, 3, 1000.0, 90
    )
    (tmp_path / "scans" / "scene0001_00" / "scene0001_00.sens").write_bytes(header)
    found = scannet.outline(tmp_path, ScannetSettings(frame_skip=20))
    assert found["train"] == Part(frozenset(["scene0000_00", "scene0001_00"]), 2, 2 * 5)
    assert found["val"] == Part(frozenset(["scene0009_00"]), 1, 0)


def test_sunrgbd_by_the_sizes_of_its_splits(tmp_path: Path) -> None:
    (tmp_path / "SUNRGBD").mkdir()
    found = sunrgbd.outline(tmp_path, SunrgbdSettings())
    assert (found["train"].n_frames, found["val"].n_frames) == (5285, 5050)
    assert not found["train"].scenes & found["val"].scenes
    halves = sunrgbd.outline(tmp_path, SunrgbdSettings(train="all", val="trainval_val"))
    assert halves["train"].n_frames == 10335
    assert halves["train"].scenes & halves["val"].scenes


def test_sunrgbd_in_votenet_s_layout(tmp_path: Path) -> None:
    touch(tmp_path / "sunrgbd_trainval" / "train_data_idx.txt", "5051\n5052\n")
    touch(tmp_path / "sunrgbd_trainval" / "val_data_idx.txt", "1\n")
    touch(tmp_path / "sunrgbd_trainval" / "image" / "000001.jpg")
    found = sunrgbd.outline(tmp_path, SunrgbdSettings(train="train,frame:000007", val="all"))
    assert found["train"] == Part(frozenset(["005051", "005052", "000007"]), 3, 3)
    assert found["val"] == Part(frozenset(["000001"]), 1, 1)


def test_where_human_boxes_are_missing(tmp_path: Path) -> None:
    train, val = official_splits()["train"][0], official_splits()["val"][0]
    scene_table(tmp_path / "nuscenes", {train: 1, val: 1})
    boxes = tmp_path / "nuscenes" / "v1.0-trainval" / "sample_annotation.json"
    for content, missing in (("[]\n", True), ('[{"token": "0"}]', False)):
        touch(boxes, content)
        assert bool(nuscenes.missing_labels(tmp_path / "nuscenes", NuscenesSettings(), "val")) == missing

    touch(tmp_path / "once" / "ImageSets" / "val.txt", "000003\n")
    touch(tmp_path / "once" / "data" / "000003" / "000003.json", '{"frames": [{"frame_id": "1"}]}')
    assert "none of its 1 sequences" in (once.missing_labels(tmp_path / "once", OnceSettings(), "val") or "")
    touch(tmp_path / "once" / "data" / "000003" / "000003.json", '{"frames": [{"frame_id": "1", "annos": {}}]}')
    assert once.missing_labels(tmp_path / "once", OnceSettings(), "val") is None

    touch(tmp_path / "scannet" / "scannetv2_test.txt", "scene0707_00\n")
    (tmp_path / "scannet" / "scans" / "scene0707_00").mkdir(parents=True)
    test = ScannetSettings(val="test")
    assert "none of its 1 scenes" in (scannet.missing_labels(tmp_path / "scannet", test, "val") or "")
    touch(tmp_path / "scannet" / "scans" / "scene0707_00" / "scene0707_00.aggregation.json")
    assert scannet.missing_labels(tmp_path / "scannet", test, "val") is None

    touch(tmp_path / "votenet" / "sunrgbd_trainval" / "val_data_idx.txt", "1\n")
    assert "label_v1 holds no boxes" in (
        sunrgbd.missing_labels(tmp_path / "votenet", SunrgbdSettings(labels="v1"), "val") or ""
    )
    touch(tmp_path / "votenet" / "sunrgbd_trainval" / "label" / "000001.txt")
    assert sunrgbd.missing_labels(tmp_path / "votenet", SunrgbdSettings(), "val") is None


@pytest.mark.parametrize(
    ("role", "n_scenes", "n_frames", "expected"),
    [
        ("train", 12, 12, 1),  # a dozen pictures are one job a stage
        ("train", 12, 120, 3),
        ("train", 2, 5_000, 2),  # never more than scenes
        ("train", 400, 5_000, 8),
        ("val", 400, 5_000, 4),
        ("train", 700, 168_000, 17),  # nuScenes: some twenty jobs a stage
        ("val", 150, 36_000, 4),
        ("train", 100_000, 7_000_000, 64),
        ("val", 0, 0, 1),
    ],
)
def test_shards_follow_frames(role: str, n_scenes: int, n_frames: int, expected: int) -> None:
    assert number_of_shards(role, n_scenes, n_frames) == expected
