"""Sensor rig in ONCE's form: seven cameras with lens distortion and a 40-beam LiDAR. Angles and places are ours."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from clip2.geometry import yaw_rotation
from clip2_world.streets.rig import Camera, Lidar, Matrix

FULL_WIDTH, FULL_HEIGHT = 1920, 1020
LIDAR = "lidar_roof"
_OPTICAL = np.array([[0, 0, 1.0], [-1, 0, 0], [0, -1, 0]])  # camera (right, down, forward) -> ego

# yaw (degrees), position (m), focal length and principal point at 1920 x 1020 (pixels), k1 k2 p1 p2 k3
_CAMERAS = {
    "cam01": (0.2, (1.35, 0.12, 1.78), 1520.0, (953.0, 521.0), (-0.115, 0.030, 0.0004, -0.0003, 0.0)),
    "cam03": (-0.3, (1.35, -0.10, 1.78), 1130.0, (966.0, 504.0), (-0.105, 0.028, -0.0002, 0.0003, 0.0)),
    "cam05": (122.0, (0.75, 0.48, 1.76), 1390.0, (948.0, 515.0), (-0.120, 0.032, 0.0003, 0.0002, 0.0)),
    "cam06": (56.0, (1.15, 0.49, 1.75), 1402.0, (971.0, 507.0), (-0.118, 0.031, -0.0004, 0.0002, 0.0)),
    "cam07": (-56.5, (1.15, -0.49, 1.75), 1397.0, (958.0, 518.0), (-0.121, 0.033, 0.0002, -0.0004, 0.0)),
    "cam08": (-121.0, (0.75, -0.48, 1.76), 1405.0, (944.0, 501.0), (-0.117, 0.029, -0.0003, -0.0002, 0.0)),
    "cam09": (180.0, (0.35, 0.02, 1.80), 1150.0, (962.0, 512.0), (-0.108, 0.027, 0.0003, 0.0003, 0.0)),
}


@dataclass(frozen=True)
class DistortedCamera:
    """A camera with lens distortion.

    Attributes:
        camera: what a pinhole camera in its place would be, with the intrinsics that belong to ``distortion``.
        distortion: (5,) OpenCV's k1 k2 p1 p2 k3.
    """

    camera: Camera
    distortion: Matrix


def cameras(names: tuple[str, ...], width: int) -> list[DistortedCamera]:
    """Some of the seven cameras, with images of ``width`` x 1020/1920 ``width`` pixels."""
    height = round(width * FULL_HEIGHT / FULL_WIDTH)
    sx, sy = width / FULL_WIDTH, height / FULL_HEIGHT
    rig = []
    for name in names:
        yaw, position, focal, (cx, cy), distortion = _CAMERAS[name]
        K = np.array([[focal * sx, 0, cx * sx], [0, focal * sy, cy * sy], [0, 0, 1]])
        rotation = yaw_rotation(np.radians(yaw)) @ _OPTICAL
        camera = Camera(name, np.array(position), rotation, K, width, height, 0.0)
        rig.append(DistortedCamera(camera, np.array(distortion)))
    return rig


def lidar() -> Lidar:
    """The roof LiDAR: as in ONCE, its x axis points to the left of the car and its y axis backward."""
    elevations = np.radians(np.linspace(-25.0, 15.0, 40))
    return Lidar(LIDAR, np.array([0.95, 0.0, 2.0]), yaw_rotation(np.radians(90.4)), elevations, steps=1440)


class Lens:
    """Takes the picture of a wider pinhole camera and bends it as the lens would."""

    def __init__(self, lens: DistortedCamera) -> None:
        camera = lens.camera
        rays = self._rays(camera, lens.distortion)
        focal = camera.intrinsic[[0, 1], [0, 1]]
        low, high = rays.reshape(-1, 2).min(0) * focal, rays.reshape(-1, 2).max(0) * focal
        width, height = np.ceil(high - low).astype(int) + 4
        K = np.diag([*focal, 1.0])
        K[:2, 2] = 2 - low
        self.wide = Camera(camera.channel, camera.position, camera.rotation, K, int(width), int(height), camera.delay)
        # The renderer's pixel (i, j) looks through (i + 0.5, j + 0.5); OpenCV's cameras look through (i, j).
        self._source = (rays * focal + K[:2, 2] - 0.5).astype(np.float32)

    @staticmethod
    def _rays(camera: Camera, distortion: Matrix) -> NDArray[np.float64]:
        """(H, W, 2) x/z and y/z of what falls on each pixel."""
        u, v = np.meshgrid(np.arange(camera.width, dtype=np.float64), np.arange(camera.height, dtype=np.float64))
        pixels = np.stack([u, v], -1).reshape(-1, 1, 2)
        exact = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 50, 1e-9)
        rays = cv2.undistortPointsIter(pixels, camera.intrinsic, distortion, np.eye(3), np.eye(3), exact)
        return np.asarray(rays, np.float64).reshape(camera.height, camera.width, 2)

    def bend(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A picture (h, w, 3) of ``wide`` → the distorted picture (H, W, 3)."""
        return np.asarray(cv2.remap(image, self._source, None, cv2.INTER_LINEAR), np.uint8)
