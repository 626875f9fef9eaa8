"""``calibration.json``: what the user declares of the sensors, and what follows from it for the points' frame."""

from collections import Counter
from io import StringIO
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from clip2.geometry import invert
from clip2.runtime.errors import InputError
from clip2.scans.intrinsics import intrinsics_complaint
from clip2.scans.poses import check_rigid
from clip2.scans.texts import read_json, read_text
from clip2.scans.undistort import LENGTHS

Matrix = NDArray[np.float64]
Number = Annotated[float, Field(allow_inf_nan=False)]
Row3 = Annotated[list[Number], Field(min_length=3, max_length=3)]
Row4 = Annotated[list[Number], Field(min_length=4, max_length=4)]
Matrix3 = Annotated[list[Row3], Field(min_length=3, max_length=3)]
Matrix4 = Annotated[list[Row4], Field(min_length=4, max_length=4)]
Side = Annotated[int, Field(gt=0, le=2**15)]
"""Pixels."""
METRES = {"m": 1.0, "cm": 0.01, "mm": 0.001}
UP = {
    "z": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "-z": [[1, 0, 0], [0, -1, 0], [0, 0, -1]],
    "y": [[1, 0, 0], [0, 0, -1], [0, 1, 0]],
    "-y": [[1, 0, 0], [0, 0, 1], [0, -1, 0]],
    "x": [[0, 1, 0], [0, 0, 1], [1, 0, 0]],
    "-x": [[0, -1, 0], [0, 0, 1], [-1, 0, 0]],
}
"""The axis that points up → the rotation (3, 3) that makes it +z. Where x is not up, it stays."""
_WHY = {
    "up": "say which axis of your points points up (z, -z, y, -y, x or -x): a wrong guess would ruin every result",
    "units": "say what your lengths are in (m, cm or mm): nothing in the numbers tells",
    "sensor": "say `lidar` (clouds in files) or `rgbd` (clouds from depth images)",
}


class _Declared(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


CLOUD_ENDINGS = {
    **{f"float32x{columns}": ".bin" for columns in range(3, 10)},
    **{ending: f".{ending}" for ending in ("npy", "pcd", "ply", "las")},
}
"""Format of clouds → ending of their files."""
_CONVERT = {
    "laz": "unpack it with `laszip -i a.laz -o a.las` or `pdal translate a.laz a.las`, and say `las`",
    "npz": "save its one array with np.save, and say `npy`",
    "e57": "convert it with `pdal translate a.e57 a.las`, and say `las`",
    "xyz": "save its rows as float32 (`np.loadtxt(…).astype('float32').tofile(…)`), and say `float32xN`",
    "mcap": "make a folder of it with `clip2 import mcap`",
    **dict.fromkeys(("bag", "db3", "pcap"), "write its scans to files (.pcd or .npy) first"),
}
"""What is not read → what to do."""


class Clouds(_Declared):
    """Where a LiDAR's clouds are: files of float32 x y z intensity … rows, or of a format with a header.

    ``pose_folder``: poses, ``STEM.txt`` a cloud: from its points to one frame of the scene, of the same axes and units.
    """

    folder: str = "clouds"
    format: str
    pose_folder: str | None = None

    @field_validator("format")
    @classmethod
    def _known(cls, format: str) -> str:
        if format not in CLOUD_ENDINGS:
            hint = _CONVERT.get(format.lower().lstrip("."), f"it has to be one of {', '.join(CLOUD_ENDINGS)}")
            raise ValueError(f"{format!r} is not read; {hint}")
        return format


class Depth(_Declared):
    """Depth images (16-bit PNG): units, and their own intrinsics where they do not share the pictures' pixel grid."""

    folder: str = "depth"
    metres_per_unit: float = Field(gt=0, allow_inf_nan=False)
    K: Matrix3 | None = None
    width: Side | None = None
    height: Side | None = None


class Camera(_Declared):
    """One camera: intrinsics in pixels, and its place, for a LiDAR from the points, for RGB-D to them.

    ``pose_folder``: poses, ``STEM.txt`` a picture: from the camera, when it took it, to the scene's frame.
    """

    image_folder: str
    width: Side
    height: Side
    K: Matrix3
    distortion: list[Number] | None = None
    T_cam_from_points: Matrix4 | None = None
    T_points_from_cam: Matrix4 | None = None
    pose_folder: str | None = None
    depth: Depth | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "Camera":
        if self.distortion is not None and len(self.distortion) not in LENGTHS:
            raise ValueError(f"distortion has {len(self.distortion)} numbers; OpenCV's models have one of {LENGTHS}")
        for key in ("T_cam_from_points", "T_points_from_cam"):
            if (T := getattr(self, key)) is not None:
                check_rigid(key, T)
        if (depth := self.depth) and (depth.K or depth.width or depth.height):
            K = tuple(value for row in depth.K or self.K for value in row)
            if complaint := intrinsics_complaint(K, (depth.width or self.width, depth.height or self.height)):
                raise ValueError(f"depth: {complaint}")
        return self


class Calibration(_Declared):
    """All that one folder of recordings declares."""

    sensor: Literal["lidar", "rgbd"]
    up: Literal["z", "-z", "y", "-y", "x", "-x"]
    units: Literal["m", "cm", "mm"]
    cameras: dict[str, Camera] = Field(min_length=1)
    clouds: Clouds | None = None

    @model_validator(mode="after")
    def _complete(self) -> "Calibration":
        folders = Counter(PurePath(camera.image_folder) for camera in self.cameras.values())
        if (folder := max(folders, key=lambda folder: folders[folder])) and folders[folder] > 1:
            raise ValueError(f"cameras: {folders[folder]} of them have the image_folder {folder}; give each its own")
        if self.sensor == "lidar":
            if self.clouds is None:
                raise ValueError("a lidar needs `clouds`: their folder and format")
            for name, camera in self.cameras.items():
                if camera.T_cam_from_points is None or camera.depth or camera.T_points_from_cam:
                    raise ValueError(f"cameras.{name}: beside a lidar it needs `T_cam_from_points` and nothing of rgbd")
                if camera.pose_folder and not self.clouds.pose_folder:
                    raise ValueError(f"cameras.{name}: its `pose_folder` means nothing without `clouds.pose_folder`")
        else:
            self._check_rgbd()
        return self

    def _check_rgbd(self) -> None:
        if self.clouds is not None or len(self.cameras) != 1:
            raise ValueError("rgbd means one camera and no `clouds`; give each further camera a folder of its own")
        for name, camera in self.cameras.items():
            if camera.depth is None or camera.T_cam_from_points is not None:
                raise ValueError(f"cameras.{name}: rgbd needs `depth`, and `T_points_from_cam` or `pose_folder`")
            if (camera.T_points_from_cam is None) == (camera.pose_folder is None):
                raise ValueError(f"cameras.{name}: rgbd needs one of `T_points_from_cam` and `pose_folder`")
            if camera.distortion is not None and camera.depth.K is None:
                raise ValueError(
                    f"cameras.{name}: depth on the grid of a distorted picture is bent too; undistort both"
                )


def read_calibration(path: Path) -> Calibration:
    """Read and check a ``calibration.json``.

    Raises:
        InputError: missing, not JSON, or a key is missing or wrong.
    """
    try:
        return Calibration.model_validate(read_json(path, unique=True))
    except FileNotFoundError as error:
        raise InputError(f"{error}; docs/your_own_data.md says what belongs there") from None
    except ValidationError as error:
        raise InputError(f"{path}: {_explain(error)}") from None


def _explain(error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(map(str, first["loc"]))
    return ": ".join(filter(None, [key, first["msg"].removeprefix("Value error, "), _WHY.get(key)]))


def upright(calibration: Calibration) -> Matrix:
    """(4, 4) rotation from the declared axes to those of the points' frame, z up."""
    T = np.eye(4)
    T[:3, :3] = UP[calibration.up]
    return T


def upright_metres(calibration: Calibration) -> Matrix:
    """(4, 4) from the declared axes and units to the points' frame: z up, metres."""
    T = upright(calibration)
    T[:3, :3] *= METRES[calibration.units]
    return T


def in_metres(T: Any, calibration: Calibration) -> Matrix:
    """A declared rigid transform, in its units, with its shift in metres."""
    T = np.array(T, np.float64)
    T[:3, 3] *= METRES[calibration.units]
    return T


def declared_places(calibration: Calibration, camera: Camera, folder: Path, stem: str) -> tuple[Matrix, Matrix]:
    """(4, 4) declared coordinates (made upright, in metres) → camera, and cloud as stored → declared coordinates.

    Raises:
        OSError, ValueError, InputError: the sample's own pose is missing or impossible.
    """
    turn = upright(calibration)
    if calibration.sensor == "lidar":
        T_cam_from_points = _by_poses(calibration, camera, folder, stem)
        if T_cam_from_points is None:
            T_cam_from_points = np.asarray(camera.T_cam_from_points, np.float64)
        return in_metres(T_cam_from_points, calibration) @ turn.T, upright_metres(calibration)
    if camera.pose_folder is None:
        pose = np.asarray(camera.T_points_from_cam, np.float64)
    else:
        path = folder / camera.pose_folder / f"{stem}.txt"
        pose = check_rigid(str(path), read_pose(path))
    T_declared_from_cam = turn @ in_metres(pose, calibration)
    return np.linalg.inv(T_declared_from_cam), T_declared_from_cam  # depth images are read in metres


def _by_poses(calibration: Calibration, camera: Camera, folder: Path, stem: str) -> Matrix | None:
    """(4, 4) points → camera, both at their own times, as declared; None where one of the two has no pose.

    Raises:
        OSError, ValueError, InputError: a pose is impossible.
    """
    if camera.pose_folder is None or calibration.clouds is None or calibration.clouds.pose_folder is None:
        return None
    paths = [folder / name / f"{stem}.txt" for name in (calibration.clouds.pose_folder, camera.pose_folder)]
    if not all(path.is_file() for path in paths):
        return None
    T_scene_from_points, T_scene_from_cam = (read_pose(path) for path in paths)
    if not (np.isfinite(T_scene_from_points).all() and np.isfinite(T_scene_from_cam).all()):
        return None
    check_rigid(str(paths[0]), T_scene_from_points)
    return invert(check_rigid(str(paths[1]), T_scene_from_cam)) @ T_scene_from_points


def read_pose(path: Path) -> Matrix:
    """The numbers of a pose file, whatever they are.

    Raises:
        OSError, ValueError, InputError: missing, empty, or not numbers.
    """
    text = read_text(path)
    if not text.strip():
        raise ValueError("is empty")
    return np.loadtxt(StringIO(text), dtype=np.float64, ndmin=2)
