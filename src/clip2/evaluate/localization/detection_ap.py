"""Average precision and recall of detections, by 3D overlap or by distance of centres. numpy only.

One class at a time. Detections and annotations belong to groups (samples or scenes) and match within their group only.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clip2.label.box_iou import iou_3d

Floats = NDArray[np.float64]
MIN_RECALL, MIN_PRECISION = 0.1, 0.1
"""Of nuScenes' average precision (detection_cvpr_2019)."""


class Boxes(NamedTuple):
    """Some boxes of one class."""

    group: NDArray[np.int64]  # (n,)
    boxes: Floats  # (n, 7)
    scores: Floats  # (n,), of annotations not used


class Curve(NamedTuple):
    """Precision and recall after each detection, best first; (n,) each."""

    precision: Floats
    recall: Floats


Likeness = Callable[[Floats, Floats], Floats]
"""(A, 7), (B, 7) -> (A, B), higher is more alike."""


def match(found: Boxes, true: Boxes, likeness: Likeness) -> list[tuple[NDArray[np.int64], Floats]]:
    """For each detection, best first: the annotations of its group and its likeness to them."""
    members = {int(g): np.flatnonzero(true.group == g) for g in np.unique(true.group)}
    nothing = np.empty(0, np.int64)
    pairs: list[tuple[NDArray[np.int64], Floats]] = [(nothing, np.empty(0))] * len(found.scores)
    for group in np.unique(found.group):
        mine, theirs = np.flatnonzero(found.group == group), members.get(int(group), nothing)
        values = likeness(found.boxes[mine], true.boxes[theirs])
        for number, row in zip(mine, values, strict=True):
            pairs[number] = (theirs, row)
    return [pairs[i] for i in np.argsort(-found.scores, kind="stable")]


def curve(pairs: Sequence[tuple[NDArray[np.int64], Floats]], n_true: int, threshold: float, next_best: bool) -> Curve:
    """Precision and recall of detections in order.

    Args:
        pairs: of :func:`match`.
        threshold: a detection is right when its best annotation is more alike than this and not taken by a better
            detection.
        next_best: the best of the annotations that are not taken (nuScenes' rule); else the best of all, and a
            detection whose best is taken is wrong (PASCAL VOC's and VoteNet's rule).
    """
    taken = np.zeros(n_true, bool)
    right = np.zeros(len(pairs))
    for place, (candidates, values) in enumerate(pairs):
        if next_best:
            candidates, values = candidates[~taken[candidates]], values[~taken[candidates]]
        if not len(candidates):
            continue
        best = values.argmax()
        if values[best] > threshold and not taken[candidates[best]]:
            taken[candidates[best]] = True
            right[place] = 1
    hits = right.cumsum()
    return Curve(hits / np.arange(1, len(pairs) + 1), hits / max(n_true, 1))


def area_under(curve: Curve) -> float:
    """Area under the precision-recall curve after each precision is raised to the best at the same recall or higher."""
    precision = np.maximum.accumulate(curve.precision[::-1])[::-1]
    return float((precision * np.diff(curve.recall, prepend=0.0)).sum())


def nuscenes_area(curve: Curve) -> float:
    """nuScenes' average precision: precision interpolated at 101 recalls; only above 0.1 of both, rescaled to 0..1."""
    if not len(curve.recall) or curve.recall[-1] == 0:
        return 0.0
    recalls = np.linspace(0, 1, 101)
    precision = np.interp(recalls, curve.recall, curve.precision, right=0)[round(100 * MIN_RECALL) + 1 :]
    return float(np.maximum(precision - MIN_PRECISION, 0).mean() / (1 - MIN_PRECISION))


def overlap_scores(found: Boxes, true: Boxes, thresholds: Sequence[float]) -> dict[float, tuple[float, float]]:
    """{IoU threshold: (average precision, recall of all detections)} by oriented 3D overlap, as VoteNet evaluates."""
    pairs = match(found, true, iou_3d)
    scores = {}
    for threshold in thresholds:
        line = curve(pairs, len(true.group), threshold, next_best=False)
        scores[threshold] = (area_under(line), float(line.recall[-1]) if len(line.recall) else 0.0)
    return scores


def distance_score(found: Boxes, true: Boxes, metres: float) -> float:
    """nuScenes' average precision at one distance between centres in plan view."""
    pairs = match(found, true, lambda a, b: -np.linalg.norm(a[:, None, :2] - b[None, :, :2], axis=2))
    return nuscenes_area(curve(pairs, len(true.group), -metres, next_best=True))
