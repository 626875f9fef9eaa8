"""Vertices of a PLY file, ascii or binary: of meshes (ScanNet) and of point clouds."""

import io
import re
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

_TYPES = {
    **dict.fromkeys(("char", "int8"), "i1"),
    **dict.fromkeys(("uchar", "uint8"), "u1"),
    **dict.fromkeys(("short", "int16"), "i2"),
    **dict.fromkeys(("ushort", "uint16"), "u2"),
    **dict.fromkeys(("int", "int32"), "i4"),
    **dict.fromkeys(("uint", "uint32"), "u4"),
    **dict.fromkeys(("float", "float32"), "f4"),
    **dict.fromkeys(("double", "float64"), "f8"),
}
_ORDER = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": "="}
_HEADER_BYTES = 1 << 16


def read_vertices(path: Path) -> NDArray[Any]:
    """The vertices, which have to be the file's first element: (V,) with a field a property.

    Raises:
        ValueError: not such a file; the text says why.
        FileNotFoundError: no such file.
    """
    with path.open("rb") as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        return parse_vertices(file, size)


def parse_vertices(file: BinaryIO, size: int) -> NDArray[Any]:
    """As :func:`read_vertices`, of an open file of ``size`` bytes."""
    head = file.read(_HEADER_BYTES)
    end = re.search(rb"end_header\r?\n", head)
    if not head.startswith(b"ply") or end is None:
        raise ValueError("not a PLY file")
    form, count, row = _layout(head[: end.start()].decode("ascii", "replace"))
    left = size - end.end()
    # The shortest number in ascii is a digit and what follows it.
    least = row.itemsize if form != "ascii" else 2 * len(row.names)
    if count > left // least:
        raise ValueError(f"cut short: {left // least} of {count} vertices at most")
    file.seek(end.end())
    if form != "ascii":
        return np.frombuffer(file.read(count * row.itemsize), row)
    lines = io.TextIOWrapper(file, "ascii", errors="replace")
    rows = np.loadtxt(lines, np.float64, max_rows=count, ndmin=2) if count else np.empty((0, len(row.names)))
    if rows.shape != (count, len(row.names)):
        raise ValueError(f"{rows.shape[0]} rows of {rows.shape[1]} numbers, not {count} of {len(row.names)}")
    vertices = np.empty(count, row)
    for name, column in zip(row.names, rows.T):
        vertices[name] = column
    return vertices


def _layout(header: str) -> tuple[str, int, Any]:
    """Format, number of vertices and the layout of one."""
    words = [line.split() for line in header.splitlines() if line.strip()]
    formats = [line[1:] for line in words if line[0] == "format"]
    if len(formats) != 1 or len(formats[0]) != 2 or formats[0][0] not in _ORDER:
        raise ValueError(f"of format {' '.join(formats[0]) if formats else 'none'}, which is not known")
    elements = [index for index, line in enumerate(words) if line[0] == "element"]
    first = words[elements[0]] if elements else []
    if first[1:2] != ["vertex"] or len(first) != 3 or not first[2].isdecimal() or len(first[2]) > 12:
        raise ValueError("its first element is not a number of vertices")
    stop = elements[1] if len(elements) > 1 else len(words)
    properties = [line for line in words[elements[0] + 1 : stop] if line[0] == "property"]
    if not all(len(line) == 3 and line[1] in _TYPES for line in properties):
        raise ValueError("a vertex has a property that is not one number")
    names = [line[2] for line in properties]
    if not {"x", "y", "z"} <= set(names) or len(set(names)) < len(names):
        raise ValueError("its vertices have no x, y, z of one number each")
    order = _ORDER[formats[0][0]]
    return formats[0][0], int(first[2]), np.dtype([(line[2], order + _TYPES[line[1]]) for line in properties])
