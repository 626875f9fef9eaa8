"""Sweeps of Argoverse 2: Feather files of x y z (half precision) and intensity, in the vehicle's frame."""

import pyarrow as pa
from pyarrow import feather

from clip2.scans.point_files import Rows, rows_of_columns


def feather_rows(data: bytes) -> Rows:
    """The points of a Feather file, whose columns may be more than x, y, z and intensity.

    Raises:
        ValueError: not such a file.
    """
    try:
        table = feather.read_table(pa.BufferReader(data), memory_map=False)
        table.validate(full=True)
        columns = {name: table[name].to_numpy() for name in table.column_names}
    except Exception as error:  # Arrow has errors of many kinds for bytes that are no file of its own
        raise ValueError(f"not a Feather file ({error}); is it cut short?") from None
    return rows_of_columns(columns)
