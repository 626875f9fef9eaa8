"""Whether a camera matrix can be that of a picture: transposed ones, and those of other sizes, still project."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

LARGEST = 2**15
"""Pixels, of a picture's sides."""
SAME_FACTOR = 0.1
"""How far x and y may differ and still be scaled by one factor."""
NEAR_MIDDLE = {SAME_FACTOR: (0.8, 1.25), 0.03: (0.85, 1.18)}
"""Where principal points lie, over the middle of their picture; both beyond by one factor: that of another size. The
closer the factors are to each other, the less is it chance; a picture that was cropped a little has them equal, too."""
SWAPPED = 0.05
"""How far from the middle of a picture a principal point lies at most whose two numbers were swapped."""
LEAST_FOCAL = 0.15
"""Of a picture's width: 147 degrees, more than a pinhole camera sees. Millimetres taken for pixels are less."""


@lru_cache(maxsize=1024)  # a rig's cameras, again and again
def intrinsics_complaint(K: tuple[float, ...], size: tuple[int, int]) -> str | None:
    """What speaks against an intrinsic matrix (nine numbers, row by row, pixels) of a picture of (width, height)."""
    if not all(isinstance(side, int) and 0 < side <= LARGEST for side in size):
        return f"a picture of {size[0]}×{size[1]}"
    if len(K) != 9 or not np.isfinite(K).all():
        return f"K is not nine finite numbers: {_told(K)}"
    (fx, skew, cx), (zero, fy, cy), (*last, one) = np.reshape(K, (3, 3)).tolist()
    if any(last) and not (cx or cy):
        return f"K is transposed: its principal point stands in the last row {_told(K)}"
    if any(last) or one != 1 or zero:
        return f"K has to be [[fx, s, cx], [0, fy, cy], [0, 0, 1]], it is {_told(K)}"
    if fx <= 0 or fy <= 0 or not 0.5 < fx / fy < 2 or abs(skew) > 0.2 * fx:
        return f"K has focal lengths {fx:g} and {fy:g} (skew {skew:g}), which no camera has"
    if fx < 10 and fy < 10 and cx <= 1 and cy <= 1:
        return f"K is in shares of the picture, not in pixels: multiply it by width and height ({_told(K)})"
    x, y = 2 * cx / size[0], 2 * cy / size[1]
    x_swapped, y_swapped = 2 * cy / size[0], 2 * cx / size[1]
    if max(abs(x_swapped - 1), abs(y_swapped - 1)) < SWAPPED and min(abs(x - 1), abs(y - 1)) > 2 * SWAPPED:
        return f"K's principal point {cx:g}, {cy:g} is that of a picture on its side: swap cx and cy"
    if x > 0 and any(
        abs(y / x - 1) < same and not low < (x + y) / 2 < high for same, (low, high) in NEAR_MIDDLE.items()
    ):
        return (
            f"K is for pictures of about {2 * cx:.0f}×{2 * cy:.0f} (its principal point is {cx:g}, {cy:g}), but these "
            f"are {size[0]}×{size[1]}: scale fx, fy, cx and cy with the picture, or give pictures that are not cropped"
        )
    if not (0 < x < 2 and 0 < y < 2):
        return f"K's principal point {cx:g}, {cy:g} lies outside of the picture of {size[0]}×{size[1]}"
    if not LEAST_FOCAL < fx / size[0] < 50:
        return f"K's focal length of {fx:g} pixels is impossible for a picture {size[0]} wide"
    return None


def _told(K: Sequence[float]) -> str:
    return str(np.round(K, 4).tolist())
