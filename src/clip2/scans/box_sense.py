"""Statistics that human boxes in other axes, units or orders of numbers cannot pass.

Used where human boxes are read: by the evaluation, ``clip2 check`` and imports of labels, never by mining.
"""

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from clip2.geometry import points_in_oriented_box
from clip2.runtime.errors import InputError
from clip2.scans.clouds import CloudError, load_points
from clip2.scans.sanity import UPRIGHT

Row = Mapping[str, Any]
MOST_EMPTY = 0.7
"""Share of boxes without a point that is too much, among at least ENOUGH of them."""
MOST_SHORT = 0.2
"""Share of boxes that may hold less than half of the points that they are told to hold."""
MOST_LEANING = 0.1
"""Share of boxes whose z axis may be more than 60 degrees away from up: things stand, and few are knocked over."""
ENOUGH = 20
"""Boxes from which on a stage decides; a note of ``clip2 check`` needs no more than one."""
TOLD_POINTS = 10
"""Least points that a box has to be told to hold, for their number to say something."""
MOST_TURN = 4 * math.pi
"""Radians: angles that are followed along a track go beyond a full turn."""
LOOKED_AT = 12
"""Samples whose points ``clip2 check`` reads."""


def leans(box: Row) -> bool:
    """Whether a box (a row of store.schemas.ANNOTATIONS) is not upright; upside down it is the same box."""
    return bool(abs(box["T_points_from_box"][10]) < UPRIGHT)


def standing(boxes: Iterable[dict[str, Any]], where: Path) -> Iterator[dict[str, Any]]:
    """The boxes, as they are.

    Args:
        where: what they are read from, for the message.

    Raises:
        InputError: at their end, where too many of them lean.
    """
    n = leaning = 0
    for box in boxes:
        n, leaning = n + 1, leaning + leans(box)
        yield box
    if n >= ENOUGH and leaning > MOST_LEANING * n:
        raise InputError(f"{where}: {_leaning(leaning, n)}")


def _leaning(leaning: int, n: int) -> str:
    return (
        f"{leaning} of {n} boxes lean by more than 60°: their quaternions, or the poses', are not in the order w x y z"
    )


class Hits:
    """How many points boxes hold, against how many they should."""

    def __init__(self) -> None:
        self.n = self.empty = self.told = self.short = 0

    def add(self, box: Row, found: int) -> None:
        """One box, and how many points of its sample it holds; what is told to hold none says nothing."""
        told = box["num_lidar_pts"]
        if told == 0:
            return
        self.n += 1
        self.empty += not found
        if told >= TOLD_POINTS:
            self.told += 1
            self.short += found < told / 2

    def complaint(self, enough: int, most_empty: float) -> str | None:
        """What cannot be right, where ``enough`` boxes say so: more than ``most_empty`` of them hold no point."""
        if self.n >= enough and self.empty > most_empty * self.n:
            return f"{self.empty} of {self.n} boxes hold no point: boxes and points are not in the same axes or units"
        return None

    def remark(self, enough: int) -> str | None:
        """What is hardly right, where ``enough`` boxes say so: data sets may count points of other sweeps, too."""
        if self.told >= enough and self.short > MOST_SHORT * self.told:
            return (
                f"{self.short} of {self.told} boxes hold less than half of the points that their row tells: is length "
                "given as width, is the quaternion in another order, or are they boxes of other frames or sensors?"
            )
        return None


def spread(samples: Sequence[str], n: int = LOOKED_AT) -> list[str]:
    """At most ``n`` samples from all over, in their order: those to look at."""
    return [samples[i] for i in np.linspace(0, len(samples) - 1, min(len(samples), n)).astype(int)]


def in_radians(angle: float) -> float:
    """An angle, if it can be one in radians.

    Raises:
        ValueError: it is more than two full turns.
    """
    if abs(angle) > MOST_TURN:
        raise ValueError(f"{angle:g} is more than two full turns in radians; convert degrees (times pi / 180)")
    return angle


def box_remarks(
    boxes: Iterable[Row],
    counts: Mapping[str, int],
    classes: Sequence[str],
    looked_at: Collection[str],
    cloud_of: Callable[[str], dict[str, Any]],
    root: Path,
) -> Iterator[str]:
    """What looks wrong with the human boxes of the evaluation, for ``clip2 check``.

    Args:
        boxes: rows of store.schemas.ANNOTATIONS, sample by sample.
        counts: what the reader of ``boxes`` counts as it goes: boxes_impossible, boxes_repeated.
        classes: of the benchmark, for the message.
        looked_at: samples whose points are read.
        cloud_of: a sample's own cloud (store.schemas.CLOUD), relative to ``root``.
    """
    categories: Counter[str] = Counter()
    known = leaning = 0
    hits = Hits()
    for sample, group in groupby(boxes, key=lambda box: box["sample"]):
        own = list(group)
        categories.update(box["category"] for box in own)
        known += sum(box["class_name"] is not None for box in own)
        leaning += sum(map(leans, own))
        if sample not in looked_at:
            continue
        try:
            points = load_points([cloud_of(sample)], root)
        except CloudError:  # told elsewhere
            continue
        for box in own:
            T = np.reshape(box["T_points_from_box"], (4, 4))
            hits.add(box, int(points_in_oriented_box(points, T, box["size_lwh"]).sum()))
    n = categories.total()
    if n and not known:
        yield (
            f"none of {n} human boxes ({', '.join(sorted(categories)[:5])}) is called as one of the {len(classes)} "
            f"classes ({', '.join(classes[:3])} …): there will be no object to recognise"
        )
    if leaning > MOST_LEANING * n:
        yield _leaning(leaning, n)
    if complaint := hits.complaint(1, 0.5) or hits.remark(1):
        yield complaint
    if impossible := counts.get("boxes_impossible", 0):
        yield f"{impossible} of {n + impossible} human boxes have no size or no place, and are left out"
    if repeated := counts.get("boxes_repeated", 0):
        yield f"{repeated} human boxes are there twice and count once"
