"""Things move: what shares no place from one sample to the next is joined by where it would have got to.

Of three sightings in a row, nearly constant velocity speaks for one thing. Ends and beginnings of tracks are then
joined by assignment, first over neighbouring samples, then over gaps, each track having one successor at most.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from clip2.track.settings import TrackSettings
from clip2.track.sightings import Sightings
from clip2.track.views import Floats, Ints

STEP_S = 0.5
"""Seconds between samples for which the weights were fitted."""
SLACK_M = 2.0
"""What the middle of a thing may move because other parts of it are seen."""
STEADY, STEADY_M = 2.1, 0.5
"""Evidence of a constant velocity, and the metres by which the middle of a thing is out."""
UNSTEADY = -0.7
GAP = 1.0
"""Evidence against, for each second beyond a step in which nothing was seen."""
RECENT_S = 1.0
"""Seconds of a track's end that its velocity there is taken from."""
_LOOKED_AT = 4
"""Sightings that the looks of a track's end are taken from."""

Track = list[int]
"""Numbers of sightings, in time order."""


def follow(seen: Sightings, settings: TrackSettings) -> list[Track]:
    """Tracks of the sightings: their clusters, joined where one goes on as another.

    Returns:
        The tracks, by their first sightings.
    """
    tracks = _clusters(seen)
    steps = _steps(seen, settings)
    # Neighbouring samples first, and again, as tracks of two then know their velocity; then over gaps.
    for seconds in (0.0, 0.0, settings.max_gap_s / 2, settings.max_gap_s):
        tracks = _joined(tracks, *_candidates(seen, tracks, steps, seconds, settings))
    return tracks


def _clusters(seen: Sightings) -> list[Track]:
    found: dict[int, Track] = {}
    for number, cluster in enumerate(seen.cluster.tolist()):
        found.setdefault(cluster, []).append(number)
    return list(found.values())


def _steps(seen: Sightings, settings: TrackSettings) -> dict[tuple[int, int], float]:
    """Evidence that two sightings of neighbouring samples are one moving thing, with what speaks for its velocity."""
    at = [np.flatnonzero(seen.sample == number) for number in range(len(seen.times))]
    pairs = [_pairs(seen, one, other, settings) for one, other in pairwise(at)]
    alone = [_moved(seen, one, other) for one, other in pairs]
    total = [weight.copy() for weight in alone]
    for number in range(len(pairs) - 1):
        before, after = _steadiness(seen, pairs[number], alone[number], pairs[number + 1], alone[number + 1])
        total[number] += before
        total[number + 1] += after
    return {
        (a, b): weight
        for (one, other), weights in zip(pairs, total)
        for a, b, weight in zip(one.tolist(), other.tolist(), weights.tolist())
    }


def _pairs(seen: Sightings, one: Ints, other: Ints, settings: TrackSettings) -> tuple[Ints, Ints]:
    """Sightings of two samples that are near enough to be one thing."""
    i, j = (index.ravel() for index in np.meshgrid(one, other, indexing="ij"))
    reach = settings.max_speed * (seen.times[seen.sample[j]] - seen.times[seen.sample[i]]) + SLACK_M
    near = np.linalg.norm((seen.centre[j] - seen.centre[i])[:, :2], axis=1) <= reach
    return i[near], j[near]


def _moved(seen: Sightings, one: Ints, other: Ints) -> Floats:
    """(p,) evidence from looks, names and distance alone."""
    look, name = seen.alike(one, other)
    distance = np.linalg.norm((seen.centre[other] - seen.centre[one])[:, :2], axis=1)
    between = np.maximum(np.maximum(seen.low[one] - seen.high[other], seen.low[other] - seen.high[one]), 0)
    gap = np.linalg.norm(between[:, :2], axis=1)  # metres between their boxes
    return 2.1 * look + 1.0 * name - 1.2 * np.log1p(distance) - 1.6 * np.log1p(gap) + 1.4


def _steadiness(
    seen: Sightings, first: tuple[Ints, Ints], weight: Floats, second: tuple[Ints, Ints], later: Floats
) -> tuple[Floats, Floats]:
    """What the best continuation of each first pair, and the best beginning of each second one, adds to it."""
    order = np.argsort(second[0], kind="stable")
    start = np.searchsorted(second[0][order], first[1], "left")
    stop = np.searchsorted(second[0][order], first[1], "right")
    a = np.repeat(np.arange(len(first[0])), stop - start)
    b = order[
        np.concatenate([np.arange(low, high) for low, high in zip(start, stop)] or [np.zeros(0, int)]).astype(int)
    ]
    times = seen.times[seen.sample]
    v_first, v_second = (
        (seen.centre[j] - seen.centre[i])[:, :2] / (times[j] - times[i])[:, None]
        for i, j in ((first[0][a], first[1][a]), (second[0][b], second[1][b]))
    )
    seconds = (times[second[1][b]] - times[first[0][a]]) / 2
    out = np.linalg.norm(v_second - v_first, axis=1) * seconds / STEADY_M
    steady = STEADY - 0.35 * out**2
    before, after = np.full(len(first[0]), UNSTEADY), np.full(len(second[0]), UNSTEADY)
    np.maximum.at(before, a, steady + 0.7 * np.minimum(later[b] + 1, 0))
    np.maximum.at(after, b, steady + 0.7 * np.minimum(weight[a] + 1, 0))
    return before, after


def _candidates(
    seen: Sightings, tracks: Sequence[Track], steps: dict[tuple[int, int], float], gap: float, settings: TrackSettings
) -> tuple[Ints, Ints, Floats]:
    """Pairs of tracks of which one may be the other's continuation, and the evidence for it above the threshold.

    Args:
        gap: seconds that may lie between them; of neighbouring samples, any.
    """
    n_samples = len(seen.times)
    reach = np.maximum(np.searchsorted(seen.times, seen.times + gap, "right"), np.arange(n_samples) + 2)
    first, last = (np.array([track[end] for track in tracks]) for end in (0, -1))
    begins = [np.flatnonzero(seen.sample[first] == number) for number in range(n_samples)]
    ends = [np.flatnonzero(seen.sample[last] == number) for number in range(n_samples)]
    found = [
        (a, b)
        for number in range(n_samples)
        for later in range(number + 1, min(reach[number], n_samples))
        for a, b in zip(*np.meshgrid(ends[number], begins[later], indexing="ij"))
    ]
    one, other = (np.concatenate([pair[side] for pair in found] or [np.zeros(0, int)]).astype(int) for side in (0, 1))
    i, j = last[one], first[other]
    seconds = seen.times[seen.sample[j]] - seen.times[seen.sample[i]]
    shift = (seen.centre[j] - seen.centre[i])[:, :2]
    near = np.linalg.norm(shift, axis=1) <= settings.max_speed * seconds + SLACK_M
    one, other, i, j, seconds, shift = (values[near] for values in (one, other, i, j, seconds, shift))
    out = _off_course(seen, tracks, one, other, shift, seconds)
    look, name = _alike(seen, tracks, one, other)
    by_course = 2.1 * look + 0.6 * name - 3.2 * np.log1p(out) + 2.2
    neighbours = seen.sample[j] - seen.sample[i] == 1
    by_step = np.array([steps.get(pair, -np.inf) for pair in zip(i.tolist(), j.tolist())]).reshape(-1)
    by_step = np.where(neighbours, by_step, _moved(seen, i, j))
    weight = np.where(np.isfinite(out), by_course, by_step) - GAP * np.maximum(seconds - STEP_S, 0)
    weight = weight - _rivals(one, weight) - _rivals(other, weight)
    good = weight > settings.threshold
    return one[good], other[good], weight[good] - settings.threshold


def _rivals(group: Ints, weight: Floats) -> Floats:
    """(p,) what speaks for the other pairs of the same track, as log odds."""
    odds = np.exp(weight)
    total = np.bincount(group, odds)[group] if len(group) else odds
    return np.log1p(np.maximum(total - odds, 0))


def _off_course(
    seen: Sightings, tracks: Sequence[Track], one: Ints, other: Ints, shift: Floats, seconds: Floats
) -> Floats:
    """(p,) metres by which the velocities of two tracks miss each other; NaN where neither has one."""
    at = seen.times[seen.sample]
    ahead = _velocities(seen, [(_within(track[::-1], at), track[-1]) for track in tracks])[one]
    back = _velocities(seen, [(track[0], _within(track, at)) for track in tracks])[other]
    missed = np.stack([np.linalg.norm(shift - v * seconds[:, None], axis=1) for v in (ahead, back)])
    known = np.isfinite(missed)
    return np.where(known.any(0), np.where(known, missed, 0).sum(0) / np.maximum(known.sum(0), 1), np.nan)


def _within(track: Track, at: Floats) -> int:
    """The last sighting of a track that is less than a second (or one step) from its first."""
    found = track[0]
    for number in track[1:]:
        if found != track[0] and abs(at[number] - at[track[0]]) > RECENT_S + 1e-3:
            break
        found = number
    return found


def _velocities(seen: Sightings, between: list[tuple[int, int]]) -> Floats:
    """(n, 2) metres a second between pairs of sightings; NaN where both are the same."""
    start, end = np.array(between).T
    seconds = seen.times[seen.sample[end]] - seen.times[seen.sample[start]]
    moved = (seen.centre[end] - seen.centre[start])[:, :2]
    return np.where(start == end, np.nan, moved.T / np.where(start == end, 1, seconds)).T


def _alike(seen: Sightings, tracks: Sequence[Track], one: Ints, other: Ints) -> tuple[Floats, Floats]:
    """(p,) looks and names of the last sightings of one track against the first of another."""
    tails = [track[-_LOOKED_AT:] for track in tracks]
    heads = [track[:_LOOKED_AT] for track in tracks]
    cosine, name = (
        (_means(values, tails)[one] * _means(values, heads)[other]).sum(1) for values in (seen.image, seen.names)
    )
    return (cosine - seen.usual) / (1 - seen.usual), name


def _means(values: Floats, parts: Sequence[Track]) -> Floats:
    """The mean of the rows of each part."""
    length = np.array([len(part) for part in parts])
    rows = np.array([number for part in parts for number in part])
    return np.add.reduceat(values[rows], np.cumsum(length) - length, axis=0) / length[:, None]


def _joined(tracks: Sequence[Track], one: Ints, other: Ints, weight: Floats) -> list[Track]:
    """Tracks after the assignment with the most evidence, each having one successor and one predecessor at most."""
    after = dict(_assigned(len(tracks), one, other, weight))
    continued = set(after.values())
    found = []
    for number in range(len(tracks)):
        if number in continued:
            continue
        whole, now = list(tracks[number]), number
        while now in after:
            now = after[now]
            whole += tracks[now]
        found.append(whole)
    return found


def _assigned(n: int, one: Ints, other: Ints, weight: Floats) -> Iterator[tuple[int, int]]:
    """The pairs of the best assignment, sought in each connected part of the candidates by itself."""
    if not len(one):
        return
    graph = coo_matrix((np.ones(len(one)), (one, n + other)), shape=(2 * n, 2 * n))
    _, part = connected_components(graph, directed=False)
    order = np.argsort(part[one], kind="stable")
    for pairs in np.split(order, np.flatnonzero(np.diff(part[one][order])) + 1):
        rows, row = np.unique(one[pairs], return_inverse=True)
        columns, column = np.unique(other[pairs], return_inverse=True)
        table = np.zeros((len(rows), len(columns)))
        table[row, column] = weight[pairs]  # above 0, which pairs have that are no candidates
        for r, c in zip(*linear_sum_assignment(table, maximize=True)):
            if table[r, c] > 0:
                yield int(rows[r]), int(columns[c])
