"""Which of its candidate depth intervals each box gets: the boxes of an image, and the ground, decide together."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from clip2.lift.ground import Ground
from clip2.lift.view import View

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Candidate:
    """One interval that a box may get.

    Attributes:
        crop: positions in the view.
        near: metres, where the interval begins.
        excess: points over the clutter, as a share of the box's best candidate's.
        fit: intersection over union of the crop's pixel rectangle with the box.
    """

    crop: Indices
    near: float
    excess: float
    fit: float


def off_the_ground(
    candidates: list[Candidate], box: Array, ground: Ground, view: View, floating: float, sunken: float, most: float
) -> Array:
    """(n,) what the ground says against each candidate of a box (4,) xyxy.

    A thing that stands on the ground has the lower side of its box where the ground is seen at its depth. The distance
    from there, in heights of the box, counts ``floating`` times where the box ends above the ground and ``sunken``
    times where it ends below, ``most`` at most: things on walls and poles then count by their points alone. A box that
    the picture's lower border cuts may go on below it.
    """
    near = np.array([candidate.near for candidate in candidates])
    row = ground.row(np.full(len(near), (box[0] + box[2]) / 2), near, view.K)
    below = (box[3] - row) / (box[3] - box[1])
    if box[3] >= view.image_size[1] - 1:
        below = np.maximum(below, 0.0)
    return np.asarray(np.where(below > 0, sunken * below, -floating * below).clip(0.0, most))


def choose(
    candidates: list[list[Candidate]], against: list[Array], boxes: Array, n_points: int, claimed: float, same: float
) -> list[Indices]:
    """The crop of each box (B, 4).

    Each box first takes the candidate with the largest excess less what speaks against it. Then boxes compete: what a
    candidate shares with the crop of a box that fits its crop better counts against it, ``claimed`` times its share,
    and each box chooses again. All choose at once, so the order of boxes makes no difference. Boxes that overlap by
    more than ``same`` (intersection over union) are around one thing and do not compete.
    """
    scores = [np.array([c.excess for c in own]) - less for own, less in zip(candidates, against)]
    filled = [i for i, own in enumerate(candidates) if own]
    if not filled:
        return [np.empty(0, np.int64) for _ in candidates]
    first = [candidates[i][int(scores[i].argmax())] for i in filled]
    every = [candidate for i in filled for candidate in candidates[i]]
    owner = np.repeat(np.arange(len(filled)), [len(candidates[i]) for i in filled])
    shared = (_members([c.crop for c in every], n_points) @ _members([c.crop for c in first], n_points).T).toarray()
    share = shared / np.array([len(c.crop) for c in every])[:, None]
    overlap = rectangle_iou(boxes[filled, None], boxes[None, filled])
    rival = ((overlap > 0) & (overlap <= same))[owner]
    rival &= np.array([c.fit for c in first])[None] > np.array([c.fit for c in every])[:, None]
    lost = claimed * np.where(rival, share, 0.0).max(1)
    crops = [np.empty(0, np.int64) for _ in candidates]
    for number, i in enumerate(filled):
        crops[i] = candidates[i][int((scores[i] - lost[owner == number]).argmax())].crop
    return crops


def _members(crops: list[Indices], n_points: int) -> sparse.csr_matrix:
    """(len(crops), n_points) ones where a crop holds a point."""
    ends = np.cumsum([0, *map(len, crops)])
    positions = np.concatenate(crops)
    return sparse.csr_matrix((np.ones(len(positions), np.float32), positions, ends), (len(crops), n_points))


def rectangle_iou(a: Array, b: Array) -> Array:
    """(…) intersection over union of rectangles xyxy (…, 4), broadcast against each other."""
    side = (np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])).clip(0.0)
    shared = side[..., 0] * side[..., 1]
    area_a, area_b = ((r[..., 2] - r[..., 0]) * (r[..., 3] - r[..., 1]) for r in (a, b))
    return np.asarray(shared / np.maximum(area_a + area_b - shared, 1e-9))
