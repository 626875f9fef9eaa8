"""The thing that a track is: does it move, where is it at each sample, and what do all its views show of it?"""

from dataclasses import dataclass

import numpy as np

from clip2.geometry import rigid, yaw_rotation
from clip2.track.views import Floats, Ints, Views, cube_of, thinned

WINDOW_S = 1.0
"""Velocity is constant for about so long."""
MOVED_M = 1.0
"""A thing whose middle moved less than this stands, as far as one can tell."""
_FINER = 6
"""How many times finer than the cubes by which crops are compared the points are kept."""


@dataclass(frozen=True)
class Thing:
    """What is known of a track's thing.

    Attributes:
        samples: (m,) numbers of the samples that saw it.
        T_scene_from_thing: (m, 4, 4) its place at each of them.
        velocity: (3,) metres a second, mean; zeros where it does not move.
        points: (N, 4) of all views together, in its own frame: z up, the origin in the middle of the points, x ahead
            where it moves, else along the scene's.
        n_triplets, n_points: (m,) of each sample.
    """

    samples: Ints
    T_scene_from_thing: Floats
    velocity: Floats
    points: Floats
    n_triplets: Ints
    n_points: Ints

    @property
    def moving(self) -> bool:
        """Whether it moves."""
        return bool(self.velocity.any())


def thing_of(views: Views, members: Ints, max_points: int) -> Thing:
    """The thing that some views (their numbers, ascending) show."""
    samples, group = np.unique(views.sample[members], return_inverse=True)
    clouds = [np.concatenate([views.points[k] for k in members[group == number]]) for number in range(len(samples))]
    n_points = np.array([len(cloud) for cloud in clouds])
    places, velocity = [np.eye(4)] * len(samples), np.zeros(3)
    together = _put_together(clouds, places)
    if len(samples) > 1:
        times = views.times[samples]
        course = _course(times, np.array([cloud[:, :3].mean(0) for cloud in clouds]), n_points)
        moved = course[-1][:3, 3] - course[0][:3, 3]
        along = _put_together(clouds, course)
        # Put together the right way, points of several samples lie upon one another and fill the least space.
        if np.linalg.norm(moved[:2]) > MOVED_M and _space(along, views.cube_m) < _space(together, views.cube_m):
            places, together, velocity = course, along, moved / (times[-1] - times[0])
    middle = (together[:, :3].min(0) + together[:, :3].max(0)) / 2
    together[:, :3] -= middle
    _, first = np.unique(cube_of(together, views.cube_m / _FINER), return_index=True)
    return Thing(
        samples=samples,
        T_scene_from_thing=np.array([place @ rigid(np.eye(3), middle) for place in places]),
        velocity=velocity,
        points=thinned(together[np.sort(first)], max_points),
        n_triplets=np.bincount(group),
        n_points=n_points,
    )


def _course(times: Floats, centres: Floats, n_points: Ints) -> list[Floats]:
    """A place (4, 4) for each sample, x along the velocity there: of a line through the samples near in time."""
    weight = np.sqrt(n_points) * np.exp(-0.5 * ((times - times[:, None]) / WINDOW_S) ** 2)  # (at, of)
    weight /= weight.sum(1, keepdims=True)
    mean_time, mean_place = weight @ times, weight @ centres
    since = times - mean_time[:, None]
    velocity = (weight * since) @ centres / (weight * since**2).sum(1, keepdims=True)
    at = mean_place + velocity * (times - mean_time)[:, None]
    return [rigid(yaw_rotation(float(np.arctan2(v[1], v[0]))), place) for v, place in zip(velocity, at, strict=True)]


def _put_together(clouds: list[Floats], places: list[Floats]) -> Floats:
    """Points of several samples (N, 4), each in the frame of its place."""
    parts = [
        np.column_stack([(cloud[:, :3] - place[:3, 3]) @ place[:3, :3], cloud[:, 3]])
        for cloud, place in zip(clouds, places, strict=True)
    ]
    return np.concatenate(parts).astype(np.float32)


def _space(points: Floats, side: float) -> int:
    """How many cubes points fill."""
    return len(np.unique(cube_of(points, side)))
