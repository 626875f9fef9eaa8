"""The ground under a LiDAR's view: one plane, found from the points, where there is one."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clip2.lift.view import View

Array = NDArray[np.float64]

_POINTS = 1000
_TRIALS = 200
_NEAR_PLANE = 0.15
"""Metres from the plane within which a point supports it."""
_LEAST_SUPPORT = 0.1
"""Share of the points below the optical axis."""
_HEIGHTS = (0.5, 5.0)
"""Metres of a camera over the ground."""
_ROLL, _PITCH = 0.25, 0.35
"""Largest slopes (tangents) of the ground across and along the optical axis."""


@dataclass(frozen=True)
class Ground:
    """A plane in the camera's frame (x right, y down, z forward): ``normal · x = 1``.

    So the inverse depth of its pixels is linear in the pixel.
    """

    normal: Array
    """(3,) 1 / metres, pointing down."""

    def height(self, points: Array) -> Array:
        """(N,) metres above the ground of points (N, 3) in the camera's frame."""
        return np.asarray((1 - points @ self.normal) / np.linalg.norm(self.normal))

    def row(self, column: Array, depth: Array, K: Array) -> Array:
        """Pixel row in which the ground is seen at a depth (metres) under a pixel column; arrays of one shape."""
        across = self.normal[0] * (column - K[0, 2]) / K[0, 0]
        return np.asarray(K[1, 2] + K[1, 1] * (1 / depth - across - self.normal[2]) / self.normal[1])


def find_ground(view: View) -> Ground | None:
    """The plane below the camera that most points lie on (RANSAC with a fixed seed, then least squares).

    None where no plane of plausible height and slope holds a tenth of the points below the optical axis.
    """
    below = np.flatnonzero(view.uv[:, 1] > view.K[1, 2])
    if len(below) < 3:
        return None
    some = below[np.linspace(0, len(below) - 1, min(len(below), _POINTS)).astype(np.int64)]
    depth = view.depth[some].round(6)
    rays = np.column_stack([view.uv[some].round(6), np.ones(len(some))]) @ np.linalg.inv(view.K).T
    trial = np.random.default_rng(0).integers(len(some), size=(_TRIALS, 3))
    trial = trial[np.abs(np.linalg.det(rays[trial])) > 1e-9]
    normals = np.linalg.solve(rays[trial], (1 / depth[trial])[..., None])[..., 0]
    normals = normals[_plausible(normals)]
    if not len(normals):
        return None
    distance = np.abs(rays @ normals.T * depth[:, None] - 1) / np.linalg.norm(normals, axis=1)
    support = (distance < _NEAR_PLANE).sum(0)
    best = int(support.argmax())
    on = distance[:, best] < _NEAR_PLANE
    points = rays[on] * depth[on, None]
    normal = np.linalg.lstsq(points, np.ones(len(points)), rcond=None)[0]
    if support[best] < _LEAST_SUPPORT * len(some) or not _plausible(normal[None])[0]:
        return None
    return Ground(normal)


def _plausible(normals: Array) -> NDArray[np.bool_]:
    """(T,) whether planes (T, 3) are a ground below a camera that is held roughly level."""
    x, y, z = normals.T
    low, high = 1 / _HEIGHTS[1], 1 / _HEIGHTS[0]
    return np.asarray((y > low) & (y < high) & (np.abs(x) < _ROLL * y) & (np.abs(z) < _PITCH * y))
