"""Recognition metrics: top-k, class mean, confusion, and bootstrap intervals. numpy only."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

DIGITS = 6
"""Results are rounded to this many decimals: past that only the machine's arithmetic shows."""


def true_ranks(scores: ArrayLike, labels: ArrayLike) -> NDArray[np.int64]:
    """Place of the true class among the scores, 0 the best; of equal scores the class that comes first wins.

    Args:
        scores: (n, C), higher is better.
        labels: (n,) true class indices.

    Raises:
        ValueError: a score is NaN, or the shapes do not fit.
    """
    scores, labels = np.asarray(scores), np.asarray(labels, np.int64)
    if scores.ndim != 2 or labels.shape != scores.shape[:1]:
        raise ValueError(f"scores {scores.shape} and labels {labels.shape} do not fit together")
    if np.isnan(scores).any():
        raise ValueError("scores hold NaN")
    if not ((labels >= 0) & (labels < scores.shape[1])).all():
        raise ValueError(f"labels outside 0..{scores.shape[1] - 1}")
    own = np.take_along_axis(scores, labels[:, None], 1)
    first = np.arange(scores.shape[1]) < labels[:, None]
    return ((scores > own) | ((scores == own) & first)).sum(1)


def confusion_counts(labels: ArrayLike, predictions: ArrayLike, n_classes: int) -> NDArray[np.int64]:
    """(C, C) counts: row the true class, column the predicted one."""
    flat = np.asarray(labels, np.int64) * n_classes + np.asarray(predictions, np.int64)
    return np.bincount(flat, minlength=n_classes**2).reshape(n_classes, n_classes)


def class_mean(hits: ArrayLike, counts: ArrayLike) -> NDArray[np.float64]:
    """Unweighted mean of per-class accuracies over the classes that occur; NaN where none does.

    Args:
        hits, counts: (..., C) right answers and objects of each class.
    """
    hits, counts = np.asarray(hits, np.float64), np.asarray(counts, np.float64)
    present = counts > 0
    with np.errstate(invalid="ignore"):
        return np.where(present, hits / np.where(present, counts, 1), 0.0).sum(-1) / present.sum(-1)


def bootstrap_intervals(
    right: ArrayLike, labels: ArrayLike, n_classes: int, scenes: Sequence[str] | None, n: int, seed: int
) -> dict[str, list[float]]:
    """95 % percentile intervals of class-mean and instance top-1.

    Objects of one scene are not independent (one parked car is seen in many samples), so whole scenes are drawn with
    replacement; where there are no scenes, or fewer than two, objects are.

    Args:
        right: (n_objects,) bool, answered correctly.
        scenes: (n_objects,) scene of each object, or None.
        n: resamples.

    Returns:
        ``class_mean_top1`` and ``top1``, each [low, high].
    """
    right, labels = np.asarray(right, np.float64), np.asarray(labels, np.int64)
    rng = np.random.default_rng(seed)
    names, scene = np.unique(np.asarray(scenes if scenes is not None else []), return_inverse=True)
    if len(names) > 1:
        cells = scene * n_classes + labels
        counts = np.bincount(cells, minlength=len(names) * n_classes).reshape(len(names), n_classes)
        hits = np.bincount(cells, right, len(names) * n_classes).reshape(len(names), n_classes)
        drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=n)
        drawn_hits, drawn_counts = drawn @ hits, drawn @ counts
    else:  # Drawing n objects with replacement is one multinomial draw over the cells (class, right or wrong).
        hits = np.bincount(labels, right, n_classes)
        wrong = np.bincount(labels, 1 - right, n_classes)
        drawn = rng.multinomial(len(labels), np.concatenate([hits, wrong]) / len(labels), size=n)
        drawn_hits, drawn_counts = drawn[:, :n_classes], drawn[:, :n_classes] + drawn[:, n_classes:]
    statistics = {
        "class_mean_top1": class_mean(drawn_hits, drawn_counts),
        "top1": drawn_hits.sum(1) / drawn_counts.sum(1),
    }
    return {
        name: [round(float(v), DIGITS) for v in np.percentile(values, [2.5, 97.5])]
        for name, values in statistics.items()
    }


def recognition_metrics(
    scores: ArrayLike,
    labels: ArrayLike,
    classes: Sequence[str],
    scenes: Sequence[str] | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Every number of one method.

    Args:
        scores: (n, C), higher is better. n ≥ 1.
        labels: (n,) true class indices.
        classes: C names.
        scenes: (n,) scene of each object: the unit that the bootstrap draws.
        bootstrap: resamples; 0 gives no intervals.

    Returns:
        ``n``, ``top1``, ``top3``, ``top5`` (over objects), ``class_mean_top1`` (over the classes that occur), ``ci95``
        of class_mean_top1 and ``ci95_top1`` ([low, high] or None), ``absent_classes``, ``per_class`` {class: {n, top1}}
        (top1 None for an absent class) and ``confusion`` (C lists of C counts, rows are true classes).

    Raises:
        ValueError: no object, or malformed scores or labels.
    """
    scores, labels = np.asarray(scores), np.asarray(labels, np.int64)
    if not len(labels):
        raise ValueError("no object to score")
    ranks = true_ranks(scores, labels)
    confusion = confusion_counts(labels, scores.argmax(1), len(classes))
    counts, hits = confusion.sum(1), confusion.diagonal()
    intervals = bootstrap_intervals(ranks == 0, labels, len(classes), scenes, bootstrap, seed) if bootstrap else {}
    return {
        "n": len(labels),
        **{f"top{k}": round(float((ranks < k).mean()), DIGITS) for k in (1, 3, 5)},
        "class_mean_top1": round(float(class_mean(hits, counts)), DIGITS),
        "ci95": intervals.get("class_mean_top1"),
        "ci95_top1": intervals.get("top1"),
        "absent_classes": [name for name, count in zip(classes, counts, strict=True) if count == 0],
        "per_class": {
            name: {"n": int(count), "top1": round(float(hit / count), DIGITS) if count else None}
            for name, hit, count in zip(classes, hits, counts, strict=True)
        },
        "confusion": confusion.tolist(),
    }


def chance_metrics(labels: ArrayLike, classes: Sequence[str]) -> dict[str, Any]:
    """What guessing evenly gives, in the keys of :func:`recognition_metrics`; ``confusion`` holds expected counts."""
    counts = np.bincount(np.asarray(labels, np.int64), minlength=len(classes))
    C = len(classes)
    one = round(1 / C, DIGITS)
    return {
        "n": int(counts.sum()),
        **{f"top{k}": round(min(k / C, 1.0), DIGITS) for k in (1, 3, 5)},
        "class_mean_top1": one,
        "ci95": None,
        "ci95_top1": None,
        "absent_classes": [name for name, count in zip(classes, counts, strict=True) if count == 0],
        "per_class": {
            name: {"n": int(count), "top1": one if count else None} for name, count in zip(classes, counts, strict=True)
        },
        "confusion": [[round(float(count / C), DIGITS)] * C for count in counts],
    }
