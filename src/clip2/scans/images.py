"""Image files → (H, W, 3) uint8 RGB."""

import io
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from clip2.scans.files import HEAD, absent, read_bytes, what_is
from clip2.scans.png import SIGNATURE, checked_png
from clip2.scans.told import tell_once
from clip2.scans.undistort import undistort

cv2.setNumThreads(1)  # jobs are given their cores; OpenCV's own pool would take all of them in each


class ImageError(Exception):
    """An image that cannot be used; ``reason`` is a short fixed word for the counts."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def read_image(path: Path, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """Read an image as RGB, the way up that viewers show it: turned as its EXIF orientation says.

    Args:
        size: the (width, height) that the frame's calibration is for.

    Raises:
        ImageError: missing, unreadable or of another size.
    """
    try:
        data = read_bytes(path)
    except FileNotFoundError as error:
        raise ImageError("image_missing", f"{error}; check the data root") from None
    except OSError as error:
        raise ImageError("image_unreadable", f"{path}: cannot be read ({error})") from None
    if _cut_short(data):
        raise ImageError("image_unreadable", f"{path}: {_ends_early(len(data))}")
    try:
        data = checked_png(data) if data.startswith(SIGNATURE) else data
        with Image.open(io.BytesIO(data)) as head:
            shown, orientation = _head(head)
    except Exception as error:  # a head that is damaged makes Pillow raise what it likes
        raise ImageError("image_unreadable", f"{path}: {_unreadable(data, error)}") from None
    if size is not None and shown != size:
        raise ImageError("image_size", f"{path}: {_other_size(shown, orientation, size)}")
    if shown[0] * shown[1] > MOST_PIXELS:
        raise ImageError(
            "image_unreadable", f"{path}: is {shown[0]}×{shown[1]}, larger than any picture; copy it again"
        )
    image = decode_image(np.frombuffer(data, np.uint8))
    if image is None:
        raise ImageError("image_unreadable", f"{path}: {_unreadable(data)}")
    if data.startswith(JPEG) and _grey_below(image):
        raise ImageError("image_unreadable", f"{path}: the lower part of the JPEG is lost; copy it again")
    if orientation != 1:
        tell_once("exif", f"pictures are turned as their EXIF orientation says, the first {path} ({orientation}); "
                  "their calibration has to be that of the pictures as they are shown")  # fmt: skip
    return np.ascontiguousarray(_TURNED[orientation](image))


def decode_image(content: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """The bytes of an image file → (H, W, 3) RGB, its pixels as stored; None where they cannot be read.

    Of 16 bits a channel, sensors use 10, 12 or 14: the smallest of 8, 10, 12, 14 and 16 that holds the values is taken,
    so that it does not come out black. One value in ``HOT`` may be brighter: a hot pixel says nothing of the bits.
    """
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(content, flags) if len(content) else None
    except cv2.error:
        return None
    if image is None or image.dtype == np.uint8:
        return None if image is None else np.asarray(image, np.uint8)
    if image.dtype != np.uint16:
        return None
    rank = image.size - 1 - image.size // HOT
    brightest = int(np.partition(image, rank, axis=None)[rank])
    bits = next(bits for bits in IN_USE if brightest < 2**bits)
    tell_once(f"{bits} bits", f"pictures have 16 bits a channel, {bits} of them in use: these are scaled to 8")
    return np.asarray(np.minimum(image, 2**bits - 1) >> np.uint16(bits - 8), np.uint8)


MOST_PIXELS = 1 << 28
"""Pillow's own limit is lifted by nuScenes' devkit, for its maps."""
IN_USE = (8, 10, 12, 14, 16)
"""Bits of a channel that sensors fill."""
HOT = 10_000
"""Of so many values, one may be of a hot pixel."""
JPEG = b"\xff\xd8"
BLOCK = 8
"""Pixels of a side of a JPEG's smallest blocks."""
TAIL = 4096
"""Bytes of a file's end, in which a picture's end marker stands unless a recorder adds more behind it."""
_ORIENTATION = 0x0112
_TURNED: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    1: lambda image: image,
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.transpose(1, 0, 2),
    6: lambda image: image.transpose(1, 0, 2)[:, ::-1],
    7: lambda image: image.transpose(1, 0, 2)[::-1, ::-1],
    8: lambda image: image.transpose(1, 0, 2)[::-1],
}
"""EXIF orientation → the picture as it is shown."""


def picture_size(path: Path) -> tuple[int, int]:
    """(width, height) as :func:`read_image` gives it, from the file's head.

    Raises:
        ImageError: missing or unreadable.
    """
    if not path.is_file():
        raise ImageError("image_missing", f"{absent(path)}; unpack it again")
    try:
        with Image.open(path) as head:
            return _head(head)[0]
    except Exception as error:  # as in read_image
        with path.open("rb") as file:
            reason = _unreadable(file.read(HEAD), error)
        raise ImageError("image_unreadable", f"{path}: {reason}") from None


def picture_complaint(path: Path, size: tuple[int, int]) -> str | None:
    """What speaks against a picture, or depth image, of a (width, height): by its head and end alone, undecoded."""
    try:
        with Image.open(path) as head:
            (shown, orientation), form = _head(head), head.format
    except Exception as error:  # as in read_image
        with path.open("rb") as file:
            return f"{path}: {_unreadable(file.read(HEAD), error)}"
    if shown != size:
        return f"{path}: {_other_size(shown, orientation, size)}"
    with path.open("rb") as file:
        n_bytes = file.seek(0, os.SEEK_END)
        file.seek(max(0, n_bytes - TAIL))
        tail = file.read()
    if form == "JPEG" and b"\xff\xd9" not in tail and _cut_short(path.read_bytes()):
        return f"{path}: {_ends_early(n_bytes)}"
    if form == "PNG" and b"IEND" not in tail and b"IEND" not in path.read_bytes():
        return f"{path}: the PNG is cut short; copy it again"
    return None


def _other_size(shown: tuple[int, int], orientation: int, size: tuple[int, int]) -> str:
    turned = f" when turned as its EXIF orientation ({orientation}) says" if orientation != 1 else ""
    return f"is {shown[0]}×{shown[1]}{turned}, its calibration is for {size[0]}×{size[1]}"


def _ends_early(n_bytes: int) -> str:
    return f"the JPEG ends too early ({n_bytes} bytes); copy it again"


def _unreadable(data: bytes, error: Exception | None = None) -> str:
    """Why bytes are not read as a picture."""
    kind = what_is(data) or ""
    if kind and not kind.endswith(("PNG picture", "JPEG picture")):
        return f"is {kind}" + ("; save it as PNG or JPEG" if "picture" in kind else "")
    # Pillow's own word for what it does not know holds an address in memory.
    more = "" if error is None or isinstance(error, UnidentifiedImageError) else f" ({error})"
    return f"not a readable image{more}; copy it again"


def _head(head: Image.Image) -> tuple[tuple[int, int], int]:
    """Size as shown, and EXIF orientation."""
    orientation = head.getexif().get(_ORIENTATION, 1) if "exif" in head.info else 1
    if orientation not in _TURNED:
        orientation = 1
    width, height = head.size
    return ((height, width) if orientation > 4 else (width, height)), orientation


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


def _cut_short(content: bytes) -> bool:
    """Whether a JPEG lacks its end marker: OpenCV would fill the missing part with grey and say nothing."""
    # After the last start of scan: before it may stand a thumbnail's, behind it what a recorder adds.
    return content.startswith(JPEG) and content.find(b"\xff\xd9", content.rfind(b"\xff\xda")) < 0


def _grey_below(image: NDArray[np.uint8]) -> bool:
    """Whether a picture ends in what decoders fill in for data that a JPEG lacks though its end marker is there.

    The data end within a row of blocks, so that the grey is a block higher on its right; a grey border is straight.
    """
    if not (image[-BLOCK:] == 128).all():
        return False
    grey = (image == 128).reshape(*image.shape[:2], -1).all(2)
    below = np.where(grey.all(0), len(image), grey[::-1].argmin(0))  # pixels of grey under each column
    return bool(0.01 < (below >= below.min() + BLOCK).mean() < 0.99)
