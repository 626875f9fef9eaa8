"""What lies around the things of one LiDAR sample in its whole cloud: the ground under them, and their points that were
in no crop, as a 2D box or the lifting cut them off."""

import logging
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, grey_opening, map_coordinates, median_filter
from scipy.spatial import cKDTree

from clip2.geometry import invert, rigid, transform_points, yaw_rotation
from clip2.label.extent import Extent
from clip2.label.free_space import room_beyond
from clip2.label.settings import LabelSettings
from clip2.scans.clouds import CloudError, load_points
from clip2.store.tables import iterate_rows, read_header

log = logging.getLogger(__name__)

Floats = NDArray[np.floating]
Row = dict[str, Any]

EGO_M = 1.0
"""Points of earlier sweeps nearer than this are the recording car (clip2.scans.clouds.load_points)."""

CELL_M = 2.0
"""Side of the cells in plan view whose lowest points are the ground."""
LOW = 0.05
"""Quantile of a cell's heights that is taken as its lowest: below it lie echoes from under the road."""
WIDEST_M = 14.0
"""What is narrower than this and higher than all around it is no ground."""
ABOVE_M = 0.25
"""Points so high above the ground are not of it."""
SENSOR_ABOVE_M = 0.7
"""A LiDAR on a vehicle is higher above the ground; the middle of an axle is not."""
FARTHEST_M = 120.0
COARSE_M = 0.5
"""Side of the cells in plan view by which points are left out that are near nothing."""
GROWS = 0.5
"""Of its length, what is missing of a thing at either end at the most. A person does not grow into the fence beside."""


@dataclass(frozen=True)
class Ground:
    """Heights of the ground in cells of :data:`CELL_M`: ``height[i, j]`` metres around ``low + (i, j) · CELL_M``."""

    low: NDArray[np.float64]
    height: NDArray[np.float64]

    def under(self, xy: Floats) -> NDArray[np.float64]:
        """(N,) metres, the ground's height under places (N, 2+); that of the nearest cell beyond the cloud."""
        cell = (np.asarray(xy, np.float64)[:, :2] - self.low) / CELL_M - 0.5  # heights are those of the cells' middles
        return np.asarray(map_coordinates(self.height, cell.T, order=1, mode="nearest"))


def ground_of(points: Floats) -> Ground | None:
    """The ground of a cloud (N, 3+), metres, z up; None of an empty one."""
    near = points[(np.abs(points[:, :2]) < FARTHEST_M).all(1), :3]
    if not len(near):
        return None
    low = near[:, :2].min(0).astype(np.float64)
    cell = ((near[:, :2] - low) / CELL_M).astype(int)
    shape = tuple(cell.max(0) + 1)
    number = cell[:, 0] * shape[1] + cell[:, 1]
    order = np.lexsort((near[:, 2], number))
    cells, first, count = np.unique(number[order], return_index=True, return_counts=True)
    height = np.full(shape[0] * shape[1], np.nan)
    height[cells] = near[order[first + (LOW * (count - 1)).astype(int)], 2]
    height = height.reshape(shape)
    _, (i, j) = distance_transform_edt(np.isnan(height), return_indices=True)
    height = median_filter(height[i, j], 3)
    width = int(WIDEST_M / CELL_M)
    return Ground(low, np.asarray(grey_opening(height, (width, width))))


def grown(things: Sequence[Floats], cloud: Floats, ground: Ground | None, gap: float, reach: float) -> list[Floats]:
    """For each thing, points of the cloud that are no more than ``gap`` from it, or from such points; each is the
    nearest thing's.

    Args:
        things: (N_i, 3+) what is known of each, in the frame of the cloud (N, 3+).
        reach: metres beyond a thing's points where it ends at the latest, and at :data:`GROWS` of its length.
    """
    if not len(cloud) or not len(things):
        return [np.zeros((0, 3)) for _ in things]
    low, high = (np.array([end(thing[:, :3], axis=0) for thing in things], np.float64) for end in (np.min, np.max))
    beyond = np.minimum(reach, GROWS * (high - low)[:, :2].max(1))[:, None]
    low, high = low - beyond, high + beyond
    xyz = np.asarray(cloud[_in_plan(cloud, low, high), :3], np.float64)
    if ground is not None:
        xyz = xyz[xyz[:, 2] > ground.under(xyz) + ABOVE_M]
    found: list[list[Floats]] = [[] for _ in things]
    seeds = np.concatenate([np.asarray(thing[:, :3], np.float64) for thing in things])
    owner = np.repeat(np.arange(len(things)), [len(thing) for thing in things])
    left = np.arange(len(xyz))
    while len(seeds) and len(left):
        distance, nearest = cKDTree(seeds).query(xyz[left], distance_upper_bound=gap)
        reached = np.flatnonzero(np.isfinite(distance))
        mine, points = owner[nearest[reached]], left[reached]
        inside = ((xyz[points] >= low[mine]) & (xyz[points] <= high[mine])).all(1)
        mine, points = mine[inside], points[inside]
        for thing in np.unique(mine):
            found[thing].append(xyz[points[mine == thing]])
        left = np.delete(left, reached)
        seeds, owner = xyz[points], mine
    return [np.concatenate(parts) if parts else np.zeros((0, 3)) for parts in found]


def _in_plan(cloud: Floats, low: Floats, high: Floats) -> NDArray[np.bool_]:
    """(N,) whether points lie in a cell in plan view that one of some boxes, corners (n, 3) each, touches."""
    origin = low[:, :2].min(0)
    shape = tuple(((high[:, :2].max(0) - origin) / COARSE_M).astype(int) + 1)
    touched = np.zeros(shape, bool)
    first, last = (((corner[:, :2] - origin) / COARSE_M).astype(int) for corner in (low, high))
    for (i, j), (k, m) in zip(first, last, strict=True):
        touched[i : k + 1, j : m + 1] = True
    cell = np.floor((cloud[:, :2] - origin) / COARSE_M).astype(int)
    inside = ((cell >= 0) & (cell < shape)).all(1)
    inside[inside] = touched[tuple(cell[inside].T)]
    return np.asarray(inside)


@dataclass(frozen=True)
class Whole:
    """The things of a scene: points (N, 3+) in each one's own frame, and the ground's height under it there."""

    points: list[Floats]
    ground: list[float | None]


class Surroundings:
    """The clouds of one shard, read again for its things.

    Attributes:
        counts: ``clouds_unread``, samples whose cloud cannot be read: its things stay as they are.
    """

    def __init__(self, frames: Path, data_root: Path, settings: LabelSettings) -> None:
        self.counts: Counter[str] = Counter()
        self._root, self._settings = data_root, settings
        wanted = settings.surroundings and read_header(frames)["sensor"] == "lidar"
        rows = iterate_rows(frames, ["sample", "clouds"]) if wanted else iter(())
        self._clouds = {row["sample"]: row["clouds"] for row in rows}

    def complete(
        self, tracks: Sequence[Row], points: Sequence[Floats], T_scene_from_points: Mapping[str, Floats]
    ) -> Whole:
        """Add to the things of a scene what the clouds of its samples hold of them.

        Args:
            tracks: rows of store.schemas.TRACKS.
            points: (N, 4) of each, in its own frame.
        """
        parts = [[crop[:, :3]] for crop in points]
        heights: list[list[float]] = [[] for _ in tracks]
        for sample, things in _at(tracks).items():
            if sample not in self._clouds:
                continue
            try:
                cloud = load_points(self._clouds[sample], self._root, EGO_M)
            except CloudError as error:
                self.counts["clouds_unread"] += 1
                log.warning("%s: %s", sample, error)
                continue
            ground = ground_of(cloud)
            T = [invert(T_scene_from_points[sample]) @ T_scene_from_thing for _, T_scene_from_thing in things]
            placed = [transform_points(points[k][:, :3], T_k) for (k, _), T_k in zip(things, T, strict=True)]
            more = grown(placed, cloud, ground, self._settings.gap_m, self._settings.reach_m)
            for (number, _), T_k, known, found in zip(things, T, placed, more, strict=True):
                parts[number].append(transform_points(found, invert(T_k)))
                if ground is not None:
                    middle = (known.min(0) + known.max(0)) / 2
                    under = [*middle[:2], float(ground.under(middle[None])[0])]
                    heights[number].append(float(transform_points(np.array([under]), invert(T_k))[0, 2]))
        return Whole(
            [np.concatenate(own) for own in parts], [float(np.median(own)) if own else None for own in heights]
        )

    def room(
        self, tracks: Sequence[Row], extents: Sequence[Extent], T_scene_from_points: Mapping[str, Floats]
    ) -> list[Floats]:
        """For each thing of a scene, how far it can reach beyond its ends (label.free_space).

        By the key sweeps only: the beams of earlier ones came from other places. Where the points' origin is near the
        ground, it is not where the sensor is, and nothing is said.
        """
        rooms = [extent.room.copy() for extent in extents]
        for sample, things in _at(tracks).items():
            if not (clouds := self._clouds.get(sample)):
                continue
            try:
                ends = load_points(clouds[:1], self._root)
            except CloudError:
                continue  # counted by complete()
            ground = ground_of(ends)
            if ground is None or ground.under(np.zeros((1, 2)))[0] > -SENSOR_ABOVE_M:
                continue
            for number, T_scene_from_thing in things:
                extent = extents[number]
                T_thing_from_points = invert(T_scene_from_thing) @ T_scene_from_points[sample]
                T = rigid(yaw_rotation(-extent.yaw), np.zeros(3)) @ T_thing_from_points
                room = room_beyond(extent.low, extent.high, T[:3, 3], transform_points(ends[:, :3], T))
                rooms[number] = np.minimum(rooms[number], room)
        return rooms


def _at(tracks: Sequence[Row]) -> dict[str, list[tuple[int, Floats]]]:
    """Sample → the things that are there, by number, and ``T_scene_from_thing`` of each."""
    at: dict[str, list[tuple[int, Floats]]] = defaultdict(list)
    for number, track in enumerate(tracks):
        for place in track["path"]:
            at[place["sample"]].append((number, np.reshape(place["T_scene_from_thing"], (4, 4))))
    return at
