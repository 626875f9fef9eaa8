"""Pictures with lens distortion → the pictures of a pinhole camera, in which boxes and projections live.

Distortion is OpenCV's model (k1 k2 p1 p2 [k3 [k4 k5 k6 [s1 … s4 [tx ty]]]]).
"""

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

LENGTHS = (4, 5, 8, 12, 14)
"""How many coefficients OpenCV's distortion may have."""
FREE = 0.0
"""OpenCV's free scaling parameter alpha: 0 keeps valid pixels only, as ONCE's devkit does; 1 would keep all."""

Matrix = NDArray[np.float64]


def pinhole_intrinsics(K: ArrayLike, distortion: ArrayLike, size: tuple[int, int]) -> Matrix:
    """(3, 3) intrinsics of the undistorted picture of the same size (width, height); ``K`` without distortion."""
    K, distortion = np.asarray(K, np.float64).reshape(3, 3), np.asarray(distortion, np.float64).ravel()
    if not distortion.any():
        return K
    return np.asarray(cv2.getOptimalNewCameraMatrix(K, distortion, size, FREE, size)[0], np.float64)


def undistort(
    image: NDArray[np.uint8], K: Sequence[float], distortion: Sequence[float], K_pinhole: Sequence[float]
) -> NDArray[np.uint8]:
    """The picture (H, W, 3) that a pinhole camera would have taken.

    Args:
        K, distortion: of the camera that took it; K as nine numbers, row by row.
        K_pinhole: of the wanted picture, nine numbers; :func:`pinhole_intrinsics`.
    """
    size = (image.shape[1], image.shape[0])
    columns_rows = _maps(tuple(K), tuple(distortion), tuple(K_pinhole), size)
    return np.asarray(cv2.remap(image, *columns_rows, interpolation=cv2.INTER_LINEAR), np.uint8)


@lru_cache(maxsize=16)  # 12 MB each at 1920 × 1020: a rig's cameras, not a data set's
def _maps(
    K: tuple[float, ...], distortion: tuple[float, ...], K_pinhole: tuple[float, ...], size: tuple[int, int]
) -> tuple[NDArray[np.int16], NDArray[np.uint16]]:
    first, second = cv2.initUndistortRectifyMap(
        np.reshape(K, (3, 3)), np.array(distortion), np.eye(3), np.reshape(K_pinhole, (3, 3)), size, cv2.CV_16SC2
    )
    return first, second
