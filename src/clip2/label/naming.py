"""Proposals and names → scored boxes of classes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from clip2.label.box_iou import iou_3d, suppress
from clip2.label.proposals import Proposals
from clip2.label.settings import BoxSettings
from clip2.label.words import canonical

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Detections:
    """m named boxes: (m,) each."""

    proposal: NDArray[np.int64]  # which proposal's box
    label: NDArray[np.int64]  # class
    scores: Floats


def text_probabilities(
    features: NDArray[np.float32], text: NDArray[np.float32], scale: float, n_classes: int
) -> Floats:
    """(n, C) softmax of scaled cosines over all texts, of which the first ``n_classes`` are the classes."""
    return np.asarray(softmax((scale * features @ text.T).astype(np.float64), axis=-1)[:, :n_classes])


def label_probabilities(labels: Sequence[str], words: dict[str, int], n_classes: int) -> Floats:
    """(n, C) one for the class that a detector's label means, zeros where it means none of them."""
    one = np.eye(n_classes + 1, n_classes)
    return one[np.array([words.get(canonical(label), n_classes) for label in labels], np.int64)]


def detections(proposals: Proposals, probabilities: Floats, settings: BoxSettings) -> Detections:
    """Every proposal under every class, score = the detector's × probability, less what is beyond a class's range, of
    too low a score, overlapped by a better box of its class in its group, or not among the group's best."""
    scores = proposals.scores[:, None] * probabilities
    distance = np.hypot(*proposals.boxes[:, :2].T)
    ranges = np.array([settings.class_range.get(name, np.inf) for name in settings.classes])
    allowed = (scores >= settings.min_score) & (scores > 0) & (distance[:, None] < ranges)
    found: list[NDArray[np.int64]] = [np.empty((0, 2), np.int64)]
    for members in groups(proposals.group):
        iou = iou_3d(proposals.boxes[members], proposals.boxes[members])
        kept = [np.empty((0, 2), np.int64)]
        for label in range(scores.shape[1]):
            mine = np.flatnonzero(allowed[members, label])
            best = mine[suppress(iou[np.ix_(mine, mine)], scores[members[mine], label], settings.nms_iou)]
            kept.append(np.stack([members[best], np.full(len(best), label)], 1))
        together = np.concatenate(kept)
        order = np.argsort(-scores[together[:, 0], together[:, 1]], kind="stable")
        found.append(together[order[: settings.max_boxes]])
    proposal, label = np.concatenate(found).T
    return Detections(proposal, label, scores[proposal, label])


def groups(names: Sequence[str]) -> list[NDArray[np.int64]]:
    """Indices of each distinct name, in order of first appearance."""
    found: dict[str, list[int]] = {}
    for number, name in enumerate(names):
        found.setdefault(name, []).append(number)
    return [np.asarray(members, np.int64) for members in found.values()]
