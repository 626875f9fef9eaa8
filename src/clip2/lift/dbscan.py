"""The recipe of CLIP² (arXiv 2303.12417) as far as it is published: frustum, DBSCAN inside it, the largest cluster.

What we could read of the paper states neither DBSCAN's parameters nor which cluster wins: these are common choices. It
is here for comparison, and runs each box by itself, as one would write it down.
"""

import numpy as np
from numpy.typing import NDArray

from clip2.lift.view import Searched, View


def lift_frustum_dbscan(
    view: View, boxes: NDArray[np.float64], searched: Searched, *, eps: float = 0.7, min_samples: int = 3
) -> list[NDArray[np.int64]]:
    """The largest DBSCAN cluster of the points in each box's frustum; the whole frustum where it has too few points.

    Args:
        view: the image's points.
        boxes: (B, 4) xyxy, pixels.
        searched: where in each.
        eps: metres between neighbours.
        min_samples: neighbours, itself included, that make a core point.
    """
    return [view.original(_largest_cluster(view, inside, eps, min_samples)) for inside in searched.inside]


def _largest_cluster(view: View, inside: NDArray[np.int64], eps: float, min_samples: int) -> NDArray[np.int64]:
    """Of positions in the view, those in the largest cluster; of equal ones, the cluster with the lowest cloud row."""
    from sklearn.cluster import DBSCAN  # takes more than a second, which each job of the workflow would wait for

    if len(inside) < min_samples:
        return inside
    inside = inside[np.argsort(view.index[inside])]
    label = DBSCAN(eps=eps, min_samples=min_samples).fit_predict(view.xyz[inside])
    clustered = label >= 0
    if not clustered.any():
        return inside[:0]
    return inside[label == np.bincount(label[clustered]).argmax()]
