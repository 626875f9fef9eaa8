"""``calibration.json``: what the user declares of the sensors, and what follows from it for the points' frame."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from clip2.errors import InputError
from clip2.scans.undistort import LENGTHS

Matrix = NDArray[np.float64]
Row3 = Annotated[list[float], Field(min_length=3, max_length=3)]
Row4 = Annotated[list[float], Field(min_length=4, max_length=4)]
Matrix3 = Annotated[list[Row3], Field(min_length=3, max_length=3)]
Matrix4 = Annotated[list[Row4], Field(min_length=4, max_length=4)]
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


class Clouds(_Declared):
    """Where a LiDAR's clouds are: files of float32 x y z intensity … rows, or NumPy arrays of such rows."""

    folder: str = "clouds"
    format: str = Field(pattern=r"^(float32x[3-9]|npy)$")


class Depth(_Declared):
    """Depth images (16-bit PNG): units, and their own intrinsics where they do not share the pictures' pixel grid."""

    folder: str = "depth"
    metres_per_unit: float = Field(gt=0)
    K: Matrix3 | None = None
    width: int | None = Field(None, gt=0)
    height: int | None = Field(None, gt=0)


class Camera(_Declared):
    """One camera: intrinsics in pixels, and its place, for a LiDAR from the points, for RGB-D to them."""

    image_folder: str
    width: int = Field(gt=0)
    height: int = Field(gt=0)
    K: Matrix3
    distortion: list[float] | None = None
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
        if self.sensor == "lidar":
            if self.clouds is None:
                raise ValueError("a lidar needs `clouds`: their folder and format")
            for name, camera in self.cameras.items():
                if camera.T_cam_from_points is None or camera.depth or camera.T_points_from_cam or camera.pose_folder:
                    raise ValueError(f"cameras.{name}: beside a lidar it needs `T_cam_from_points` and nothing of rgbd")
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


def check_rigid(name: str, T: Any) -> Matrix:
    """A (4, 4) matrix, if it is a rotation and a shift.

    Raises:
        ValueError: it is not.
    """
    T = np.asarray(T, np.float64)
    R = T[:3, :3] if T.shape == (4, 4) else np.zeros((3, 3))
    if not np.allclose(R @ R.T, np.eye(3), atol=1e-3) or np.linalg.det(R) < 0 or not np.allclose(T[3], [0, 0, 0, 1]):
        raise ValueError(f"{name} is not a rotation with a shift (4 rows of 4, the last one 0 0 0 1)")
    return T


def read_calibration(path: Path) -> Calibration:
    """Read and check a ``calibration.json``.

    Raises:
        InputError: missing, not JSON, or a key is missing or wrong.
    """
    try:
        return Calibration.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; docs/your_own_data.md says what belongs there") from None
    except ValidationError as error:
        raise InputError(f"{path}: {_explain(error)}") from None
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error})") from None


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
