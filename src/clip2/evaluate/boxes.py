"""Points of annotated boxes, quickly: a cloud has 10⁵ points and a sample tens of boxes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clip2.geometry import in_image, oriented_box_corners, points_in_oriented_box, project_points


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


def shared_counts(
    annotations: Sequence[Mapping[str, Any]], crops: Sequence[NDArray[np.float32]], margin: float
) -> NDArray[np.int64]:
    """(boxes, crops) how many points of each crop (N_i, 3+) lie in each annotation's box.

    Args:
        margin: metres added on every side.
    """
    counts = np.zeros((len(annotations), len(crops)), np.int64)
    if not crops:
        return counts
    search = BoxSearch(np.concatenate(crops))
    crop = np.repeat(np.arange(len(crops)), [len(c) for c in crops])
    for number, box in enumerate(annotations):
        counts[number] = np.bincount(crop[search.inside(box, margin)], minlength=len(crops))
    return counts


def in_picture(points: NDArray[np.float32], frame: Mapping[str, Any]) -> NDArray[np.bool_]:
    """(N,) which points (N, 3+) of a sample lie in the picture of one of its frames (keys of store.schemas.FRAMES)."""
    T, K = np.reshape(frame["T_cam_from_points"], (4, 4)), np.reshape(frame["K"], (3, 3))
    uv, _ = project_points(points, T, K)
    return in_image(uv, (frame["width"], frame["height"]))


def annotation_corners(annotation: Mapping[str, Any]) -> NDArray[np.float64]:
    """(8, 3) corners of an annotation's box in the points' frame, metres."""
    return oriented_box_corners(np.reshape(annotation["T_points_from_box"], (4, 4)), annotation["size_lwh"])
