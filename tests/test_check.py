"""``clip2 check``: on the real nuScenes key frame, on copies of it made wrong, and on a tiny built-in world."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from clip2.check import check, read_config
from clip2.errors import InputError

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
    check("sample", [folder / "sample.yaml"], root)
    told = " ".join(capsys.readouterr().out.split())
    assert "images 5 6" in told
    shutil.rmtree(root / "samples")
    with pytest.raises(InputError, match="no key-frame clouds at all"):
        check("sample", [folder / "sample.yaml"], root)


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
