"""A Parquet artefact a scene at a time, whatever the order of its rows."""

from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from clip2.store.tables import open_table, read_table


class ByScene:
    """Rows of one scene after the other; of a file whose scenes stand together, each is read about once.

    Attributes:
        scenes: names, in order of appearance.
    """

    def __init__(self, path: Path) -> None:
        """
        Raises:
            InputError: missing or damaged.
        """
        self._path = path
        self._groups: dict[str, list[int]] = {}
        with open_table(path) as file:
            for group in range(file.num_row_groups):
                for scene in (
                    file.read_row_group(group, ["scene"], use_threads=False).column("scene").unique().to_pylist()
                ):
                    self._groups.setdefault(scene, []).append(group)
        self.scenes = list(self._groups)

    def rows(self, scene: str) -> list[dict[str, Any]]:
        """A scene's rows as dictionaries; empty where there are none."""
        with open_table(self._path) as file:
            table = file.read_row_groups(self._groups.get(scene, []), use_threads=False)
        found: list[dict[str, Any]] = table.filter(pc.equal(table.column("scene"), scene)).to_pylist()
        return found

    def values(self, column: str) -> list[Any]:
        """A column's distinct values."""
        found: list[Any] = read_table(self._path, [column]).column(column).unique().to_pylist()
        return found
