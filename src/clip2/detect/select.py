"""Which of the proposed boxes are kept, and a count of every one that is not."""

from collections import Counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clip2.detect.found import Found
from clip2.detect.settings import DetectSettings

LOSSES = ("below_threshold", "too_small", "too_large", "nms", "cross_class_nms", "over_limit")
"""In the order in which they are applied. boxes_raw = kept + the sum of them, always."""
BLOCK = 128
"""Boxes that are held against all others at a time."""


class Kept(NamedTuple):
    """One box that is kept."""

    box: list[float]  # xyxy, pixels, inside the image
    label: int  # index into the vocabulary's names
    score: float


def select(found: Found, width: int, height: int, settings: DetectSettings, counts: Counter[str]) -> list[Kept]:
    """Threshold, clip to the image, size limits, NMS within a label, NMS across labels, limit; best score first.

    Args:
        counts: ``boxes_raw``, ``kept`` and :data:`LOSSES` are added to.
    """
    boxes, scores, labels = found.boxes, found.scores, found.labels
    counts["boxes_raw"] += len(scores)

    def keep(chosen: NDArray[np.bool_] | NDArray[np.int64], loss: str) -> None:
        nonlocal boxes, scores, labels
        before = len(scores)
        boxes, scores, labels = boxes[chosen], scores[chosen], labels[chosen]
        counts[loss] += before - len(scores)

    keep(scores > settings.score_threshold, "below_threshold")
    boxes = np.clip(boxes, 0, np.array([width, height, width, height], np.float32))
    sides = boxes[:, 2:] - boxes[:, :2]
    # A box without an area has nothing in it, whatever the limit.
    keep((sides.min(1, initial=np.inf) >= settings.min_box_px) & (sides > 0).all(1), "too_small")
    keep((boxes[:, 2:] - boxes[:, :2]).prod(1) <= settings.max_box_share * width * height, "too_large")
    order = np.argsort(-scores, kind="stable")
    boxes, scores, labels = boxes[order], scores[order], labels[order]
    per_label = [of_label[suppress(boxes[of_label], settings.nms_iou)] for of_label in _groups(labels)]
    keep(np.sort(np.concatenate([*per_label, np.zeros(0, np.int64)])), "nms")
    keep(suppress(boxes, settings.cross_class_nms_iou), "cross_class_nms")
    keep(np.arange(len(scores)) < settings.max_boxes, "over_limit")
    counts["kept"] += len(scores)
    return [Kept(*row) for row in zip(boxes.tolist(), labels.tolist(), scores.tolist())]


def _groups(labels: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [np.flatnonzero(labels == label) for label in np.unique(labels)]


def suppress(boxes: NDArray[np.float32], iou: float) -> NDArray[np.int64]:
    """Greedy non-maximum suppression of boxes that come best first; indices of those that are kept, ascending.

    The same arithmetic as torchvision's, to the last bit; that takes two seconds to import.
    """
    left = np.arange(len(boxes))
    kept = []
    while len(left):
        others_go = overlaps(boxes[left[:BLOCK]], boxes[left]).astype(np.float64) > iou
        stays = np.ones(len(left), np.bool_)
        for number, goes in enumerate(others_go):
            if stays[number]:
                kept.append(left[number])
                stays &= ~goes
        left = left[BLOCK:][stays[BLOCK:]]
    return np.array(kept, np.int64)


def overlaps(some: NDArray[np.float32], boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """(S, 4) and (B, 4) xyxy → (S, B) intersection over union."""
    low, high = np.maximum(some[:, None, :2], boxes[:, :2]), np.minimum(some[:, None, 2:], boxes[:, 2:])
    sides = np.maximum(high - low, 0)
    shared = sides[..., 0] * sides[..., 1]
    areas, of_some = ((b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1]) for b in (boxes, some))
    overlaps: NDArray[np.float32] = shared / (of_some[:, None] + areas - shared)
    return overlaps
