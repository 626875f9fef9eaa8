"""Reading rows with their points: objects or triplets, some in memory at a time, each point once."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clip2.runtime.errors import InputError
from clip2.store.ragged import RaggedReader
from clip2.store.tables import iterate_rows

Shards = Sequence[tuple[Path, Path]]
"""(Parquet, HDF5) of each shard."""


def distinct_points(
    points: NDArray[np.floating], offsets: NDArray[np.integer]
) -> tuple[NDArray[np.floating], NDArray[Any]]:
    """Crops end to end, (ΣN, 3+) points and (B+1,) offsets, without points that their crop holds a second time.

    A point that is there twice (two readers of one scan, padded clouds) is no information, but would take another's
    place in the row. The first of equal points stays where it is; crops without doubles are returned as they are.
    """
    order, again, ends = _by_place(points, offsets)
    if not again.any():
        return points, offsets
    kept = np.ones(len(points), bool)
    kept[order[again]] = False
    return points[kept], ends


def points_by_place(
    points: NDArray[np.floating], offsets: NDArray[np.integer]
) -> tuple[NDArray[np.floating], NDArray[Any]]:
    """The same without doubles, each crop's points by x, then z, then y: so the order they came in says nothing, and a
    mirror image (-y) has the same."""
    order, again, ends = _by_place(points, offsets)
    return points[order[~again]], ends


def _by_place(
    points: NDArray[np.floating], offsets: NDArray[np.integer]
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[Any]]:
    """(ΣN,) points crop by crop, by x, z, y; whether each equals the one before it; (B+1,) offsets without those."""
    crop = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    order = np.lexsort((points[:, 1], points[:, 2], points[:, 0], crop))  # stable: the first of equal ones comes first
    placed, crop = points[order, :3], crop[order]
    again = np.zeros(len(points), bool)
    again[1:] = (placed[1:] == placed[:-1]).all(1) & (crop[1:] == crop[:-1])
    lengths = np.bincount(crop[~again], minlength=len(offsets) - 1)
    return order, again, np.concatenate([[0], np.cumsum(lengths)]).astype(offsets.dtype)


@dataclass(frozen=True)
class Batch:
    """Some objects: rows of store.schemas.OBJECTS and their points (N_i, 4), z up, metres.

    ``vectors``: what image towers saw of them, where that is stored: by encoder (n, D) or (n, V, D) float32.
    """

    rows: list[dict[str, Any]]
    crops: list[NDArray[np.float32]]
    vectors: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    def take(self, chosen: list[int]) -> "Batch":
        """Some of them."""
        vectors = {name: values[chosen] for name, values in self.vectors.items()}
        return Batch([self.rows[i] for i in chosen], [self.crops[i] for i in chosen], vectors)


def batches(
    shards: Shards,
    columns: list[str],
    batch_size: int,
    stored: Callable[[Path], Mapping[str, Any]] = lambda path: {},
) -> Iterator[Batch]:
    """All objects, ``batch_size`` in memory at a time; batches do not reach over shards.

    Args:
        stored: gives the stored vectors of a shard (its Parquet file): by encoder, what can be cut into slices of rows.

    Raises:
        InputError: a shard's two files do not belong together.
    """
    for path, points_path in shards:
        rows, vectors, first = iterate_rows(path, columns, batch_size), stored(path), 0
        with RaggedReader(points_path) as reader:
            for stored_points, stored_offsets in reader.chunks(batch_size):
                points, offsets = distinct_points(stored_points, stored_offsets)
                batch = list(islice(rows, len(offsets) - 1))
                if len(batch) < len(offsets) - 1:
                    break
                here = slice(first, first + len(batch))
                own = {name: values[here].astype(np.float32) for name, values in vectors.items()}
                yield Batch(batch, np.split(points, offsets[1:-1]), own)
                first = here.stop
            else:
                if next(rows, None) is None:
                    continue
        raise InputError(f"{path} and {points_path}: not the same number of objects; delete both and run again")
