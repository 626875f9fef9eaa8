"""Scores of views and things for a query; numpy only.

A view scores the mean of two witnesses. The teacher's is the probability that its picture shows the phrase and not one
of the other words at hand; the detector's, the score of its box where its word is the phrase. A thing scores the mean
of its two best views: one alone may be luck, and all of them have poor ones among them.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
BEST_VIEWS = 2


def word_scores(scale: float, words: Floats, others: Floats, detector: Floats) -> Floats:
    """(n,) how much each view is the best of some words, 0 to 1.

    Args:
        scale: the teacher's inverse temperature.
        words: (n, W ≥ 1) cosines of the views with the words; each is weighed against the others alone.
        others: (n, V) cosines with all that it may be instead.
        detector: (n, W) the score of its box where the detector said that word, else 0.
    """
    against = logsumexp(scale * others.astype(np.float64), axis=1) if others.shape[1] else np.full(len(words), -np.inf)
    logits = scale * words.astype(np.float64)
    teacher = np.exp(logits - np.logaddexp(logits, against[:, None]))
    return np.asarray((teacher + detector).max(1) / 2, np.float32)


def thing_scores(scores: Floats, thing: Ints, n_things: int) -> tuple[Floats, Ints]:
    """Of each of n things the mean of its best views' scores (n,), and its best view (n,).

    Args:
        scores: (m,) of views.
        thing: (m,) whose view it is, 0 to n - 1; each has one at least.
    """
    order = np.lexsort((-scores, thing))
    n_views = np.bincount(thing, minlength=n_things)
    first = np.cumsum(n_views) - n_views
    place = np.arange(len(order)) - np.repeat(first, n_views)
    among_best = order[place < BEST_VIEWS]
    total = np.bincount(thing[among_best], scores[among_best], n_things)
    return (total / np.minimum(n_views, BEST_VIEWS)).astype(np.float32), order[first]


def best_things(scores: Floats, thing: Ints, n_things: int, n: int) -> Ints:
    """The n things with the best single views, in ascending order of their numbers."""
    best = np.full(n_things, -np.inf, np.float32)
    np.maximum.at(best, thing, scores)
    return np.sort(np.argpartition(-best, n - 1)[:n]) if n < n_things else np.arange(n_things)
