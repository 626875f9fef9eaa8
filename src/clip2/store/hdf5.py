"""Reading HDF5 files: walked through in a child process first, since the library hangs on damaged ones."""

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from clip2.runtime.errors import InputError, no_room
from clip2.runtime.trial import try_reading
from clip2.store.atomic import atomic_path, sealed, unsealed

LARGEST_CHUNK = 256 << 20
"""Bytes of a chunk, or of data in one piece: more are read at once only of damaged files."""
_SIGNATURE = b"\x89HDF\r\n\x1a\n"


class Data:
    """One data set, as far as it is read here; what is wrong with it is told in one line."""

    def __init__(self, file: "Hdf5", name: str, data: h5py.Dataset) -> None:
        self._file, self._name, self._data = file, name, data
        self.shape: tuple[int, ...] = data.shape
        self.dtype: np.dtype[Any] = data.dtype
        self.ndim = len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, place: Any) -> NDArray[Any]:
        try:
            return np.asarray(self._data[place])
        except (OSError, RuntimeError, ValueError, MemoryError) as error:
            raise self._file.error(f"{self._name}: {error}") from None


class Hdf5:
    """An open file: its data sets by name, and the JSON header of an artefact."""

    def __init__(self, path: Path, file: h5py.File, what: str, advice: str) -> None:
        self._path, self._file, self._what, self._advice = path, file, what, advice

    def error(self, reason: str) -> InputError:
        """What to raise when it is not what it should be."""
        return InputError(f"{self._path}: not a readable {self._what} ({' '.join(reason.split())}); {self._advice}")

    def __iter__(self) -> Iterator[str]:
        return map(str, self._file)

    def __getitem__(self, name: str) -> Data:
        try:
            data = self._file[name]
        except (KeyError, OSError, RuntimeError) as error:
            raise self.error(f"{name}: {error}") from None
        if not isinstance(data, h5py.Dataset) or data.shape is None:
            raise self.error(f"{name} is no data set")
        return Data(self, name, data)

    def header(self) -> dict[str, Any]:
        """The JSON object in its attribute ``clip2``."""
        try:
            header = unsealed(json.loads(self._file.attrs["clip2"]))
            if not isinstance(header, dict):
                raise ValueError("is no object")
        except (KeyError, TypeError, ValueError, OSError, RuntimeError) as error:
            raise self.error(f"header: {error}") from None
        return header


@contextmanager
def new_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 artefact for writing, in the form in which what says where the data lie has checksums, too.

    Nothing appears on an error. Data sets have to be held, or flushed, until the block ends: where there is no room,
    HDF5 tells so when they are flushed, but not when they are let go.
    """
    with atomic_path(path) as temporary:
        file = h5py.File(temporary, "w", libver="latest")
        try:
            yield file
            file.flush()
        except Exception as error:
            if no_room(error):
                _unfinished.append(file)  # to close it would only say the same again, for each data set
                raise
            file.close()
            raise
        file.close()


_unfinished: list[h5py.File] = []


def write_header(file: h5py.File, header: dict[str, Any]) -> None:
    """Write the JSON header of an artefact, with a digest of it: HDF5 has checksums of data only."""
    file.attrs["clip2"] = json.dumps(sealed(header), allow_nan=False)


@contextmanager
def open_hdf5(path: Path, what: str, advice: str) -> Iterator[Hdf5]:
    """Open a file for reading.

    Args:
        what: it should be, for messages.
        advice: what to do where it is none.

    Raises:
        FileNotFoundError: no such file.
        InputError: damaged, or no HDF5 file.
    """
    if (version := _version(path)) not in _tried:
        _try(path, what, advice)
        _tried.add(version)
    try:
        file = h5py.File(path, "r")
    except (OSError, RuntimeError) as error:
        raise InputError(f"{path}: not a readable {what} ({error}); {advice}") from None
    with file:
        yield Hdf5(path, file, what, advice)


_tried: set[tuple[int, ...]] = set()
"""Files that were walked through: once a process, as long as they stay what they are."""


def _version(path: Path) -> tuple[int, ...]:
    status = path.stat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def try_together(paths: Sequence[Path], what: str, advice: str) -> None:
    """Walk through many files in one child process, of which each takes as long as opening ten files.

    What is wrong with a file is told when it is opened.
    """
    versions = {path: version for path in paths if path.is_file() and (version := _version(path)) not in _tried}

    def walk_all(_: Path) -> None:
        for path in versions:
            _walk_hdf5(path)

    if len(versions) > 1:
        with suppress(InputError):  # then each is tried alone
            try_reading(max(versions, key=lambda path: path.stat().st_size), walk_all, what, advice)
            _tried.update(versions.values())


def _try(path: Path, what: str, advice: str) -> None:
    with path.open("rb") as file:
        if file.read(len(_SIGNATURE)) != _SIGNATURE:
            raise InputError(f"{path}: not a readable {what} (it is no HDF5 file); {advice}")
    try_reading(path, _walk, what, advice)


def _walk_hdf5(path: Path) -> None:
    with path.open("rb") as file:
        if file.read(len(_SIGNATURE)) != _SIGNATURE:
            raise ValueError("it is no HDF5 file")
    _walk(path)


def _walk(path: Path) -> None:
    """All that says where the data lie; the data themselves are checked by their filters as they are read."""
    with h5py.File(path, "r") as file:
        dict(file.attrs)
        for name in file:
            data = file[name]
            if not isinstance(data, h5py.Dataset) or data.shape is None:
                continue
            size = data.dtype.itemsize * math.prod(data.chunks or data.shape)
            if size > (LARGEST_CHUNK if data.chunks else path.stat().st_size):
                raise ValueError(f"{name} asks for {size} bytes at a time")
            if data.chunks:
                data.id.chunk_iter(lambda chunk: None)
            elif data.dtype.kind == "O":  # strings, which lie elsewhere
                data[()]
