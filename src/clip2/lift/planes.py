"""The large planes of a view (floor, walls, table tops, fronts of furniture), found once for all boxes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

from clip2.lift.patches import Array, Indices, Patches, range_noise

_MOST = 8
_TRIALS = 150
_LEAST_SHARE = 0.03
"""Of the view's points; what is smaller is left to the links between patches."""
_MOST_AROUND = 0.6
"""Share of the points around a patch that lie on a plane."""
_LEAST_LINK = 1e-3
"""What is linked by less is not connected."""
_LOOKS_UP = 0.6
"""Cosine between a plane's normal and the picture's upward direction: cameras are tilted by up to 50 degrees."""
_PARALLEL = 0.8
"""Cosine between a patch's normal and the normal of a plane that it may lie on."""


@dataclass(frozen=True)
class Planes:
    """Q planes: normal · x = offset.

    Attributes:
        normal: (Q, 3) unit vectors towards the camera.
        offset: (Q,) metres.
    """

    normal: Array
    offset: Array

    def height(self, points: Array) -> Array:
        """(N, Q) signed distances of points (N, 3), metres; negative: beyond the plane, seen from the camera."""
        return np.asarray(points @ self.normal.T - self.offset)


def _tolerance(patches: Patches) -> Array:
    return 0.02 + 2 * range_noise(patches.centre[:, 2])


def find_planes(patches: Patches) -> Planes:
    """Take the plane through one patch that most points lie on, refit it, set its patches aside, and repeat.

    The patches that are tried lie evenly among the points that are left, so there is no chance in it.
    """
    normals: list[Array] = []
    offsets: list[float] = []
    free, tolerance = np.arange(len(patches.count)), _tolerance(patches)
    while len(normals) < _MOST and len(free):
        centre, normal, count, allowed = (a[free] for a in (patches.centre, patches.normal, patches.count, tolerance))
        running = np.cumsum(count)
        trial = np.searchsorted(running, (np.arange(_TRIALS) + 0.5) / _TRIALS * running[-1])
        distance = np.abs(centre @ normal[trial].T - (centre[trial] * normal[trial]).sum(1))
        on = (distance < allowed[:, None]) & (normal @ normal[trial].T > _PARALLEL)
        support = count @ on
        best = int(support.argmax())
        if support[best] < _LEAST_SHARE * patches.count.sum():
            break
        chosen = on[:, best]
        for _ in range(2):
            n, offset = _fit(centre[chosen], count[chosen])
            refitted = (np.abs(centre @ n - offset) < allowed) & (np.abs(normal @ n) > _PARALLEL)
            if not refitted.any():
                break
            chosen = refitted
        normals.append(n if offset < 0 else -n)  # the camera is at the origin, on the positive side
        offsets.append(-abs(offset))
        free = free[~chosen]
    return Planes(np.reshape(normals, (-1, 3)), np.array(offsets, np.float64))


def upward(planes: Planes) -> Array:
    """(3,) unit vector against gravity: the normal of the largest plane that looks up (floor, bed, table top).

    Where there is none, the picture is taken as upright.
    """
    looks_up = np.flatnonzero(-planes.normal[:, 1] > _LOOKS_UP)
    return np.asarray(planes.normal[looks_up[0]]) if len(looks_up) else np.array([0.0, -1.0, 0.0])


def _fit(points: Array, weight: Array) -> tuple[Array, float]:
    """Normal and offset of the plane with the least weighted squared distance to points (N, 3)."""
    mean = np.average(points, axis=0, weights=weight)
    from_mean = points - mean
    normal = np.linalg.eigh((from_mean * weight[:, None]).T @ from_mean)[1][:, 0]
    return normal, float(normal @ mean)


def plane_of(patches: Patches, planes: Planes) -> Indices:
    """(P,) number of the plane that each patch lies on, the earliest found of several; -1: none.

    A patch lies on a plane that it is near to, if its normal or most of its surroundings say so: at depth edges,
    normals come from the points of two surfaces.
    """
    label = np.full(len(patches.count), -1)
    if len(planes.offset):
        near = np.abs(planes.height(patches.centre)) < _tolerance(patches)[:, None]
        n = len(label)
        links = sparse.coo_matrix((np.ones(len(patches.first)), (patches.first, patches.second)), (n, n)).tocsr()
        around = (links + links.T) @ np.column_stack([near * patches.count[:, None], patches.count])
        on = near & (np.abs(patches.normal @ planes.normal.T) > _PARALLEL)
        on |= near & (around[:, :-1] > _MOST_AROUND * around[:, -1:])
        label = np.where(on.any(1), on.argmax(1), label)
    return label


def connected_pieces(patches: Patches, link: Array, plane: Indices) -> NDArray[np.int32]:
    """(P,) number of the connected piece of its plane that each patch belongs to; others stand alone."""
    n = len(plane)
    same = (plane[patches.first] == plane[patches.second]) & (plane[patches.first] >= 0) & (link > _LEAST_LINK)
    links = sparse.coo_matrix((np.ones(same.sum()), (patches.first[same], patches.second[same])), (n, n))
    return np.asarray(csgraph.connected_components(links, directed=False)[1])
