"""Image files → (H, W, 3) uint8 RGB."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from clip2.scans.files import read_bytes
from clip2.scans.undistort import undistort

cv2.setNumThreads(1)  # jobs are given their cores; OpenCV's own pool would take all of them in each


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
    try:
        data = np.frombuffer(read_bytes(path), np.uint8)
    except FileNotFoundError:
        raise ImageError("image_missing", f"{path}: no such image; check the data root") from None
    if _cut_short(data):
        raise ImageError("image_unreadable", f"{path}: the JPEG ends too early ({len(data)} bytes); copy it again")
    image = decode_image(data)
    if image is None:
        raise ImageError("image_unreadable", f"{path}: not a readable image; copy it again")
    if size is not None and (image.shape[1], image.shape[0]) != size:
        raise ImageError(
            "image_size", f"{path}: is {image.shape[1]}×{image.shape[0]}, its calibration is for {size[0]}×{size[1]}"
        )
    return image


def decode_image(content: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """The bytes of an image file → (H, W, 3) RGB, its pixels as stored; None where they cannot be read."""
    image = cv2.imdecode(content, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION) if len(content) else None
    return None if image is None else np.asarray(image, np.uint8)


IMAGE_COLUMNS = ("image_path", "width", "height", "K", "lens")
"""Columns of store.schemas.FRAMES that :func:`read_frame_image` needs."""


def read_frame_image(root: Path, frame: Mapping[str, Any]) -> NDArray[np.uint8]:
    """The picture of a frame (store.schemas.FRAMES) as its pinhole camera sees it: lens distortion is taken out.

    Args:
        root: folder that the frame's paths are relative to.
        frame: with at least ``IMAGE_COLUMNS``.

    Raises:
        ImageError: missing, unreadable or of another size.
    """
    image = read_image(root / frame["image_path"], (frame["width"], frame["height"]))
    lens = frame["lens"]
    return image if lens is None else undistort(image, lens["K"], lens["distortion"], frame["K"])


def _cut_short(data: NDArray[np.uint8]) -> bool:
    """Whether a JPEG lacks its end marker: OpenCV would fill the missing part with grey and say nothing."""
    content = data.tobytes()
    # After the last start of scan: before it may stand a thumbnail's, behind it what a recorder adds.
    return content.startswith(b"\xff\xd8") and content.find(b"\xff\xd9", content.rfind(b"\xff\xda")) < 0
