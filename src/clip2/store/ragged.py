"""Point crops in HDF5: ``points`` float32 (ΣN, 4) x y z intensity, end to end, and ``offsets`` int64 (n+1,)."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from clip2.errors import InputError
from clip2.store.atomic import atomic_path

COLUMNS = 4


class RaggedWriter:
    """Appends point crops; holds about ``buffer_points`` points in memory. Made by :func:`ragged_writer`."""

    def __init__(self, file: h5py.File, buffer_points: int) -> None:
        self._points = file.create_dataset(
            "points",
            (0, COLUMNS),
            "f4",
            maxshape=(None, COLUMNS),
            chunks=(4096, COLUMNS),
            compression="lzf",
            shuffle=True,
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
        self._file.create_dataset("offsets", data=np.asarray(self._offsets, np.int64))
        self._file.attrs["clip2"] = json.dumps(self.header, allow_nan=False)


@contextmanager
def ragged_writer(path: Path, buffer_points: int = 1 << 18) -> Iterator[RaggedWriter]:
    """Open an HDF5 file of point crops for writing; nothing appears on an error."""
    with atomic_path(Path(path)) as temporary, h5py.File(temporary, "w") as file:
        writer = RaggedWriter(file, buffer_points)
        yield writer
        writer._close()


class RaggedReader:
    """Random access to point crops: ``reader[i]`` is (N, 4) float32. Use as a context manager; open it in the process
    that reads (HDF5 files do not survive a fork)."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = h5py.File(path, "r")
            self._points, self.offsets = self._file["points"], self._file["offsets"][:]
        except FileNotFoundError:
            raise InputError(f"{path}: no such file; make it with `snakemake {path}`") from None
        except (OSError, KeyError) as error:
            raise InputError(f"{path}: not a readable point file ({error}); delete it and run again") from None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> NDArray[np.float32]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self._points[self.offsets[index] : self.offsets[index + 1]]

    def chunks(self, n_crops: int = 4096) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        """All crops in order, ``n_crops`` at a time: (points, offsets from 0)."""
        for start in range(0, len(self), n_crops):
            stop = min(start + n_crops, len(self))
            low, high = self.offsets[start], self.offsets[stop]
            yield self._points[low:high], self.offsets[start : stop + 1] - low

    def __enter__(self) -> "RaggedReader":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
