"""Best and worst views of each name: what a person looks at first to know how far to trust a detector's word.

No human label is read. A view is the better, the more of its two other witnesses say the same as the detector: the
teacher, which saw the picture, and the track, which has other views. Among equals the detector's score decides.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from heapq import nlargest
from pathlib import Path
from typing import Any

from clip2.explore.pictures import sheet, write_picture

Row = Mapping[str, Any]
EACH = 8
"""Views shown at either end of a name."""
MOST_NAMES = 40
SHEET = "examples.webp"


class Examples:
    """Collects views a scene at a time and keeps the few of each name that are shown."""

    def __init__(self) -> None:
        self._best: dict[str, list[tuple[float, Row]]] = defaultdict(list)
        self._worst: dict[str, list[tuple[float, Row]]] = defaultdict(list)
        self._count: dict[str, int] = defaultdict(int)

    def add(self, scene: int, views: Iterable[Row], label_of: Mapping[str, str], sample_of: Mapping[str, int]) -> None:
        """Look at the views of a scene.

        Args:
            scene: its number.
            views: rows of store.schemas.TRIPLETS with ``track_id`` and ``teacher`` (None where it was not asked).
            label_of: name of each track.
            sample_of: frame → number of its sample in the scene.
        """
        found: dict[str, list[tuple[float, Row]]] = defaultdict(list)
        for row in views:
            own = {key: row[key] for key in ("track_id", "frame_id", "label", "score", "teacher", "image")}
            own |= {"scene": scene, "sample": sample_of[row["frame_id"]], "track": label_of[row["track_id"]]}
            found[row["label"]].append((_worth(own), own))
        for name, rows in found.items():
            self._count[name] += len(rows)
            self._best[name] = nlargest(EACH, [*self._best[name], *rows], key=lambda pair: pair[0])
            self._worst[name] = nlargest(EACH, [*self._worst[name], *rows], key=lambda pair: -pair[0])

    def write(self, folder: Path, quality: int) -> list[dict[str, Any]]:
        """Write the sheet of crops; gives the names with most views first, each with ``best`` and ``worst`` views, the
        best and the worst of all first. A view stands in one of them only."""
        rows: list[dict[str, Any]] = []
        crops: list[bytes] = []
        for name in sorted(self._count, key=lambda name: (-self._count[name], name))[:MOST_NAMES]:
            best = [row for _, row in self._best[name]]
            there = {(row["scene"], row["frame_id"], row["image"]) for row in best}
            worst = [row for _, row in self._worst[name] if (row["scene"], row["frame_id"], row["image"]) not in there]
            shown = {}
            for end, views in (("best", best), ("worst", worst)):
                shown[end] = [_shown(row, len(crops) + number) for number, row in enumerate(views)]
                crops += [row["image"] for row in views]
            rows.append({"name": name, "n": self._count[name], **shown})
        if crops:
            write_picture(folder / SHEET, sheet(crops), quality)
        return rows


def _worth(row: Row) -> float:
    """Higher is better; of views on which all agree the sure ones, of those that stand alone the sure ones last."""
    agree = (row["teacher"] == row["label"]) + (row["track"] == row["label"])
    if row["teacher"] is None:
        agree += row["track"] == row["label"]
    return agree + float(row["score"]) if agree else -float(row["score"])


def _shown(row: Row, tile: int) -> dict[str, Any]:
    keys = ("scene", "sample", "track_id", "teacher", "track")
    return {**{key: row[key] for key in keys}, "score": round(row["score"], 3), "tile": tile}
