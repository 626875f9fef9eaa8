"""Rotations as quaternions. Libraries check their input so much that it would be most of an export's time."""

import math

import numpy as np
from numpy.typing import NDArray


def quaternion_wxyz(R: NDArray[np.float64]) -> list[float]:
    """Quaternion w x y z, w ≥ 0, of a rotation (3, 3): Shepperd's method, by the largest of the four."""
    (a, b, c), (d, e, f), (g, h, i) = R.tolist()
    trace = a + e + i
    if trace >= max(a, e, i):
        q = [1 + trace, h - f, c - g, d - b]
    elif a >= max(e, i):
        q = [h - f, 1 + a - e - i, b + d, c + g]
    elif e >= i:
        q = [c - g, b + d, 1 - a + e - i, f + h]
    else:
        q = [d - b, c + g, f + h, 1 - a - e + i]
    norm = math.copysign(math.sqrt(sum(part * part for part in q)), q[0])
    return [part / norm for part in q]
