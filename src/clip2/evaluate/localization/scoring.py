"""Named boxes against human boxes: each class's average precision and recall, and their means."""

from collections.abc import Sequence

import numpy as np

from clip2.evaluate.localization.detection_ap import Boxes, distance_score, overlap_scores
from clip2.evaluate.localization.result import BoxScores, LocalizationScore
from clip2.evaluate.localization.settings import LocalizeSettings
from clip2.evaluate.localization.truth import Truth
from clip2.evaluate.metrics import DIGITS
from clip2.label.naming import Detections, detections
from clip2.label.proposals import Proposals

MEANS = ("ap25", "ar25", "ap50", "ar50", "ap_2m")


def score_detections(
    proposals: Proposals, found: Detections, truth: Truth, classes: Sequence[str], by_metres: bool
) -> LocalizationScore:
    """Every class's scores and their means over the classes that occur."""
    number = {name: i for i, name in enumerate(dict.fromkeys([*proposals.group, *truth.group]))}
    proposal_group = np.array([number[name] for name in proposals.group], np.int64)
    truth_group = np.array([number[name] for name in truth.group], np.int64)
    per_class = {}
    for label, name in enumerate(classes):
        mine, theirs = found.label == label, truth.label == label
        chosen = found.proposal[mine]
        per_class[name] = _box_scores(
            Boxes(proposal_group[chosen], proposals.boxes[chosen], found.scores[mine]),
            Boxes(truth_group[theirs], truth.boxes[theirs], np.ones(int(theirs.sum()))),
            by_metres,
        )
    present = [scores for scores in per_class.values() if scores.n]
    means = {key: _mean([getattr(scores, key) for scores in present]) for key in MEANS}
    return LocalizationScore(**means, per_class=per_class)


def _box_scores(found: Boxes, true: Boxes, by_metres: bool) -> BoxScores:
    n, n_found = len(true.group), len(found.group)
    if not n:
        return BoxScores(n=0, n_found=n_found, ap25=None, ar25=None, ap50=None, ar50=None, ap_2m=None)
    (ap25, ar25), (ap50, ar50) = overlap_scores(found, true, (0.25, 0.5)).values()
    ap_2m = distance_score(found, true, 2.0) if by_metres else None
    values = {"ap25": ap25, "ar25": ar25, "ap50": ap50, "ar50": ar50, "ap_2m": ap_2m}
    return BoxScores(n=n, n_found=n_found, **{k: None if v is None else round(v, DIGITS) for k, v in values.items()})


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(float(np.mean(known)), DIGITS) if known else None


def score_without_names(proposals: Proposals, truth: Truth, by_metres: bool, settings: LocalizeSettings) -> BoxScores:
    """All proposals as one class, against the boxes of all classes."""
    farthest = max(settings.class_range.get(name, np.inf) for name in settings.classes)
    one = settings.model_copy(update={"classes": ("thing",), "class_range": {"thing": farthest}})
    found = detections(proposals, np.ones((len(proposals.group), 1)), one)
    everything = Truth(truth.by_scene, truth.group, np.zeros_like(truth.label), truth.boxes, truth.skipped, truth.words)
    return score_detections(proposals, found, everything, one.classes, by_metres).per_class["thing"]
