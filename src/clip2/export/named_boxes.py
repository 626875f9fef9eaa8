"""Upright boxes with names, as they are read from the tools' formats."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FARTHEST = 1e8
"""Metres, from any origin of map coordinates."""


class NamedBox(NamedTuple):
    """One box.

    Attributes:
        name: in words, as a person would write it.
        box: (7,) x y z l w h yaw, metres and radians, in the frame of the sample's points (z up).
    """

    name: str
    box: NDArray[np.float64]


def is_box(name: str, numbers: Sequence[float], left_out: Counter[str]) -> bool:
    """Whether what a tool wrote is a box with a name; what is not is counted.

    Args:
        numbers: x y z l w h, metres, and angles.

    Raises:
        ValueError: a number is not finite, or larger than any place on earth.
    """
    if not (np.abs(numbers) < FARTHEST).all():
        raise ValueError("a number is not finite, or too large")
    if min(numbers[3:6]) <= 0:
        left_out["without a size"] += 1
    elif not name.strip():
        left_out["without a name"] += 1
    else:
        return True
    return False


SampleBoxes = tuple[str, list[NamedBox]]
"""A sample's name, and its boxes."""
