"""A shard's image vectors, mapped from disk: products with all of them in seconds, in little memory."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from numpy.typing import NDArray

from clip2.runtime.errors import InputError
from clip2.store.hdf5 import open_hdf5

BLOCK = 1024
"""Vectors that are widened to float32 at a time: so many stay in a core's cache."""
EMBEDDINGS_FILE = ("embeddings file", "delete it and run again")
"""What it should be, and what to do where it is none."""
FLETCHER32 = 3
"""Number of HDF5's checksum filter, which leaves the bytes as they are."""

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


class ImageVectors:
    """``image`` (n, D) float16 of an embeddings file.

    Whole rows end to end are mapped, and their checksums not looked at, which would take longer than the search; others
    are read through HDF5.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with open_hdf5(path, *EMBEDDINGS_FILE) as file:
                image = file["image"]
                if image.ndim != 2 or image.dtype.kind != "f":
                    raise file.error(f"its vectors are {image.dtype} {image.shape}")
                self.shape = (image.shape[0], image.shape[1])
                self._chunks = _chunks_of_rows(path)
                self._read = None if self._chunks else image[:].astype(np.float16)
        except FileNotFoundError:
            raise InputError(f"{path}: no such file; make it with `snakemake {path}`") from None

    def __len__(self) -> int:
        return self.shape[0]

    def cosines(self, vectors: Floats) -> Floats:
        """(n, T) with some unit vectors (T, D).

        Raises:
            InputError: the file holds something else than finite numbers.
        """
        out = torch.empty(len(self), len(vectors))
        columns = torch.from_numpy(np.ascontiguousarray(vectors.T, np.float32))
        wide = torch.empty(BLOCK, self.shape[1])
        done = 0
        for block in self._parts():
            rows = wide[: len(block)]
            rows.copy_(torch.from_numpy(block))
            torch.mm(rows, columns, out=out[done : done + len(block)])
            done += len(block)
        found = out.numpy()
        if not np.isfinite(found).all():
            raise InputError(f"{self._path}: has embeddings that are not finite numbers; delete it and run again")
        return found

    def rows(self, numbers: Ints) -> Floats:
        """Some vectors (m, D), in the order asked for."""
        blocks = self._blocks()
        starts = np.cumsum([0, *map(len, blocks)])
        found = np.empty((len(numbers), self.shape[1]), np.float32)
        block_of = np.searchsorted(starts, numbers, "right") - 1
        for own in np.unique(block_of):
            here = block_of == own
            found[here] = blocks[own][numbers[here] - starts[own]]
        return found

    def _blocks(self) -> list[NDArray[Any]]:
        """The vectors' parts in order; the file is mapped for as long as one of them is held."""
        if self._read is not None:
            return [self._read]
        mapped = np.memmap(self._path, np.uint8, "c")  # torch asks for what may be written
        dim = self.shape[1]
        raw = [mapped[offset : offset + 2 * n * dim] for offset, n in self._chunks]
        return [np.asarray(part).view("<f2").reshape(-1, dim) for part in raw]

    def _parts(self) -> Iterator[NDArray[np.float16]]:
        for block in self._blocks():
            for start in range(0, len(block), BLOCK):
                yield block[start : start + BLOCK]


def _chunks_of_rows(path: Path) -> list[tuple[int, int]]:
    """Of each chunk in order: its place in the file and its number of rows; none where chunks are no whole rows."""
    with h5py.File(path, "r") as file:
        data = file["image"]
        filters = data.id.get_create_plist()
        kinds = {filters.get_filter(number)[0] for number in range(filters.get_nfilters())}
        if not data.chunks or data.chunks[1] != data.shape[1] or data.dtype != np.float16 or kinds - {FLETCHER32}:
            return []
        n, step = data.shape[0], data.chunks[0]
        chunks = [data.id.get_chunk_info_by_coord((start, 0)) for start in range(0, n, step)]
        if any(chunk.byte_offset is None or chunk.filter_mask for chunk in chunks):
            return []
        return [(chunk.byte_offset, min(step, n - k * step)) for k, chunk in enumerate(chunks)]
