"""Masks as COCO's compressed run lengths: runs of 0 and 1 by turns down the columns, as text.

In NumPy, because the usual reader crashes on damaged text, and because a mask costs its box here and not its picture.
"""

import numpy as np
from numpy.typing import NDArray

_FIRST = 48
"""What the code of 0 is written as: "0"."""
_MOST_CHARACTERS = 7
"""Of a run; five bits each are enough for any picture."""


def encode(part: NDArray[np.bool_], corner: tuple[int, int], size: tuple[int, int]) -> str:
    """The mask of a picture that is 0 outside of ``part``.

    Args:
        part: (h, w) true where the thing is.
        corner: column and row of the part's upper left pixel.
        size: (height, width) of the picture.
    """
    (x, y), (height, width) = corner, size
    padded = np.zeros((part.shape[1], part.shape[0] + 2), np.int8)
    padded[:, 1:-1] = part.T
    column, row = np.nonzero(np.diff(padded, axis=1))
    bounds = (x + column) * height + y + row  # where runs of 1 begin and end, by turns
    apart = np.diff(bounds) > 0  # a run that goes on from the foot of a column to the head of the next is one
    bounds = bounds[np.append(True, apart) & np.append(apart, True)] if len(bounds) else bounds
    runs = np.diff(bounds, prepend=0, append=height * width)
    return _text(runs if runs[-1] else runs[:-1])


def decode(counts: str | list[int], size: tuple[int, int]) -> NDArray[np.bool_]:
    """The mask (height, width), of text or of plain run lengths.

    Raises:
        ValueError: damaged, or of a picture of another size.
    """
    height, width = size
    runs = _numbers(counts) if isinstance(counts, str) else np.array(counts, np.int64)
    if (runs < 0).any() or (runs > height * width).any() or runs.sum() != height * width:
        raise ValueError(f"its runs do not fill a picture of {width} x {height} pixels")
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(width, height).T


def _text(runs: NDArray[np.int64]) -> str:
    """Each run less the one before the last, in groups of five bits, the lowest first; bit 6 says that more follow."""
    values = runs.copy()
    values[3:] -= runs[1:-2]
    places = np.arange(_MOST_CHARACTERS)
    # So many groups that the highest bit of the last is the sign.
    n_groups = 1 + (np.maximum(values, ~values)[:, None] >= 1 << (5 * places + 4)).sum(1)
    groups = (values[:, None] >> (5 * places)) & 31
    groups |= np.where(places < n_groups[:, None] - 1, 32, 0)
    return (groups[places < n_groups[:, None]] + _FIRST).astype(np.uint8).tobytes().decode("ascii")


def _numbers(text: str) -> NDArray[np.int64]:
    codes = np.frombuffer(text.encode("utf-8"), np.uint8).astype(np.int64) - _FIRST
    if not len(codes) or ((codes < 0) | (codes > 63)).any() or codes[-1] & 32:
        raise ValueError("its run lengths are cut off, or no run lengths")
    last = np.flatnonzero(codes & 32 == 0)
    first = np.append(0, last[:-1] + 1)
    n_groups = last - first + 1
    if n_groups.max() > _MOST_CHARACTERS:
        raise ValueError("a run length is beyond all pictures")
    place = np.arange(len(codes)) - np.repeat(first, n_groups)
    runs = np.add.reduceat((codes & 31) << (5 * place), first)
    runs -= np.where(codes[last] & 16, 1 << (5 * n_groups), 0)
    runs[1::2], runs[2::2] = runs[1::2].cumsum(), runs[2::2].cumsum()
    return np.asarray(runs, np.int64)
