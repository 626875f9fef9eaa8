"""Point clouds with headers, as other software writes them: NumPy (.npy), PCD, PLY and LAS → rows x y z intensity.

Each reader takes a file's bytes, trusts nothing in them, and raises ValueError with the reason. Numbers keep their
precision: map coordinates have seven digits before the point.
"""

import io
import re
import struct
from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from clip2.scans.ply import parse_vertices

Rows = NDArray[np.floating]
"""(N, 4) float32 or float64: x y z, and an intensity or 0."""
INTENSITIES = ("intensity", "intensities", "i", "reflectivity", "reflectance", "remission", "scalar_intensity")
"""Names of the fourth column in lower case; the first that is there is taken."""


def npy_rows(data: bytes) -> Rows:
    """A NumPy array (N, 3 or more) of numbers, or one with fields x, y and z."""
    file = io.BytesIO(data)
    try:
        version = npy_format.read_magic(file)
        read = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
        shape, fortran, dtype = read(file)
    except Exception as error:  # numpy hands the header to Python's own parser, which raises what it likes
        raise ValueError(f"not a NumPy array of numbers ({type(error).__name__}: {error})") from None
    size = int(np.prod(shape, dtype=object))
    if dtype.hasobject or size * dtype.itemsize != len(data) - file.tell():
        raise ValueError(
            f"{dtype} {shape}, but {len(data) - file.tell()} bytes of numbers; it is cut short or a pickle"
        )
    array = np.frombuffer(data, dtype, size, file.tell()) if size else np.empty(0, dtype)
    if dtype.names:
        return rows_of_columns(_numbers_of(array))
    array = array.reshape(shape, order="F" if fortran else "C")
    if array.ndim == 2 and array.shape[0] in range(3, 10) and array.shape[1] >= 16:
        raise ValueError(f"{dtype} {shape} is transposed: save array.T, a row a point")
    if array.ndim != 2 or not 3 <= array.shape[1] <= 64 or dtype.kind not in "fiu":
        raise ValueError(f"{dtype} {shape}, not numbers of (N, 3 or more)")
    return _rows(array)


def _numbers_of(array: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """The fields of an array that are one number each.

    Raises:
        ValueError: x, y and z are not among them; the text says what is there.
    """
    fields = {name: array.dtype[name] for name in array.dtype.names or ()}
    single = {name: array[name] for name, field in fields.items() if not field.shape}
    if not {"x", "y", "z"} <= {name.lower() for name in single}:
        told = ", ".join(f"{name} {list(field.shape)}" if field.shape else name for name, field in fields.items())
        raise ValueError(f"its fields are {told}, but no x, y and z of one number each")
    return single


def ply_rows(data: bytes) -> Rows:
    """The vertices of a PLY file."""
    vertices = parse_vertices(io.BytesIO(data), len(data))
    return rows_of_columns({name: vertices[name] for name in vertices.dtype.names or ()})


# --- PCD --------------------------------------------------------------------------------------------------------------

_PCD_HEADER = re.compile(rb"^DATA\s+(\w+)[^\n]*\n", re.MULTILINE)
_PCD_TYPES = {("F", "4"): "<f4", ("F", "8"): "<f8", **{(k, s): f"<{k.lower()}{s}" for k in "IU" for s in "1248"}}
_MOST_NUMBERS = 4096
PAGE = 4096
"""Bytes."""
_LZF_MOST = 300
"""Bytes that one byte of LZF can stand for, rounded up: what a damaged header cannot exceed."""


def pcd_rows(data: bytes) -> Rows:
    """A PCD file (the Point Cloud Library's), ascii, binary or compressed."""
    end = _PCD_HEADER.search(data[: 1 << 16])
    if end is None:
        raise ValueError("not a PCD file (no line DATA)")
    lines = (line.split() for line in data[: end.start()].decode("ascii", "replace").splitlines())
    head = {line[0]: line[1:] for line in lines if line and not line[0].startswith("#")}
    fields, sizes, kinds = (head.get(key, []) for key in ("FIELDS", "SIZE", "TYPE"))
    counts = head.get("COUNT", ["1"] * len(fields))
    if not len(fields) == len(sizes) == len(kinds) == len(counts) or not set(zip(kinds, sizes)) <= _PCD_TYPES.keys():
        raise ValueError("FIELDS, SIZE, TYPE and COUNT do not fit together")
    whole = {key: " ".join(head.get(key, [])) for key in ("WIDTH", "HEIGHT", "POINTS")}
    if not all(number.isdecimal() and len(number) < 11 for number in (*counts, *filter(None, whole.values()))):
        raise ValueError("COUNT, WIDTH, HEIGHT and POINTS are not whole numbers")
    size = int(whole["WIDTH"] or 0) * int(whole["HEIGHT"] or 1)
    n = int(whole["POINTS"] or size)
    if whole["WIDTH"] and n != size:
        raise ValueError(f"POINTS is {n}, but WIDTH and HEIGHT give {size}: correct its head")
    # Padding is called `_`, more than once.
    names = [name if fields.index(name) == i and name != "_" else f"_{i}" for i, name in enumerate(fields)]
    layout = [(name, _PCD_TYPES[kind], int(count)) for name, kind, count in zip(names, zip(kinds, sizes), counts)]
    if sum(count for _, _, count in layout) > _MOST_NUMBERS:
        raise ValueError(f"a point has more than {_MOST_NUMBERS} numbers")
    body, form = data[end.end() :], end[1].decode()
    if form == "ascii":
        return rows_of_columns(_pcd_ascii(body, n, layout))
    row = np.dtype([(name, kind) if count == 1 else (name, kind, (count,)) for name, kind, count in layout])
    if form == "binary":
        if n * row.itemsize > len(body):
            raise ValueError(f"cut short: {len(body) // row.itemsize} of {n} points")
        _refuse_more(n, len(body), row.itemsize)
        points = np.frombuffer(body, row, n) if n else np.empty(0, row)
    elif form == "binary_compressed":
        points = _pcd_compressed(body, n, row)
    else:
        raise ValueError(f"DATA is {form}, which is not known")
    return rows_of_columns({name: points[name] for name, _, count in layout if count == 1})


def _refuse_more(n: int, n_bytes: int, record: int) -> None:
    """A head that counts fewer points than there are: the rest would be lost. Some writers fill up a page."""
    if n_bytes - n * record > max(PAGE, record):
        raise ValueError(f"its head counts {n} points, but {n_bytes // record} are there: correct the head")


def _pcd_ascii(body: bytes, n: int, layout: list[tuple[str, str, int]]) -> dict[str, NDArray[Any]]:
    n_columns = sum(count for _, _, count in layout)
    if n * (2 * n_columns - 1) > len(body):  # a digit and what follows it
        raise ValueError(f"cut short: {len(body)} bytes for {n} points")
    rows = np.loadtxt(io.BytesIO(body), np.float64, max_rows=n + 1, ndmin=2) if n else np.empty((0, n_columns))
    if len(rows) > n:
        raise ValueError(f"its head counts {n} points, but more follow: correct POINTS")
    if rows.shape != (n, n_columns):
        raise ValueError(f"{rows.shape[0]} rows of {rows.shape[1]} numbers, not {n} of {n_columns}")
    starts = np.cumsum([0, *(count for _, _, count in layout)])
    return {name: rows[:, start] for (name, _, count), start in zip(layout, starts) if count == 1}


def _pcd_compressed(body: bytes, n: int, row: np.dtype[Any]) -> NDArray[Any]:
    """Fields one after another, compressed by LZF."""
    if len(body) < 8:
        raise ValueError("cut short")
    packed, plain = struct.unpack("<II", body[:8])
    if len(body) < 8 + packed or plain != n * row.itemsize or plain > _LZF_MOST * packed:
        raise ValueError(f"cut short: {len(body) - 8} of {packed} bytes, which should be {n} points")
    content = _unpacked(body[8 : 8 + packed], plain)
    points, at = np.empty(n, row), 0
    for name in row.names or ():
        field = row[name]
        points[name] = np.frombuffer(content, field.base, n * int(np.prod(field.shape)), at).reshape(n, *field.shape)
        at += n * field.itemsize
    return points


def _unpacked(packed: bytes, size: int) -> bytes:
    """LZF, by HDF5, which has it as a filter: one chunk of a data set in memory."""
    if not size:
        return b""
    with h5py.File("lzf", "w", driver="core", backing_store=False) as file:
        chunk = file.create_dataset("bytes", (size,), "u1", chunks=(size,), compression="lzf")
        chunk.id.write_direct_chunk((0,), packed)
        try:
            return bytes(chunk[:].tobytes())
        except OSError:
            raise ValueError("the compressed points are damaged") from None


# --- LAS --------------------------------------------------------------------------------------------------------------


def las_rows(data: bytes) -> Rows:
    """A LAS file, versions 1.0 to 1.4, uncompressed: coordinates as float64, in the file's own map frame."""
    if not data.startswith(b"LASF") or len(data) < 227:
        raise ValueError("not a LAS file")
    start, point_format, record, n = struct.unpack_from("<I4xBHI", data, 96)
    if point_format & 0xC0:
        raise ValueError("compressed (LAZ); unpack it with `laszip -i a.laz -o a.las` or `pdal translate a.laz a.las`")
    if point_format > 10 or record < 20:
        raise ValueError(f"point format {point_format} with records of {record} bytes is not known")
    if not n and data[25] >= 4 and len(data) >= 255:
        (n,) = struct.unpack_from("<Q", data, 247)
    if start + n * record > len(data):
        raise ValueError(f"cut short: {max(len(data) - start, 0) // record} of {n} points")
    # Behind the points may stand waves (from 1.3) and records of any size (1.4): bytes from 227 on say where.
    if data[25] < 3 or (data[25] > 3 and not any(data[227:247])):
        _refuse_more(n, len(data) - start, record)
    scale, offset = (np.array(struct.unpack_from("<3d", data, at)) for at in (131, 155))
    if not (np.isfinite(scale).all() and np.isfinite(offset).all() and (scale != 0).all()):
        raise ValueError("its scale or offset is no number")
    row = np.dtype([("xyz", "<i4", 3), ("intensity", "<u2"), ("more", f"V{record - 14}")])
    points = np.frombuffer(data, row, n, start) if n else np.empty(0, row)
    return np.column_stack([points["xyz"] * scale + offset, points["intensity"].astype(np.float64)])


# --- rows ------------------------------------------------------------------------------------------------------------


def rows_of_columns(columns: Mapping[str, NDArray[Any]]) -> Rows:
    """Rows of the columns that are called x, y, z and, where one is, as intensities are.

    Raises:
        ValueError: there are no such columns, or they are no numbers.
    """
    names = {name.lower(): name for name in columns}
    if not {"x", "y", "z"} <= names.keys():
        raise ValueError(f"its points have {', '.join(columns) or 'nothing'}, but no x, y and z")
    fourth = next((names[name] for name in INTENSITIES if name in names), None)
    chosen = [columns[names[axis]] for axis in "xyz"] + ([columns[fourth]] if fourth else [])
    if any(column.dtype.kind not in "fiu" for column in chosen):
        raise ValueError("its coordinates are no numbers")
    return _rows(np.stack(chosen, axis=1))


def _rows(array: NDArray[Any]) -> Rows:
    """(N, 4), in float32 where that holds the numbers as they are, else float64; intensity is 0 where there is none."""
    exact = array.dtype.kind == "f" and array.dtype.itemsize <= 4
    rows: Rows = np.zeros((len(array), 4), np.float32 if exact else np.float64)
    rows[:, : min(array.shape[1], 4)] = array[:, :4]
    return rows
