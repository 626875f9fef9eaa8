"""What several test files share: the repository, and the folder of real sample frames."""

import json
import math
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from labelled_world import Labelled, nuscenes_world

from clip2.runtime import guard

REPOSITORY = Path(__file__).resolve().parents[1]


LONGEST_FIRST = (
    *("test_end_to_end.py", "test_cluster.py", "test_faults.py", "test_workflow.py", "test_tutorials.py"),
    *("test_benchmarks.py", "test_onnx.py", "test_explore_page.py", "test_pretrain_distributed.py", "test_doctor.py"),
)
"""Files whose tests take minutes: begun last, one would run alone to the end, and the other processors wait."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first; ``--no-loadscope-reorder`` in the Makefile keeps this order."""
    place = {name: number for number, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))


@pytest.fixture(autouse=True)
def no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test is part of a job that another one began by calling the command line in this process."""
    monkeypatch.setattr(guard, "_noted", None)
    monkeypatch.setattr(guard, "_used", set())


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of this checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def realdata() -> Path:
    """Folder of real sample frames: CLIP2_REALDATA, else shared/realdata beside the checkout. Without: a loud skip."""
    folder = Path(os.environ.get("CLIP2_REALDATA", REPOSITORY.parent / "shared" / "realdata"))
    if not (folder / "frames.json").is_file():
        message = f"REAL DATA NOT TESTED: no sample frames in {folder}; set CLIP2_REALDATA"
        warnings.warn(message, stacklevel=1)
        pytest.skip(message)
    return folder


@pytest.fixture(scope="session")
def sequences() -> Path:
    """Folder of real drives: CLIP2_SEQUENCES, else shared/sequences beside the checkout. Without: a loud skip."""
    folder = Path(os.environ.get("CLIP2_SEQUENCES", REPOSITORY.parent / "shared" / "sequences"))
    if not (folder / "kitti_0052" / "sequences.json").is_file():
        message = f"REAL SEQUENCES NOT TESTED: none in {folder}; set CLIP2_SEQUENCES"
        warnings.warn(message, stacklevel=1)
        pytest.skip(message)
    return folder


def drive_as_folder(drive: Path, root: Path, every: int = 1) -> Path:
    """A real drive (``sequences.json``) as a folder of recordings: clouds, pictures, labels, poses, times."""
    (root / "poses").mkdir(parents=True)
    for name in ("velodyne", "image_02", "labels"):
        (root / name).mkdir()
    frames = json.loads((drive / "sequences.json").read_text())["frames"][::every]
    for frame in frames:
        stem = Path(frame["cloud"]["path"]).stem
        ((name, camera),) = frame["cameras"].items()
        (root / "velodyne" / f"{stem}.bin").symlink_to(drive / frame["cloud"]["path"])
        (root / name / f"{stem}.png").symlink_to(drive / camera["image"])
        pose = "\n".join(" ".join(map(repr, row)) for row in frame["T_world_from_points"])
        (root / "poses" / f"{stem}.txt").write_text(pose)
        labels = [
            {
                "name": box["class"],
                "center": box["center"],
                "size_lwh": box["size_lwh"],
                "yaw": math.atan2(box["R"][1][0], box["R"][0][0]),
                "track": box["track"],
            }
            for box in frame["boxes"]
        ]
        (root / "labels" / f"{stem}.json").write_text(json.dumps(labels))
    times = "".join(f"{Path(frame['cloud']['path']).stem} {frame['timestamp']}\n" for frame in frames)
    (root / "timestamps.txt").write_text(times)
    keys = ("width", "height", "K", "T_cam_from_points")
    calibration = {
        "sensor": "lidar",
        "up": "z",
        "units": "m",
        "clouds": {"folder": "velodyne", "format": "float32x4", "pose_folder": "poses"},
        "cameras": {name: {"image_folder": name, **{key: camera[key] for key in keys}}},
    }
    (root / "calibration.json").write_text(json.dumps(calibration))
    return root


def copy_checkout(folder: Path) -> Path:
    """What a run needs of this checkout, copied into a new folder (with times, without results)."""
    folder.mkdir(parents=True)
    for name in ("Snakefile", "rules", "config.yaml", "config", "schemas", "envs", "profiles", "src", "resources"):
        if (REPOSITORY / name).is_dir():
            shutil.copytree(
                REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
            )
        else:
            shutil.copy2(REPOSITORY / name, folder / name)
    return folder


def snakemake(folder: Path, *arguments: str, check: bool = True, width: int = 120) -> str:
    """Run Snakemake in a folder, with this checkout's screen; what it printed, in a pipe of so many columns."""
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src"), "COLUMNS": str(width)}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)
    if check and done.returncode:
        raise AssertionError(done.stdout + done.stderr)
    return done.stdout + done.stderr


@pytest.fixture(scope="session")
def labelled_world(tmp_path_factory: pytest.TempPathFactory) -> Labelled:
    """A small street in nuScenes' form with exact labels."""
    return nuscenes_world(tmp_path_factory.mktemp("labelled"))
