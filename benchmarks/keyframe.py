"""One key frame to lift in: a cloud, six cameras, boxes."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clip2.geometry import invert, rigid, yaw_rotation
from clip2.runtime.errors import InputError
from clip2_world.seeds import FIRST_WORLD_SEED
from clip2_world.streets import rig
from clip2_world.streets.scan import sweep
from clip2_world.streets.traffic import make_street
from clip2_world.tracing import Tracer

SIZE = (1600, 900)
Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class KeyFrame:
    """A cloud (N, 4) float32, and T_cam_from_points (4, 4) and K (3, 3) of each camera; pictures are 1600×900."""

    source: str
    points: NDArray[np.float32]
    cameras: list[tuple[Matrix, Matrix]]


def key_frame(realdata: Path | None) -> KeyFrame:
    """The first nuScenes frame of a folder of real samples, else one of the built-in world."""
    return _world() if realdata is None else _real(realdata)


def _real(folder: Path) -> KeyFrame:
    try:
        frames = json.loads((folder / "frames.json").read_text(encoding="utf-8"))["frames"]
    except FileNotFoundError:
        raise InputError(f"{folder}: holds no frames.json; leave --realdata out to use the built-in world") from None
    frame = next(frame for frame in frames if frame["set"] == "nuscenes")
    points = np.fromfile(folder / frame["cloud"]["path"], "<f4").reshape(-1, 5)[:, :4]
    cameras = [(np.array(c["T_cam_from_points"]), np.array(c["K"])) for c in frame["cameras"].values()]
    return KeyFrame("a real nuScenes key frame", points, cameras)


def _world() -> KeyFrame:
    """The street of the built-in world's first seed, seen when the car starts."""
    street, lidar = make_street(FIRST_WORLD_SEED, duration=0.5), rig.lidar()
    points, _ = sweep(Tracer(street), lidar, 0.0, np.random.default_rng(0))
    T_ego_from_points = rigid(lidar.rotation, lidar.position)
    cameras = [
        (invert(rigid(camera.rotation, camera.position)) @ T_ego_from_points, camera.intrinsic)
        for camera in rig.cameras(SIZE[0])
    ]
    return KeyFrame("a key frame of the built-in world", points[:, :4], cameras)


def several_sweeps(points: NDArray[np.float32], n: int) -> NDArray[np.float32]:
    """``n`` times the cloud, as a slow car's earlier sweeps: each 0.25 m behind, turned a little, 2 cm of noise."""
    rng = np.random.default_rng(0)
    sweeps = [points]
    for i in range(1, n):
        moved = points[:, :3] @ yaw_rotation(1e-3 * i).T - [0, 0.25 * i, 0] + rng.normal(0, 0.02, (len(points), 3))
        sweeps.append(np.column_stack([moved, points[:, 3]]).astype(np.float32))
    return np.concatenate(sweeps)


def boxes_like_real(n: int, seed: int) -> Matrix:
    """(n, 4) xyxy boxes as a detector draws them in a street: most small, around the horizon, larger ones lower."""
    rng = np.random.default_rng(seed)
    height = np.exp(rng.uniform(np.log(25), np.log(400), n))
    width = height * np.exp(rng.uniform(np.log(0.4), np.log(2), n))
    x, y = rng.uniform(0, SIZE[0], n), 470 + rng.normal(0, 30, n) + 0.2 * height
    corners = np.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], 1)
    return np.asarray(corners.clip(0, [*SIZE, *SIZE]))
