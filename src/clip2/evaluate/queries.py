"""Reading the objects that the `objects` stage wrote: what they are, and batches of them."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clip2.errors import InputError
from clip2.store.ragged import RaggedReader
from clip2.store.tables import iterate_rows, read_header

Shards = Sequence[tuple[Path, Path]]
"""(Parquet, HDF5) of each shard."""
AGREED = ("source", "source_kind", "dataset", "split", "sensor", "units", "axes", "protocol")
"""Header keys that must be the same in all shards. The sensor is "lidar", "rgbd", or "objects" for object sets."""
AGREED_IF_THERE = ("classes", "queries", "variant")
"""Of object sets: their classes, in the order of the labels."""


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


def common_header(shards: Shards) -> dict[str, Any]:
    """One header for all shards: the common keys, summed ``n_objects`` and ``skipped``, the most ``clouds_per_sample``.

    Raises:
        InputError: the shards were not made alike, or their up direction is not z.
    """
    if not shards:
        raise InputError("no object shards; give at least one")
    headers = [(path, read_header(path)) for path, _ in shards]
    first_path, first = headers[0]
    skipped: Counter[str] = Counter()
    for path, header in headers:
        if header.get("kind") != "objects":
            raise InputError(f"{path}: holds {header.get('kind')}, not objects; give what `clip2 objects` wrote")
        for key in (*AGREED, *AGREED_IF_THERE):
            if header.get(key) != first.get(key):
                raise InputError(
                    f"{path}: {key} is {header.get(key)!r}, but {first.get(key)!r} in {first_path}; "
                    "evaluate shards of one source, made with one setting"
                )
        skipped.update(header.get("skipped", {}))
    if first["axes"]["up"] != "z":
        raise InputError(f"{first_path}: the points' up direction is {first['axes']['up']!r}; the methods expect z")
    return {
        **{key: first[key] for key in AGREED},
        **{key: first[key] for key in AGREED_IF_THERE if key in first},
        "n_objects": sum(header["counts"]["objects"] for _, header in headers),
        "clouds_per_sample": max(header.get("clouds_per_sample", 1) for _, header in headers),
        "skipped": dict(sorted(skipped.items())),
    }


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
            for points, offsets in reader.chunks(batch_size):
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
