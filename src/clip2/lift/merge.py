"""Crops of one object in several pictures → one crop, for pictures whose points share a frame."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clip2.scans.clouds import Cloud

Row = dict[str, Any]

VOXEL = 0.1
"""Metres; side of the cubes by which crops are compared."""

SAME = 0.25
"""Share of the smaller crop's cubes that must be the other's as well. Each view shows another side of an object, so
more would part its views; neighbours that touch share a layer of cubes, far less of them."""

_AXIS_BITS = 21


@dataclass
class Crop:
    """One triplet to be.

    Attributes:
        row: of the triplets' table, store.schemas.TRIPLETS.
        points: (N, 4).
        pose: the picture's T_cam_from_points.
    """

    row: Row
    points: Cloud
    pose: NDArray[np.float64]


def thinned(points: Cloud, most: int) -> Cloud:
    """Every so many-th row of (N, C), so that at most ``most`` are left."""
    if len(points) <= most:
        return points
    return points[np.arange(most) * len(points) // most]


class ViewMerger:
    """Gathers the crops of one scene; memory grows with its distinct objects, not with its pictures."""

    def __init__(self, whole_scene: bool, max_points: int) -> None:
        """
        Args:
            whole_scene: whether all pictures of a scene have their points in one frame (RGB-D scans with poses), or
                only those of one sample.
            max_points: of a merged crop.
        """
        self._whole_scene, self._max_points = whole_scene, max_points
        self._crops: list[Crop] = []
        self._cubes: list[NDArray[np.int64]] = []
        self.n_merged = 0

    def add(self, crop: Crop) -> None:
        """Merge a crop with the object that shares the most cubes with it, or keep it as a new one."""
        cubes = _cubes(crop.points)
        shares = [
            len(np.intersect1d(cubes, known, assume_unique=True)) / min(len(cubes), len(known))
            if self._comparable(crop, other)
            else 0.0
            for other, known in zip(self._crops, self._cubes)
        ]
        best = int(np.argmax(shares)) if shares else -1
        if best < 0 or shares[best] < SAME:
            self._crops.append(crop)
            self._cubes.append(cubes)
            return
        other = self._crops[best]
        points = thinned(np.unique(np.concatenate([other.points, crop.points]), axis=0), self._max_points)
        better = crop if crop.row["score"] > other.row["score"] else other
        row = better.row | {"n_points": len(points), "extent": np.ptp(points[:, :3], axis=0).tolist()}
        self._crops[best] = Crop(row, points, better.pose)
        self._cubes[best] = np.union1d(self._cubes[best], cubes)
        self.n_merged += 1

    def _comparable(self, crop: Crop, other: Crop) -> bool:
        """Two pictures, same label, and points in one frame.

        Equal poses in different samples mean a camera whose movement is unknown.
        """
        if crop.row["label"] != other.row["label"] or crop.row["frame_id"] == other.row["frame_id"]:
            return False
        if crop.row["sample"] == other.row["sample"]:
            return True
        return self._whole_scene and not np.array_equal(crop.pose, other.pose)

    def take(self) -> list[Crop]:
        """The scene's objects, in the order in which they were first seen; the next scene starts empty."""
        crops, self._crops, self._cubes = self._crops, [], []
        return crops


def _cubes(points: Cloud) -> NDArray[np.int64]:
    """Sorted numbers of the cubes that hold points (N, 3+)."""
    cell = np.floor(points[:, :3].astype(np.float64) / VOXEL).astype(np.int64) + (1 << (_AXIS_BITS - 1))
    return np.unique((cell[:, 0] << 2 * _AXIS_BITS) | (cell[:, 1] << _AXIS_BITS) | cell[:, 2])
