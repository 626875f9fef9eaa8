"""Sensor rig of the ego car, laid out like that of nuScenes: six cameras and one 32-beam LiDAR."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clip2.geometry import yaw_rotation

Matrix = NDArray[np.float64]
FULL_WIDTH, FULL_HEIGHT = 1600, 900
LIDAR = "LIDAR_TOP"


@dataclass(frozen=True)
class Camera:
    """A pinhole camera.

    Attributes:
        position: of the optical centre in the ego frame, metres.
        rotation: (3, 3) camera (right, down, forward) to ego.
        intrinsic: (3, 3), pixels.
        delay: seconds between the LiDAR's time stamp and the exposure.
    """

    channel: str
    position: Matrix
    rotation: Matrix
    intrinsic: Matrix
    width: int
    height: int
    delay: float


@dataclass(frozen=True)
class Lidar:
    """A spinning LiDAR; ``elevations`` (radians) from ring 0, the lowest, up; ranges in metres."""

    channel: str
    position: Matrix
    rotation: Matrix
    elevations: Matrix
    steps: int = 1086
    min_range: float = 1.0
    max_range: float = 100.0
    range_noise: float = 0.02
    dropout: float = 0.04


# channel, yaw (degrees), position (m), focal length and principal point at 1600 x 900 (pixels), delay (s)
_CAMERAS = (
    ("CAM_FRONT", 0.3, (1.701, 0.016, 1.511), 1266.4, (816.3, 491.5), 0.012),
    ("CAM_FRONT_RIGHT", -56.0, (1.551, -0.493, 1.496), 1260.8, (807.9, 495.3), 0.020),
    ("CAM_BACK_RIGHT", -110.5, (1.015, -0.481, 1.562), 1259.5, (807.3, 501.2), 0.028),
    ("CAM_BACK", -179.8, (0.028, 0.003, 1.579), 809.2, (829.2, 481.8), 0.037),
    ("CAM_BACK_LEFT", 108.4, (1.036, 0.485, 1.591), 1256.7, (792.1, 492.8), -0.013),
    ("CAM_FRONT_LEFT", 55.2, (1.524, 0.495, 1.509), 1272.6, (826.6, 479.8), -0.004),
)
_OPTICAL = np.array([[0, 0, 1.0], [-1, 0, 0], [0, -1, 0]])  # camera (right, down, forward) -> ego
CHANNELS: tuple[str, ...] = tuple(row[0] for row in _CAMERAS)


def height_of(width: int) -> int:
    """Rows of a 16:9 image."""
    return round(width * FULL_HEIGHT / FULL_WIDTH)


def cameras(width: int = 800) -> list[Camera]:
    """The six cameras, with images of ``width`` x 9/16 ``width`` pixels."""
    height = height_of(width)
    sx, sy = width / FULL_WIDTH, height / FULL_HEIGHT
    rig = []
    for channel, yaw, position, focal, (cx, cy), delay in _CAMERAS:
        intrinsic = np.array([[focal * sx, 0, cx * sx], [0, focal * sy, cy * sy], [0, 0, 1]])
        rotation = yaw_rotation(np.radians(yaw)) @ _OPTICAL
        rig.append(Camera(channel, np.array(position), rotation, intrinsic, width, height, delay))
    return rig


def lidar() -> Lidar:
    """The roof LiDAR, its x axis to the right of the car as in nuScenes."""
    elevations = np.radians(np.linspace(-30.67, 10.67, 32))
    return Lidar(LIDAR, np.array([0.944, 0.0, 1.840]), yaw_rotation(np.radians(-89.9)), elevations)
