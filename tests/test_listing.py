"""What is done again when recordings or labels change that are no inputs of a rule: just what depends on them."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import copy_checkout, snakemake

from clip2.runtime.errors import InputError
from clip2.workflow import listing
from clip2.workflow.sources import FolderSource, index_files

VOTENET = "sunrgbd_trainval"
STAGES = ("frames", "annotations", "objects")


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


SEQUENCE: dict[str, Any] = {
    "calib": {"cam01": {"cam_intrinsic": [1]}},
    "frames": [{"frame_id": "1", "annos": {"names": ["Car"], "boxes_3d": [[1, 2, 3, 4, 5, 6, 7]]}}, {"frame_id": "2"}],
}


CALIBRATION: dict[str, Any] = {
    "sensor": "lidar",
    "up": "z",
    "units": "m",
    "clouds": {"format": "float32x4"},
    "cameras": {
        "front": {
            "image_folder": "images/front",
            "width": 320,
            "height": 240,
            "K": [[200, 0, 160], [0, 200, 120], [0, 0, 1]],
            "T_cam_from_points": [[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]],
        }
    },
}


def make(kind: str, root: Path) -> None:
    """The files that a kind of data set has, without a meaning."""
    if kind == "folder":
        for scene in ("a", "b"):
            for name in ("clouds/1.bin", "images/front/1.png", "poses/1.txt", "labels/1.json"):
                put(root / scene / name, name)
    elif kind == "once":
        for name in ("lidar_roof/1.bin", "cam01/1.jpg"):
            put(root / "data" / "000001" / name, name)
        put(root / "data" / "000001" / "000001.json", json.dumps(SEQUENCE))
    elif kind == "argoverse2":
        for name in ("sensors/lidar/1.feather", "sensors/cameras/ring_front_left/1.jpg", "annotations.feather",
                     "city_SE3_egovehicle.feather", "calibration/intrinsics.feather"):  # fmt: skip
            put(root / "val" / "log" / name, name)
    elif kind == "scannet":
        for ending in (".sens", ".txt", ".aggregation.json", "_vh_clean_2.0.010000.segs.json", "_vh_clean_2.ply"):
            put(root / "scans" / "s" / f"s{ending}", ending)
    else:
        for name in ("image/1.jpg", "depth/1.mat", "calib/1.txt", "label/1.txt"):
            put(root / VOTENET / name, name)


def digests(root: Path, kind: str) -> dict[str, str]:
    """As a new run of Snakemake computes them."""
    listing.listing_digest.cache_clear()
    listing._known.cache_clear()
    return {stage: listing.listing_digest(root, kind, stage) for stage in STAGES}


def rename_box(root: Path) -> None:
    content = json.loads(json.dumps(SEQUENCE))
    content["frames"][0]["annos"]["names"] = ["Bus"]
    put(root / "data" / "000001" / "000001.json", json.dumps(content))


def recalibrate(root: Path) -> None:
    put(root / "data" / "000001" / "000001.json", json.dumps(SEQUENCE | {"calib": {}}))


def av2(name: str) -> Callable[[Path], Any]:
    """Another content of a file of a log."""
    return lambda root: put(root / "val" / "log" / name, "other")


CHANGES: dict[str, tuple[str, Callable[[Path], Any], set[str]]] = {
    "a corrected label": ("folder", lambda r: put(r / "a/labels/1.json", "other"), {"annotations"}),
    "a new label": ("folder", lambda r: put(r / "a/labels/2.json", "x"), {"annotations"}),
    "a label that is gone": ("folder", lambda r: (r / "a/labels/1.json").unlink(), {"annotations"}),
    "a new cloud": ("folder", lambda r: put(r / "a/clouds/2.bin", "x"), {"frames", "annotations"}),
    "a new picture": ("folder", lambda r: put(r / "b/images/front/2.png", "x"), {"frames", "annotations"}),
    "a new drive": ("folder", lambda r: put(r / "c/clouds/1.bin", "x"), {"frames", "annotations"}),
    "a corrected pose": ("folder", lambda r: put(r / "a/poses/1.txt", "x"), {"frames"}),
    "notes": ("folder", lambda r: put(r / "a/README.md", "x"), set()),
    "a corrected box of ONCE": ("once", rename_box, {"annotations"}),
    "a new calibration of ONCE": ("once", recalibrate, {"frames", "annotations"}),
    "a new picture of ONCE": ("once", lambda r: put(r / "data/000001/cam01/2.jpg", "x"), {"frames"}),
    "a new sweep of Argoverse": ("argoverse2", av2("sensors/lidar/2.feather"), {"frames", "annotations"}),
    "a new picture of Argoverse": ("argoverse2", av2("sensors/cameras/ring_front_left/2.jpg"), {"frames"}),
    "other boxes of Argoverse": ("argoverse2", av2("annotations.feather"), {"annotations"}),
    "other poses of Argoverse": ("argoverse2", av2("city_SE3_egovehicle.feather"), {"frames"}),
    "another calibration of Argoverse": ("argoverse2", av2("calibration/intrinsics.feather"), {"frames"}),
    "corrected marks": ("scannet", lambda r: put(r / "scans/s/s.aggregation.json", "o"), {"annotations", "objects"}),
    "another mesh": ("scannet", lambda r: put(r / "scans/s/s_vh_clean_2.ply", "other"), {"annotations", "objects"}),
    "another alignment": ("scannet", lambda r: put(r / "scans/s/s.txt", "other"), set(STAGES)),
    "a new recording": ("scannet", lambda r: put(r / "scans/t/t.sens", "x"), {"frames"}),
    "a label of VoteNet's": ("sunrgbd", lambda r: put(r / VOTENET / "label/1.txt", "o"), {"annotations"}),
    "a corrected calibration": ("sunrgbd", lambda r: put(r / VOTENET / "calib/1.txt", "o"), {"frames"}),
    "a new frame": ("sunrgbd", lambda r: put(r / VOTENET / "image/2.jpg", "o"), {"frames"}),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "change", "stages"), CHANGES.values(), ids=CHANGES)
def test_a_change_is_seen_by_the_stages_that_it_concerns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, change: Callable[[Path], Any], stages: set[str]
) -> None:
    (tmp_path / ".snakemake").mkdir()
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "data set"
    make(kind, root)
    before = digests(root, kind)
    change(root)
    after = digests(root, kind)
    assert {stage for stage in STAGES if before[stage] != after[stage]} == stages
    (tmp_path / ".snakemake" / "clip2_listing.json").unlink()
    assert digests(root, kind) == after  # what is kept for the next time decides nothing


def test_an_edit_with_an_older_date_is_seen_and_a_touch_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".snakemake").mkdir()
    monkeypatch.chdir(tmp_path)
    make("folder", tmp_path / "d")
    label = tmp_path / "d" / "a" / "labels" / "1.json"
    os.utime(label, (10_000, 10_000))
    before = digests(tmp_path / "d", "folder")
    os.utime(label)
    assert digests(tmp_path / "d", "folder") == before
    put(label, label.read_text()[::-1])  # as long as it was
    os.utime(label, (10_000, 10_000))
    assert digests(tmp_path / "d", "folder")["annotations"] != before["annotations"]


def test_a_damaged_memory_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".snakemake").mkdir()
    monkeypatch.chdir(tmp_path)
    make("folder", tmp_path / "d")
    good = digests(tmp_path / "d", "folder")
    for text in ("", "[]", "{", '{"x": 5}'):
        listing.KNOWN.write_text(text)
        assert digests(tmp_path / "d", "folder") == good


def test_files_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".snakemake").mkdir()
    monkeypatch.chdir(tmp_path)
    make("folder", tmp_path / "d")
    before = digests(tmp_path / "d", "folder")
    monkeypatch.setattr(listing, "_entries", None)
    monkeypatch.setattr(listing, "_digest", None)
    assert digests(tmp_path / "d", "folder") == before


@pytest.mark.parametrize("name", ["a{b", "a}b", "{x}"])
def test_braces_in_a_path_are_named(tmp_path: Path, name: str) -> None:
    source = FolderSource(kind="folder")
    put(tmp_path / name / "calibration.json", "{}")
    for root in (tmp_path / name, tmp_path):
        with pytest.raises(InputError, match="takes braces in a path for wildcards"):
            index_files(source, root)


def test_corrected_labels_and_added_recordings_are_planned_again(tmp_path: Path) -> None:
    checkout = copy_checkout(tmp_path / "checkout")
    root = tmp_path / "mine"
    make("folder", root)
    for scene in ("a", "b"):
        put(root / scene / "calibration.json", json.dumps(CALIBRATION))
    overlay = {"sources": {"mine": {"kind": "folder", "root": str(root), "settings": {"train": "all", "val": "all"}}}}
    overlay["sources"]["mine"]["settings"] |= {"train_shards": 1, "val_shards": 1}
    (checkout / "mine.yaml").write_text(yaml.safe_dump(overlay))
    target = "results/mine/objects/val-000of001.parquet"
    run = ("--configfile", "mine.yaml", "--", target)
    for stage in ("frames", "annotations", "objects"):
        for shard in ("train", "val"):
            for ending in ("parquet", "h5"):
                put(checkout / "results" / "mine" / stage / f"{shard}-000of001.{ending}", "")
    snakemake(checkout, "--touch", "--forceall", *run)

    def planned() -> set[str]:
        text = snakemake(checkout, "--dry-run", "--printshellcmds", *run)
        return {rule for rule in ("ingest_mine", "annotations_mine", "objects") if f"rule {rule}:" in text}

    assert planned() == set()
    put(root / "a" / "labels" / "1.json", "corrected")
    assert planned() == {"annotations_mine", "objects"}
    put(root / "a" / "clouds" / "2.bin", "x")
    assert planned() == {"ingest_mine", "annotations_mine", "objects"}
    shutil.move(root, tmp_path / "my{data}")
    overlay["sources"]["mine"]["root"] = str(tmp_path / "my{data}")
    (checkout / "mine.yaml").write_text(yaml.safe_dump(overlay))
    assert "takes braces in a path for wildcards" in snakemake(checkout, "--dry-run", *run, check=False)
