"""Headerless rows of numbers: nothing in the file says how many stand in a row, or of which type they are; they do."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

COLUMNS = range(3, 10)
"""Numbers that a row may have."""
LOOKED_AT = 40_000
"""Numbers, from the beginning: a millisecond's work."""
ENOUGH = 1_500
"""Numbers below which nothing is said of their order."""
GAIN = 0.3
"""Bits by which another record has to explain the numbers better."""
ODD = 0.02
"""Share of numbers, too large or too small for any sensor, from which they are taken for another type."""
NEARER = 4.0
"""How many times farther apart neighbours may be, read column after column, than read row after row."""


def record_complaint(data: bytes, columns: int) -> str | None:
    """What speaks against bytes being little-endian float32 rows of ``columns`` numbers; None where nothing does.

    Columns are of different kinds (x reaches farther than z, intensities are positive …), so a number's place in its
    row tells something of its size: about 1.5 bits in real clouds, and next to none when rows are cut at the wrong
    places.
    """
    values = np.frombuffer(data[: 4 * LOOKED_AT], "<f4", len(data[: 4 * LOOKED_AT]) // 4)
    odd = [column for column in range(3) if _odd(values[column::columns]) > ODD]  # what is not used may be anything
    if odd:
        others = {"float64": "<f8", "big-endian float32": ">f4"}
        likely = [name for name, dtype in others.items() if _odd(_read(data, dtype)) <= ODD / 4]
        more = f", but look like {likely[0]}" if likely else ""
        if not likely and (fitting := _likely([n for n in COLUMNS if len(data) % (4 * n) == 0], values)) != columns:
            more = f"; as rows of {fitting} they make sense (float32x{fitting})" if fitting else ""
        which = "the numbers are" if len(odd) == 3 else f"the numbers of {' and '.join('xyz'[n] for n in odd)} are"
        return f"{which} no float32{more}; save them as float32"
    if len(data) % (4 * columns):
        fitting = _likely([n for n in COLUMNS if len(data) % (4 * n) == 0], values)
        hint = f"; as rows of {fitting} they make sense (float32x{fitting})" if fitting else "; copy it again"
        return f"{len(data)} bytes is not a whole number of {columns}×float32 points{hint}"
    likely_columns = _likely([n for n in COLUMNS if len(data) % (4 * n) == 0], values, columns)
    if likely_columns and likely_columns != columns:
        return (
            f"rows of {columns} numbers make no sense, rows of {likely_columns} do: set the format to "
            f"float32x{likely_columns}, or save rows of {columns}"
        )
    if not likely_columns and _planar(np.frombuffer(data, "<f4"), columns):
        return "all x seem to stand before all y and z: save a row a point (of a NumPy array, its .T)"
    return None


def _planar(values: NDArray[np.float32], columns: int) -> bool:
    """Whether numbers stand column after column: their place in the file tells of their size."""
    n = len(values) // columns
    chosen = np.linspace(0, n - 1, min(n, LOOKED_AT // columns)).astype(np.int64)
    if len(chosen) * columns < ENOUGH or _bits(values.reshape(columns, n)[:, chosen].T.ravel(), columns) <= GAIN:
        return False
    # Rows that are sorted by place, or zeros before all others, tell of it, too; but their neighbours are near as rows.
    by_row, by_column = values[: n * columns].reshape(n, columns)[:, :3], values[: n * columns].reshape(columns, n)[:3]
    return _jump(by_column.T) < NEARER * _jump(by_row)


def _jump(points: NDArray[np.float32]) -> float:
    """Metres between neighbouring points (N, 3), the median of those that differ."""
    with np.errstate(all="ignore"):
        steps = np.abs(np.diff(points, axis=0)).sum(1)
    steps = steps[np.isfinite(steps) & (steps > 0)]
    return float(np.median(steps)) if len(steps) else 0.0


def _likely(candidates: Sequence[int], values: NDArray[np.float32], declared: int | None = None) -> int | None:
    """The number of columns that the numbers show; None where they show none, or none better than the declared one."""
    if len(values) < ENOUGH or not candidates:
        return None
    bits = {n: _bits(values, n) for n in candidates}
    best = max(bits, key=lambda n: bits[n])
    if bits[best] < GAIN:
        return None
    # Twice the true number explains as much, and four thirds none of it: of those that explain all, the smallest.
    best = min(n for n in candidates if bits[n] > 0.9 * bits[best])
    if declared is None or declared == best:
        return best
    better = bits[best] > max(1.25 * bits[declared], bits[declared] + GAIN)
    return best if better or declared % best == 0 else declared


def _bits(values: NDArray[np.float32], n: int) -> float:
    """Mutual information of a number's size (sign, power of two and half of it) and its place in a row of ``n``."""
    values = values[: len(values) // n * n]
    size = (values.view(np.uint32) >> 22).astype(np.int64)
    joint = np.bincount(size * n + np.arange(len(values)) % n, minlength=1024 * n).reshape(1024, n) / len(values)
    joint = joint[joint.any(1)]
    independent = joint.sum(1, keepdims=True) * joint.sum(0)
    there = joint > 0
    bits = (joint[there] * np.log2(joint[there] / independent[there])).sum()
    bias = (len(joint) - 1) * (n - 1) / (2 * len(values) * np.log(2))  # Miller and Madow
    return float(bits - bias)


def _odd(values: NDArray[np.floating]) -> float:
    """Share of numbers that no sensor gives; what is not finite stands for no return and is left out."""
    with np.errstate(invalid="ignore"):
        size = np.abs(values[np.isfinite(values)])
        return float(((size > 1e8) | ((size > 0) & (size < 1e-30))).mean()) if len(size) else 0.0


def _read(data: bytes, dtype: str) -> NDArray[np.floating]:
    size = np.dtype(dtype).itemsize
    return np.frombuffer(data[: size * LOOKED_AT], dtype, len(data[: size * LOOKED_AT]) // size)
