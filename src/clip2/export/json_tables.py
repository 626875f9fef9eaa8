"""Tables as JSON arrays, written row by row: none of them is in memory."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, TextIO

Row = dict[str, Any]


class JsonTables:
    """One JSON array a table. Made by :func:`json_tables`."""

    def __init__(self, files: Mapping[str, TextIO]) -> None:
        self._files = files
        self._rows: Counter[str] = Counter()

    def add(self, table: str, row: Row) -> None:
        """Add one row."""
        self._files[table].write((",\n" if self._rows[table] else "[\n") + json.dumps(row, allow_nan=False))
        self._rows[table] += 1

    def add_chain(self, table: str, rows: Sequence[Row]) -> None:
        """Add rows in time order, each with the tokens of the one before and the one after."""
        for row in rows:
            row["prev"] = row["next"] = ""
        for before, after in pairwise(rows):
            before["next"], after["prev"] = after["token"], before["token"]
        for row in rows:
            self.add(table, row)

    def _close(self) -> None:
        for table, file in self._files.items():
            file.write("\n]\n" if self._rows[table] else "[]\n")
            file.close()


@contextmanager
def json_tables(folder: Path, names: Sequence[str]) -> Iterator[JsonTables]:
    """Open ``folder/NAME.json`` of some names for writing."""
    folder.mkdir(parents=True)
    tables = JsonTables({name: (folder / f"{name}.json").open("w", encoding="utf-8") for name in names})
    try:
        yield tables
    finally:
        tables._close()
