"""Our LiDAR lifting: of the frustum behind a box, the depth interval that stands out from the box's surroundings.

A LiDAR beside the camera spreads its beams evenly over the image, whatever they hit. So clutter that goes on past the
box (a wall, a hedge, a nearer car, the road) returns about as many points per pixel beside the box as inside it, at the
same depth; the object the box was drawn around returns more inside. Of the intervals that stand out, the one is taken
that agrees with the ground at the box's lower side and that no better fitting box of the image claims. No axis
convention and no clustering radius is needed for that. See docs/lifting.md.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clip2.lift.choice import Candidate, choose, off_the_ground, rectangle_iou
from clip2.lift.contrast import candidate_windows, depth_profiles
from clip2.lift.ground import find_ground
from clip2.lift.view import Searched, View

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

_GROUND_HEIGHT = 0.1
"""Metres above the ground plane up to which a point may be the road."""
_FOOTPRINT_MARGIN = 0.2
"""Metres around what stands higher within which low points are still the object's: wheels, feet, bumpers."""


@dataclass(frozen=True)
class FrustumParameters:
    """Lengths in units of the object's size are multiples of ``sqrt(width * height)`` of the box at the object's depth.

    Attributes:
        surround: width of the strips beside the box that show the clutter, in half box sizes.
        clutter_weight: how much clutter seen beside the box counts against what is in it.
        centre_weight: how much more the middle of the box counts than its edge, where boxes are loose.
        extent: object sizes; the depth range in which an object's visible surface is looked for.
        max_extent: object sizes; how far that range may be followed along a connected surface (a car from behind).
        min_extent: metres; what is added to both, so that thin objects and range noise fit.
        gap: metres; a larger step in depth ends the surface ...
        gap_angle: radians; ... or, far away, this times the depth: about the spacing of the beams (32-beam: 0.023).
        depth_step: relative depth resolution of the search; finer than the range noise is of no use.
        candidates: intervals of a box that are compared.
        floating: how much a lower box side above the ground counts, per height of the box, in shares of the excess ...
        sunken: ... and one below the ground, where inexact boxes and slopes put it more easily ...
        ground_limit: ... up to this.
        claimed: how much it counts that all points belong to a box that fits them better.
        same: boxes of a larger intersection over union are around one thing.
    """

    surround: float = 1.0
    clutter_weight: float = 1.0
    centre_weight: float = 0.5
    extent: float = 1.3
    max_extent: float = 2.0
    min_extent: float = 0.5
    gap: float = 0.5
    gap_angle: float = 0.025
    depth_step: float = 0.01
    candidates: int = 5
    floating: float = 2.0
    sunken: float = 1.0
    ground_limit: float = 1.5
    claimed: float = 0.4
    same: float = 0.5


def lift_frustum(view: View, boxes: Array, searched: Searched, **parameters: Any) -> list[Indices]:
    """Points of the object in each box (B, 4), as sorted rows of the cloud; ``parameters``: see FrustumParameters."""
    p = FrustumParameters(**parameters)
    width, height = view.image_size
    solid = np.clip(boxes, 0.0, [width, height, width, height])
    candidates = _candidates(view, solid, searched, p)
    ground = find_ground(view)
    against = [np.zeros(len(own)) for own in candidates]
    if ground is not None:
        limits = p.floating, p.sunken, p.ground_limit
        against = [
            off_the_ground(own, box, ground, view, *limits) if own else np.zeros(0)
            for own, box in zip(candidates, boxes)
        ]
    crops = choose(candidates, against, solid, len(view.depth), p.claimed, p.same)
    if ground is not None:
        above, places = ground.height(view.in_camera()), view.in_camera()[:, [0, 2]]
        crops = [_without_road(crop, above, places) for crop in crops]
    return [view.original(crop) for crop in crops]


def _candidates(view: View, boxes: Array, searched: Searched, p: FrustumParameters) -> list[list[Candidate]]:
    """The intervals of each box (B, 4), which lie in the image, that stand out from its surroundings, best first."""
    inside = searched.inside
    candidates: list[list[Candidate]] = [[] for _ in boxes]
    filled = [i for i, points in enumerate(inside) if len(points)]
    if not filled:
        return candidates
    solid = boxes[filled]
    sizes = np.sqrt(np.prod((solid[:, 2:] - solid[:, :2]) / view.focal, axis=1))  # metres per metre of depth
    within = Searched([inside[i] for i in filled], searched.share[filled])
    profiles = depth_profiles(view, solid, within, p.surround, p.centre_weight, p.depth_step)
    windows = candidate_windows(profiles, p.extent * sizes, p.min_extent, p.clutter_weight, p.candidates)
    for i, size, intervals in zip(filled, sizes.tolist(), windows):
        depth, uv = view.depth[inside[i]], view.uv[inside[i]]
        best = max(intervals[0, 2], 1e-9)
        chosen = [
            _on_surface(
                depth, near, far, near + p.max_extent * size * near + p.min_extent, max(p.gap, p.gap_angle * near)
            )
            for near, far, _ in intervals.tolist()
        ]
        spanned = np.array([np.concatenate([uv[on].min(0), uv[on].max(0)]) for on in chosen])
        fits = rectangle_iou(spanned, boxes[i])
        candidates[i] = [
            Candidate(inside[i][on], near, excess / best, fit)
            for on, (near, _, excess), fit in zip(chosen, intervals.tolist(), fits.tolist())
        ]
    return candidates


def _on_surface(depth: NDArray[np.float64], near: float, far: float, limit: float, gap: float) -> NDArray[np.bool_]:
    """Which points lie between near and far, or follow on behind, up to limit, without a step of more than gap."""
    behind = np.sort(depth[(depth > far) & (depth <= limit)])
    if len(behind):
        last = depth[(depth >= near) & (depth <= far)].max()
        breaks = np.flatnonzero(np.diff(behind, prepend=last) > gap)
        behind = behind[: breaks[0]] if len(breaks) else behind
        far = behind[-1] if len(behind) else far
    return (depth >= near) & (depth <= far)


def _without_road(crop: Indices, height: Array, places: Array) -> Indices:
    """A crop without the points at ground height that lie beside what stands on it, if they are at most half of it.

    Args:
        crop: positions in the view.
        height: (M,) metres above the ground, of the view's points.
        places: (M, 2) metres to the right of the camera and in front of it.
    """
    stands = height[crop] > _GROUND_HEIGHT
    if not stands.any():
        return crop
    low, high = np.quantile(places[crop[stands]], [0.02, 0.98], axis=0)
    margin = _FOOTPRINT_MARGIN
    kept = stands | ((places[crop] >= low - margin) & (places[crop] <= high + margin)).all(1)
    return crop[kept] if 2 * kept.sum() >= len(crop) else crop
