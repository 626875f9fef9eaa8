"""Depth images → points in the depth camera's frame (x right, y down, z forward), metres."""

import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from clip2.scans.files import read_bytes, what_is
from clip2.scans.png import SIGNATURE, checked_png

Cloud = NDArray[np.float32]
Depth = NDArray[np.uint16]


class CloudError(Exception):
    """A cloud file that cannot be used; ``reason`` is a short fixed word for the counts."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def _png(path: Path, data: bytes, depth: Mapping[str, Any]) -> Depth:
    if not data.startswith(SIGNATURE):
        raise CloudError("depth_unreadable", f"{path}: is {what_is(data) or 'no PNG'}; it has to be a 16-bit PNG")
    try:
        plain = checked_png(data)
    except ValueError as error:
        raise CloudError("depth_unreadable", f"{path}: {error}; copy it again") from None
    width, height, bits, colours = struct.unpack_from(">IIBB", plain, 16)
    if (bits, colours) != (16, 0):
        raise CloudError("depth_unreadable", f"{path}: not a 16-bit one-channel PNG; copy it again")
    _check_size(path, (width, height), depth)
    image = cv2.imdecode(np.frombuffer(plain, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None or image.dtype != np.uint16 or image.shape != (height, width):
        raise CloudError("depth_unreadable", f"{path}: the PNG is damaged; copy it again")
    return np.asarray(image, np.uint16)


def _check_size(path: Path, size: tuple[int, int], depth: Mapping[str, Any]) -> None:
    """Before anything is decoded: a damaged head asks for gigabytes."""
    wanted = depth["width"], depth["height"]
    if size != wanted:
        raise CloudError(
            "depth_size", f"{path}: is {size[0]}×{size[1]}, its calibration is for {wanted[0]}×{wanted[1]}"
        )


def _png_rotated(path: Path, data: bytes, depth: Mapping[str, Any]) -> Depth:
    """SUN RGB-D stores its depths rotated left by three bits (``read3dPoints.m`` of its toolbox)."""
    image = _png(path, data, depth)
    return (image >> np.uint16(3)) | (image << np.uint16(13))


def _zlib(path: Path, data: bytes, depth: Mapping[str, Any]) -> Depth:
    size, inflater = 2 * depth["width"] * depth["height"], zlib.decompressobj()
    try:
        plain = inflater.decompress(data, min(size, MOST_BYTES) + 1)
    except zlib.error as error:
        raise CloudError("depth_unreadable", f"{path}: the compressed depth is damaged ({error})") from None
    if not inflater.eof and len(plain) <= size:
        raise CloudError("depth_unreadable", f"{path}: the compressed depth is damaged (incomplete); copy it again")
    if len(plain) != size:
        more = "more than " if len(plain) > size else ""
        raise CloudError(
            "depth_size", f"{path}: {more}{min(len(plain), size)} bytes, not {depth['width']}×{depth['height']} uint16"
        )
    return np.frombuffer(plain, "<u2").reshape(depth["height"], depth["width"])


MOST_BYTES = 1 << 28
"""Of one depth image."""
READERS: dict[str, Callable[[Path, bytes, Mapping[str, Any]], Depth]] = {
    "depth-png": _png,
    "depth-png-sunrgbd": _png_rotated,
    "depth-zlib": _zlib,  # ScanNet's .sens
}
"""Format name in a frame's ``clouds`` → reader of raw depth units, 0 where there is none."""
MAX_DEPTH = 8.0
"""Metres; what lies farther is noise of indoor depth cameras (SUN RGB-D's own toolbox cuts there too)."""
ROWS, LEAST_PAIRS, SMOOTHER = 32, 100, 4
"""To tell numbers of the other byte order: rows looked at, pairs of neighbours, and how much nearer those are then."""


def read_depth(path: Path, format: str, depth: Mapping[str, Any]) -> NDArray[np.float32]:
    """A depth image as (H, W) metres, 0 where nothing was measured.

    Args:
        depth: its calibration, store.schemas.DEPTH.

    Raises:
        CloudError: unreadable, of another size than its calibration, or of the other byte order.
        FileNotFoundError: no such file.
    """
    raw = READERS[format](path, read_bytes(path), depth)
    if _swapped(raw):
        raise CloudError("depth_unreadable", f"{path}: the two bytes of its numbers are swapped; write it again")
    metres = raw.astype(np.float32) * np.float32(depth["metres_per_unit"])
    metres[metres > MAX_DEPTH] = 0
    return metres


def _swapped(raw: Depth) -> bool:
    """Whether neighbouring pixels are far nearer to each other with the two bytes of each number swapped."""
    rows = raw[:: max(1, len(raw) // ROWS)]
    there = (rows[:, 1:] > 0) & (rows[:, :-1] > 0)
    if there.sum() < LEAST_PAIRS:
        return False
    here, other = (float(np.abs(np.diff(image.astype(np.int64)))[there].mean()) for image in (rows, rows.byteswap()))
    return here > SMOOTHER * other


def depth_cloud(path: Path, format: str, depth: Mapping[str, Any]) -> Cloud:
    """The points of a depth image, row by row: (N, 4) float32 x y z 0 in the depth camera's frame, metres.

    Raises:
        CloudError: as :func:`read_depth`, or without a pixel.
        FileNotFoundError: no such file.
    """
    metres = read_depth(path, format, depth)
    v, u = np.nonzero(metres)
    if not len(v):
        reason = f"no pixel of it lies within {MAX_DEPTH:g} m, of {depth['metres_per_unit']:g} m a unit"
        raise CloudError("depth_empty", f"{path}: {reason}; correct metres_per_unit, or record it again")
    z = metres[v, u]
    K = np.reshape(depth["K"], (3, 3))
    x = (u - K[0, 2]) / K[0, 0] * z
    y = (v - K[1, 2]) / K[1, 1] * z
    return np.stack([x, y, z, np.zeros_like(z)], axis=1).astype(np.float32)
