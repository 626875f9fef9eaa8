"""Vertices of a binary PLY file, as ScanNet's meshes are."""

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clip2.errors import InputError

_PLY_TYPES = {
    **dict.fromkeys(("char", "int8"), "<i1"),
    **dict.fromkeys(("uchar", "uint8"), "<u1"),
    **dict.fromkeys(("short", "int16"), "<i2"),
    **dict.fromkeys(("ushort", "uint16"), "<u2"),
    **dict.fromkeys(("int", "int32"), "<i4"),
    **dict.fromkeys(("uint", "uint32"), "<u4"),
    **dict.fromkeys(("float", "float32"), "<f4"),
    **dict.fromkeys(("double", "float64"), "<f8"),
}
_HEADER_BYTES = 1 << 16


def read_ply_vertices(path: Path) -> NDArray[np.float32]:
    """(V, 3) positions of a binary little-endian PLY whose first element is the vertices.

    Raises:
        InputError: missing, ascii, cut short, or of another shape.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such mesh; download it, or check the data root")
    with path.open("rb") as file:
        head = file.read(_HEADER_BYTES)
        end = re.search(rb"end_header\r?\n", head)
        if not head.startswith(b"ply") or end is None:
            raise InputError(f"{path}: not a PLY file; download it again")
        count, row = _ply_vertex_layout(path, head[: end.start()].decode("ascii", "replace"))
        file.seek(end.end())
        data = file.read(count * row.itemsize)
    if len(data) < count * row.itemsize:
        raise InputError(f"{path}: is cut short: {len(data) // row.itemsize} of {count} vertices; download it again")
    vertices = np.frombuffer(data, row)
    return np.stack([vertices[axis] for axis in "xyz"], axis=1).astype(np.float32)


def _ply_vertex_layout(path: Path, header: str) -> tuple[int, np.dtype[Any]]:
    """Number of vertices and the layout of one."""
    words = [line.split() for line in header.splitlines() if line.strip()]
    formats = [line[1:] for line in words if line[0] == "format"]
    if formats != [["binary_little_endian", "1.0"]]:
        found = " ".join(formats[0]) if formats else "none"
        raise InputError(f"{path}: is of format {found}, only binary_little_endian 1.0 is read; convert it")
    elements = [index for index, line in enumerate(words) if line[0] == "element"]
    if not elements or words[elements[0]][1] != "vertex":
        raise InputError(f"{path}: its first element is not the vertices; convert it")
    stop = elements[1] if len(elements) > 1 else len(words)
    properties = [line for line in words[elements[0] + 1 : stop] if line[0] == "property"]
    try:
        row = np.dtype([(line[2], _PLY_TYPES[line[1]]) for line in properties])
    except (KeyError, ValueError):
        raise InputError(f"{path}: a vertex has a property that is not one number; convert it") from None
    if not {"x", "y", "z"} <= set(row.names or ()):
        raise InputError(f"{path}: its vertices have no x, y, z; convert it")
    return int(words[elements[0]][2]), row
