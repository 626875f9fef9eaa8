"""Our LiDAR lifting: of the frustum behind a box, the depth interval that stands out from the box's surroundings.

A LiDAR beside the camera spreads its beams evenly over the image, whatever they hit. So clutter that goes on past the
box (a wall, a hedge, a nearer car, the road) returns about as many points per pixel beside the box as inside it, at the
same depth; the object the box was drawn around returns more inside. No ground model, no axis convention and no
clustering radius is needed for that. See docs/lifting.md.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clip2.lift.contrast import best_windows, depth_profiles
from clip2.lift.view import View


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


def lift_frustum(view: View, boxes: NDArray[np.float64], **parameters: Any) -> list[NDArray[np.int64]]:
    """Points of the object in each box (B, 4), as sorted rows of the cloud; ``parameters``: see FrustumParameters."""
    p = FrustumParameters(**parameters)
    inside = view.in_boxes(boxes)
    crops = [np.empty(0, np.int64) for _ in boxes]
    filled = [i for i, points in enumerate(inside) if len(points)]
    if not filled:
        return crops
    width, height = view.image_size
    solid = np.clip(boxes[filled], 0.0, [width, height, width, height])
    size = np.sqrt(np.prod((solid[:, 2:] - solid[:, :2]) / view.focal, axis=1))  # metres per metre of depth
    profiles = depth_profiles(view, solid, [inside[i] for i in filled], p.surround, p.centre_weight, p.depth_step)
    near, far = best_windows(profiles, p.extent * size, p.min_extent, p.clutter_weight)
    limit = near + p.max_extent * size * near + p.min_extent
    gap = np.maximum(p.gap, p.gap_angle * near)
    for i, *interval in zip(filled, near.tolist(), far.tolist(), limit.tolist(), gap.tolist()):
        crops[i] = view.original(inside[i][_on_surface(view.depth[inside[i]], *interval)])
    return crops


def _on_surface(depth: NDArray[np.float64], near: float, far: float, limit: float, gap: float) -> NDArray[np.bool_]:
    """Which points lie between near and far, or follow on behind, up to limit, without a step of more than gap."""
    behind = np.sort(depth[(depth > far) & (depth <= limit)])
    if len(behind):
        last = depth[(depth >= near) & (depth <= far)].max()
        breaks = np.flatnonzero(np.diff(behind, prepend=last) > gap)
        behind = behind[: breaks[0]] if len(breaks) else behind
        far = behind[-1] if len(behind) else far
    return (depth >= near) & (depth <= far)
