"""Clusters from evidence for and against pairs: what most speaks for is joined first, and evidence adds up."""

import heapq

import numpy as np

from clip2.track.views import Floats, Ints


def contract(n: int, i: Ints, j: Ints, weight: Floats, threshold: float = 0.0) -> Ints:
    """Join the pair of clusters with the most evidence until none is above the threshold.

    The evidence between two clusters is the sum over the pairs of their members (greedy additive edge contraction), so
    that two boxes of one picture are kept apart whatever a third view says for joining them a little.

    Args:
        n: things to cluster.
        i, j, weight: pairs, each once, and the evidence (log odds) for joining them.

    Returns:
        (n,) cluster of each: the smallest member's number.
    """
    cluster = np.arange(n)
    around: list[dict[int, float]] = [{} for _ in range(n)]
    waiting: list[tuple[float, int, int]] = []
    for a, b, value in zip(i.tolist(), j.tolist(), weight.tolist(), strict=True):
        around[a][b] = around[b][a] = value
        if value > threshold:
            waiting.append((-value, min(a, b), max(a, b)))
    heapq.heapify(waiting)
    while waiting:
        value, a, b = heapq.heappop(waiting)
        if around[a].get(b) != -value:  # an older sum, or one of them is gone
            continue
        cluster[b] = a
        del around[a][b]
        for other, more in around[b].items():
            if other == a:
                continue
            del around[other][b]
            total = around[a].get(other, 0.0) + more
            around[a][other] = around[other][a] = total
            if total > threshold:
                heapq.heappush(waiting, (-total, min(a, other), max(a, other)))
        around[b] = {}
    for number in range(n):  # clusters point to smaller numbers, so one pass from below ends at the root
        cluster[number] = cluster[cluster[number]]
    return cluster
