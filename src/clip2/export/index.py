"""``index.csv``: which sample a numbered file of an export is of. Corrected labels find their way back by it."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TextIO

from clip2.runtime.errors import InputError

INDEX = "index.csv"


class Entry(NamedTuple):
    """One file name of an export.

    Attributes:
        name: stem of its files, with their folder where there are several.
        turns: by how many quarter turns about z, counter-clockwise, its points were turned.
    """

    name: str
    scene: str
    sample: str
    camera: str = ""
    turns: int = 0


class IndexWriter:
    """Writes entries as they come. Made by :func:`index_writer`."""

    def __init__(self, file: TextIO) -> None:
        self._rows = csv.writer(file, lineterminator="\n")
        self._rows.writerow(Entry._fields)

    def add(self, entry: Entry) -> None:
        """Add one entry."""
        self._rows.writerow(entry)


@contextmanager
def index_writer(folder: Path) -> Iterator[IndexWriter]:
    """Open a folder's index for writing."""
    with (folder / INDEX).open("w", encoding="utf-8", newline="") as file:
        yield IndexWriter(file)


def read_index(folder: Path) -> dict[str, Entry]:
    """Entries of a folder by their names; empty where it has no index, as labels that others made.

    Raises:
        InputError: it is not such an index.
    """
    path = folder / INDEX
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        try:
            entries = [
                Entry(row["name"], row["scene"], row["sample"], row["camera"], int(row["turns"])) for row in rows
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path}: is not an export's index ({error!r}); take it from the export again") from None
    return {entry.name: entry for entry in entries}
