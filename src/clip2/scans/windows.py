"""The image part of a triplet or an object: a square window around a 2D box, as JPEG bytes."""

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

CONTEXT = 1.15
"""Side of the window over the longer side of the box: a little of the surroundings helps a CLIP to name the thing."""
OUTSIDE = (122, 116, 104)
"""RGB beyond the image: CLIP's mean colour, which its normalisation turns into zeros."""
MAX_SIDE = 336
"""Pixels; the largest input of the usual CLIP models. Larger windows are shrunk, smaller ones kept as they are."""
QUALITY = 92


def square_window(image: NDArray[np.uint8], box: ArrayLike, max_side: int = MAX_SIDE) -> NDArray[np.uint8]:
    """Cut a square around a box and shrink it to at most ``max_side`` pixels.

    Args:
        image: (H, W, 3) RGB.
        box: (4,) xyxy in pixels; may reach beyond the image.

    Returns:
        (S, S, 3) RGB, 2 ≤ S ≤ ``max_side``.
    """
    x0, y0, x1, y1 = np.asarray(box, np.float64)
    side = max(2, round(max(x1 - x0, y1 - y0) * CONTEXT))
    # Pixel (i, j) of the window shows image position (corner + i, corner + j).
    corner = np.array([(x0 + x1 - side) / 2, (y0 + y1 - side) / 2])
    size = min(side, max_side)
    scale = size / side
    if scale < 1:  # area interpolation needs the window at full size first
        window = _window(image, corner, side)
        return cv2.resize(window, (size, size), interpolation=cv2.INTER_AREA).astype(np.uint8)
    return _window(image, corner, side)


def _window(image: NDArray[np.uint8], corner: NDArray[np.float64], side: int) -> NDArray[np.uint8]:
    shift = np.array([[1, 0, -corner[0]], [0, 1, -corner[1]]])
    window = cv2.warpAffine(
        image, shift, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=OUTSIDE
    )
    return np.asarray(window, np.uint8)


def square_window_jpeg(image: NDArray[np.uint8], box: ArrayLike) -> bytes:
    """:func:`square_window` as JPEG bytes."""
    window = square_window(image, box)
    done, data = cv2.imencode(".jpg", cv2.cvtColor(window, cv2.COLOR_RGB2BGR), (cv2.IMWRITE_JPEG_QUALITY, QUALITY))
    if not done:
        raise RuntimeError(f"could not encode a {window.shape} window")
    return bytes(data)
