"""Image files → (H, W, 3) uint8 RGB."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray


class ImageError(Exception):
    """An image that cannot be used; ``reason`` is a short fixed word for the counts."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def read_image(path: Path, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """Read an image as RGB.

    Args:
        size: the (width, height) that the frame's calibration is for.

    Raises:
        ImageError: missing, unreadable or of another size.
    """
    if not path.is_file():
        raise ImageError("image_missing", f"{path}: no such image; check the data root")
    image = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None:
        raise ImageError("image_unreadable", f"{path}: not a readable image; copy it again")
    if size is not None and (image.shape[1], image.shape[0]) != size:
        raise ImageError(
            "image_size", f"{path}: is {image.shape[1]}×{image.shape[0]}, its calibration is for {size[0]}×{size[1]}"
        )
    return np.ascontiguousarray(image[..., ::-1])
