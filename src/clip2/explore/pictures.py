"""Pictures for the page, as WebP: camera pictures made smaller, and all crops of a scene on one sheet."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from clip2.scans.images import decode_image

Image = NDArray[np.uint8]

TILE_PX = 72
SHEET_COLUMNS = 24
MOST_TILES = SHEET_COLUMNS * (16383 // TILE_PX)
"""WebP pictures are no higher than 16383 pixels."""


def smaller(image: Image, width: int) -> Image:
    """(H, W, 3) → at most ``width`` pixels wide, of the same shape."""
    if image.shape[1] <= width:
        return image
    height = max(1, round(image.shape[0] * width / image.shape[1]))
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def write_picture(path: Path, image: Image, quality: int) -> None:
    """Write (H, W, 3) RGB; WebP takes half the bytes of JPEG."""
    _, data = cv2.imencode(".webp", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_WEBP_QUALITY, quality])
    path.write_bytes(data.tobytes())


def sheet(crops: Sequence[bytes]) -> Image:
    """Crops (JPEG files) as tiles in rows of ``SHEET_COLUMNS``; grey where one cannot be read."""
    rows = -(-len(crops) // SHEET_COLUMNS)
    canvas = np.full((rows * TILE_PX, SHEET_COLUMNS * TILE_PX, 3), 128, np.uint8)
    for number, crop in enumerate(crops):
        image = decode_image(np.frombuffer(crop, np.uint8))
        if image is None:
            continue
        shrinks = image.shape[0] >= TILE_PX
        tile = cv2.resize(image, (TILE_PX, TILE_PX), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        y, x = TILE_PX * (number // SHEET_COLUMNS), TILE_PX * (number % SHEET_COLUMNS)
        canvas[y : y + TILE_PX, x : x + TILE_PX] = tile
    return canvas
