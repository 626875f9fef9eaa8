"""The calibration files of a day of KITTI's raw data, as its development kit explains them (readme.txt)."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clip2.geometry import is_rigid, rigid
from clip2.runtime.errors import InputError
from clip2.scans.texts import read_text

Matrix = NDArray[np.float64]
Numbers = dict[str, NDArray[np.float64]]
CAMERAS, VELODYNE, IMU = "calib_cam_to_cam.txt", "calib_velo_to_cam.txt", "calib_imu_to_velo.txt"


class Camera(NamedTuple):
    """A rectified camera: (width, height), intrinsics (3, 3), and (4, 4) from the velodyne's points."""

    size: tuple[int, int]
    K: Matrix
    T_cam_from_points: Matrix


def read_camera(day: Path, name: str) -> Camera:
    """Camera ``image_0N`` of a day's folder.

    A point x of the velodyne is at P_rect_0N · R_rect_00 · (R|T)_velo_to_cam · x in the rectified picture (readme.txt),
    and P_rect_0N is K · (I | b): the camera stands at -b from the first one.

    Raises:
        InputError: a file or a line of it is missing, or cannot be right.
    """
    number = name.removeprefix("image_")
    path = day / CAMERAS
    lines = _read(path)
    P = _matrix(path, lines, f"P_rect_{number}", (3, 4))
    R = _matrix(path, lines, "R_rect_00", (3, 3))
    width, height = _matrix(path, lines, f"S_rect_{number}", (2,)).tolist()
    K = P[:, :3]
    if not is_rigid(rigid(R, np.zeros(3))) or abs(np.linalg.det(K)) < 1e-9:
        raise InputError(
            f"{path}: R_rect_00 is no rotation, or P_rect_{number} no camera; unpack the calibration again"
        )
    shift = np.linalg.solve(K, P[:, 3])
    T_cam_from_points = rigid(np.eye(3), shift) @ rigid(R, np.zeros(3)) @ read_rigid(day / VELODYNE)
    return Camera((round(width), round(height)), K, T_cam_from_points)


def read_rigid(path: Path) -> Matrix:
    """(4, 4) of a file with a line R and a line T.

    Raises:
        InputError: it is missing, or no rotation with a shift.
    """
    lines = _read(path)
    T = rigid(_matrix(path, lines, "R", (3, 3)), _matrix(path, lines, "T", (3,)))
    if not is_rigid(T):
        raise InputError(f"{path}: R is no rotation; unpack the calibration again")
    return T


def _read(path: Path) -> Numbers:
    """Key → numbers; lines of anything else (the date) are left out."""
    try:
        lines = [line.partition(":") for line in read_text(path).splitlines()]
    except FileNotFoundError as error:
        raise InputError(f"{error}; unpack the day's calibration beside its drives") from None
    found = {}
    for key, _, values in lines:
        try:
            found[key.strip()] = np.array(values.split(), np.float64)
        except ValueError:
            continue
    return found


def _matrix(path: Path, lines: Numbers, key: str, shape: tuple[int, ...]) -> Matrix:
    values = lines.get(key, np.empty(0))
    if values.size != np.prod(shape) or not np.isfinite(values).all():
        raise InputError(f"{path}: has no line {key!r} of {int(np.prod(shape))} numbers; unpack the calibration again")
    return values.reshape(shape)
