"""Point cloud files and depth images → (N, 4) float32 x y z intensity, metres, in the frame of the points."""

import io
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from clip2.scans.depth import Cloud, CloudError, depth_cloud
from clip2.scans.files import read_bytes
from clip2.scans.sunrgbd.points import read_points as votenet_points


def _raw_float32(path: Path, columns: int) -> Cloud:
    """A headerless file of little-endian float32 rows, x y z intensity first."""
    data = read_bytes(path)
    if not data or len(data) % (4 * columns):
        raise CloudError(
            "cloud_truncated",
            f"{path}: {len(data)} bytes is not a whole number of {columns}×float32 points; copy it again",
        )
    return _with_intensity(np.frombuffer(data, "<f4").reshape(-1, columns))


def _npy(path: Path) -> Cloud:
    """A NumPy array (N, 3 or more) of numbers, x y z intensity first."""
    try:
        array = np.load(io.BytesIO(read_bytes(path)), allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise CloudError("cloud_unreadable", f"{path}: not a NumPy array of numbers ({error})") from None
    if array.ndim != 2 or array.shape[1] < 3 or array.dtype.kind not in "fiu":
        raise CloudError("cloud_unreadable", f"{path}: {array.dtype} {array.shape}, not numbers of (N, 3 or more)")
    return _with_intensity(array.astype(np.float32))


def _with_intensity(rows: Cloud) -> Cloud:
    """(N, 4) of rows (N, 3 or more); intensity is 0 where there is none."""
    return rows[:, :4] if rows.shape[1] > 3 else np.column_stack([rows, np.zeros(len(rows), np.float32)])


READERS: dict[str, Callable[[Path], Cloud]] = {
    "nuscenes-pcd-bin": lambda path: _raw_float32(path, 5),  # x y z intensity ring
    # x y z intensity …; four columns: KITTI, ONCE
    **{f"float32x{columns}": partial(_raw_float32, columns=columns) for columns in range(3, 10)},
    "npy": _npy,
    "votenet-mat": votenet_points,  # x y z r g b, made by VoteNet's scripts for SUN RGB-D
}
"""Format name in a frame's ``clouds`` → reader; depth images: ``clip2.scans.depth.READERS``."""


def read_cloud(path: Path, format: str, depth: Mapping[str, Any] | None = None) -> Cloud:
    """Read one cloud file or depth image; rows that are not finite are left out.

    Args:
        depth: for a depth image, its calibration (store.schemas.DEPTH); the cloud is in the depth camera's frame then.

    Raises:
        CloudError: missing, truncated or empty.
    """
    try:
        cloud = READERS[format](path) if depth is None else depth_cloud(path, format, depth)
    except FileNotFoundError:
        raise CloudError("cloud_missing", f"{path}: no such point cloud; check the data root") from None
    finite = np.isfinite(cloud).all(1)
    if not finite.any():
        raise CloudError("cloud_empty", f"{path}: holds no finite point; copy it again")
    return cloud if finite.all() else cloud[finite]


def load_points(clouds: list[Mapping[str, Any]], data_root: Path, min_range: float = 0.0) -> Cloud:
    """All clouds of a frame in the frame of its points.

    Args:
        clouds: a frame's ``clouds`` (store.schemas.CLOUD): the key frame's own and any earlier sweeps.
        min_range: metres; of *earlier* sweeps, points nearer to their sensor than this (horizontally, in both x and y)
            are left out: they are the recording car itself, which would smear along its path. nuScenes' devkit uses 1.

    Returns:
        (N, 4) float32, the key frame's own points first.
    """
    parts: list[Cloud] = []
    for cloud in clouds:
        points = read_cloud(data_root / cloud["path"], cloud["format"], cloud.get("depth"))
        T = np.asarray(cloud["T_points_from_cloud"], np.float64).reshape(4, 4)
        if not np.array_equal(T, np.eye(4)):
            if parts and cloud.get("depth") is None:
                points = points[~(np.abs(points[:, :2]) < min_range).all(1)]
            moved = points[:, :3].astype(np.float64) @ T[:3, :3].T + T[:3, 3]
            points = np.column_stack([moved.astype(np.float32), points[:, 3]])
        parts.append(points)
    return np.concatenate(parts)


__all__ = ["Cloud", "CloudError", "load_points", "read_cloud"]
