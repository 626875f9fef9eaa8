"""Where a 3D box is in a picture, also when some of it is behind the camera."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clip2.geometry import MIN_DEPTH, oriented_box_corners, transform_points

Floats = NDArray[np.float64]
EDGES = [(a, b) for a in range(8) for b in range(a + 1, 8) if (a ^ b).bit_count() == 1]
"""Corners that an edge joins; corner numbers are the signs' bits (geometry.oriented_box_corners)."""
LEAST_PX = 1.0
"""Width and height of what counts as seen."""


class View(NamedTuple):
    """A box in a picture.

    Attributes:
        rectangle: (4,) x0 y0 x1 y1, pixels, within the picture.
        share: of the rectangle that a larger picture would show, 0 to 1.
    """

    rectangle: Floats
    share: float


def view_of(T_points_from_box: ArrayLike, size_lwh: ArrayLike, frame: Mapping[str, Any]) -> View | None:
    """Where a frame (store.schemas.FRAMES) shows a box; None where it does not. What hides it is not known here."""
    corners = oriented_box_corners(T_points_from_box, size_lwh)
    uv = _outline(transform_points(corners, np.reshape(frame["T_cam_from_points"], (4, 4))), frame["K"])
    if uv is None:
        return None
    low, high = uv.min(0), uv.max(0)
    inner_low, inner_high = np.maximum(low, 0.0), np.minimum(high, (frame["width"], frame["height"]))
    if (inner_high - inner_low < LEAST_PX).any():
        return None
    share = float(np.prod(inner_high - inner_low) / np.prod(high - low))
    return View(np.concatenate([inner_low, inner_high]), share)


def _outline(cam: Floats, K: ArrayLike) -> Floats | None:
    """Pixels (N, 2) of what of a box's edges is in front of the camera; None where nothing is.

    Args:
        cam: (8, 3) corners in the camera's frame.
    """
    a, b = (cam[[edge[end] for edge in EDGES]] for end in (0, 1))
    crossing = (a[:, 2] < MIN_DEPTH) != (b[:, 2] < MIN_DEPTH)
    a, b = a[crossing], b[crossing]
    cut = a + (b - a) * ((MIN_DEPTH - a[:, 2]) / (b[:, 2] - a[:, 2]))[:, None]
    front = np.concatenate([cam[cam[:, 2] >= MIN_DEPTH], cut])
    if not len(front):
        return None
    homogeneous = front @ np.reshape(np.asarray(K, np.float64), (3, 3)).T
    return np.asarray(homogeneous[:, :2] / homogeneous[:, 2:])
