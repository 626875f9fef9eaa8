"""Poses: samples of a scene in one frame. They are declared by the data set, so they are checked against its points.

Where a sensor has moved, static structure of neighbouring samples meets best under the right poses: worse under none,
under their inverses, in wrong axes or units. Where it stands by its poses, structure meets as it is, and no better when
it is shifted. The ground meets itself however one moves on it and is left out.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from clip2.geometry import in_image, invert, is_rigid, project_points, transform_points

Matrix = NDArray[np.float64]
Points = NDArray[np.floating]
Seen = tuple[Mapping[str, Any], Points]
"""A frame (store.schemas.FRAMES) and its points (N, 3+)."""

MOVED_M, TURNED_RAD = 0.5, 0.1
"""Motion between two samples below which a sensor stands."""
NEAR_M = 40.0
"""Structure farther from the camera is too sparse to meet."""
GROUND_CELL_M, GROUND_M = 2.0, 0.5
"""Points less than half a metre above the lowest of their cell are ground, or too near to it."""
MOST_POINTS, LEAST_POINTS = 2000, 100
FARTHEST_M = 5.0
"""A point whose nearest neighbour is farther counts as this far."""
APART_M = {"lidar": 1.0, "rgbd": 0.4}
"""Structure that is this far apart does not meet at all."""
WORSE = 1.25
"""Right poses are never this many times worse than none, or than their inverses."""
ENOUGH = 8
"""Pairs of samples that decide."""
JUMP_M = 200.0
"""Metres that nobody walks between two views of a depth camera: these need not show the same to be compared."""
MET_M = 0.05
"""Structure that is this near is the same: no shift is tried."""
STANDING_APART_M = 0.15
"""A depth camera's views from one place are never this far apart."""
SHIFTS_M, SHIFTED_POINTS, LEAST_STANDING = np.arange(-4, 4.1, 0.5), 400, 3
"""Shifts of a LiDAR, along x and y each, that are tried on so many points; pairs of samples that decide on standing."""


def check_rigid(name: str, T: ArrayLike) -> Matrix:
    """A (4, 4) matrix of finite numbers, if it is a rotation and a shift.

    Raises:
        ValueError: it is not.
    """
    T = np.asarray(T, np.float64)
    if not is_rigid(T):
        raise ValueError(f"{name} is not a rotation with a shift (4 rows of 4, the last one 0 0 0 1)")
    return T


class Meeting(NamedTuple):
    """How two neighbouring samples of a scene meet: medians over static points of the first, metres.

    Attributes:
        moved: how far the sensor moved between them.
        posed: distance to the nearest point of the second, by their poses.
        unposed: the same, had the sensor stood still.
        inverse: the same, were the poses the inverses of what they are.
    """

    moved: float
    posed: float
    unposed: float
    inverse: float


class Standing(NamedTuple):
    """How two samples meet between which the sensor stands by its poses: medians over static points, metres.

    Attributes:
        posed: distance to the nearest point of the second, by their poses.
        shift: that of the sensor, of some that were tried, under which they meet best; 0 where none was.
        shifted: the same distance then.
    """

    posed: float
    shift: float
    shifted: float


def meeting(
    first: Mapping[str, Any],
    points: Points,
    second: Mapping[str, Any],
    others: Points,
    sensor: str,
    standing: bool = True,
) -> Meeting | Standing | None:
    """How two samples of one scene, seen by one camera, meet; None where too little stands in both.

    Args:
        first, second: frames (store.schemas.FRAMES) with poses; their points (N, 3+) and (M, 3+).
        sensor: "lidar", which sees all around, or "rgbd", of which only what both pictures show can meet.
        standing: whether pairs between which the sensor stands are asked for, too.
    """
    one, T_scene_from_one = _placed(first, points, sensor)
    two, T_scene_from_two = _placed(second, others, sensor)
    T_two_from_one = invert(T_scene_from_two) @ T_scene_from_one
    moved = float(np.linalg.norm(T_two_from_one[:3, 3]))
    turned = np.arccos(np.clip((np.trace(T_two_from_one[:3, :3]) - 1) / 2, -1, 1))
    stands = moved < MOVED_M and turned < TURNED_RAD
    if stands and not standing:
        return None
    if sensor == "rgbd" and moved < JUMP_M:
        uv, _ = project_points(one, T_two_from_one, np.reshape(second["K"], (3, 3)))
        one = one[in_image(uv, (second["width"], second["height"]))]
    if min(len(one), len(two)) < LEAST_POINTS:
        return None
    one = one[np.linspace(0, len(one) - 1, min(len(one), MOST_POINTS)).astype(int)]
    tree = cKDTree(two)
    if stands:
        return _standing(tree, transform_points(one, T_two_from_one), sensor)
    motions = T_two_from_one, np.eye(4), T_scene_from_two @ invert(T_scene_from_one)
    return Meeting(moved, *(_distance(tree, transform_points(one, T)) for T in motions))


def _standing(tree: cKDTree, points: Matrix, sensor: str) -> Standing:
    posed = _distance(tree, points)
    if sensor == "rgbd" or posed < MET_M:
        return Standing(posed, 0.0, posed)
    few = points[np.linspace(0, len(points) - 1, min(len(points), SHIFTED_POINTS)).astype(int)]
    x, y = (axis.ravel() for axis in np.meshgrid(SHIFTS_M, SHIFTS_M))
    shifts = np.column_stack([x, y, np.zeros(len(x))])
    distance, _ = tree.query(few + shifts[:, None], distance_upper_bound=1.0)
    best = shifts[np.median(np.minimum(distance, 1.0), axis=1).argmin()]
    return Standing(posed, float(np.linalg.norm(best)), _distance(tree, points + best))


def _distance(tree: cKDTree, points: Matrix) -> float:
    distance, _ = tree.query(points, distance_upper_bound=FARTHEST_M)
    return float(np.median(np.minimum(distance, FARTHEST_M)))


def _placed(frame: Mapping[str, Any], points: Points, sensor: str) -> tuple[Matrix, Matrix]:
    """Static points in the frame of the sensor that moves, and (4, 4) from there to the scene's.

    A LiDAR's points are in its frame; a depth camera's may be in the scene's already, so they go back to the camera.
    """
    T_scene_from_points = np.reshape(frame["T_scene_from_points"], (4, 4))
    T_cam_from_points = np.reshape(frame["T_cam_from_points"], (4, 4))
    found = structure(points, invert(T_cam_from_points)[:3, 3])
    if sensor == "lidar":
        return found, T_scene_from_points
    return transform_points(found, T_cam_from_points), T_scene_from_points @ invert(T_cam_from_points)


def structure(points: Points, centre: Matrix) -> Matrix:
    """Those of some points (N, 3+) that stand above the ground and near to the camera, whose centre (3,) is given."""
    xyz = points[:, :3].astype(np.float64)
    xyz = xyz[np.linalg.norm(xyz - centre, axis=1) < NEAR_M]
    if not len(xyz):
        return xyz
    _, cell = np.unique(np.floor(xyz[:, :2] / GROUND_CELL_M).astype(np.int64), axis=0, return_inverse=True)
    cell = cell.ravel()
    low = np.full(cell.max() + 1, np.inf)
    np.minimum.at(low, cell, xyz[:, 2])
    return xyz[xyz[:, 2] > low[cell] + GROUND_M]


def pose_complaints(meetings: Sequence[Meeting], sensor: str) -> list[str]:
    """What is wrong with the poses of some pairs of samples; medians decide."""
    if not meetings:
        return []
    moved, posed, unposed, inverse = np.median(meetings, axis=0)
    how = f"by their poses, neighbouring samples are {moved:.1f} m apart and their static structure {posed:.2f} m"
    if inverse <= unposed and posed > WORSE * inverse:
        return [
            f"{how}, by the inverses of their poses {inverse:.2f} m: the poses are the inverses of what they should be"
        ]
    if unposed >= FARTHEST_M and moved < JUMP_M:  # they show nothing that is the same
        return []
    if posed > APART_M[sensor] or posed > WORSE * unposed:
        return [f"{how}, {unposed:.2f} m without poses: the poses are of other samples, or in other axes or units"]
    return []


def standing_complaints(standing: Sequence[Standing], sensor: str) -> list[str]:
    """What is wrong with poses by which the sensor stands between some pairs of samples; medians decide."""
    if len(standing) < LEAST_STANDING:
        return []
    posed, shift, shifted = np.median(standing, axis=0)
    how = f"by the poses of {len(standing)} pairs of neighbouring samples the sensor stands, but their static structure"
    if sensor == "rgbd" and posed > STANDING_APART_M:
        return [f"{how} is {posed:.2f} m apart: the poses are of other samples, or all the same"]
    if shift > MOVED_M and posed > WORSE * shifted:
        return [
            f"{how} meets within {shifted:.2f} m if it moved by {shift:.1f} m, {posed:.2f} m if not: the poses are of "
            "other samples, or all the same"
        ]
    return []


class PoseCheck:
    """Looks at the first pairs of neighbouring samples that a stage reads."""

    def __init__(self, sensor: str) -> None:
        self._sensor = sensor
        self._last: Seen | None = None
        self.meetings: list[Meeting] = []
        self.standing: list[Standing] = []

    @property
    def enough(self) -> bool:
        """Whether more samples would decide nothing."""
        return len(self.meetings) >= ENOUGH or bool(len(self.standing) == ENOUGH and self.complaints())

    def complaints(self) -> list[str]:
        """What is wrong with the poses."""
        return pose_complaints(self.meetings, self._sensor) + standing_complaints(self.standing, self._sensor)

    def add(self, frame: Mapping[str, Any], points: Points) -> None:
        """Look at a frame, in the order of the artefact; one camera of a sample is compared with the next one's."""
        last = self._last
        if frame.get("T_scene_from_points") is None or self.enough:
            return
        if last is not None and last[0]["scene"] == frame["scene"]:
            if last[0]["sample"] == frame["sample"] or last[0]["camera"] != frame["camera"]:
                return
            self.add_pair(last, (frame, points))
        self._last = (frame, points)

    def add_pair(self, first: Seen, second: Seen) -> None:
        """Look at two neighbouring samples of a scene."""
        found = meeting(*first, *second, self._sensor, standing=len(self.standing) < ENOUGH)
        if isinstance(found, Meeting):
            self.meetings.append(found)
        elif found is not None:
            self.standing.append(found)
