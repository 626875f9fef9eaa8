"""For and against two views being of one thing, in log odds.

Three things speak: whether the crops share space, whether the teacher sees the same in both pictures, and whether
detector and teacher would give both the same names. The weights are rounded from logistic regressions on the built-in
world, whose annotations say which views are of one thing; they are the same for all classes.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from clip2.track.views import Floats, Ints, Views, thinned

REACH = 6
"""Samples over which crops are compared by place."""
FADE = 0.7
"""What is left of the evidence of sharing a place with each further sample between: things come and go."""
OTHER_BOX = -3.0
"""Two boxes of one picture whose crops share nothing: hardly ever one thing."""
_MOST_POINTS, _RAYS = 100, 3
_FARTHEST_M = 3.0


@dataclass(frozen=True)
class Edges:
    """Pairs of views, i < j, and the evidence (log odds) that they are of one thing."""

    i: Ints
    j: Ints
    weight: Floats


def evidence(views: Views) -> Edges:
    """All that pairs of views say which are of one picture, or share space within :data:`REACH` samples."""
    i, j, shared = _overlaps(views)
    n_cubes = views.cubes.getnnz(axis=1)
    share = shared / np.minimum(n_cubes[i], n_cubes[j])  # of the smaller crop
    alike = same_names(views.names[i], views.names[j])
    apart = views.sample[j] - views.sample[i]
    one_picture = views.picture[i] == views.picture[j]
    front = np.zeros(len(i))
    together = np.flatnonzero(apart == 0)
    front[together] = [_in_front(views, i[k], j[k]) for k in together]
    smaller = np.where(np.diff(views.cubes.indptr)[i] <= np.diff(views.cubes.indptr)[j], i, j)
    weight = np.where(
        one_picture,
        # A weak box whose crop lies in another's is on the same thing; a crop in front of the other is not.
        3.0 * share + 1.8 * alike - 0.75 * front - 3.7 * views.score[smaller] + 0.4,
        np.where(
            apart == 0,
            2.0 * share + 3.5 * alike - 0.9 * front - 0.8,
            (2.7 * share + 3.0 * alike - 1.7) * FADE ** np.maximum(apart - 1, 0),
        ),
    )
    weight[_jumps(views, i, j, weight)] = 0
    others = _apart_in_pictures(views, i[one_picture], j[one_picture])
    return Edges(
        np.concatenate([i, others[0]]),
        np.concatenate([j, others[1]]),
        np.concatenate([weight, np.full(len(others[0]), OTHER_BOX)]),
    )


def same_names(one: Floats, other: Floats) -> Floats:
    """(n,) how alike two lists of probabilities (n, V) are: 1 the same, 0 nothing in common (Bhattacharyya)."""
    return np.sqrt(one * other).sum(1)


def _overlaps(views: Views) -> tuple[Ints, Ints, Floats]:
    """Pairs i < j within reach whose crops share cubes, and how many they share."""
    starts = np.searchsorted(views.sample, np.arange(len(views.times) + 1))
    parts: list[tuple[NDArray[np.int64], ...]] = []
    for number, (first, stop) in enumerate(pairwise(starts)):
        last = starts[min(number + 1 + REACH, len(views.times))]
        if first == stop:
            continue
        product = (views.cubes[first:stop] @ views.cubes[first:last].T).tocoo()
        later = product.col > product.row
        parts.append((product.row[later] + first, product.col[later] + first, product.data[later]))
    i, j, shared = (np.concatenate(column) for column in zip(*parts)) if parts else (np.zeros(0, int),) * 3
    order = np.lexsort((j, i))
    return i[order], j[order], shared[order]


def _jumps(views: Views, i: Ints, j: Ints, weight: Floats) -> NDArray[np.bool_]:
    """Pairs that share a place at which nothing like them was seen in between: traffic, more likely than a thing."""
    like = (weight > 0) & (views.sample[j] > views.sample[i])
    following, before = np.full(len(views), len(views.times)), np.full(len(views), -1)
    np.minimum.at(following, i[like], views.sample[j[like]])
    np.maximum.at(before, j[like], views.sample[i[like]])
    over = views.sample[j] - views.sample[i] > 1
    return over & (weight > 0) & ((following[i] >= views.sample[j]) | (before[j] <= views.sample[i]))


def _apart_in_pictures(views: Views, i: Ints, j: Ints) -> tuple[Ints, Ints]:
    """Pairs of one picture that are not among the given ones."""
    n = len(views)
    order = np.argsort(views.picture, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(views.picture[order])) + 1) if n else []
    pairs = [np.sort(group)[np.stack(np.triu_indices(len(group), 1))] for group in groups]
    a, b = np.concatenate(pairs, axis=1) if pairs else np.zeros((2, 0), int)
    new = ~np.isin(a * n + b, i * n + j)
    return a[new], b[new]


def _in_front(views: Views, i: int, j: int) -> float:
    """Metres between the smaller crop and what the larger has beside it, along the same rays; 0 where it has nothing.

    A thing in front of another stands off it, however their crops mix; a part of it does not.
    """
    small, large = (i, j) if len(views.points[i]) <= len(views.points[j]) else (j, i)
    eye = views.eye[small]
    inside, around = (thinned(views.points[k], _MOST_POINTS)[:, :3] - eye for k in (small, large))
    near, far = (np.sqrt(np.einsum("ij,ij->i", rays, rays)) for rays in (inside, around))
    dot = inside @ around.T
    squared = near[:, None] ** 2 + far**2 - 2 * dot
    beside = squared.min(0) > (views.cube_m / 3) ** 2
    if beside.sum() < _RAYS:
        return 0.0
    cosine = dot[:, beside] / (near[:, None] * far[beside])
    neighbours = np.argpartition(-cosine, _RAYS - 1, axis=1)[:, :_RAYS]
    return float(min(np.median(np.abs(far[beside][neighbours] - near[:, None]).min(1)), _FARTHEST_M))
