"""The crop convention of the tiny CLIP: a square window around the box with some context."""

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

CROP = 64
CONTEXT = 1.15
GREY = (122, 116, 104)
"""RGB outside the image: CLIP's mean colour."""


def square_crop(
    image: NDArray[np.uint8], box: ArrayLike, size: int = CROP, context: float = CONTEXT
) -> NDArray[np.uint8]:
    """Square window around a box, resized.

    Args:
        image: (H, W, 3) RGB.
        box: xyxy in pixels; further values are ignored.
        size: width and height of the result, pixels.
        context: side of the window over the longer side of the box.
    """
    x0, y0, x1, y1 = np.asarray(box, np.float64)[:4]
    side = max(x1 - x0, y1 - y0) * context
    matrix = np.array([[1, 0, (side - x0 - x1) / 2], [0, 1, (side - y0 - y1) / 2]], np.float32)
    window = max(round(side), 2)
    patch = cv2.warpAffine(
        image, matrix, (window, window), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=GREY
    )
    crop: NDArray[np.uint8] = cv2.resize(
        patch, (size, size), interpolation=cv2.INTER_AREA if window > size else cv2.INTER_CUBIC
    )
    return crop
