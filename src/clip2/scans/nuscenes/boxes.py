"""nuScenes' human boxes in columns: a quarter of a kilobyte each, a small part of what dictionaries take."""

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from clip2.runtime.errors import InputError
from clip2.scans.nuscenes.rows import rows


class Instance(NamedTuple):
    """One thing, seen in several samples."""

    token: str
    category: str
    fine_name: str | None


class Box(NamedTuple):
    """A row of sample_annotation, in the global frame, metres."""

    token: str
    instance: Instance
    visibility: str | None
    rotation: list[float]  # w x y z
    translation: list[float]
    size_wlh: list[float]
    num_lidar_pts: int
    num_radar_pts: int


class Boxes:
    """The human boxes of some samples."""

    def __init__(self, folder: Path, samples: Sequence[str]) -> None:
        """
        Args:
            folder: the version's tables.
            samples: tokens.

        Raises:
            InputError: a table is missing or broken, names something that another lacks, or has a box twice.
        """
        self._number = {token: number for number, token in enumerate(samples)}
        instances, visibility = _instances(folder), dict(rows(folder / "visibility.json", "token", "level"))
        self._tokens: list[str] = []
        self._instances: list[Instance] = []
        self._visibility: list[str | None] = []
        self._placed, self._counted, sample_of = array("d"), array("q"), array("q")
        self.n_elsewhere = 0
        """Boxes of other samples."""
        keys = ("sample_token", "instance_token", "visibility_token", "token", "rotation", "translation", "size",
                "num_lidar_pts", "num_radar_pts")  # fmt: skip
        path = folder / "sample_annotation.json"
        for sample, instance, seen, token, rotation, translation, size, lidar, radar in rows(path, *keys):
            if sample not in self._number:
                self.n_elsewhere += 1
                continue
            if instance not in instances or (seen and seen not in visibility):
                raise InputError(f"{path}: row {token} names an instance or a visibility that has no row; "
                                 "unpack the tables again")  # fmt: skip
            self._tokens.append(token)
            self._instances.append(instances[instance])
            self._visibility.append(visibility[seen] if seen else None)
            self._placed.extend((*rotation, *translation, *size))
            self._counted.extend((lidar, radar))
            sample_of.append(self._number[sample])
        if len(set(self._tokens)) < len(self._tokens):
            token = Counter(self._tokens).most_common(1)[0][0]
            raise InputError(f"{path}: row {token} is there twice; unpack the table again")
        # Row numbers by sample, in the table's order within each.
        by_sample = np.asarray(sample_of)
        self._rows = np.argsort(by_sample, kind="stable")
        self._starts = np.searchsorted(by_sample[self._rows], np.arange(len(samples) + 1))

    def __len__(self) -> int:
        return len(self._tokens)

    def of_sample(self, token: str) -> Iterator[Box]:
        """A sample's boxes, in the table's order."""
        number = self._number[token]
        for row in self._rows[self._starts[number] : self._starts[number + 1]].tolist():
            placed = self._placed[10 * row : 10 * row + 10].tolist()
            yield Box(
                self._tokens[row],
                self._instances[row],
                self._visibility[row],
                placed[:4],
                placed[4:7],
                placed[7:],
                *self._counted[2 * row : 2 * row + 2],
            )


def _instances(folder: Path) -> dict[str, Instance]:
    categories = dict(rows(folder / "category.json", "token", "name"))
    path = folder / "instance.json"
    found = {}
    for token, category, fine_name in rows(path, "token", "category_token", optional=("fine_name",)):
        if category not in categories:
            raise InputError(f"{path}: row {token} names a category that has no row; unpack the tables again")
        found[token] = Instance(token, categories[category], fine_name)
    return found
