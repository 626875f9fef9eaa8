"""Poses: which are refused, and what frames hold of them; made scenes, and a real drive."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import drive_as_folder

from clip2.geometry import rigid, transform_points, yaw_rotation
from clip2.runtime.errors import InputError
from clip2.scans.clouds import load_points
from clip2.scans.folder import frames as folder_frames
from clip2.scans.folder.settings import FolderSettings
from clip2.scans.poses import PoseCheck, Standing, check_rigid, meeting, pose_complaints
from clip2.scans.sanity import FrameCheck
from clip2.store.tables import iterate_rows, read_header

Row = dict[str, Any]
CAM_FROM_UPRIGHT = np.array([[0.0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
AXES = rigid(yaw_rotation(np.pi / 2), np.zeros(3))


def street(rng: np.random.Generator) -> np.ndarray:
    """Poles, two walls with corners and a flat ground, (N, 3)."""
    poles = [np.column_stack([np.full((40, 2), rng.uniform(-25, 25, 2)), np.linspace(0, 4, 40)]) for _ in range(60)]
    wall = np.column_stack([rng.uniform(-30, 30, 1000), np.full(1000, 14.0), rng.uniform(0, 5, 1000)])
    ground = np.column_stack([rng.uniform(-30, 30, (2000, 2)), np.zeros(2000)])
    return np.concatenate([*poles, wall, wall * [1, -1, 1], ground])


def samples(
    sensor: str = "lidar",
    wrong: Callable[[np.ndarray], np.ndarray] = lambda T: T,
    step: float = 1.5,
    bend: float = 0.05,
) -> list[tuple[Row, np.ndarray]]:
    """Ten samples of one drive on a bend; ``wrong`` makes declared poses of the right ones."""
    rng = np.random.default_rng(0)
    world, found = street(rng), []
    for i in range(10):
        T = rigid(yaw_rotation(bend * step * i), [step * i - 7, 0.3 * step * i, 1.8])
        near = world + rng.normal(0, 0.02, world.shape)
        in_sensor = transform_points(near, np.linalg.inv(T))
        row = {
            "scene": "s", "sample": str(i), "camera": "C", "width": 800, "height": 400,
            "K": np.array([[400.0, 0, 400], [0, 400, 200], [0, 0, 1]]),
        }  # fmt: skip
        if sensor == "lidar":
            row |= {"T_cam_from_points": CAM_FROM_UPRIGHT, "T_scene_from_points": wrong(T)}
            found.append((row, in_sensor))
        else:  # points are in the scene's frame by the declared pose
            seen = in_sensor[(in_sensor[:, 0] > 0.5) & (np.abs(in_sensor[:, 1]) < in_sensor[:, 0])]
            T_cam_from_scene = CAM_FROM_UPRIGHT @ np.linalg.inv(wrong(T))
            row |= {"T_cam_from_points": T_cam_from_scene, "T_scene_from_points": np.eye(4)}
            found.append((row, transform_points(seen, wrong(T))))
    return found


def complaints(seen: list[tuple[Row, np.ndarray]], sensor: str) -> list[str]:
    check = PoseCheck(sensor)
    for row, points in seen:
        check.add(row, points)
    assert check.meetings
    return pose_complaints(check.meetings, sensor)


def in_millimetres(T: np.ndarray) -> np.ndarray:
    return rigid(T[:3, :3], 1000 * T[:3, 3])


@pytest.mark.parametrize("sensor", ["lidar", "rgbd"])
def test_right_poses_pass(sensor: str) -> None:
    assert complaints(samples(sensor), sensor) == []


@pytest.mark.parametrize("sensor", ["lidar", "rgbd"])
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.linalg.inv, "inverses of what they should be"),
        (lambda T: AXES @ T @ AXES.T, "other axes or units"),
        (in_millimetres, "other axes or units"),
    ],
)
def test_wrong_poses_are_named(sensor: str, wrong: Callable[[np.ndarray], np.ndarray], message: str) -> None:
    (found,) = complaints(samples(sensor, wrong), sensor)
    assert message in found or sensor == "rgbd"  # of narrow views, only that something is wrong


def standing(seen: list[tuple[Row, np.ndarray]], sensor: str) -> list[str]:
    check = PoseCheck(sensor)
    for row, points in seen:
        check.add(row, points)
    assert not check.meetings
    return check.complaints()


@pytest.mark.parametrize("sensor", ["lidar", "rgbd"])
def test_a_sensor_may_stand(sensor: str) -> None:
    seen = samples(sensor, step=0.01)
    assert isinstance(meeting(*seen[0], *seen[1], sensor), Standing)
    assert standing(seen, sensor) == []


@pytest.mark.parametrize("sensor", ["lidar", "rgbd"])
def test_poses_that_are_all_the_same_are_named(sensor: str) -> None:
    (found,) = standing(samples(sensor, lambda _: np.eye(4), bend=0.01), sensor)
    assert "the sensor stands, but their static structure" in found


@pytest.mark.real
def test_a_real_drive_does_not_stand(sequences: Path, tmp_path: Path) -> None:
    """KITTI's drive 0052, two metres a sample, as if it had not moved; and at its own ten a second, which is right."""
    for every, said in ((8, "meets within"), (1, "")):
        root = drive_as_folder(sequences / "kitti_0052", tmp_path / f"drive{every}", every)
        check = PoseCheck("lidar")
        for frame in ingest(root, tmp_path / f"frames{every}")[:4]:
            pose = {"T_scene_from_points": np.eye(4)} if every > 1 else {}
            check.add(frame | pose, load_points(frame["clouds"], root))
        assert len(check.standing) == 3
        assert said in "; ".join(check.complaints())
        assert bool(said) == bool(check.complaints())


def test_without_poses_and_over_scenes_nothing_is_compared() -> None:
    check = PoseCheck("lidar")
    for number, (row, points) in enumerate(samples()):
        check.add(row | {"scene": str(number)}, points)
        check.add(row | {"T_scene_from_points": None}, points)
    assert check.meetings == []


def test_lifting_stops_on_wrong_poses() -> None:
    check, seen = FrameCheck("lidar", "frames.parquet"), samples(wrong=np.linalg.inv)
    for row, points in seen[:-2]:
        check.add(row, points)
    with pytest.raises(InputError, match=r"frames\.parquet: .*inverses.*clip2 check"):
        check.add(*seen[-2])


@pytest.mark.parametrize(
    "T", [np.eye(3), np.full((4, 4), np.nan), np.diag([2.0, 1, 1, 1]), np.diag([-1.0, 1, 1, 1]), np.ones((4, 4))]
)
def test_what_is_no_pose_is_refused(T: np.ndarray) -> None:
    with pytest.raises(ValueError, match="the pose is not a rotation with a shift"):
        check_rigid("the pose", T)


# --- a folder of recordings -------------------------------------------------------------------------------------------

ALL = FolderSettings(train="all", val="all", train_shards=1, val_shards=1)


def ingest(root: Path, out: Path) -> list[Row]:
    folder_frames.run(root, out, "mine", ALL)
    return list(iterate_rows(out / "val-000of001.parquet"))


def made_folder(root: Path, up: str = "z", units: str = "m") -> Path:
    """Three clouds with poses and times, in the root itself."""
    turn = {"z": np.eye(4), "y": np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])}[up]
    scale = {"m": 1.0, "mm": 1000.0}[units]
    for name in ("clouds", "images", "poses"):
        (root / name).mkdir(parents=True)
    for i in range(3):
        np.save(root / "clouds" / f"{i}.npy", np.random.default_rng(i).uniform(1, 9, (50, 3)).astype(np.float32))
        (root / "images" / f"{i}.png").write_bytes(b"not opened by ingest")
        pose = turn @ rigid(yaw_rotation(0.1 * i), [2.0 * i, 1, 0]) @ turn.T
        pose[:3, 3] *= scale
        np.savetxt(root / "poses" / f"{i}.txt", pose)
    (root / "timestamps.txt").write_text("0 1500000000.25\n1 1500000000.75\n2 1500000001.25\n")
    camera = {
        "image_folder": "images", "width": 100, "height": 50, "K": [[50, 0, 50], [0, 50, 25], [0, 0, 1]],
        "T_cam_from_points": (CAM_FROM_UPRIGHT @ turn.T).tolist(),
    }  # fmt: skip
    clouds = {"folder": "clouds", "format": "npy", "pose_folder": "poses"}
    calibration = {"sensor": "lidar", "up": up, "units": units, "clouds": clouds, "cameras": {"left": camera}}
    (root / "calibration.json").write_text(json.dumps(calibration))
    return root


@pytest.mark.parametrize(("up", "units"), [("z", "m"), ("y", "mm")])
def test_poses_of_a_folder_are_upright_and_in_metres(tmp_path: Path, up: str, units: str) -> None:
    frames = ingest(made_folder(tmp_path / "mine", up, units), tmp_path / "frames")
    assert {frame["scene"] for frame in frames} == {"recording"}  # one frame of reference makes one scene of the root
    assert [frame["timestamp_us"] for frame in frames] == [1500000000250000, 1500000000750000, 1500000001250000]
    for i, frame in enumerate(frames):
        T = np.reshape(frame["T_scene_from_points"], (4, 4))
        np.testing.assert_allclose(T, rigid(yaw_rotation(0.1 * i), [2.0 * i, 1, 0]), atol=1e-9)


@pytest.mark.parametrize("lost", [None, "nan nan nan nan\n" * 4])
def test_a_lost_pose_is_counted_and_the_sample_kept(tmp_path: Path, lost: str | None) -> None:
    root = made_folder(tmp_path / "mine")
    (root / "poses" / "1.txt").unlink()
    if lost:
        (root / "poses" / "1.txt").write_text(lost)
    frames = ingest(root, tmp_path / "frames")
    assert [frame["T_scene_from_points"] is None for frame in frames] == [False, True, False]
    assert read_header(tmp_path / "frames" / "val-000of001.parquet")["counts"]["samples_without_pose"] == 1


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda root: (root / "poses" / "1.txt").write_text("1 0 0\n"), r"1\.txt: the pose is not a rotation"),
        (lambda root: (root / "poses" / "1.txt").write_text("a b\n"), r"1\.txt: could not convert"),
        (lambda root: np.savetxt(root / "poses" / "1.txt", 2 * np.eye(4)), r"1\.txt: the pose is not a rotation"),
        (lambda root: np.savetxt(root / "poses" / "1.txt", CAM_FROM_UPRIGHT), r"1\.txt: turns up away from up"),
        (lambda root: shutil.rmtree(root / "poses"), "holds no pose STEM.txt of any cloud"),
        (lambda root: (root / "timestamps.txt").write_text("0 1.0\n1 2.0\n"), "has no time of 2"),
        (lambda root: (root / "timestamps.txt").write_text("0 1\n1 2\n2 2\n"), "some samples have the same time"),
        (lambda root: (root / "timestamps.txt").write_text("0 1\n1 noon\n2 3\n"), "not lines of `STEM seconds`"),
    ],
)
def test_what_cannot_be_right_is_refused(tmp_path: Path, damage: Callable[[Path], Any], message: str) -> None:
    root = made_folder(tmp_path / "mine")
    damage(root)
    with pytest.raises(InputError, match=message):
        ingest(root, tmp_path / "frames")


def test_times_may_lie_in_the_pose_folder(tmp_path: Path) -> None:
    root = made_folder(tmp_path / "mine")
    (root / "timestamps.txt").rename(root / "poses" / "timestamps.txt")
    assert ingest(root, tmp_path / "frames")[0]["timestamp_us"] == 1500000000250000


@pytest.mark.real
def test_a_real_drive_meets_by_its_poses(sequences: Path, tmp_path: Path) -> None:
    """KITTI's drive 0052: right poses pass, their inverses are refused, and the figures say why."""
    root = drive_as_folder(sequences / "kitti_0052", tmp_path / "drive", every=5)
    frames = ingest(root, tmp_path / "frames")
    check, inverse = PoseCheck("lidar"), PoseCheck("lidar")
    for frame in frames:
        points = load_points(frame["clouds"], root)
        check.add(frame, points)
        wrong = np.linalg.inv(np.reshape(frame["T_scene_from_points"], (4, 4)))
        inverse.add(frame | {"T_scene_from_points": wrong}, points)
    assert pose_complaints(check.meetings, "lidar") == []
    assert np.median([m.posed for m in check.meetings]) < 0.08
    assert np.median([m.posed / m.unposed for m in check.meetings]) < 0.6
    assert "inverses" in pose_complaints(inverse.meetings, "lidar")[0]
