"""The upright 3D box around what was found of an object, and all points in it.

People mark an object by an upright box, and what lies in the box is the object: a cushion on a bed, the wall between
the posts of its headboard. A cut through surfaces finds the object's own surface; the box around it finds the rest.
"""

import numpy as np
from numpy.typing import NDArray

from clip2.lift.patches import Array, Indices

_MOST_POINTS = 4000
"""Of the points of a 2D box, evenly spread ones, on which the 3D box is fitted."""
_ANGLES = np.radians(np.arange(0, 90, 2.0))
_SHARES = np.array([0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2, 0.3])
"""Shares of the found points that a side of the box may leave out."""
_TRIM = 3
"""Index of the share that is left out to begin with: strays must not turn the box."""
_ROUNDS = 3


def upright_box(points: Array, found: NDArray[np.bool_], up: Array) -> tuple[Array, Array, Array]:
    """The upright box that agrees best with what was found: the largest intersection over union of points.

    Each of its six sides may leave out a share of the found points, and does where that leaves out many others: strays
    would stretch the box over what lies between.

    Args:
        points: (N, 3) all points in the object's 2D box, metres.
        found: (N,) which are known to be of the object; at least one.
        up: (3,) unit vector.

    Returns:
        axes (3, 3), a row each, the last one ``up``; the lowest and the highest coordinate (3,) on each.
    """
    step = -(-len(points) // _MOST_POINTS)
    some = found.copy()
    some[np.arange(len(points)) % step > 0] = False
    some = some if some.any() else found
    axes = _axes(points[some], up)
    own, others = points[some] @ axes.T, points[~found][::step] @ axes.T
    low, high = np.quantile(own, _SHARES, axis=0), np.quantile(own, 1 - _SHARES, axis=0)
    places_own, places_others = _places(own, low, high), _places(others, low, high)
    side = np.full(6, _TRIM)  # which share each side leaves out: the three lower ones, the three upper ones
    for _ in range(_ROUNDS):
        for moved in range(6):
            kept, taken_in = (_counts(places, side, moved) for places in (places_own, places_others))
            side[moved] = int(np.argmax(kept / (len(own) + taken_in)))
    return axes, low[side[:3], range(3)], high[side[3:], range(3)]


def _places(coordinates: Array, low: Array, high: Array) -> Indices:
    """(N, 6) for each side, how many of its places (shares, 3) leave the point inside; they come from wide to tight."""
    beyond_low = [np.searchsorted(low[:, a], coordinates[:, a], "right") for a in range(3)]
    within_high = [np.searchsorted(-high[:, a], -coordinates[:, a], "right") for a in range(3)]
    return np.stack(beyond_low + within_high, 1)


def _counts(places: Indices, side: Indices, moved: int) -> Indices:
    """(shares,) how many points the box holds for each place of the side ``moved``, the other five as they are."""
    inside = places > side
    inside[:, moved] = True
    counts = np.bincount(places[inside.all(1), moved], minlength=len(_SHARES) + 1)
    return np.asarray(counts[::-1].cumsum()[::-1][1:])


def _axes(points: Array, up: Array) -> Array:
    """(3, 3) two horizontal axes, along the rectangle of the least area around the points' plan view, and ``up``."""
    across = np.cross(up, np.eye(3)[np.abs(up).argmin()])
    across /= np.linalg.norm(across)
    plan = points[:: -(-len(points) // 500)] @ np.stack([across, np.cross(up, across)], 1)
    turned = np.stack([plan @ [np.cos(_ANGLES), np.sin(_ANGLES)], plan @ [-np.sin(_ANGLES), np.cos(_ANGLES)]])
    limits = np.quantile(turned, [_SHARES[_TRIM], 1 - _SHARES[_TRIM]], axis=1)
    angle = _ANGLES[np.prod(limits[1] - limits[0] + 0.02, axis=0).argmin()]
    first = np.cos(angle) * across + np.sin(angle) * np.cross(up, across)
    return np.stack([first, np.cross(up, first), up])


def points_in_upright_box(points: Array, box: tuple[Array, Array, Array], margin: float) -> NDArray[np.bool_]:
    """(N,) which points lie in the box or within ``margin`` metres of one of its sides."""
    axes, low, high = box
    along = points @ axes.T
    return np.asarray(((along >= low - margin) & (along <= high + margin)).all(1))
