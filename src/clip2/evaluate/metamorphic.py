"""What should not matter to a point encoder, measured: the same objects turned, mirrored, moved, permuted, doubled."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clip2.evaluate.methods import Scorer
from clip2.evaluate.metrics import DIGITS, class_mean, confusion_counts

Crop = NDArray[np.float32]
"""(N, 4) x y z intensity; metres, z up."""


def _turned(crop: Crop) -> Crop:
    return np.stack([-crop[:, 1], crop[:, 0], *crop.T[2:]], axis=1)


def _mirrored(crop: Crop) -> Crop:
    return crop * np.array([1, -1, 1, 1], np.float32)


def _moved(crop: Crop) -> Crop:
    return crop + np.array([30, -20, 1, 0], np.float32)


def _permuted(crop: Crop) -> Crop:
    return np.random.default_rng(0).permutation(crop)


def _doubled(crop: Crop) -> Crop:
    return np.concatenate([crop, crop])


CHANGES: dict[str, Callable[[Crop], Crop]] = {
    "turned by 90°": _turned,
    "mirrored": _mirrored,
    "moved by 36 m": _moved,
    "points in another order": _permuted,
    "every point twice": _doubled,
}


def on_changed(scorer: Scorer, change: Callable[[Crop], Crop]) -> Scorer:
    """The same scorer, shown changed objects."""
    return lambda batch: scorer(replace(batch, crops=list(map(change, batch.crops))))


def changed_scorers(scorer: Scorer) -> dict[str, Scorer]:
    """A scorer for each of :data:`CHANGES`."""
    return {name: on_changed(scorer, change) for name, change in CHANGES.items()}


def compared(
    answers: NDArray[np.int64], changed: Mapping[str, NDArray[np.int64]], labels: NDArray[np.int64], n_classes: int
) -> dict[str, dict[str, Any]]:
    """For each change, the share of objects with the same answer as without it, and the class mean with it.

    Args:
        answers, labels: (n,) classes.
        changed: by change, (n,) answers.
    """
    found = {}
    for name, others in changed.items():
        confusion = confusion_counts(labels, others, n_classes)
        mean = class_mean(confusion.diagonal(), confusion.sum(1))
        same = float((answers == others).mean())
        found[name] = {"same_answer": round(same, DIGITS), "class_mean_top1": round(float(mean), DIGITS)}
    return found
