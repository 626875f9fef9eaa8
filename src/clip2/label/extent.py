"""The upright box of a whole thing: what its points span, made as large as its name usually is (label.usual).

A sensor sees the near sides of a thing. What it did not see lies behind them, so a box grows away from the sensor, and
not into what was seen through (label.free_space).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from clip2.label.box_fit import l_shape_yaw

Floats = NDArray[np.float64]

TOO_LARGE = 4.0
"""How much more it counts against an orientation that a side is longer than usual than that it is shorter: points of
what is beside a thing are rare, unseen sides are not."""
SMALLEST_M = 0.1
TOO_LONG = 0.2
"""Share by which a side is longer than its name's usual one, from which on something else is taken to be in it."""
SPREAD = 64
BETWEEN_BEAMS_M = 0.15
"""A thing ends so far beyond its last point: between two beams, or where the outermost points were left out."""
OFF_GROUND_M = 0.6
"""What begins lower than this above the ground stands on it."""
SQUARE = 0.25
"""Sensors seen under a smaller share of their distance along an axis say nothing about its near end."""


@dataclass(frozen=True)
class Extent:
    """What the points of a thing span, in its own frame (z up).

    Attributes:
        yaw: radians, of the box's first axis.
        low, high: (3,) metres along the box's axes.
        behind: (3,) for each axis +1 where the unseen end is the high one, -1 the low one, 0 where unknown.
        n_points: how many there are.
        spread: (k, 3) coordinates of points at even steps of rank along each axis, from low to high.
        room: (2, 2) metres that it can reach beyond the low and the high end of both horizontal axes; inf where nothing
            is known.
    """

    yaw: float
    low: Floats
    high: Floats
    behind: Floats
    n_points: int
    spread: Floats
    room: Floats = field(default_factory=lambda: np.full((2, 2), np.inf))


def extent_of(points: Floats, sensors: Floats, moving: bool, trim: float, ground: float | None = None) -> Extent:
    """Measure a thing.

    Args:
        points: (N ≥ 1, 3+) metres, in its own frame; where it moves, x points ahead.
        sensors: (S, 3) where the sensor was, in that frame.
        trim: share of the points left out at either end of each axis.
        ground: its height under the thing, metres, in that frame. What is a little above it stands on it: beams miss
            the lowest part, and lifting takes what is near the ground for ground.
    """
    xyz = np.asarray(points, np.float64)[:, :3]
    yaw = 0.0 if moving else l_shape_yaw(xyz[:, :2], trim)
    along = xyz @ _axes(yaw).T
    ordered, cut = np.sort(along, axis=0), int(trim * len(along))
    ordered = ordered[cut : len(along) - cut]
    low, high = ordered[0], ordered[-1]
    towards = (sensors - xyz.mean(0)) @ _axes(yaw).T
    towards = (towards / np.maximum(np.linalg.norm(towards, axis=1, keepdims=True), 1e-9)).mean(0)[:2]
    spread = ordered[np.linspace(0, len(ordered) - 1, min(len(ordered), SPREAD)).round().astype(int)]
    behind = np.append(np.where(np.abs(towards) < SQUARE, 0.0, -np.sign(towards)), 0.0)
    if ground is not None and low[2] - ground < OFF_GROUND_M and high[2] > ground:
        low[2], behind[2] = ground, 1.0
    return Extent(yaw, low, high, behind, len(xyz), spread)


def whole_box(extent: Extent, label: str, usual: Mapping[str, Floats]) -> tuple[Floats, bool]:
    """The box (7,) x y z l w h yaw in the thing's frame, l ≥ w, and whether a side has its name's size."""
    low, high = extent.low.copy(), extent.high.copy()
    grown = False
    if label in usual:
        wanted = _oriented(extent, usual[label])
        for axis in range(3):
            missing = wanted[axis] - (high[axis] - low[axis])
            if -missing > TOO_LONG * wanted[axis] and axis < 2:
                low[axis], high[axis] = _fullest(extent.spread[:, axis], float(wanted[axis]))
                continue
            if missing <= 0:
                continue
            down, up = _growth(extent, axis, missing)
            low[axis] -= down
            high[axis] += up
            grown = grown or bool(down + up > 0.1 * wanted[axis])
    size, middle, yaw = np.maximum(high - low, SMALLEST_M), (low + high) / 2, extent.yaw
    centre = middle @ _axes(yaw)
    if size[0] < size[1]:
        size[:2], yaw = size[1::-1].copy(), yaw - np.pi / 2
    return np.array([*centre, *size, yaw]), grown


def _fullest(ordered: Floats, length: float) -> tuple[float, float]:
    """The stretch of a length that holds the most of some numbers, which ascend."""
    held = np.searchsorted(ordered, ordered + length, "right") - np.arange(len(ordered))
    first = int(held.argmax())
    low, high = ordered[first], ordered[first + held[first] - 1]
    middle = (low + high) / 2
    return middle - length / 2, middle + length / 2


def _growth(extent: Extent, axis: int, missing: float) -> tuple[float, float]:
    """Metres by which a box grows beyond its low and its high end: away from the sensor, as far as there is room."""
    up = 0.5 if not extent.behind[axis] else float(extent.behind[axis] > 0)
    low, high = (1 - up) * missing, up * missing
    if axis < 2:
        room = extent.room[axis] + BETWEEN_BEAMS_M
        low, high = min(low, float(room[0])), min(high, float(room[1]))
    return low, high


def _oriented(extent: Extent, usual: Floats) -> Floats:
    """(3,) the usual size with its length along the axis that suits what was measured better, and has room for it."""
    size = extent.high - extent.low

    def against(order: Floats) -> float:
        cost = 0.0
        for axis in (0, 1):
            own, wanted = max(size[axis], SMALLEST_M), max(order[axis], SMALLEST_M)
            reached = own + sum(_growth(extent, axis, max(wanted - own, 0.0)))
            cost += TOO_LARGE * max(np.log(own / wanted), np.log(wanted / reached)) + abs(np.log(own / wanted))
        return float(cost)

    other = usual[[1, 0, 2]]
    return usual if against(usual) <= against(other) else other


def _axes(yaw: float) -> Floats:
    """(3, 3) rows: the box's axes."""
    return np.array([[np.cos(yaw), np.sin(yaw), 0.0], [-np.sin(yaw), np.cos(yaw), 0.0], [0.0, 0.0, 1.0]])
