"""Which annotated box each triplet of a shard is of: the one of its sample that holds most of its points."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clip2.evaluate.boxes import shared_counts
from clip2.runtime.errors import InputError
from clip2.store.ragged import RaggedReader
from clip2.store.tables import read_table

Row = dict[str, Any]


def owners(boxes: Sequence[Row], triplets: tuple[Path, Path], margin: float) -> list[Row | None]:
    """Of each triplet, in their order, the box that owns it; None where no box holds a point of it.

    Args:
        boxes: annotations of the shard, with ``sample``, ``T_points_from_box`` and ``size_lwh`` at least.
        triplets: the shard (Parquet, HDF5).
        margin: metres added on every side of a box.

    Raises:
        InputError: the triplets' two files do not belong together.
    """
    of_sample: dict[str, list[Row]] = defaultdict(list)
    for box in boxes:
        of_sample[box["sample"]].append(box)
    where: dict[str, list[int]] = defaultdict(list)
    samples = read_table(triplets[0], ["sample"])["sample"].to_pylist()
    for number, sample in enumerate(samples):
        where[sample].append(number)
    found: list[Row | None] = [None] * len(samples)
    with RaggedReader(triplets[1]) as points:
        if len(points) != len(samples):
            raise InputError(
                f"{triplets[0]} and {triplets[1]}: not the same number of triplets; delete both, run again"
            )
        for sample, numbers in where.items():
            shared = shared_counts(of_sample[sample], points.crops(numbers), margin)
            for number, counts in zip(numbers, shared.T, strict=True):
                if counts.any():
                    found[number] = of_sample[sample][int(counts.argmax())]
    return found
