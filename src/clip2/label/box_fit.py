"""A 3D box around a crop's points: upright, gravity-aligned, nothing added that was not measured.

The box holds what the sensor saw of a thing: of a car seen from behind that is its back. No size is known of any class
here, so none is filled in.
"""

from __future__ import annotations  # so that help() shows `ArrayLike`

import numpy as np
from numpy.typing import ArrayLike, NDArray

NEAREST_M = 0.02
"""Points nearer to a side than this count alike (d0 of Zhang et al.)."""
SEARCH_POINTS = 256
"""Points of a crop, spread over it, that the yaw is searched on."""
YAWS = np.deg2rad(np.arange(90.0))

Floats = NDArray[np.float64]


def fit_box(points: ArrayLike, axis_aligned: bool = False, trim: float = 0.02, min_size: float = 0.1) -> Floats:
    """The upright box (7,) x y z l w h yaw around the points of one object, metres and radians, in the points' frame.

    x y z is its middle; yaw is that of its length, about z, counter-clockwise from x.

    Args:
        points: (N ≥ 1, 3+), metres, z up; further columns are not used.
        axis_aligned: yaw 0 (ScanNet's annotations are so); else the yaw of :func:`l_shape_yaw`.
        trim: share of the points left out at either end of each axis, against outliers.
        min_size: smallest side, metres.

    Returns:
        With the yaw search, l ≥ w and yaw in [-π/2, π/2): front and back are not told apart.

    Raises:
        ValueError: no points, or such as are not finite numbers.
    """
    xyz = np.asarray(points, np.float64)[:, :3]
    if not len(xyz):
        raise ValueError("no points to fit a box to")
    if not np.isfinite(xyz).all():
        raise ValueError("points that are not finite numbers; leave them out")
    yaw = 0.0 if axis_aligned else l_shape_yaw(xyz[:, :2], trim)
    along, across = _axes(yaw)
    low, high = _trimmed(np.stack([xyz @ along, xyz @ across, xyz[:, 2]]), trim)
    middle, size = (low + high) / 2, np.maximum(high - low, min_size)
    centre = middle[0] * along + middle[1] * across + [0.0, 0.0, middle[2]]
    if not axis_aligned and size[0] < size[1]:
        size[:2], yaw = size[1::-1], yaw - np.pi / 2
    return np.array([*centre, *size, yaw])


def l_shape_yaw(plan: Floats, trim: float = 0.02) -> float:
    """Yaw in [0, π/2) of the rectangle to whose two sides the points (N, 2) in plan view are nearest.

    The closeness criterion of Zhang et al. 2017 (Efficient L-Shape Fitting for Vehicle Detection Using Laser Scanners),
    by search in steps of 1°: of each axis the nearer of its two sides is taken, for all points together; a point counts
    1 / max(d, d0) with d its distance to the nearer of the two sides taken. Sides are at trimmed extents, so that a
    single outlier does not draw one away.
    """
    if len(plan) < 3:
        return 0.0 if len(plan) < 2 else float(np.arctan2(*(plan[1] - plan[0])[::-1]) % (np.pi / 2))
    if len(plan) > SEARCH_POINTS:
        plan = plan[np.linspace(0, len(plan) - 1, SEARCH_POINTS).astype(np.int64)]
    plan = plan - plan.mean(0)
    cos, sin = np.cos(YAWS)[:, None], np.sin(YAWS)[:, None]
    x, y = plan.T
    distances = [_to_nearer_side(along, trim) for along in (cos * x + sin * y, cos * y - sin * x)]
    closeness = 1 / np.maximum(np.minimum(*distances), NEAREST_M)
    return float(YAWS[closeness.sum(1).argmax()])


def _to_nearer_side(values: Floats, trim: float) -> Floats:
    """(A, N) coordinates along each of A axes -> distances to that end of the axis which all points are nearer to."""
    low, high = _trimmed(values, trim)
    to_low, to_high = np.abs(values - low[:, None]), np.abs(high[:, None] - values)
    nearer = (to_low**2).sum(1) <= (to_high**2).sum(1)
    return np.where(nearer[:, None], to_low, to_high)


def _trimmed(values: Floats, trim: float) -> tuple[Floats, Floats]:
    """Lowest and highest of each row (A, N) after ⌊trim · N⌋ values at either end are left out."""
    ordered = np.sort(values, axis=1)
    cut = int(trim * values.shape[1])
    return ordered[:, cut], ordered[:, values.shape[1] - 1 - cut]


def _axes(yaw: float) -> tuple[Floats, Floats]:
    """Unit vectors along and across a box of this yaw."""
    return np.array([np.cos(yaw), np.sin(yaw), 0.0]), np.array([-np.sin(yaw), np.cos(yaw), 0.0])
