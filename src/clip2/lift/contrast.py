"""Where along its frustum a box holds more points than its surroundings, for all boxes of an image at once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clip2.lift.view import MIN_VIEW_DEPTH, Searched, View

Array = NDArray[np.float64]

_WEIGHT_UNIT = 1024
"""Point weights are whole multiples of 1 / this: their sums are exact, so the order of the points cannot matter."""

_LEAST_STRIP = 0.1
"""Share of a strip that must lie in the image for its point density to mean something."""

_LENGTH_RATIO = 1.2
"""Between one tried window length and the next, beyond the first few, which are whole bins."""


@dataclass(frozen=True)
class DepthProfiles:
    """Running sums over D logarithmic depth bins for B boxes: entry d is the sum over the bins before d.

    Attributes:
        inside: (B, D + 1) points in the box, weighted by their place in it; an even cover has mean weight 1.
        left, right, above: (B, D + 1) points in the strips beside the box, as if they covered the box's area, times
            their share in the clutter estimate: half for the sides, half for above, 0 for what is outside the image.
        edges: (D + 1,) metres, with a constant ratio.
    """

    inside: Array
    left: Array
    right: Array
    above: Array
    edges: Array


def depth_profiles(
    view: View, boxes: Array, searched: Searched, surround: float, centre_weight: float, depth_step: float
) -> DepthProfiles:
    """Count the points of each box (B, 4) and of the strips left, right and above it by depth.

    There is no strip below: the road that an object stands on lies there at the object's own depth.
    ``searched`` says which points of each box count; the rest as in `FrustumParameters`.
    """
    n_boxes, n_bins = len(boxes), int(np.log(view.depth.max() / MIN_VIEW_DEPTH) / depth_step) + 2
    edges = MIN_VIEW_DEPTH * np.exp(depth_step * np.arange(n_bins + 1))
    strips = _strips(boxes, surround)
    inside = searched.inside
    groups = inside + view.in_boxes(strips.reshape(-1, 4))
    positions = np.concatenate(groups)
    weight = np.ones(len(positions))
    n_inside = sum(map(len, inside))
    owner = np.repeat(np.arange(len(groups)), [len(g) for g in groups])
    weight[:n_inside] = _place_weight(view.uv[positions[:n_inside]], boxes[owner[:n_inside]], centre_weight)
    bins = (np.searchsorted(edges, view.depth, "right") - 1)[positions]  # a point lies in many strips
    counts = np.zeros((4, n_boxes, n_bins + 1))
    counts[:, :, 1:] = np.bincount(owner * n_bins + bins, weight, 4 * n_boxes * n_bins).reshape(4, n_boxes, n_bins)
    sums = counts.cumsum(2)
    areas = _visible_areas(boxes, strips, view.image_size)
    known = areas > _LEAST_STRIP * surround / 2
    density = sums[1:] / np.where(known, areas, np.inf)[:, :, None] * searched.share[:, None]
    side_known = known[0] | known[1]
    n_known = np.maximum(side_known.astype(float) + known[2], 1.0)[:, None]
    return DepthProfiles(
        sums[0],
        np.where(known[0, :, None], density[0], density[1]) / n_known,  # where one side is outside the image,
        np.where(known[1, :, None], density[1], density[0]) / n_known,  # the other counts for both
        density[2] / n_known,
        edges,
    )


def _strips(boxes: Array, surround: float) -> Array:
    """(3, B, 4) strips left, right and above of boxes (B, 4), ``surround`` half boxes wide."""
    left, top, right, bottom = boxes.T
    width, height = surround * (right - left) / 2, surround * (bottom - top) / 2
    strips = (
        (left - width, top, left, bottom),
        (right, top, right + width, bottom),
        (left, top - height, right, top),
    )
    return np.stack([np.stack(strip, 1) for strip in strips])


def _place_weight(uv: Array, boxes: Array, centre_weight: float) -> Array:
    """(N,) weights of pixels (N, 2), each in its own box (N, 4): more in the middle, with mean 1 over the box."""
    centre, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    offset: Array = (np.abs(uv - centre) / np.maximum(half, 1e-9)).max(1)
    weight: Array = 1.0 + centre_weight * (0.5 - offset**2)  # the mean of offset² over a rectangle is 0.5
    return np.rint(weight * _WEIGHT_UNIT).clip(1.0) / _WEIGHT_UNIT


def _visible_areas(boxes: Array, strips: Array, image_size: tuple[int, int]) -> Array:
    """(3, B) areas of strips (3, B, 4) that lie in the image, in units of the area of their box (B, 4) there."""
    limit = np.array([*image_size, *image_size], np.float64)

    def area(rectangles: Array) -> Array:
        visible: Array = rectangles.clip(0.0, limit)
        return np.asarray(np.prod(visible[..., 2:] - visible[..., :2], axis=-1), np.float64)

    return area(strips) / area(boxes).clip(1e-9)


def candidate_windows(
    p: DepthProfiles, extent: Array, min_extent: float, clutter_weight: float, most: int
) -> list[Array]:
    """The depth intervals of each box with the largest excess of points over the clutter that its surroundings show.

    Excess is the number of points inside less the clutter expected there: half from above, half from the sides, of
    which the emptier one counts — a wall or a hedge goes on at both, a parked neighbour mostly at one. Of equal
    intervals the shortest, then the nearest wins. Intervals of one box do not overlap. Every box must have a point.

    Args:
        p: profiles of B boxes.
        extent: (B,) longest interval, metres per metre of depth.
        min_extent: metres, added to it.
        clutter_weight: factor on the clutter.
        most: intervals of a box.

    Returns:
        For each box (n ≤ most, 3): near, far (metres), excess (points); the best first.
    """
    n_bins = len(p.edges) - 1
    box, start = np.nonzero(np.diff(p.inside, axis=1) > 0)  # an interval begins at a point
    step = np.log(p.edges[1] / p.edges[0])
    longest = np.maximum(np.rint(np.log1p(extent[box] + min_extent / p.edges[start]) / step), 1)
    lengths = _window_lengths(min(int(longest.max()), n_bins))
    stops = np.minimum(start[:, None] + lengths, n_bins)

    def count(sums: Array) -> Array:
        return sums[box[:, None], stops] - sums[box, start][:, None]

    clutter = np.minimum(count(p.left), count(p.right)) + count(p.above)
    excesses = np.where(lengths <= longest[:, None], count(p.inside) - clutter_weight * clutter, -np.inf)
    length = excesses.argmax(1)  # the first, so the shortest, of equal ones
    stop, excess = (values[np.arange(len(box)), length] for values in (stops, excesses))
    order = np.lexsort((start, length, -excess, box))
    box, start, stop, excess = box[order], start[order], stop[order], excess[order]
    found: list[list[tuple[float, float, float]]] = [[] for _ in extent]
    for _ in range(most):
        if not len(box):
            break
        winner = np.unique(box, return_index=True)[1]
        for b, s, e, x in zip(box[winner].tolist(), start[winner], stop[winner], excess[winner].tolist()):
            found[b].append((float(p.edges[s]), float(p.edges[e]), x))
        own = winner[np.searchsorted(box[winner], box)]  # the winner of each interval's box
        apart = (stop <= start[own]) | (start >= stop[own])
        box, start, stop, excess = box[apart], start[apart], stop[apart], excess[apart]
    return [np.array(intervals, np.float64).reshape(-1, 3) for intervals in found]


def _window_lengths(longest: int) -> NDArray[np.int64]:
    """Window lengths to try, in bins: ascending, one by one and then in steps of a constant ratio."""
    steps = int(np.log(longest) / np.log(_LENGTH_RATIO)) + 1
    return np.unique(np.rint(_LENGTH_RATIO ** np.arange(steps + 1)).clip(1, longest).astype(np.int64))
