"""Overlap of upright 3D boxes (7,) x y z l w h yaw, exact, over many pairs at once; and non-maximum suppression."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
PAIRS = 1 << 16
"""Pairs in memory at a time."""
EPS = 1e-9


def plan_corners(boxes: Floats) -> Floats:
    """(K, 7) -> (K, 4, 2) corners in plan view, counter-clockwise."""
    signs = np.array([[0.5, 0.5], [-0.5, 0.5], [-0.5, -0.5], [0.5, -0.5]])
    local = signs * boxes[:, None, 3:5]
    cos, sin = np.cos(boxes[:, 6])[:, None], np.sin(boxes[:, 6])[:, None]
    x, y = local[..., 0], local[..., 1]
    return np.stack([cos * x - sin * y, sin * x + cos * y], 2) + boxes[:, None, :2]


def plan_overlap(a: Floats, b: Floats) -> Floats:
    """(K, 7), (K, 7) -> (K,) area, m², that the boxes of each pair share in plan view.

    The corners of two rectangles' common polygon are among: corners of either that lie in the other, and crossings of
    their sides. Those that exist are put in order around their mean; the shoelace formula gives the area.
    """
    shift = a[:, :2].copy()  # near the origin: differences of far coordinates would lose digits
    a, b = a.copy(), b.copy()
    a[:, :2] -= shift
    b[:, :2] -= shift
    at, bt = plan_corners(a), plan_corners(b)
    crossings, crossed = _crossings(at, bt)
    vertices = np.concatenate([at, bt, crossings], 1)
    exists = np.concatenate([_inside(at, b), _inside(bt, a), crossed], 1)
    n = exists.sum(1)
    middle = np.where(exists[..., None], vertices, 0).sum(1) / np.maximum(n, 1)[:, None]
    spokes = vertices - middle[:, None]
    angle = np.where(exists, np.arctan2(spokes[..., 1], spokes[..., 0]), np.inf)
    order = angle.argsort(1)
    ring = np.take_along_axis(spokes, order[..., None], 1)
    # What does not exist stands at the end and repeats the first vertex: triangles without area.
    ring = np.where(np.take_along_axis(exists, order, 1)[..., None], ring, ring[:, :1])
    following = np.roll(ring, -1, 1)
    area = 0.5 * (ring[..., 0] * following[..., 1] - ring[..., 1] * following[..., 0]).sum(1)
    return np.where(n >= 3, np.maximum(area, 0.0), 0.0)


def _inside(corners: Floats, boxes: Floats) -> NDArray[np.bool_]:
    """(K, M, 2) points in (or on) the rectangle of the same pair: (K, M)."""
    d = corners - boxes[:, None, :2]
    cos, sin = np.cos(boxes[:, 6])[:, None], np.sin(boxes[:, 6])[:, None]
    along, across = cos * d[..., 0] + sin * d[..., 1], cos * d[..., 1] - sin * d[..., 0]
    half = boxes[:, 3:5] / 2 + EPS
    return (np.abs(along) <= half[:, :1]) & (np.abs(across) <= half[:, 1:])


def _crossings(at: Floats, bt: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Where the 4×4 pairs of sides cross: (K, 16, 2) points, (K, 16) whether they do. Parallel sides do not."""
    p, r = at[:, :, None], (np.roll(at, -1, 1) - at)[:, :, None]
    q, s = bt[:, None], (np.roll(bt, -1, 1) - bt)[:, None]
    cross = r[..., 0] * s[..., 1] - r[..., 1] * s[..., 0]
    scale = np.linalg.norm(r, axis=-1) * np.linalg.norm(s, axis=-1)
    parallel = np.abs(cross) <= EPS * scale
    safe = np.where(parallel, 1.0, cross)
    d = q - p
    t = (d[..., 0] * s[..., 1] - d[..., 1] * s[..., 0]) / safe
    u = (d[..., 0] * r[..., 1] - d[..., 1] * r[..., 0]) / safe
    crossed = ~parallel & (t >= 0) & (t <= 1) & (u >= 0) & (u <= 1)
    points = p + np.where(crossed, t, 0.0)[..., None] * r
    return points.reshape(len(at), 16, 2), crossed.reshape(len(at), 16)


def iou_3d(a: ArrayLike, b: ArrayLike) -> Floats:
    """Intersection over union of volumes: (A, 7), (B, 7) -> (A, B)."""
    a, b = np.asarray(a, np.float64).reshape(-1, 7), np.asarray(b, np.float64).reshape(-1, 7)
    iou = np.zeros((len(a), len(b)))
    reach = np.hypot(a[:, 3], a[:, 4])[:, None] / 2 + np.hypot(b[:, 3], b[:, 4]) / 2
    distance = np.linalg.norm(a[:, None, :2] - b[None, :, :2], axis=2)
    top = np.minimum((a[:, 2] + a[:, 5] / 2)[:, None], b[:, 2] + b[:, 5] / 2)
    bottom = np.maximum((a[:, 2] - a[:, 5] / 2)[:, None], b[:, 2] - b[:, 5] / 2)
    rows, columns = np.nonzero((distance < reach) & (top > bottom))
    for start in range(0, len(rows), PAIRS):
        i, j = rows[start : start + PAIRS], columns[start : start + PAIRS]
        shared = plan_overlap(a[i], b[j]) * (top[i, j] - bottom[i, j])
        iou[i, j] = shared / (a[i, 3:6].prod(1) + b[j, 3:6].prod(1) - shared)
    return iou


def suppress(iou: Floats, scores: Floats, threshold: float) -> NDArray[np.int64]:
    """Indices kept, best first: of two boxes that overlap more than ``threshold`` the one of lower score goes.

    Args:
        iou: (n, n) overlaps; scores: (n,), of equal ones the first wins.
    """
    left = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while len(left):
        best = int(left[0])
        kept.append(best)
        left = left[1:][iou[best, left[1:]] <= threshold]
    return np.asarray(kept, np.int64)
