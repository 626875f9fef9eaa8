"""Rigid transforms. ``T_target_from_source`` names a transform: ``p_target = T_target_from_source @ [p_source, 1]``."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def rigid(rotation: ArrayLike, translation: ArrayLike) -> Array:
    """4×4 transform from a 3×3 rotation and a translation (3,) in metres."""
    T = np.eye(4)
    T[:3, :3] = rotation
    T[:3, 3] = translation
    return T


def invert(T: ArrayLike) -> Array:
    """Inverse of a rigid 4×4 transform; exact where ``numpy.linalg.inv`` would round."""
    T = np.asarray(T, np.float64)
    R = T[:3, :3].T
    return rigid(R, -R @ T[:3, 3])


def is_rigid(T: ArrayLike, tolerance: float = 1e-3) -> bool:
    """Whether it is a (4, 4) rotation with a shift, all finite, up to the rounding of text files."""
    T = np.asarray(T, np.float64)
    if T.shape != (4, 4) or not np.isfinite(T).all() or np.abs(T[:3, :3]).max() > 2:
        return False
    R = T[:3, :3]
    upright = np.allclose(R @ R.T, np.eye(3), atol=tolerance) and np.linalg.det(R) > 0
    return bool(upright and np.allclose(T[3], [0, 0, 0, 1]))


def transform_points(points: ArrayLike, T: ArrayLike) -> Array:
    """Move points.

    Args:
        points: (N, 3+) array; columns after the third are ignored.
        T: (4, 4) ``T_target_from_source``.

    Returns:
        (N, 3) float64 in the target frame.
    """
    T = np.asarray(T, np.float64)
    return np.asarray(points, np.float64)[:, :3] @ T[:3, :3].T + T[:3, 3]
