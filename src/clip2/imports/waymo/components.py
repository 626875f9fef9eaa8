"""Parquet files of Waymo's data, a component each, a segment a file; rows are found by the time of their frame."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from clip2.runtime.errors import InputError
from clip2.scans.files import absent

TIME = "key.frame_timestamp_micros"
Row = dict[str, Any]


class Component:
    """Rows of one component of one segment. One row group is in memory at a time."""

    def __init__(self, path: Path, *columns: str) -> None:
        """
        Args:
            columns: names of what is asked for, as in the file.

        Raises:
            InputError: the file is missing, damaged or lacks a column.
        """
        self._path, self._columns = path, list(columns)
        self._held: tuple[int, list[Row]] = (-1, [])
        self._places: dict[int, list[tuple[int, int]]] = defaultdict(list)  # time → group and row in it
        if not path.is_file():
            raise InputError(f"{absent(path)}; download this component of the segment, too")
        try:
            self._file = pq.ParquetFile(path)
            names = set(self._file.schema_arrow.names)
            if missing := [name for name in columns if name not in names]:
                raise ValueError(f"no column {missing[0]!r}")
            if TIME in names:
                for group in range(self._file.num_row_groups):
                    times = self._file.read_row_group(group, columns=[TIME])[TIME].to_pylist()
                    for row, time in enumerate(times):
                        self._places[int(time)].append((group, row))
        except Exception as error:  # Arrow has errors of many kinds for bytes that are no file of its own
            raise self._told(error) from None

    @property
    def times(self) -> list[int]:
        """Times of its frames, microseconds, in order."""
        return sorted(self._places)

    def at(self, time: int) -> list[Row]:
        """All rows of a frame, as column → value; lists of numbers are arrays."""
        return [self._group(group)[row] for group, row in self._places.get(time, [])]

    def all(self) -> list[Row]:
        """All rows: of a small file."""
        return [row for group in range(self._file.num_row_groups) for row in self._group(group)]

    def _group(self, group: int) -> list[Row]:
        if self._held[0] != group:
            try:
                table = self._file.read_row_group(group, columns=self._columns)
                table.validate(full=True)
                columns = {name: _values(table[name]) for name in self._columns}
                rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
            except Exception as error:
                raise self._told(error) from None
            self._held = (group, rows)
        return self._held[1]

    def _told(self, error: Exception) -> InputError:
        return InputError(f"{self._path}: not this component of Waymo's version 2 ({error}); download it again")


def _values(column: pa.ChunkedArray) -> list[Any]:
    if not (pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type)):
        return list(column.to_pylist())
    return [cell.values.to_numpy(zero_copy_only=False) if cell.is_valid else None for cell in column]


def matrix(values: NDArray[Any] | None) -> NDArray[np.float64]:
    """(4, 4) of sixteen numbers; what is none of these is told by whoever checks it."""
    return np.reshape(np.zeros(16) if values is None or len(values) != 16 else values, (4, 4)).astype(np.float64)
