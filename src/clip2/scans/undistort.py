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
FOLDS = 0.7
"""Of the way to a picture's nearest side: wide lenses' polynomials may turn a little before it."""
FREE = 0.0
"""OpenCV's free scaling parameter alpha: 0 keeps valid pixels only, as ONCE's devkit does; 1 would keep all."""

Matrix = NDArray[np.float64]


def pinhole_intrinsics(K: ArrayLike, distortion: ArrayLike, size: tuple[int, int]) -> Matrix:
    """(3, 3) intrinsics of the undistorted picture of the same size (width, height); ``K`` without distortion."""
    K, distortion = np.asarray(K, np.float64).reshape(3, 3), np.asarray(distortion, np.float64).ravel()
    if not distortion.any():
        return K
    return np.asarray(cv2.getOptimalNewCameraMatrix(K, distortion, size, FREE, size)[0], np.float64)


@lru_cache(maxsize=1024)  # a rig's cameras, again and again
def lens_complaint(K: tuple[float, ...], distortion: tuple[float, ...], size: tuple[int, int]) -> str | None:
    """What speaks against a lens: one that folds the picture over long before its nearest side is reached.

    Args:
        K: nine numbers, row by row, pixels; of a principal point in the picture.
        distortion: OpenCV's coefficients.
        size: (width, height).
    """
    (fx, _, cx), (_, fy, cy), _ = np.reshape(K, (3, 3)).tolist()
    k1, k2, _, _, k3, k4, k5, k6 = (*distortion, *(0.0,) * 8)[:8]
    nearest = min(cx / fx, (size[0] - cx) / fx, cy / fy, (size[1] - cy) / fy)
    r = np.linspace(0, max(10 * nearest, 10.0), 10_000)
    s = r * r
    with np.errstate(all="ignore"):
        bent = r * (1 + s * (k1 + s * (k2 + s * k3))) / (1 + s * (k4 + s * (k5 + s * k6)))
    folds = np.nonzero(~(np.diff(bent) > 0))[0]
    reached = float(bent[folds[0]]) if len(folds) else np.inf
    if reached >= FOLDS * nearest:
        return None
    return (
        f"its distortion folds the picture over, {reached / nearest:.0%} of the way from its middle to the nearest "
        "side: the coefficients are of another camera, or in another order"
    )


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
