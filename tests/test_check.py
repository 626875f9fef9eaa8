"""``clip2 check``: on the real nuScenes key frame, on copies of it made wrong, and on a tiny built-in world."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from test_outline import record, touch
from tiny_nuscenes import SCENES, VERSION, make_tables, write_recordings, write_tables

from clip2.runtime.errors import InputError
from clip2.scans.nuscenes import annotations as nuscenes_annotations
from clip2.scans.nuscenes.devkit import open_scenes
from clip2.scans.nuscenes.settings import NuscenesSettings
from clip2.scans.shards import shard_names
from clip2.scans.survey import Item, Survey, print_survey
from clip2.store.tables import iterate_rows
from clip2.workflow.check import check, read_config

SAMPLE = "sample:fd8420396768425eabec9bdddf7e64b6"


@pytest.fixture
def folder(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with the checkout's configuration and, over it, one for the real key frame."""
    shutil.copy(repository / "config.yaml", tmp_path)
    overlay = {"sources": {"sample": {"kind": "nuscenes", "settings": {"version": "v1.0-mini"}}}}
    overlay["sources"]["sample"]["settings"] |= {"train": SAMPLE, "val": SAMPLE}
    (tmp_path / "sample.yaml").write_text(yaml.safe_dump(overlay))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.real
def test_the_real_key_frame_is_counted_and_makes_sense(
    folder: Path, realdata: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check("sample", [folder / "sample.yaml"], realdata / "nuscenes")
    told = capsys.readouterr().out
    assert "train: 6 frames" in told
    assert "share 1 scenes" in told
    assert "make sense" in told
    assert not (folder / "results").exists()  # it only looks


def test_what_can_not_be_measured_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = folder / "robot"
    for scene in ("monday", "tuesday"):
        record(root / scene, ["a", "b"])
    settings = {"train": "scene:monday", "val": "scene:tuesday"}
    overlay = folder / "mine.yaml"
    overlay.write_text(yaml.safe_dump({"sources": {"mine": {"kind": "folder", "settings": settings}}}))

    def notes() -> str:
        with pytest.raises(InputError, match="cannot read"):  # the files are empty; what is told stands before
            check("mine", [overlay], root)
        return " ".join(capsys.readouterr().out.split())

    assert "no results: val: none of its 2 samples has a file labels/STEM.json" in notes()
    touch(root / "tuesday" / "labels" / "a.json", "[]")
    assert "no audit and no few-shot results: train: none of its 2 samples" in notes()
    touch(root / "monday" / "labels" / "a.json", "[]")
    assert "no results" not in notes()


@pytest.mark.real
def test_a_camera_turned_on_its_side_is_told(folder: Path, realdata: Path) -> None:
    root = shutil.copytree(realdata / "nuscenes", folder / "wrong", symlinks=False)
    table = root / "v1.0-mini" / "calibrated_sensor.json"
    rows = json.loads(table.read_text())
    for row in rows:
        if row["camera_intrinsic"]:  # a quarter turn about the optical axis: q · (cos 45°, 0, 0, sin 45°)
            w, x, y, z = row["rotation"]
            half = 0.5**0.5
            row["rotation"] = [half * (w - z), half * (x + y), half * (y - x), half * (z + w)]
    table.write_text(json.dumps(rows))
    with pytest.raises(InputError, match=r"90° away from the points' up|8\d° away|9\d° away"):
        check("sample", [folder / "sample.yaml"], root)


@pytest.mark.real
def test_missing_images_are_counted(folder: Path, realdata: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = shutil.copytree(realdata / "nuscenes", folder / "part")
    next((root / "samples" / "CAM_BACK").iterdir()).unlink()
    with pytest.raises(InputError, match=r"detect cannot read the pictures of 16\.7% of the frames of train-\d+of\d+"):
        check("sample", [folder / "sample.yaml"], root)
    told = " ".join(capsys.readouterr().out.split())
    assert "images 5 6" in told
    assert "make sense" not in told
    shutil.rmtree(root / "samples")
    with pytest.raises(InputError, match="no key-frame clouds at all"):
        check("sample", [folder / "sample.yaml"], root)


# --- what the run will do --------------------------------------------------------------------------------------------

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 123456\n"


@pytest.fixture
def tiny(folder: Path) -> Path:
    """A tiny data set in nuScenes' form, and a configuration for it (tiny.yaml)."""
    tables = make_tables()
    write_tables(folder / "tiny", tables)
    write_recordings(folder / "tiny", tables)
    settings = {"version": VERSION, "train": "all", "val": f"scene:{SCENES[0]}", "train_shards": 2, "val_shards": 1}
    (folder / "tiny.yaml").write_text(yaml.safe_dump({"sources": {"tiny": {"kind": "nuscenes", "settings": settings}}}))
    return folder


def check_tiny(folder: Path, capsys: pytest.CaptureFixture[str], **settings: Any) -> str:
    """What ``clip2 check`` prints, and the error that it ends with."""
    overlay = {"sources": {"tiny": {"settings": settings}}}
    (folder / "more.yaml").write_text(yaml.safe_dump(overlay))
    try:
        check("tiny", [folder / "tiny.yaml", folder / "more.yaml"], folder / "tiny")
        error = ""
    except InputError as raised:
        error = str(raised)
    told = " ".join(capsys.readouterr().out.split())
    assert ("make sense" in told) == (not error)
    return f"{told} ERROR {error}"


def replace_all(root: Path, data: bytes | None) -> None:
    for path in root.rglob("*.*"):
        path.unlink()
        if data is not None:
            path.write_bytes(data)


def test_a_good_one_is_green(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check_tiny(tiny, capsys).endswith("ERROR ")


@pytest.mark.parametrize("folders", [("CAM_FRONT",), ("LIDAR_TOP",), ("CAM_FRONT", "LIDAR_TOP")])
def test_pointers_are_named_and_never_green(
    tiny: Path, capsys: pytest.CaptureFixture[str], folders: tuple[str, ...]
) -> None:
    for name in folders:
        replace_all(tiny / "tiny" / "samples" / name, POINTER)
    stage, kind = ("detect", "pictures") if "CAM_FRONT" in folders else ("lift", "clouds")
    told = check_tiny(tiny, capsys)
    assert f"ERROR {tiny / 'tiny'}: {stage} cannot read the {kind} of 100.0% of the frames" in told
    assert "is a Git LFS pointer and not the file itself: run `git lfs pull`" in told


def test_links_that_lead_nowhere_are_named(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (tiny / "tiny" / "samples").rglob("*.jpg"):
        path.unlink()
        path.symlink_to("/mnt/archive/" + path.name)
    told = check_tiny(tiny, capsys)
    assert "no images at all" in told
    assert "is a link to /mnt/archive/" in told


def test_sweeps_that_are_not_there_are_foretold(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Key frames only, and `n_sweeps` above 1: found and told before the detector has worked for a day."""
    tables = make_tables()
    for row in [row for row in tables["sample_data"] if row["calibrated_sensor_token"] == "c-lidar"]:
        sweep = row | {"token": f"{row['token']}-sweep", "is_key_frame": False}
        sweep["filename"] = row["filename"].replace("samples", "sweeps")
        sweep["timestamp"] -= 50_000
        row["prev"] = sweep["token"]
        tables["sample_data"].append(sweep)
        tables["ego_pose"].append(tables["ego_pose"][0] | {"token": row["token"]})
    write_tables(tiny / "tiny", tables)
    assert check_tiny(tiny, capsys).endswith("ERROR ")
    told = check_tiny(tiny, capsys, n_sweeps=2)
    assert "4 of 4 earlier sweeps are missing or wrong" in told
    assert "lift cannot read the earlier sweeps of 100.0% of the frames of train" in told


def test_a_few_that_are_missing_are_told_and_passed_over(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    next((tiny / "tiny" / "samples" / "CAM_FRONT").iterdir()).unlink()
    (tiny / "tiny.yaml").write_text(
        (tiny / "tiny.yaml").read_text() + yaml.safe_dump({"detectors": {"tiny_owl": {"max_bad_share": 0.5}}})
    )
    told = check_tiny(tiny, capsys)
    assert "1 of 4 pictures are missing or wrong" in told
    assert told.endswith("ERROR ")


def test_maps_are_not_asked_for(tiny: Path) -> None:
    shutil.rmtree(tiny / "tiny" / "maps")
    nusc = open_scenes(tiny / "tiny", VERSION, {SCENES[0]})
    assert len(nusc.sample) == 2


def test_other_categories_are_told_and_can_be_mapped(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tables = make_tables()
    for row, name in zip(tables["category"], ("auto", "lorry"), strict=True):
        row["name"] = name
    write_tables(tiny / "tiny", tables)
    assert "none of the 2 categories (auto, lorry …) is one of nuScenes'" in check_tiny(tiny, capsys)
    mapped = {"auto": "vehicle.car", "lorry": "truck", "tram": "bus"}
    told = check_tiny(tiny, capsys, categories=mapped)
    assert "is one of nuScenes'" not in told
    assert "settings.categories names tram, which no category of these tables is called" in told
    settings = NuscenesSettings(version=VERSION, train="all", val="all", val_shards=1, categories=mapped)
    nuscenes_annotations.run(tiny / "tiny", tiny / "out", "tiny", settings)
    rows = iterate_rows(tiny / "out" / f"{shard_names('val', 1)[0]}.parquet")
    assert [row["class_name"] for row in rows] == ["car", "truck"] * 4


def test_categories_that_are_called_as_the_classes_need_no_map() -> None:
    """Lyft's are: without a map there were 0 objects, and no word of it."""
    named = {"car": "car", "other_vehicle": None, "vehicle.car": "car", "animal": None, "bicycle": "bicycle"}
    assert {name: nuscenes_annotations.class_of(name, {}) for name in named} == named


def test_pictures_of_another_kind_are_told(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    deep = np.full((240, 320, 3), 4000, np.uint16)
    deep[:120] = 2000
    for path in (tiny / "tiny" / "samples" / "CAM_FRONT").iterdir():
        path.write_bytes(bytes(cv2.imencode(".png", deep)[1]))
    assert "note: pictures have 16 bits a channel, 12 of them in use" in check_tiny(tiny, capsys)


def test_what_cannot_be_checked_is_said(folder: Path) -> None:
    with pytest.raises(InputError, match="no source 'nothing'; the configuration has: world"):
        check("nothing", [], None)
    with pytest.raises(InputError, match=r"make it with `snakemake results/world/raw/world\.json`"):
        check("world", [], None)
    with pytest.raises(InputError, match="give its data root with --dataroot"):
        check("sample", [folder / "sample.yaml"], folder / "nowhere")


def test_configurations_are_laid_over_one_another_as_snakemake_does_it(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("x: {y: 1, z: 2}\nw: [1, 2]\n")
    (tmp_path / "b.yaml").write_text("x: {y: 3}\nw: [4]\n")
    assert read_config([tmp_path / "a.yaml", tmp_path / "b.yaml"]) == {"x": {"y": 3, "z": 2}, "w": [4]}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"a: {x: 1}\nb: 2\na: {y: 1}\n", "not readable as YAML .key 'a' stands twice"),
        (b"a:\n  x: 1\n  x: 2\n", "key 'x' stands twice"),
        (b"- a\n- b\n", "holds no settings .*but a list"),
        (b"just words", "but a str"),
        ("a: ü\n".encode("latin-1"), "is no UTF-8 text; save it as UTF-8"),
        ("a: 1\n".encode("utf-16"), "is no UTF-8 text"),
        (b"a: \x00\x01", "not readable as YAML"),
        (b"a: 2001-99-99\n", "not readable as YAML"),
        (None, "cannot be read .Is a directory"),
    ],
)
def test_what_is_no_configuration_is_one_line(tmp_path: Path, data: bytes | None, said: str) -> None:
    path = tmp_path / "a.yaml"
    path.mkdir() if data is None else path.write_bytes(data)
    with pytest.raises(InputError, match=rf"a\.yaml: {said}|a\.yaml: .*{said}") as error:
        read_config([path])
    assert "\n" not in str(error.value)


def test_merged_keys_stand_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: &a {x: 1, y: 1}\nb: {<<: *a, x: 2}\nc:\n")
    assert read_config([tmp_path / "a.yaml"])["b"] == {"x": 2, "y": 1}


# --- what a look at each file finds ----------------------------------------------------------------------------------


def put_file(path: Path, data: bytes) -> None:
    path.unlink()
    path.write_bytes(data)


def put_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def put_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


DAMAGE: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "a page": ("CAM_FRONT", lambda path: put_file(path, b"<!DOCTYPE html>" + b" " * 3000), "is a web page"),
    "of half the size": (
        "CAM_FRONT",
        lambda path: put_file(path, bytes(cv2.imencode(".jpg", np.zeros((120, 160, 3), np.uint8))[1])),
        "is 160×120, its calibration is for 320×240",
    ),
    "half a cloud": ("LIDAR_TOP", lambda path: put_file(path, path.read_bytes()[:-7]), "is not a whole number of 5"),
    "a folder": ("LIDAR_TOP", put_folder, "is a folder"),
    "a pipe": ("LIDAR_TOP", put_pipe, "is a pipe or a device, and no file"),
    "of gigabytes": ("LIDAR_TOP", lambda path: os.truncate(path, 5 << 30), "more than any scan or picture has"),
}


@pytest.mark.parametrize(("sensor", "damage", "said"), DAMAGE.values(), ids=DAMAGE)
def test_each_file_is_looked_at(
    tiny: Path, capsys: pytest.CaptureFixture[str], sensor: str, damage: Callable[[Path], None], said: str
) -> None:
    damage(sorted((tiny / "tiny" / "samples" / sensor).iterdir())[0])
    told = check_tiny(tiny, capsys)
    assert f"1 of 4 {'pictures' if sensor == 'CAM_FRONT' else 'clouds'} are missing or wrong: " in told
    assert said in told
    assert "% of the frames of" in told.partition("ERROR")[2]


def test_pictures_that_show_nothing_are_told(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    black = bytes(cv2.imencode(".jpg", np.zeros((240, 320, 3), np.uint8))[1])
    first, *others = sorted((tiny / "tiny" / "samples" / "CAM_FRONT").iterdir())
    first.write_bytes(black)
    told = check_tiny(tiny, capsys)
    assert "1 of 4 pictures looked at have hardly any contrast" in told
    assert told.endswith("ERROR ")
    for path in others:
        path.write_bytes(black)
    told = check_tiny(tiny, capsys).partition("ERROR")[2]
    assert "all pictures looked at are of one grey" in told
    assert "the run will stop" not in told
    night = np.random.default_rng(0).integers(0, 4, (240, 320, 3)).astype(np.uint8)
    for path in [first, *others]:
        path.write_bytes(bytes(cv2.imencode(".jpg", night)[1]))
    told = check_tiny(tiny, capsys)
    assert "4 of 4 pictures looked at have hardly any contrast" in told
    assert told.endswith("ERROR ")


def test_what_repeats_is_told(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "3 of 4 clouds looked at repeat another one; samples/LIDAR_TOP/" in check_tiny(tiny, capsys)


def test_names_with_brackets_are_told_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    item = Item("[b]x[/b]", 0, 1, "[old]/a.bin")
    print_survey(Survey("[d]", Path("/data/[old]"), "real", [item], {}, remarks=["[/drive_a]"], fatal=["[x] :car:"]))
    told = capsys.readouterr().out
    for words in ("[d] at /data/[old]", "[b]x[/b]", "[old]/a.bin", "note: [/drive_a]", "cannot start: [x] :car:"):
        assert words in told
