"""Which of the proposed boxes are kept, and a count of every one that is not."""

from collections import Counter
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.ops import nms

from clip2.detect.detector import Found
from clip2.detect.settings import DetectSettings

LOSSES = ("below_threshold", "too_small", "too_large", "nms", "cross_class_nms", "over_limit")
"""In the order in which they are applied. boxes_raw = kept + the sum of them, always."""


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
    per_label = [of_label[_nms(boxes[of_label], scores[of_label], settings.nms_iou)] for of_label in _groups(labels)]
    keep(np.sort(np.concatenate([*per_label, np.zeros(0, np.int64)])), "nms")
    keep(_nms(boxes, scores, settings.cross_class_nms_iou), "cross_class_nms")
    keep(np.arange(len(scores)) < settings.max_boxes, "over_limit")
    counts["kept"] += len(scores)
    return [Kept(*row) for row in zip(boxes.tolist(), labels.tolist(), scores.tolist())]


def _groups(labels: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [np.flatnonzero(labels == label) for label in np.unique(labels)]


def _nms(boxes: NDArray[np.float32], scores: NDArray[np.float32], iou: float) -> NDArray[np.int64]:
    """Greedy non-maximum suppression; indices in ascending order (boxes come best first, ties in order)."""
    kept: NDArray[np.int64] = np.sort(nms(torch.from_numpy(boxes), torch.from_numpy(scores), iou).numpy())
    return kept
