"""Average precision with objects that count neither way; pure numpy."""

import numpy as np
from numpy.typing import NDArray

Detections = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]
"""Boxes xyxy (N, 4), scores (N,), class numbers (N,) of one image."""
MIN_TRUE = 5
"""Classes with fewer counted objects have no figure."""


def average_precision(
    found: list[Detections],
    truth: NDArray[np.float32],
    classes: int,
    iou: float = 0.5,
    min_side: float = 12,
    min_points: float = 5,
) -> dict[int, float]:
    """Area under the precision-recall envelope, class by class.

    Args:
        truth: (images, N, 8) rows x0 y0 x1 y1 class colour points visible; class -1 fills up.
        min_side, min_points: objects below count neither as missed nor as wrongly detected.
    """
    result = {}
    for number in range(classes):
        scores, hits, total = [], [], 0
        for (boxes, score, label), rows in zip(found, truth):
            mine = rows[rows[:, 4] == number]
            counted = (np.minimum(mine[:, 2] - mine[:, 0], mine[:, 3] - mine[:, 1]) >= min_side) & (
                mine[:, 6] >= min_points
            )
            total += int(counted.sum())
            pick = label == number
            for confidence, hit in _match(boxes[pick], score[pick], mine[:, :4], counted, iou, min_side):
                scores.append(confidence)
                hits.append(hit)
        if total >= MIN_TRUE:
            result[number] = _area(np.array(scores), np.array(hits, float), total)
    return result


def _match(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    truth: NDArray[np.float32],
    counted: NDArray[np.bool_],
    iou: float,
    min_side: float,
) -> list[tuple[float, bool]]:
    """Score and rightness of the detections of one class in one image that count."""
    overlap = _iou(boxes, truth)
    free = np.ones(len(truth), bool)
    out = []
    for i in np.argsort(-scores):
        options = np.where(free, overlap[i], 0)
        best = int(options.argmax()) if len(truth) else -1
        if best >= 0 and options[best] >= iou:
            free[best] = False
            if counted[best]:
                out.append((float(scores[i]), True))
        elif min(boxes[i, 2] - boxes[i, 0], boxes[i, 3] - boxes[i, 1]) >= min_side:
            out.append((float(scores[i]), False))
    return out


def _area(scores: NDArray[np.float64], hits: NDArray[np.float64], total: int) -> float:
    if not len(scores):
        return 0.0
    right = np.cumsum(hits[np.argsort(-scores)])
    recall, precision = right / total, right / (np.arange(len(right)) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(np.concatenate([[0], recall])) * envelope))


def _iou(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    inter = np.clip(high - low, 0, None).prod(-1)
    areas = np.prod(a[:, 2:] - a[:, :2], 1)[:, None] + np.prod(b[:, 2:] - b[:, :2], 1)[None]
    return inter / (areas - inter + 1e-9)
