"""Pinhole cameras. Camera axes: x right, y down, z forward (metres). Pixels: origin at the image's top left corner."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clip2.geometry.transforms import transform_points

MIN_DEPTH = 0.1
"""Metres; what is nearer to the image plane, or behind it, has no pixel."""


def project_points(
    points: ArrayLike, T_cam_from_points: ArrayLike, K: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Project points into an undistorted image: ``pixel = (K p_cam)[:2] / z``.

    Args:
        points: (N, 3+) in any frame, metres.
        T_cam_from_points: (4, 4) from that frame to the camera's.
        K: (3, 3) intrinsics, pixels.

    Returns:
        uv (N, 2) in pixels, NaN where ``depth < MIN_DEPTH``; depth (N,) in metres along the optical axis.
    """
    cam = transform_points(points, T_cam_from_points)
    depth = cam[:, 2]
    homogeneous = cam @ np.asarray(K, np.float64).T
    with np.errstate(divide="ignore", invalid="ignore"):
        uv = np.where((depth >= MIN_DEPTH)[:, None], homogeneous[:, :2] / depth[:, None], np.nan)
    return uv, depth


def in_image(uv: ArrayLike, image_size: tuple[int, int]) -> NDArray[np.bool_]:
    """Which pixels (N, 2) lie in an image of (width, height); NaN does not."""
    uv = np.asarray(uv)
    with np.errstate(invalid="ignore"):
        return (uv >= 0).all(1) & (uv[:, 0] < image_size[0]) & (uv[:, 1] < image_size[1])
