"""How far a thing can reach beyond what was measured of it: where the sensor saw through, there is nothing of it.

Of a car seen from behind, what lies ahead of its measured end is in its own shadow, so it may be as long as cars are;
of one seen from the side, beams pass its ends and hit what is behind, so it is as long as it was measured.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

REACH_M = 15.0
"""Beyond a thing's ends, what is looked at."""
CORE = 0.25, 0.3, 0.15
"""Shares of a thing's measured width, and of its height from below and from above, that are left out: a beam that
passes there may only graze it."""
THIN_M = 0.1
"""The least half width of what beams have to pass."""
BEAMS = 3
"""So many beams have to pass: the one after the nearest few says how far the thing can reach."""
PASSES_M = 0.5
"""A beam that ends nearer than this behind where the thing could be may have hit the thing itself."""


def room_beyond(low: Floats, high: Floats, sensor: Floats, ends: Floats) -> Floats:
    """(2, 2) metres from the low and the high end of both horizontal axes to where something was seen through.

    Args:
        low, high: (3,) measured ends along the axes of a thing's box, z up.
        sensor, ends: (3,) and (N, 3) where the beams of one sample came from and where they ended, along the same axes.

    Returns:
        inf where no beam says anything.
    """
    size = high - low
    core_low = low + np.array([CORE[0], CORE[0], CORE[1]]) * size
    core_high = high - np.array([CORE[0], CORE[0], CORE[2]]) * size
    middle = (low + high)[:2] / 2  # of one side that was seen, the points lie in a plane
    core_low[:2] = np.minimum(core_low[:2], middle - THIN_M)
    core_high[:2] = np.maximum(core_high[:2], middle + THIN_M)
    rays = _in_sight(low, high, sensor, ends) - sensor
    length = np.linalg.norm(rays, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        first, last = (core_low - sensor) / rays, (core_high - sensor) / rays
    enters, leaves = np.fmin(first, last), np.fmax(first, last)
    room = np.full((2, 2), np.inf)
    for axis in (0, 1):
        across = [1 - axis, 2]
        start = np.clip(enters[:, across].max(1), 0, 1)
        stop = np.clip(leaves[:, across].min(1), 0, 1)
        passes = (start < stop) & ((1 - stop) * length > PASSES_M)
        entry, leave = (sensor[axis] + t[passes] * rays[passes, axis] for t in (start, stop))
        for end, sign, at in ((0, -1.0, low[axis]), (1, 1.0, high[axis])):
            beyond = sign * (np.stack([entry, leave]) - at)
            nearest, farthest = beyond.min(0), beyond.max(0)
            says = (farthest > 0) & (nearest < REACH_M)
            if (found := np.maximum(nearest[says], 0.0)).size >= BEAMS:
                room[axis, end] = float(np.partition(found, BEAMS - 1)[BEAMS - 1])
    return room


def _in_sight(low: Floats, high: Floats, sensor: Floats, ends: Floats) -> Floats:
    """Ends of those beams that can pass near a thing, in plan view."""
    middle = (low + high)[:2] / 2 - sensor[:2]
    radius = float(np.hypot(*(high - low)[:2])) / 2 + REACH_M
    away = float(np.hypot(*middle))
    along = ends[:, :2] - sensor[:2]
    far = np.hypot(*along.T)
    keep = far > away - radius
    if away > radius:
        cosine = (along @ middle) / np.maximum(far * away, 1e-9)
        keep &= cosine > np.sqrt(1 - (radius / away) ** 2)
    return ends[keep]
