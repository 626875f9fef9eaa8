"""Which annotated objects are learnt from: drawn at random within each class, and only those are read."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clip2.store.crops import Batch, Shards
from clip2.store.ragged import RaggedReader
from clip2.store.tables import iterate_rows

Ints = NDArray[np.int64]


def read_labels(shards: Shards, classes: Sequence[str]) -> Ints:
    """(n,) class index of every object of all shards in order, -1 for one that is of none of ``classes``."""
    index = {name: i for i, name in enumerate(classes)}
    found = [index.get(row["class_name"], -1) for path, _ in shards for row in iterate_rows(path, ["class_name"])]
    return np.asarray(found, np.int64)


def draw_order(labels: Ints, n_classes: int, shots: int, seed: int) -> list[Ints]:
    """For each class up to ``shots`` random objects (indices into ``labels``), fewer where it has fewer.

    The first k of a class are the k-shot draw, so that more shots contain the fewer. A class's draw depends on the
    seed and on its own objects only.
    """
    drawn = []
    for number in range(n_classes):
        rng = np.random.default_rng([seed, number])
        drawn.append(rng.permutation(np.flatnonzero(labels == number))[:shots].astype(np.int64))
    return drawn


def read_objects(shards: Shards, chosen: Ints, columns: list[str]) -> Batch:
    """The objects with the (ascending, distinct) numbers ``chosen``, counted over all shards in order."""
    rows: list[dict[str, Any]] = []
    crops: list[NDArray[np.float32]] = []
    wanted, first = set(chosen.tolist()), 0
    for path, points_path in shards:
        with RaggedReader(points_path) as reader:
            for number, row in enumerate(iterate_rows(path, columns)):
                if first + number in wanted:
                    rows.append(row)
                    crops.append(reader[number])
            first += len(reader)
    return Batch(rows, crops)
