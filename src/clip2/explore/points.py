"""Point clouds for the page: thinned, ordered in space so that they compress, coloured by the cameras."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clip2.geometry import in_image, points_in_oriented_box, project_points

Floats = NDArray[np.floating]
Bytes = NDArray[np.uint8]

STEP_M = 0.01
"""Positions are whole numbers of steps; a cloud so large that 16 bits do not hold them gets longer steps."""
AROUND_BOX_M = 0.15
"""Points so near to a box are kept with those in it."""
FINEST_CUBE_M = 0.04


@dataclass(frozen=True)
class Packed:
    """Points of one sample as bytes, not yet compressed.

    Attributes:
        data: (9 n) of each x, y, z the low then the high bytes of the differences along the order, zigzag-coded; then
            the red, green and blue bytes. Black is a point that no camera sees.
        low: (3,) metres, where position 0 is.
        step: metres of one step.
        n: points.
    """

    data: bytes
    low: list[float]
    step: float
    n: int


def thin(points: Floats, boxes: Sequence[Mapping[str, Any]], limit: int) -> Floats:
    """At most ``limit`` points (N, 3+), in the order given: those in boxes first, the others evenly in space.

    Where not all points in boxes are kept, those of the fullest boxes go first.

    Args:
        boxes: with ``T_points_from_box`` and ``size_lwh``.
    """
    if len(points) <= limit:
        return points
    owner = np.full(len(points), -1)
    # Of boxes that share a point, it is the smallest one's.
    for number, box in enumerate(sorted(boxes, key=lambda box: float(np.prod(box["size_lwh"])))):
        T = np.reshape(box["T_points_from_box"], (4, 4))
        reach = np.linalg.norm(box["size_lwh"]) / 2 + AROUND_BOX_M
        near = np.flatnonzero((np.abs(points[:, :2] - T[:2, 3].astype(points.dtype)) <= reach).all(1) & (owner < 0))
        owner[near[points_in_oriented_box(points[near], T, box["size_lwh"], AROUND_BOX_M)]] = number
    outside = np.flatnonzero(owner < 0)
    # With fewer points around, boxes may have more than half of all.
    share = _share(np.bincount(owner[owner >= 0]), max(limit // 2, limit - len(outside)))
    kept = [_evenly(points, np.flatnonzero(owner == number), share) for number in np.unique(owner[owner >= 0])]
    rest = _evenly(points, outside, limit - sum(map(len, kept)))
    return points[np.sort(np.concatenate([*kept, rest]))]


def _share(counts: NDArray[np.int64], limit: int) -> int:
    """The most points a box may keep so that all together keep ``limit`` at most."""
    for done, count in enumerate(ordered := np.sort(counts).tolist()):
        left = (limit - sum(ordered[:done])) // (len(ordered) - done)
        if count > left:
            return max(0, int(left))
    return limit


def _evenly(points: Floats, chosen: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    """At most ``limit`` of the chosen points: one a cube, of cubes as small as that allows."""
    side = FINEST_CUBE_M
    while len(chosen) > limit:
        cubes = np.floor(points[chosen, :3] / side).astype(np.int64)
        _, first = np.unique(cubes @ np.array([1, 1 << 20, 1 << 40]), return_index=True)
        chosen, side = chosen[np.sort(first)], side * 1.25
    return chosen


def colours(points: Floats, frames: Sequence[Mapping[str, Any]], pictures: Sequence[Bytes | None]) -> Bytes:
    """(N, 3) RGB of points (N, 3+) as the cameras see them; black where none does, and never there where one does.

    Args:
        frames: rows of store.schemas.FRAMES of the points' sample.
        pictures: (h, w, 3) of each frame, of any size; None where it could not be read. The first that sees a point
            colours it.
    """
    result = np.zeros((len(points), 3), np.uint8)
    open_ = np.ones(len(points), bool)
    for frame, picture in zip(frames, pictures, strict=True):
        if picture is None:
            continue
        size = (frame["width"], frame["height"])
        uv, _ = project_points(points, np.reshape(frame["T_cam_from_points"], (4, 4)), np.reshape(frame["K"], (3, 3)))
        seen = np.flatnonzero(open_ & in_image(uv, size))
        scale = np.array(picture.shape[1::-1]) / size
        column, row = np.minimum((uv[seen] * scale).astype(int), np.array(picture.shape[1::-1]) - 1).T
        result[seen] = np.maximum(picture[row, column], 1)
        open_[seen] = False
    return result


def pack(points: Floats, rgb: Bytes) -> Packed:
    """Bytes of points (N, 3+) in metres and their colours (N, 3); neighbours in space become neighbours in the file."""
    if not len(points):
        return Packed(b"", [0.0, 0.0, 0.0], STEP_M, 0)
    xyz = np.asarray(points[:, :3], np.float64)
    low = xyz.min(0)
    step = max(STEP_M, float((xyz.max(0) - low).max()) / 0xFFFF)
    steps = np.round((xyz - low) / step).astype(np.int64)
    order = np.argsort(_morton(steps), kind="stable")
    # Of 16 bits: a difference that does not fit comes round to the right sum.
    difference = np.diff(steps[order], axis=0, prepend=0).astype(np.int16)
    zigzag = ((difference << 1) ^ (difference >> 15)).astype(np.uint16)
    planes = [
        (zigzag.T & 0xFF).astype(np.uint8),
        (zigzag.T >> 8).astype(np.uint8),
        rgb[order].T & 0xF8 | (rgb[order].T > 0),
    ]
    return Packed(np.concatenate(planes).tobytes(), [round(float(v), 4) for v in low], step, len(xyz))


def compress(samples: Sequence[Packed]) -> bytes:
    """All samples of a scene end to end, as a zlib stream, which browsers read by themselves."""
    return zlib.compress(b"".join(sample.data for sample in samples), 9)


def _morton(steps: NDArray[np.int64]) -> NDArray[np.uint64]:
    """(N,) keys of (N, 3) numbers of 16 bits that order them along a curve which fills space."""
    key = np.zeros(len(steps), np.uint64)
    for bit in range(16):
        for axis in range(3):
            key |= ((steps[:, axis].astype(np.uint64) >> np.uint64(bit)) & np.uint64(1)) << np.uint64(3 * bit + axis)
    return key
