"""Our RGB-D lifting: background is what goes on beyond the box, as a surface or as a plane. See docs/lifting.md.

A depth camera fills every pixel, so counting points tells nothing. But a box is drawn around a whole object: a surface
that goes on over the box's border belongs to something else. The view is cut into small surface patches, its large
planes are found once, and in each box a minimum cut separates patches that are tied to the outside from the rest. What
stands in front of the object and has a box of its own is then taken away.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from clip2.lift.cut import minimum_cut
from clip2.lift.fill import points_in_upright_box, upright_box
from clip2.lift.occlusion import taken_by_occluders
from clip2.lift.patches import BORDER_PER_CELL, Array, Indices, Patches, continuity, make_patches, range_noise
from clip2.lift.planes import Planes, connected_pieces, find_planes, plane_of, upward
from clip2.lift.view import Searched, View

Mask = NDArray[np.bool_]

_POINTS_PER_CELL = 8
_MOST_CELLS = 12_000
_PLANE_CELLS = 3_000
"""Cells of the lattice on which planes are found: large ones, whose normals are steady."""
_CELLS_ACROSS = 24
"""Least number of cells along √area of a box, where the points are dense enough for it."""


@dataclass(frozen=True)
class DepthParameters:
    """Shares are of 1.

    Attributes:
        reward: how much the area of the object counts against the length of the surfaces cut. At ½ a wall that fills
            the box would cost as much to cut out as it brings.
        crease: radians; surfaces that meet in a concave angle much larger than this are separated.
        outside: a connected piece of a plane of which more than this share lies outside the box is background.
        structure_outside: the same for a plane that has nothing behind it in the box: floor, wall, table top. All its
            pieces count as one.
        behind: share of the box's points that may lie behind such a plane (mirrors, windows, noise).
        least: where less than this share of the box's points is left, the box is around a flat thing on a wall (a
            picture, a door), and all of it is returned.
        fill: return all points in the upright 3D box around the object, as people cut objects out; else its surface
            and what is near to it.
        margin: metres that are added to each side of the 3D box, or how near that is.
    """

    reward: float = 2.0
    crease: float = 0.12
    outside: float = 0.5
    structure_outside: float = 0.05
    behind: float = 0.05
    least: float = 0.01
    fill: bool = True
    margin: float = 0.1


def lift_depth(view: View, boxes: Array, searched: Searched, **parameters: Any) -> list[Indices]:
    """Points of the object in each box (B, 4), as sorted rows of the cloud; ``parameters``: see DepthParameters."""
    p = DepthParameters(**parameters)
    scene = _Scene(view, p) if len(view.index) else None
    crops = searched.inside
    if scene is not None:
        found = [scene.object_in(box, inside) for box, inside in zip(boxes, crops)]
        taken = taken_by_occluders([inside[picked] for inside, (_, picked) in zip(crops, found)], view.depth)
        crops = [scene.crop(level, inside, picked, gone) for inside, (level, picked), gone in zip(crops, found, taken)]
    return [view.original(crop) for crop in crops]


@dataclass(frozen=True)
class _Level:
    """Patches of one lattice, their links' weights, the plane of each, and its connected piece of that plane."""

    patches: Patches
    link: Array
    plane: Indices
    piece: NDArray[np.int32]


class _Scene:
    """What the boxes of one view share; lattices are made when a box first needs them."""

    def __init__(self, view: View, p: DepthParameters) -> None:
        width, height = view.image_size
        self._view, self._p, self._xyz = view, p, view.in_camera()
        self._by_depth = np.argsort(self._xyz[:, 2], kind="stable")
        self._density = len(view.index) / (width * height)  # points per pixel
        self._finest = np.sqrt(max(_POINTS_PER_CELL / self._density, width * height / _MOST_CELLS))
        coarse = max(self._finest, np.sqrt(width * height / _PLANE_CELLS))
        self._planes: Planes = find_planes(self._patches(coarse))
        self._up = upward(self._planes)
        self._levels: dict[int, _Level] = {}

    def _patches(self, cell: float) -> Patches:
        return make_patches(self._view.uv, self._xyz, self._by_depth, self._view.image_size, cell)

    def _level(self, side: float) -> _Level:
        """The coarsest lattice with at least _CELLS_ACROSS cells in ``side`` pixels, else the finest."""
        doublings = max(0, int(np.floor(np.log2(side / self._finest / _CELLS_ACROSS))))
        if doublings not in self._levels:
            patches = self._patches(self._finest * 2**doublings)
            plane = plane_of(patches, self._planes)
            normal, flat = patches.normal.copy(), plane >= 0
            normal[flat] = self._planes.normal[plane[flat]]
            link = patches.share * continuity(patches, normal, self._p.crease)
            self._levels[doublings] = _Level(patches, link, plane, connected_pieces(patches, link, plane))
        return self._levels[doublings]

    def object_in(self, box: Array, inside: Indices) -> tuple[_Level, Mask]:
        """The lattice for a box (4,), and which of the view's positions in the box are on the object's surface."""
        if not len(inside):
            return self._level(1.0), np.zeros(0, bool)
        width, height = self._view.image_size
        left, top, right, bottom = np.clip(box, 0.0, [width, height, width, height])
        size = np.maximum([right - left, bottom - top], 1.0)
        level = self._level(float(np.sqrt(size.prod())))
        patches, p = level.patches, self._p
        in_box = np.bincount(patches.of_point[inside], minlength=len(patches.count)).astype(np.float64)
        ids = np.flatnonzero(in_box)
        full = self._density * patches.cell**2
        area = np.minimum(in_box[ids] / full, 1.0)  # in cells
        size = size / patches.cell
        reward = (
            p.reward * BORDER_PER_CELL * 2 * size.sum() / size.prod() * area * self._belief(level, in_box, ids, area)
        )
        kept = minimum_cut(*_inner_links(level, ids), reward, _ties(level, in_box, ids, full))
        if area[kept].sum() < p.least * area.sum():
            return level, np.ones(len(inside), bool)
        chosen = np.zeros(len(patches.count), bool)
        chosen[ids[kept]] = True
        return level, chosen[patches.of_point[inside]]

    def crop(self, level: _Level, inside: Indices, picked: Mask, taken: Mask) -> Indices:
        """Of positions in a box, those of the object: the picked ones, and those in the 3D box around them or near.

        ``taken`` (number picked,) says which picked ones belong to another box; they are not returned.
        """
        free = np.ones(len(inside), bool)
        free[np.flatnonzero(picked)[taken]] = False
        inside, picked = inside[free], picked[free]
        if picked.any() and not picked.all():
            if self._p.fill:
                points = self._xyz[inside]
                picked = points_in_upright_box(points, upright_box(points, picked, self._up), self._p.margin)
            elif self._p.margin:
                picked |= self._near(level.patches, inside, picked)
        return inside[picked]

    def _near(self, patches: Patches, inside: Indices, picked: Mask) -> Mask:
        """Which other positions in the box lie within the margin of a picked patch, half a cell taken as its radius."""
        kept = np.unique(patches.of_point[inside[picked]])
        reach = self._p.margin + patches.cell / 2 * patches.centre[kept, 2].mean() / self._view.focal[0]
        tree = cKDTree(patches.centre[kept])
        close = np.isfinite(tree.query(patches.centre, distance_upper_bound=2 * reach)[0])
        near = np.zeros(len(inside), bool)
        maybe = np.flatnonzero(~picked & close[patches.of_point[inside]])
        near[maybe] = np.isfinite(tree.query(self._xyz[inside[maybe]], distance_upper_bound=reach)[0])
        return near

    def _belief(self, level: _Level, in_box: Array, ids: Indices, area: Array) -> Array:
        """(len(ids),) from 1, nothing speaks against a patch of the object, to -1, its plane lies mostly outside."""
        count, plane = level.patches.count, level.plane[ids]
        outside = 1 - np.bincount(level.piece, in_box) / np.bincount(level.piece, count)
        against = np.where(plane >= 0, outside[level.piece[ids]] / self._p.outside, 0.0)
        height = self._planes.height(level.patches.centre[ids])
        for k in np.unique(plane[plane >= 0]):
            on, off = plane == k, area[plane != k].sum()
            beyond = height[:, k] < -0.05 - 3 * range_noise(level.patches.centre[ids, 2])
            behind = area[beyond].sum() / off if off else 0.0
            whole = level.plane == k
            beside = 1 - in_box[whole].sum() / count[whole].sum()
            structure = np.exp(-((behind / self._p.behind) ** 2)) * beside / self._p.structure_outside
            against[on] = np.maximum(against[on], structure)
        return np.asarray((1 - against).clip(-1.0, 1.0))


def _inner_links(level: _Level, ids: Indices) -> tuple[Indices, Indices, Array]:
    """The links between patches ``ids``, numbered within them."""
    patches = level.patches
    number = np.full(len(patches.count), -1)
    number[ids] = np.arange(len(ids))
    first, second = number[patches.first], number[patches.second]
    both = (first >= 0) & (second >= 0)
    return first[both], second[both], level.link[both]


def _ties(level: _Level, in_box: Array, ids: Indices, full: float) -> Array:
    """(len(ids),) how strongly each patch is tied to the outside: links over the border, and its own share there."""
    patches, here = level.patches, in_box > 0
    over = here[patches.first] != here[patches.second]
    inner = np.where(here[patches.first], patches.first, patches.second)[over]
    ties = np.bincount(inner, level.link[over], len(in_box))[ids]
    own = (1 - in_box[ids] / patches.count[ids]) * np.minimum(patches.count[ids] / full, 1.0)
    return np.asarray(ties + own)
