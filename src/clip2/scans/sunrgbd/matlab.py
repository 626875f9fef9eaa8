"""MATLAB files (version 5) as arrays, read here and trusted in nothing: ``scipy.io`` crashes on damaged ones.

Layout (MathWorks, "MAT-File Format"): a header of 128 bytes, then elements: a tag (type and size; of up to four bytes
the data stand in the tag itself), the data, padding to eight bytes. A matrix is an element of elements: flags, sizes,
name, then its numbers, letters, cells or fields.
"""

import math
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clip2.runtime.errors import InputError
from clip2.scans.files import read_bytes, what_is

_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""Type of an element → how its numbers are stored."""
_LETTERS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
_NUMBERS = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
"""Class of a matrix → what its numbers are."""
_MATRIX, _COMPRESSED = 14, 15
_CELL, _STRUCT, _CHAR = 1, 2, 4
_COMPLEX = 0x0800
_DEEPEST = 32
_RATIO, _LARGEST = 256, 1 << 30
"""Times its size, and bytes, that a compressed element may unpack to."""


class MatlabError(Exception):
    """A file that is damaged, or none of MATLAB's."""


def load(path: Path, *names: str) -> dict[str, NDArray[Any]]:
    """The variables of these names that the file has: numbers (in column order), texts as an array of strings, a cell
    array as an object array, a struct array as a structured one of objects.

    Raises:
        MatlabError: it cannot be read.
        FileNotFoundError: no such file.
    """
    try:
        return parse(read_bytes(path), *names)
    except (ValueError, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise MatlabError(f"{path}: not a readable MATLAB 5 file ({error})") from None


def parse(data: bytes, *names: str) -> dict[str, NDArray[Any]]:
    """As :func:`load`, of a file's bytes.

    Raises:
        ValueError: they are no such file.
    """
    kind, mark = what_is(data), data[126:128]
    if len(data) < 128 or mark not in (b"IM", b"MI"):
        raise ValueError(f"it is {kind}; save it with `-v7`" if kind else "it has no MATLAB 5 header")
    order, found, at = "<" if mark == b"IM" else ">", {}, 128
    whole = _Reader(data, order)
    while at + 8 <= len(data):
        kind_of, start, end, after = whole.element(at, len(data))
        at = after if kind_of != _COMPRESSED else end  # which is not padded
        reader = whole
        if kind_of == _COMPRESSED:
            plain = _inflated(data[start:end])
            reader = _Reader(plain, order)
            kind_of, start, end, _ = reader.element(0, len(plain))
        if kind_of == _MATRIX and (name := reader.name(start, end)) in names:
            found[name] = reader.matrix(start, end, 0)
    return found


def _inflated(packed: bytes) -> bytes:
    inflater = zlib.decompressobj()
    try:
        plain = inflater.decompress(packed, min(_RATIO * len(packed) + (1 << 16), _LARGEST))
    except zlib.error as error:
        raise ValueError(f"a compressed element is damaged: {error}") from None
    if inflater.unconsumed_tail or not inflater.eof:
        raise ValueError("a compressed element is cut short or too large")
    return plain


class _Reader:
    """Elements in ``data``, each held against the end of the one that it stands in."""

    def __init__(self, data: bytes, order: str) -> None:
        self._data, self._order = data, order
        self._tag, self._word = struct.Struct(f"{order}II").unpack_from, struct.Struct(f"{order}I").unpack_from
        self._stored = {kind: np.dtype(order + stored) for kind, stored in _STORED.items()}

    def element(self, at: int, limit: int) -> tuple[int, int, int, int]:
        """Of the element at a byte: its type, where its data begin and end, and where the next one begins."""
        if at + 8 > limit:
            raise ValueError("it is cut short within a matrix")
        kind, size = self._tag(self._data, at)
        if kind > 0xFFFF:  # small: the size is in the upper half, the data stand in the place of the size
            start, end = at + 4, at + 4 + (kind >> 16)
            if end > at + 8:
                raise ValueError("a small element is larger than four bytes")
            return kind & 0xFFFF, start, end, at + 8
        start, end = at + 8, at + 8 + size
        if end > limit:
            raise ValueError(f"it is cut short: an element of {size} bytes, but {limit - start} are left")
        return kind, start, end, end + -size % 8

    def name(self, at: int, limit: int) -> str:
        """Of a matrix; "" where it has none."""
        for _ in range(2):
            *_, at = self.element(at, limit) if at < limit else (0, at)
        _, start, end, _ = self.element(at, limit) if at < limit else (0, at, at, at)
        return self._data[start:end].decode("latin-1")

    def matrix(self, at: int, limit: int, depth: int) -> NDArray[Any]:
        """The content of a matrix element."""
        if at == limit:
            return np.empty((0, 0))
        if depth > _DEEPEST:
            raise ValueError("its cells are nested too deeply")
        _, start, end, at = self.element(at, limit)
        if end - start < 4:
            raise ValueError("a matrix has no class")
        (word,) = self._word(self._data, start)
        kind_of, start, end, at = self.element(at, limit)
        shape = tuple(self._numbers(kind_of, start, end).tolist())
        *_, at = self.element(at, limit)  # its name
        n = math.prod(shape)
        if not 2 <= len(shape) <= 8 or min(shape) < 0 or n > limit - at:
            raise ValueError(f"a matrix of {shape} in {limit - at} bytes")
        kind = word & 0xFF
        if kind in _NUMBERS and not word & _COMPLEX:
            kind_of, start, end, _ = self.element(at, limit) if n else (9, at, at, at)
            numbers = self._numbers(kind_of, start, end)
            if len(numbers) != n:
                raise ValueError(f"{len(numbers)} numbers in a matrix of {shape}")
            return numbers.astype(_NUMBERS[kind]).reshape(shape, order="F")
        if kind == _CHAR:
            return self._text(at, limit, shape[0])
        if kind == _CELL:
            return self._cells(at, limit, n, depth).reshape(shape, order="F")
        if kind == _STRUCT:
            return self._structs(at, limit, n, depth).reshape(shape, order="F")
        raise ValueError(f"a matrix of class {kind}, which is not read")

    def _numbers(self, kind: int, start: int, end: int) -> NDArray[Any]:
        dtype = self._stored.get(kind)
        if dtype is None or (end - start) % dtype.itemsize:
            raise ValueError(f"numbers of type {kind} in {end - start} bytes")
        return np.frombuffer(self._data, dtype, (end - start) // dtype.itemsize, start)

    def _inner(self, at: int, limit: int, depth: int) -> tuple[NDArray[Any], int]:
        kind, start, end, at = self.element(at, limit)
        if kind != _MATRIX:
            raise ValueError(f"an element of type {kind} where a matrix should be")
        return self.matrix(start, end, depth + 1), at

    def _room_for(self, n: int, at: int, limit: int) -> None:
        if 8 * n > limit - at:
            raise ValueError(f"it is cut short: {n} elements in {limit - at} bytes")

    def _cells(self, at: int, limit: int, n: int, depth: int) -> NDArray[Any]:
        self._room_for(n, at, limit)
        cells = np.empty(n, object)
        for i in range(n):
            cells[i], at = self._inner(at, limit, depth)
        return cells

    def _structs(self, at: int, limit: int, n: int, depth: int) -> NDArray[Any]:
        kind, start, end, at = self.element(at, limit)
        length = self._numbers(kind, start, end)
        _, start, end, at = self.element(at, limit)
        words = self._data[start:end]
        if len(length) != 1 or not 0 < length[0] <= 64 or len(words) % length[0]:
            raise ValueError("a struct has no names of fields")
        step = int(length[0])
        names = [words[i : i + step].split(b"\0")[0].decode("latin-1") for i in range(0, len(words), step)]
        if len(set(names)) < len(names) or "" in names:
            raise ValueError(f"a struct has the fields {names}")
        self._room_for(n * len(names), at, limit)
        structs = np.empty(n, [(name, object) for name in names])
        for i in range(n):
            fields = []
            for _ in names:
                field, at = self._inner(at, limit, depth)
                fields.append(field)
            structs[i] = tuple(fields)
        return structs

    def _text(self, at: int, limit: int, n_rows: int) -> NDArray[np.str_]:
        """One string a row."""
        kind, start, end, _ = self.element(at, limit) if at < limit else (1, at, at, at)
        if kind not in _LETTERS:
            raise ValueError(f"letters of type {kind}")
        encoding = _LETTERS[kind]
        if encoding in ("utf-16", "utf-32"):
            encoding += "-le" if self._order == "<" else "-be"
        letters = self._data[start:end].decode(encoding)
        n_rows = n_rows if letters else 0
        return np.array([letters[row::n_rows] for row in range(n_rows)], np.str_)


def read_variables(path: Path, *names: str, optional: tuple[str, ...] = ()) -> dict[str, NDArray]:
    """Variables by name; ``[]`` may be of any type.

    Args:
        names: must be there.
        optional: are left out where they are not.

    Raises:
        InputError: missing, damaged or without one of ``names``.
    """
    try:
        variables = load(path, *names, *optional)
    except FileNotFoundError as error:
        raise InputError(f"{error}; unpack SUN RGB-D's metadata again") from None
    except MatlabError as error:
        raise InputError(f"{error}; download it again") from None
    for name in names:
        if name not in variables:
            raise InputError(f"{path}: holds no variable {name!r}; it is not the file that its name says")
    return variables


def text(value: ArrayLike) -> str:
    """A MATLAB string; "" for an empty one, and for what is none."""
    parts = np.ravel(np.asarray(value))
    return str(parts[0]).replace("\0", "") if len(parts) and parts.dtype.kind == "U" else ""


def numbers(value: ArrayLike, size: int) -> NDArray[np.float64] | None:
    """``size`` finite numbers as a vector in row-major order, or None where the field is empty or something else."""
    array = np.asarray(value)
    if array.dtype.kind not in "fiu" or array.size != size or not np.isfinite(array).all():
        return None
    return array.astype(np.float64).ravel()
