"""Scores of one ranking, and what a random one is expected to score. numpy only."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray


def average_precision(scores: ArrayLike, relevant: ArrayLike) -> float:
    """Mean, over the relevant objects, of the precision at each one's place.

    Args:
        scores: (n,), higher is better; of equal ones the first comes first.
        relevant: (n,) bool, at least one.
    """
    ranked = np.asarray(relevant, bool)[np.argsort(-np.asarray(scores), kind="stable")]
    return ranked_precision(ranked, int(ranked.sum()))


def recall_at(scores: ArrayLike, relevant: ArrayLike, ks: Sequence[int]) -> list[float]:
    """Share of the relevant objects among the first k, for each k."""
    ranked = np.asarray(relevant, bool)[np.argsort(-np.asarray(scores), kind="stable")]
    return ranked_recall(ranked, int(ranked.sum()), ks)


def ranked_precision(right: NDArray[np.bool_], n_relevant: int) -> float:
    """Average precision of a ranking, not interpolated; what is not in it counts as not found.

    Args:
        right: (n,) whether what stands at a place is relevant, best first.
        n_relevant: objects to find.
    """
    places = np.flatnonzero(right) + 1
    return float((np.arange(1, len(places) + 1) / places).sum() / n_relevant)


def ranked_recall(right: NDArray[np.bool_], n_relevant: int, ks: Sequence[int]) -> list[float]:
    """Share of the objects to find among the first k of a ranking, for each k; arguments as above."""
    return [float(right[:k].sum() / n_relevant) for k in ks]


def chance_average_precision(n: int, n_relevant: int) -> float:
    """Expected average precision of a random order of n objects.

    Place i holds a relevant object with probability R/n; given that, the i-1 before it hold (i-1)(R-1)/(n-1) on
    average. So E = 1/n · Σ_i (1 + (i-1)(R-1)/(n-1)) / i.
    """
    places = np.arange(1, n + 1)
    return float(((1 + (places - 1) * (n_relevant - 1) / max(n - 1, 1)) / places).mean())
