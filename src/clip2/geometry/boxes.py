"""3D boxes (B, 7): x y z l w h yaw — centre, full sizes (metres), yaw (radians about +z from +x) — and projections."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clip2.geometry.camera import MIN_DEPTH
from clip2.geometry.transforms import rigid, transform_points


def yaw_rotation(yaw: float) -> NDArray[np.float64]:
    """(3, 3) rotation about +z."""
    c, s = np.cos(yaw), np.sin(yaw)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def points_in_oriented_box(
    points: ArrayLike, T_points_from_box: ArrayLike, size_lwh: ArrayLike, margin: float = 0.0
) -> NDArray[np.bool_]:
    """Which points lie in (or on) one box of any orientation.

    Args:
        points: (N, 3+), metres.
        T_points_from_box: (4, 4); the box's own axes are x length, y width, z height, its origin the centre.
        size_lwh: (3,) full sizes, metres.
        margin: metres added on every side.

    Returns:
        (N,) bool.
    """
    T = np.asarray(T_points_from_box, np.float64)
    local = (np.asarray(points, np.float64)[:, :3] - T[:3, 3]) @ T[:3, :3]
    return (np.abs(local) <= np.asarray(size_lwh, np.float64) / 2 + margin).all(1)


def upright_boxes(T_points_from_box: ArrayLike, size_lwh: ArrayLike) -> NDArray[np.float64]:
    """(..., 7) x y z l w h yaw of boxes whose z axis points up: (..., 4, 4) and (..., 3) full sizes, metres."""
    T, size = np.asarray(T_points_from_box, np.float64), np.asarray(size_lwh, np.float64)
    yaw = np.arctan2(T[..., 1, 0], T[..., 0, 0])
    return np.concatenate([T[..., :3, 3], size, yaw[..., None]], axis=-1)


def points_in_box(points: ArrayLike, box: ArrayLike, margin: float = 0.0) -> NDArray[np.bool_]:
    """Which points (N, 3+) lie in (or on) one upright box (7,), both in the same frame; (N,) bool."""
    box = np.asarray(box, np.float64)
    return points_in_oriented_box(points, rigid(yaw_rotation(box[6]), box[:3]), box[3:6], margin)


def oriented_box_corners(T_points_from_box: ArrayLike, size_lwh: ArrayLike) -> NDArray[np.float64]:
    """(8, 3) corners of a box of any orientation; of the signs (x, y, z), z changes fastest."""
    signs = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
    return transform_points(signs * np.asarray(size_lwh, np.float64), T_points_from_box)


def box_corners(box: ArrayLike) -> NDArray[np.float64]:
    """(8, 3) corners of one upright box (7,)."""
    box = np.asarray(box, np.float64)
    return oriented_box_corners(rigid(yaw_rotation(box[6]), box[:3]), box[3:6])


def project_box(
    corners: ArrayLike, T_cam_from_points: ArrayLike, K: ArrayLike, image_size: tuple[int, int]
) -> tuple[NDArray[np.float64], float] | None:
    """The upright image rectangle that holds a 3D box.

    Args:
        corners: (8, 3) in the frame of ``T_cam_from_points``.
        image_size: (width, height) in pixels.

    Returns:
        xyxy (4,) clipped to the image and the share of the unclipped rectangle that is left, or None where a corner is
        behind the camera or nothing of the rectangle is in the image.
    """
    cam = transform_points(corners, T_cam_from_points)
    if (cam[:, 2] < MIN_DEPTH).any():
        return None
    homogeneous = cam @ np.asarray(K, np.float64).T
    uv = homogeneous[:, :2] / cam[:, 2:]
    low, high = uv.min(0), uv.max(0)
    clipped_low, clipped_high = np.maximum(low, 0.0), np.minimum(high, image_size)
    if (clipped_high <= clipped_low).any():
        return None
    share = float(np.prod(clipped_high - clipped_low) / max(np.prod(high - low), 1e-9))
    return np.concatenate([clipped_low, clipped_high]), share
