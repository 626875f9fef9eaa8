"""Points of annotated boxes, quickly: a cloud has 10⁵ points and a sample tens of boxes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clip2.geometry import oriented_box_corners, points_in_oriented_box


class BoxSearch:
    """One cloud, sorted along x once, so that each box is tested against the points near it only."""

    def __init__(self, points: NDArray[np.float32]) -> None:
        """points: (N, 3+), metres."""
        self._order = np.argsort(points[:, 0], kind="stable")
        self._points = points[self._order]

    def inside(self, annotation: Mapping[str, Any], margin: float = 0.0) -> NDArray[np.int64]:
        """Indices, ascending, of the points in an annotation's box (keys of store.schemas.ANNOTATIONS).

        Args:
            margin: metres added on every side.
        """
        T = np.reshape(annotation["T_points_from_box"], (4, 4))
        size = np.asarray(annotation["size_lwh"], np.float64)
        reach = np.abs(T[0, :3]) @ (size / 2 + margin) + 1e-3  # half extent of the box along x; float32 slack
        low, high = np.searchsorted(self._points[:, 0], (T[0, 3] - reach, T[0, 3] + reach))
        near = self._points[low:high]
        return np.sort(self._order[low:high][points_in_oriented_box(near, T, size, margin)])


def annotation_corners(annotation: Mapping[str, Any]) -> NDArray[np.float64]:
    """(8, 3) corners of an annotation's box in the points' frame, metres."""
    return oriented_box_corners(np.reshape(annotation["T_points_from_box"], (4, 4)), annotation["size_lwh"])
