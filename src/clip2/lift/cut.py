"""Minimum cut of a small graph into object and background (Greig, Porteous and Seheult 1989)."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

from clip2.lift.patches import Array, Indices

_UNIT = 1000
"""Capacities are whole multiples of 1 / this, as the solver wants integers."""


def minimum_cut(first: Indices, second: Indices, link: Array, reward: Array, tie: Array) -> NDArray[np.bool_]:
    """The set of nodes with the largest sum of rewards less the ties of its nodes and the links cut at its border.

    Args:
        first, second, link: (L,) links between nodes, each pair once, and their non-negative weights.
        reward: (n,) for counting a node to the object; negative: against it.
        tie: (n,) non-negative, what each node in the set costs.

    Returns:
        (n,) mask, the smallest of the best sets.
    """
    n = len(reward)
    gain = reward - tie
    node, source, sink = np.arange(n), np.full(n, n), np.full(n, n + 1)
    rows, columns = np.concatenate([first, second, source, node]), np.concatenate([second, first, node, sink])
    weight = np.concatenate([link, link, np.maximum(gain, 0.0), np.maximum(-gain, 0.0)])
    capacity = sparse.coo_matrix((np.rint(_UNIT * weight).astype(np.int32), (rows, columns)), (n + 2, n + 2)).tocsr()
    capacity.sum_duplicates()
    residual = capacity - csgraph.maximum_flow(capacity, n, n + 1).flow
    residual.data = residual.data.clip(0)
    residual.eliminate_zeros()
    reached = csgraph.breadth_first_order(residual, n, return_predecessors=False)
    return np.isin(node, reached)
