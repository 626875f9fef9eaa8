"""Wrong axes, units and calibrations are noticed: on real frames (KITTI, nuScenes, SUN RGB-D), and those made wrong."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clip2.runtime.errors import InputError
from clip2.scans.sanity import FrameCheck, complaints, doubts, frame_facts

Frame = dict[str, Any]
SENSORS = {"kitti": "lidar", "nuscenes": "lidar", "sunrgbd": "rgbd"}


@pytest.fixture(scope="module")
def real_frames(realdata: Path) -> dict[str, list[tuple[Frame, np.ndarray]]]:
    """Frames of each set, as rows of our own schema, with their points."""
    found: dict[str, list[tuple[Frame, np.ndarray]]] = {}
    for frame in json.loads((realdata / "frames.json").read_text())["frames"]:
        cloud = frame["cloud"]
        points = np.fromfile(realdata / cloud["path"], "<f4").reshape(-1, int(cloud["format"][4:]))[:, :3]
        for camera in frame["cameras"].values():
            row = {key: camera[key] for key in ("K", "T_cam_from_points", "width", "height")}
            found.setdefault(frame["set"], []).append((row, points))
    return found


@pytest.mark.real
@pytest.mark.parametrize("name", SENSORS)
def test_real_frames_pass(real_frames: dict[str, list[tuple[Frame, np.ndarray]]], name: str) -> None:
    facts = [frame_facts(row, points) for row, points in real_frames[name]]
    assert complaints(facts, SENSORS[name]) == []


def turned(frame: Frame, rotation: np.ndarray) -> Frame:
    """The frame as it would be had somebody declared other axes for points and camera alike."""
    T = np.array(frame["T_cam_from_points"], float)
    T[:3, :3] = T[:3, :3] @ rotation.T
    return frame | {"T_cam_from_points": T}


Y_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
DOWN = np.diag([1.0, -1, -1])


@pytest.mark.real
@pytest.mark.parametrize("name", SENSORS)
@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda row, points: (turned(row, Y_UP), points @ Y_UP.T), "axes or the camera's rotation"),
        (lambda row, points: (turned(row, DOWN), points @ DOWN.T), "axes or the camera's rotation"),
        (lambda row, points: (row, points * 1000), "units are wrong"),
        # Near the sensor all points are as far as the camera is, so either complaint may come.
        (lambda row, points: (row, points / 1000), "wrong|another sensor"),
    ],
)
def test_what_is_wrong_is_named(
    real_frames: dict[str, list[tuple[Frame, np.ndarray]]], name: str, break_it: Callable, message: str
) -> None:
    facts = [frame_facts(*break_it(row, points)) for row, points in real_frames[name]]
    found = "; ".join(complaints(facts, SENSORS[name]))
    assert re.search(message, found)


@pytest.mark.real
def test_points_of_another_place_are_noticed(real_frames: dict[str, list[tuple[Frame, np.ndarray]]]) -> None:
    row, points = real_frames["sunrgbd"][0]
    facts = [frame_facts(row, points * [1, -1, 1])]  # behind the camera
    assert "calibration belongs to another sensor" in "; ".join(complaints(facts, "rgbd"))


@pytest.mark.real
def test_depths_that_are_near_are_doubted(real_frames: dict[str, list[tuple[Frame, np.ndarray]]]) -> None:
    for scale, told in ((1, 0), (0.1, 1)):
        facts = [frame_facts(row, points * scale) for row, points in real_frames["sunrgbd"]]
        assert len(doubts(facts, "rgbd")) == told
        assert doubts(facts, "lidar") == []


def test_a_stage_stops_with_the_file_s_name() -> None:
    """Made: a camera that lies on its side."""
    row = {"K": np.diag([100.0, 100, 1]), "T_cam_from_points": np.eye(4), "width": 100, "height": 100, "scene": "s"}
    points = np.random.default_rng(0).uniform(1, 5, (100, 3))
    check = FrameCheck("lidar", "frames.parquet")
    for _ in range(FrameCheck.ENOUGH - 1):
        check.add(row, points)
    with pytest.raises(InputError, match=r"frames\.parquet: .*clip2 check"):
        check.add(row, points)


def test_a_hand_held_camera_may_look_at_the_floor_for_a_while() -> None:
    """Made: a scan that begins looking straight down, and some that look ahead."""
    down = np.array([[1.0, 0, 0, 0], [0, -1, 0, 0], [0, 0, -1, 1.5], [0, 0, 0, 1]])
    ahead = np.array([[1.0, 0, 0, 0], [0, 0, -1, 1.5], [0, 1, 0, 0], [0, 0, 0, 1]])
    rng = np.random.default_rng(0)
    floor, wall = (
        rng.uniform((-0.5, -0.5, 0), (0.5, 0.5, 0.1), (99, 3)),
        rng.uniform((-1, 2, 0.5), (1, 3, 2.5), (99, 3)),
    )
    row = {"K": np.array([[100.0, 0, 100], [0, 100, 100], [0, 0, 1]]), "width": 200, "height": 200}
    check = FrameCheck("rgbd", "frames.parquet")
    for _ in range(FrameCheck.ENOUGH):
        check.add({**row, "T_cam_from_points": down, "scene": "0"}, floor)
    for i in range(1, 4):
        for _ in range(FrameCheck.ENOUGH):
            check.add({**row, "T_cam_from_points": ahead, "scene": str(i)}, wall)
    check.finish()
    wrong = FrameCheck("rgbd", "frames.parquet")
    for i in range(FrameCheck.SCENES - 1):
        for _ in range(FrameCheck.ENOUGH):
            wrong.add({**row, "T_cam_from_points": down, "scene": str(i)}, floor)
    with pytest.raises(InputError, match="up direction"):
        wrong.add({**row, "T_cam_from_points": down, "scene": "last"}, floor)


def test_a_few_frames_decide_at_the_end_only() -> None:
    row = {"K": np.diag([100.0, 100, 1]), "T_cam_from_points": np.eye(4), "width": 100, "height": 100, "scene": "s"}
    check = FrameCheck("rgbd", "frames.parquet")
    check.add(row, np.ones((10, 3)))
    with pytest.raises(InputError):
        check.finish()
    FrameCheck("objects", "o").add(row, np.ones((10, 3)))  # nothing to say about sets of single objects
