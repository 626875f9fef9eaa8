"""Masks: of a box's points, those whose pixel shows the thing, as an instance segmentation says. docs/lifting.md"""

from collections import Counter
from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from clip2.lift.view import Searched, View

MARGIN = 0.0075
"""Shares of the picture's longer side by which masks are widened: edges of masks, the time between picture and sweep
and the way from one sensor to the other put points just outside. Too small a mask costs more than too large a one."""
LEAST = 5
"""Where a mask leaves fewer points of the box's, the whole box is searched."""


def within_masks(
    view: View,
    boxes: NDArray[np.float64],
    searched: Searched,
    masks: Iterable[ArrayLike | None],
    margin: float,
    counts: Counter[str],
) -> Searched:
    """What is left of each box (B, 4) within its mask (height, width).

    Args:
        counts: ``boxes_without_mask`` and ``masks_too_small`` are added to.

    Raises:
        ValueError: not one mask for each box, or one of another size than the picture.
    """
    width, height = view.image_size
    inside, share = [*searched.inside], searched.share.copy()
    for number, (box, mask) in enumerate(zip(boxes, masks, strict=True)):
        if mask is None:
            counts["boxes_without_mask"] += 1
            continue
        seen = np.asarray(mask)
        if seen.shape != (height, width):
            raise ValueError(f"mask {number} is {seen.shape}, but the picture (height, width) is {(height, width)}")
        if not len(inside[number]):
            continue
        points, of_box = _within(view, box, inside[number], seen, round(margin * max(width, height)))
        if len(points) < min(LEAST, len(inside[number])):
            counts["masks_too_small"] += 1
            continue
        inside[number], share[number] = points, of_box
    return Searched(inside, share)


def _within(
    view: View, box: NDArray[np.float64], points: NDArray[np.int64], mask: NDArray[np.bool_], margin: int
) -> tuple[NDArray[np.int64], float]:
    """Which of a box's points lie in its mask, widened by ``margin`` pixels, and its share of the box's area."""
    low = np.floor(box[:2]).astype(int).clip(0)
    high = np.minimum(np.ceil(box[2:]).astype(int), view.image_size)
    start = np.maximum(low - margin, 0)  # pixels beside the box may reach into it
    part = np.ascontiguousarray(mask[start[1] : high[1] + margin, start[0] : high[0] + margin], np.uint8)
    if margin:
        part = cv2.dilate(part, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * margin + 1,) * 2))
    (left, top), (columns, rows) = low - start, high - low
    seen = part[top : top + rows, left : left + columns] > 0
    column, row = (np.floor(view.uv[points]).astype(int).clip(low, high - 1) - low).T
    return points[seen[row, column]], float(seen.mean())
