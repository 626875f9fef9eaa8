"""Boxes of one image against each other: what stands in front of an object and has a box of its own is not its part."""

import numpy as np
from numpy.typing import NDArray

from clip2.lift.patches import Array, Indices, layer_gap

_INSIDE = 0.5
"""Share of an occluder's crop that the occluded object's crop holds; of less, the cut has already judged."""
_LEAST_REST = 0.1
"""Share of a crop without the occluder; where less is left, the two boxes are around one object."""
_NEAR_END = 10
"""Per cent of the rest's points that count as stray."""


def taken_by_occluders(crops: list[Indices], depth: Array) -> list[NDArray[np.bool_]]:
    """Which points of each crop belong to another box's object that stands in front of it.

    These are points that another crop holds too and that lie nearer than what only this crop holds; most of what the
    two share has to. All crops are compared as they come, so the order of boxes makes no difference.

    Args:
        crops: positions in the view.
        depth: (M,) metres, of the view's points.
    """
    held = np.zeros((len(crops), len(depth)), bool)
    for row, crop in zip(held, crops):
        row[crop] = True
    taken = [np.zeros(len(crop), bool) for crop in crops]
    for number, crop in enumerate(crops):
        for other in range(len(crops)):
            shared = held[other, crop]
            n_shared = np.count_nonzero(shared)
            if other == number or n_shared <= _INSIDE * len(crops[other]):
                continue
            if len(crop) - n_shared <= _LEAST_REST * len(crop):
                continue
            near = np.percentile(depth[crop[~shared]], _NEAR_END)
            front = shared & (depth[crop] < near - layer_gap(near))
            if np.count_nonzero(front) > n_shared / 2:
                taken[number] |= front
    return taken
