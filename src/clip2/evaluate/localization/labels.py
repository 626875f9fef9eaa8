"""Boxes of the stage `label`, exactly as they stand in its file, as detections; and how far to trust what they say."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clip2.evaluate.localization.result import Calibration, Placement
from clip2.evaluate.localization.settings import LocalizeSettings
from clip2.evaluate.localization.truth import Truth
from clip2.evaluate.metrics import DIGITS
from clip2.geometry import upright_boxes
from clip2.label.box_iou import iou_3d
from clip2.label.naming import Detections
from clip2.label.proposals import Proposals
from clip2.label.words import canonical
from clip2.runtime.errors import InputError
from clip2.store.tables import iterate_rows, read_header

Floats = NDArray[np.float64]
Row = dict[str, Any]

TOUCHES = 0.1
"""3D overlap from which on a label's box is taken to mean an annotated thing, to ask whether its name and place are
right."""
NEAR_M = 0.5
BINS = 10


def read_labels(path: Path, header: dict[str, Any], groups: set[str], by_scene: bool) -> list[Row]:
    """The labels of some samples (or scenes).

    Raises:
        InputError: they are of another source.
    """
    source = read_header(path)["source"]
    if source != header["source"]:
        raise InputError(f"{path}: are labels of {source!r}, not of {header['source']!r}; run `snakemake labels` again")
    return [row for row in iterate_rows(path) if row["scene" if by_scene else "sample"] in groups]


def as_detections(labels: Sequence[Row], truth: Truth, settings: LocalizeSettings) -> tuple[Proposals, Detections]:
    """A label is a detection of each class that one of its names means, with their probability as score; names that
    mean none of the classes, and boxes beyond a class's range, are left out.
    """
    boxes = boxes_of(labels)
    group = [row["scene" if truth.by_scene else "sample"] for row in labels]
    nothing = np.zeros((len(labels), 0), np.float32)
    best = np.array([row["score"] for row in labels], np.float64)
    scores = np.zeros((len(labels), len(settings.classes)))
    for number, row in enumerate(labels):
        for name in row["names"]:
            if (meant := truth.words.get(canonical(name["name"]))) is not None:
                scores[number, meant] += name["probability"]
    ranges = np.array([settings.class_range.get(name, np.inf) for name in settings.classes])
    proposal, label = np.nonzero((scores > 0) & (np.hypot(*boxes[:, :2].T)[:, None] < ranges))
    proposals = Proposals(group, boxes, best, [row["label"] for row in labels], nothing, None)
    return proposals, Detections(proposal, label, scores[proposal, label])


def boxes_of(rows: Sequence[Row]) -> Floats:
    """(n, 7) x y z l w h yaw of labels, or of annotations."""
    T = np.array([row["T_points_from_box"] for row in rows], np.float64).reshape(-1, 4, 4)
    size = np.array([row["size_lwh"] for row in rows], np.float64).reshape(-1, 3)
    return upright_boxes(T, size)


def trust(labels: Sequence[Row], annotations: Sequence[Path], truth: Truth) -> tuple[Calibration, Placement]:
    """Are names right as often as they are sure, and are standing things where they are said to be?

    Asked of labels whose box overlaps an annotated one, of any class, by more than :data:`TOUCHES`. A name is right
    where it is a word for the annotated thing.
    """
    of_group: dict[str, list[Row]] = defaultdict(list)
    key = "scene" if truth.by_scene else "sample"
    for row in (row for path in annotations for row in iterate_rows(path)):
        of_group[row[key]].append(row)
    samples: dict[tuple[str, str], set[str]] = defaultdict(set)
    by_group: dict[str, list[Row]] = defaultdict(list)
    for row in labels:
        samples[row["scene"], row["track_id"]].add(row["sample"])
        by_group[row[key]].append(row)
    sure, right, off = [], [], []
    for group, mine in by_group.items():
        theirs = of_group.get(group, [])
        overlap = iou_3d(mine_boxes := boxes_of(mine), boxes := boxes_of(theirs))
        for number, row in enumerate(mine):
            if not len(theirs) or overlap[number].max() <= TOUCHES:
                continue
            best = int(overlap[number].argmax())
            sure.append(row["score"])
            right.append(_means(row["label"], theirs[best], truth))
            stands = not np.any(row["velocity"] or [0.0])
            if stands and len(samples[row["scene"], row["track_id"]]) > 1:
                off.append(float(np.hypot(*(mine_boxes[number] - boxes[best])[:2])))
    return _calibration(np.array(sure), np.array(right, bool)), _placement(np.array(off))


def _means(name: str, annotation: Row, truth: Truth) -> bool:
    word = canonical(name)
    words = (annotation["class_name"], annotation["fine_name"], annotation["category"].split(".")[-1])
    if word in {canonical(other) for other in words if other}:
        return True
    asked = annotation["class_name"]
    return asked is not None and truth.words.get(word, -1) == truth.words.get(canonical(asked), -2)


def _calibration(sure: Floats, right: NDArray[np.bool_]) -> Calibration:
    """Expected calibration error over bins of equal width (Guo et al. 2017)."""
    number = np.minimum((sure * BINS).astype(int), BINS - 1)
    bins = []
    for k in range(BINS):
        mine = number == k
        if n := int(mine.sum()):
            bins.append((n, round(float(sure[mine].mean()), DIGITS), round(float(right[mine].mean()), DIGITS)))
    error = sum(n * abs(said - share) for n, said, share in bins) / len(sure) if len(sure) else None
    return Calibration(n=len(sure), ece=None if error is None else round(error, DIGITS), bins=bins)


def _placement(off: Floats) -> Placement:
    near = round(float((off <= NEAR_M).mean()), DIGITS) if len(off) else None
    median = round(float(np.median(off)), DIGITS) if len(off) else None
    return Placement(n=len(off), within_half_metre=near, median_m=median)
