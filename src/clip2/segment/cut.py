"""A mask as it is kept: cut to its box, as run lengths."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clip2.store.rle import encode

Frame = dict[str, Any]
"""Columns of an image, and ``boxes`` (B, 4) float32 xyxy, pixels, B ≥ 1."""
Kept = tuple[str | None, float | None]
"""A box's mask as run lengths, None where there is none, and its predicted IoU, None where none is known."""
LOSSES = ("lost_empty", "lost_outside", "lost_no_mask", "lost_bad_frame")
"""Why a box has no mask: it is empty, nothing of it is in the box, there is none on disk, the image cannot be read.
boxes = masks + the sum of them, always."""


def cut_to_box(mask: NDArray[np.bool_], box: Sequence[float], counts: Counter[str]) -> str | None:
    """Run lengths of what a mask (height, width) has in its box xyxy; None where that is nothing.

    Args:
        counts: ``masks``, ``cut`` (of these, those that reached out of their box) and :data:`LOSSES` are added to.
    """
    height, width = mask.shape
    x0, y0 = (max(0, int(np.floor(value))) for value in box[:2])
    x1, y1 = (min(side, int(np.ceil(value))) for value, side in zip(box[2:], (width, height)))
    part = mask[y0:y1, x0:x1]
    n, n_inside = int(np.count_nonzero(mask)), int(np.count_nonzero(part))
    if not n_inside:
        counts["lost_outside" if n else "lost_empty"] += 1
        return None
    counts["masks"] += 1
    counts["cut"] += n > n_inside
    return encode(part, (x0, y0), (height, width))
