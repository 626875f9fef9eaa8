"""Mined triplets to give away, a shard at a time."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from clip2.export.scans import Row
from clip2.runtime.console import progress
from clip2.runtime.errors import InputError
from clip2.store.crops import batches
from clip2.store.schemas import TRIPLETS
from clip2.store.tables import read_header


class MinedTriplets:
    """Triplets of some shards.

    Attributes:
        headers: of the shards, in order.
        counts: triplets by label, of those that were read.
    """

    def __init__(self, triplets: Sequence[Path]) -> None:
        """
        Raises:
            InputError: a file is missing or holds something else, or there is no triplet.
        """
        self.paths = list(triplets)
        self.headers = [read_header(path) for path in self.paths]
        for path, header in zip(self.paths, self.headers, strict=True):
            if header.get("kind") != "triplets":
                raise InputError(f"{path}: holds {header.get('kind')}, not triplets")
        if not sum(header["counts"]["triplets"] for header in self.headers):
            raise InputError(f"{self.paths[0]}: holds no triplet, nor do the others; there is nothing to export")
        self.counts: Counter[str] = Counter()

    def shards(self) -> Iterator[tuple[int, Iterator[tuple[Row, NDArray[Any]]]]]:
        """Number of each shard, and its rows with their points (N, 4) x y z intensity."""
        for number, path in progress(enumerate(self.paths), "shards", len(self.paths)):
            yield number, self._rows(path, self.headers[number]["source"])

    def _rows(self, path: Path, source: str) -> Iterator[tuple[Row, NDArray[Any]]]:
        for batch in batches([(path, path.with_suffix(".h5"))], TRIPLETS.names, 256):
            for row, points in zip(batch.rows, batch.crops, strict=True):
                self.counts[row["label"]] += 1
                yield {"source": source, **row}, points
