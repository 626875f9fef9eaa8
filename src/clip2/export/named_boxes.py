"""Upright boxes with names, as they are read from the tools' formats."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class NamedBox(NamedTuple):
    """One box.

    Attributes:
        name: in words, as a person would write it.
        box: (7,) x y z l w h yaw, metres and radians, in the frame of the sample's points (z up).
    """

    name: str
    box: NDArray[np.float64]


SampleBoxes = tuple[str, list[NamedBox]]
"""A sample's name, and its boxes."""
