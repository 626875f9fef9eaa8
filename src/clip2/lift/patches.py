"""The visible surface of an RGB-D view as small patches: one for each depth layer in each cell of a pixel lattice."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

_NEIGHBOURS = ((1, 0, 1.0), (0, 1, 1.0), (1, 1, 0.5), (-1, 1, 0.5))
"""Steps in columns and rows to half of a cell's neighbours, and the share of the border with each; the rest mirror."""

BORDER_PER_CELL = 2.0
"""Links that a straight border cuts on one cell of its length: one straight, two diagonal ones of half weight."""

_MOMENTS = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))


def range_noise(depth: Array) -> Array:
    """Metres, standard deviation: 1.5 mm · depth² (structured light: Khoshelham and Elberink 2012) plus 3 mm."""
    return np.asarray(0.003 + 0.0015 * depth**2)


def layer_gap(depth: Array) -> Array:
    """Metres; a larger step in depth within a cell is the edge of something."""
    return np.asarray(0.02 + 0.02 * depth)


@dataclass(frozen=True)
class Patches:
    """P patches, sorted by cell and depth, and L links between neighbours. Camera frame, metres.

    Attributes:
        of_point: (M,) patch of each point of the view.
        count: (P,) points.
        centre, normal: (P, 3); normals are unit vectors towards the camera.
        first, second: (L,) linked patches.
        share: (L,) of a cell's border that the two have in common.
        cell: pixels, side of a cell.
    """

    of_point: Indices
    count: Array
    centre: Array
    normal: Array
    first: Indices
    second: Indices
    share: Array
    cell: float


def make_patches(uv: Array, xyz: Array, by_depth: Indices, image_size: tuple[int, int], cell: float) -> Patches:
    """Cut a view on a lattice.

    Args:
        uv, xyz: (M, 2) pixels and (M, 3) camera coordinates of at least one point.
        by_depth: (M,) the points' order by depth, which lattices of one view share: sorting is what takes the time.
        cell: pixels, side of a cell; of so many cells that they can be counted in 16 bits.
    """
    n_columns, n_rows = (int(side / cell) + 1 for side in image_size)
    column, row = (uv / cell).astype(np.int64).T
    place = row.clip(0, n_rows - 1) * n_columns + column.clip(0, n_columns - 1)
    # By cell, and within a cell by depth; NumPy's stable sort of 16-bit numbers takes linear time.
    order = by_depth[np.argsort(place[by_depth].astype(np.uint16), kind="stable")]
    place, points = place[order], xyz[order]
    begins = np.ones(len(order), bool)
    begins[1:] = (np.diff(place) != 0) | (np.diff(points[:, 2]) > layer_gap(points[1:, 2]))
    of_point = np.empty(len(order), np.int64)
    of_point[order] = np.cumsum(begins) - 1
    start = np.flatnonzero(begins)
    count = np.diff(np.append(start, len(order))).astype(np.float64)
    products = np.stack([points[:, a] * points[:, b] for a, b in _MOMENTS], 1)
    sums = np.add.reduceat(np.column_stack([points, products]), start, 0)
    centre = sums[:, :3] / count[:, None]
    first, second, share = _near_pairs(place[start], n_columns, n_rows, centre[:, 2])
    normal = _normals(count, sums, first, second)
    return Patches(of_point, count, centre, normal, first, second, share, cell)


def _near_pairs(cell: Indices, n_columns: int, n_rows: int, depth: Array) -> tuple[Indices, Indices, Array]:
    """Patches in the same or neighbouring cells that are not far apart in depth, and the share of the border."""
    column, row = cell % n_columns, cell // n_columns
    all_cells = np.arange(n_columns * n_rows)
    begin, end = np.searchsorted(cell, all_cells), np.searchsorted(cell, all_cells, "right")
    stacked = np.flatnonzero(np.diff(cell) == 0)  # one behind the other in one cell
    firsts, seconds, shares = [stacked], [stacked + 1], [np.ones(len(stacked))]
    for right, down, share in _NEIGHBOURS:
        has = np.flatnonzero((column + right >= 0) & (column + right < n_columns) & (row + down < n_rows))
        other = cell[has] + right + down * n_columns
        n_others = end[other] - begin[other]
        number = np.arange(n_others.sum()) - np.repeat(np.cumsum(n_others) - n_others, n_others)
        firsts.append(np.repeat(has, n_others))
        seconds.append(np.repeat(begin[other], n_others) + number)
        shares.append(np.full(len(number), share))
    first, second = np.concatenate(firsts), np.concatenate(seconds)
    near = np.abs(depth[first] - depth[second]) < 4 * layer_gap(np.minimum(depth[first], depth[second]))
    return first[near], second[near], np.concatenate(shares)[near]


def _normals(count: Array, sums: Array, first: Indices, second: Indices) -> Array:
    """(P, 3) unit normals towards the camera, of the plane through a patch's points and its neighbours'."""
    n = len(count)
    links = sparse.coo_matrix((np.ones(len(first)), (first, second)), (n, n)).tocsr()
    pooled = (links + links.T + sparse.identity(n)) @ np.column_stack([count, sums])
    mean = pooled[:, 1:4] / pooled[:, :1]
    covariance = np.empty((n, 3, 3))
    for k, (a, b) in enumerate(_MOMENTS):
        covariance[:, a, b] = covariance[:, b, a] = pooled[:, 4 + k] / pooled[:, 0] - mean[:, a] * mean[:, b]
    normal = np.linalg.eigh(covariance)[1][:, :, 0]
    return np.asarray(normal * np.where((normal * mean).sum(1) > 0, -1.0, 1.0)[:, None])


def continuity(patches: Patches, normal: Array, crease: float) -> Array:
    """(L,) 1 where two linked patches lie on one flat or convex surface, towards 0 at concave creases and depth edges.

    One object's faces mostly meet in convex edges, two objects in concave ones (Stein et al., CVPR 2014).

    Args:
        patches: P of them, with L links.
        normal: (P, 3) of the surface that each lies on.
        crease: radians; surfaces that meet in a concave angle much larger than this are separated.
    """
    centre, first, second = patches.centre, patches.first, patches.second
    step = centre[second] - centre[first]
    ahead, back = (normal[first] * step).sum(1), -(normal[second] * step).sum(1)
    rise = np.maximum(np.maximum(ahead, back), 0.0)  # of each above the other's plane, on the camera's side
    allowed = range_noise(np.minimum(centre[first, 2], centre[second, 2])) + crease * np.linalg.norm(step, axis=1)
    return np.asarray(np.exp(-((rise / allowed) ** 2)))
