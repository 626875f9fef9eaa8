"""Point crops in HDF5: ``points`` float32 (ΣN, 4) x y z intensity, end to end, and ``offsets`` int64 (n+1,)."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from clip2.runtime.errors import InputError
from clip2.store.hdf5 import new_hdf5, open_hdf5, write_header

COLUMNS = 4


class RaggedWriter:
    """Appends point crops; holds about ``buffer_points`` points in memory. Made by :func:`ragged_writer`."""

    def __init__(self, file: h5py.File, buffer_points: int) -> None:
        self._points = file.create_dataset(  # not "lzf": what it writes depends on what lay in memory before
            "points",
            (0, COLUMNS),
            "f4",
            maxshape=(None, COLUMNS),
            chunks=(4096, COLUMNS),
            compression="gzip",
            compression_opts=1,
            shuffle=True,
            fletcher32=True,
        )
        self._file, self._limit = file, buffer_points
        self._buffer: list[NDArray[np.float32]] = []
        self._held = 0
        self._offsets = [0]
        self.header: dict[str, Any] = {}

    def append(self, points: ArrayLike) -> None:
        """Add one crop (N, 3 or more); a missing fourth column is zero, further columns are dropped."""
        points = np.asarray(points, np.float32)
        row = np.zeros((len(points), COLUMNS), np.float32)
        width = min(points.shape[1], COLUMNS)
        row[:, :width] = points[:, :width]
        self._buffer.append(row)
        self._held += len(row)
        self._offsets.append(self._offsets[-1] + len(row))
        if self._held >= self._limit:
            self._flush()

    def _flush(self) -> None:
        if self._held:
            size = len(self._points)
            self._points.resize(size + self._held, axis=0)
            self._points[size:] = np.concatenate(self._buffer)
        self._buffer.clear()
        self._held = 0

    def _close(self) -> None:
        self._flush()
        write_array(self._file, "offsets", np.asarray(self._offsets, np.int64))
        write_header(self._file, self.header)


def write_array(file: h5py.File, name: str, values: NDArray[Any], rows: int | None = None) -> None:
    """Write a whole array with checksums (an empty one has no bytes to check).

    Args:
        rows: so many whole rows end to end, where one wants to map them; HDF5 chooses else.
    """
    chunks = (min(rows, len(values)), *values.shape[1:]) if rows and values.size else None
    data = file.create_dataset(name, data=values, chunks=chunks, fletcher32=True if values.size else None)
    data.flush()


@contextmanager
def ragged_writer(path: Path, buffer_points: int = 1 << 18) -> Iterator[RaggedWriter]:
    """Open an HDF5 file of point crops for writing; nothing appears on an error."""
    with new_hdf5(Path(path)) as file:
        writer = RaggedWriter(file, buffer_points)
        yield writer
        writer._close()


class RaggedReader:
    """Random access to point crops: ``reader[i]`` is (N, 4) float32. Use as a context manager; open it in the process
    that reads (HDF5 files do not survive a fork)."""

    def __init__(self, path: Path) -> None:
        self._opened = open_hdf5(path, "point file", "delete it and run again")
        try:
            file = self._opened.__enter__()
        except FileNotFoundError:
            raise InputError(f"{path}: no such file; make it with `snakemake {path}`") from None
        try:
            self._points, self.offsets = file["points"], file["offsets"][:]
            if self._points.shape[1:] != (COLUMNS,) or self._points.dtype.kind != "f":
                raise file.error(f"its points are {self._points.dtype} {self._points.shape}")
            if self.offsets.ndim != 1 or self.offsets.dtype.kind != "i" or not len(self.offsets):
                raise file.error(f"its offsets are {self.offsets.dtype} {self.offsets.shape}")
            if (np.diff(self.offsets, prepend=0, append=len(self._points)) < 0).any():
                raise file.error("its offsets are not those of its points")
        except InputError:
            self.__exit__()
            raise

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> NDArray[np.float32]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self._points[self.offsets[index] : self.offsets[index + 1]]

    def crops(self, indices: ArrayLike) -> list[NDArray[np.float32]]:
        """Some crops; those that stand together in the file are read together."""
        indices = np.asarray(indices, np.int64)
        found: list[NDArray[np.float32]] = []
        for run in np.split(indices, np.flatnonzero(np.diff(indices) != 1) + 1):
            if len(run):
                bounds = self.offsets[run[0] : run[-1] + 2]
                found += np.split(self._points[bounds[0] : bounds[-1]], bounds[1:-1] - bounds[0])
        return found

    def chunks(self, n_crops: int = 4096) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        """All crops in order, ``n_crops`` at a time: (points, offsets from 0)."""
        for start in range(0, len(self), n_crops):
            stop = min(start + n_crops, len(self))
            low, high = self.offsets[start], self.offsets[stop]
            yield self._points[low:high], self.offsets[start : stop + 1] - low

    def __enter__(self) -> "RaggedReader":
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.__exit__(None, None, None)
