"""Pictures and clouds beside exported labels: as links, as copies, or written anew where a tool wants another form."""

import os
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from clip2.export.settings import ExportSettings
from clip2.geometry import transform_points
from clip2.scans.clouds import Cloud, CloudError, load_points
from clip2.scans.files import read_bytes
from clip2.scans.images import ImageError, read_frame_image
from clip2.store.bad_frames import BadFrames

Frame = Mapping[str, Any]
"""A row of store.schemas.FRAMES."""
PNG = b"\x89PNG"
PCD = """# .PCD v0.7 - Point Cloud Data file format
VERSION 0.7
FIELDS x y z intensity
SIZE 4 4 4 4
TYPE F F F F
COUNT 1 1 1 1
WIDTH {n}
HEIGHT 1
VIEWPOINT 0 0 0 1 0 0 0
POINTS {n}
DATA binary
"""
QUALITY = 95
"""Of pictures that have to be written anew, as JPEG."""
AS_STORED = {4: "float32x4", 5: "nuscenes-pcd-bin"}
"""Columns of a cloud file → the format of frames' clouds that is the same."""


class Recordings:
    """Reads the pictures and clouds of frames, and puts them where a tool looks. What cannot be read is counted.

    Attributes:
        counts: what was linked, copied, written anew.
        bad: what could not be read.
    """

    def __init__(self, data_root: Path, settings: ExportSettings) -> None:
        self._root, self._files = data_root.absolute(), settings.files
        self.bad = BadFrames(settings.max_bad_share)
        self.counts: Counter[str] = Counter()

    def picture(self, frame: Frame) -> NDArray[np.uint8] | None:
        """(H, W, 3) RGB of a frame, free of lens distortion; None where it cannot be read."""
        try:
            return read_frame_image(self._root, frame)
        except ImageError as error:
            self._lost(frame, error)
            return None

    def picture_bytes(self, frame: Frame) -> tuple[bytes, str] | None:
        """A frame's picture, free of lens distortion, as a file's bytes, and "jpeg" or "png"; None where missing."""
        ending = self._stored_ending(frame)
        if frame["lens"] is None and ending is not None:
            return read_bytes(self._root / frame["image_path"]), {".jpg": "jpeg", ".png": "png"}[ending]
        image = self.picture(frame)
        return None if image is None else (_encoded(image, ".jpg"), "jpeg")

    def cloud(self, frame: Frame) -> Cloud | None:
        """(N, 4) points of a frame's own time stamp in the points' frame, None where they cannot be read.

        Without earlier sweeps: what moves has moved.
        """
        try:
            return load_points(frame["clouds"][:1], self._root)
        except CloudError as error:
            self._lost(frame, error)
            return None

    def put_picture(self, frame: Frame, stem: Path, ending: str | None = None) -> str | None:
        """Put a frame's picture, free of lens distortion, at ``stem`` with an ending.

        Args:
            ending: ".png" or ".jpg" where the tool takes no other; else as the picture is stored.

        Returns:
            The file's name; None where the picture cannot be read.
        """
        stored = self._stored_ending(frame)
        target = stem.with_name(stem.name + (ending or stored or ".jpg"))
        if self._files == "none":
            return target.name
        if frame["lens"] is None and stored == target.suffix:
            self._place(frame["image_path"], target)
            return target.name
        image = self.picture(frame)
        if image is None:
            return None
        self._write(target, _encoded(image, target.suffix), "pictures")
        return target.name

    def put_cloud(self, frame: Frame, target: Path, T: ArrayLike, columns: int) -> bool:
        """Put the cloud of a frame's own time stamp, as little-endian float32 rows x y z intensity (0 …).

        Args:
            T: (4, 4) from the points' frame to the frame that the file is to be in.

        Returns:
            Whether it is there.
        """
        if self._files == "none":
            return True
        stored, T = frame["clouds"][0], np.asarray(T, np.float64)
        moved = not np.array_equal(T @ np.reshape(stored["T_points_from_cloud"], (4, 4)), np.eye(4))
        if not moved and stored["format"] == AS_STORED[columns] and (self._root / stored["path"]).is_file():
            self._place(stored["path"], target)
            return True
        points = self.cloud(frame)
        if points is None:
            return False
        rows = np.zeros((len(points), columns), "<f4")
        rows[:, :3], rows[:, 3] = transform_points(points, T), points[:, 3]
        self._write(target, rows.tobytes(), "clouds")
        return True

    def put_pcd(self, frame: Frame, target: Path) -> bool:
        """Put the cloud of a frame's own time stamp as a binary PCD file, in the points' frame; whether it is there."""
        if self._files == "none":
            return True
        points = self.cloud(frame)
        if points is None:
            return False
        self._write(target, PCD.format(n=len(points)).encode() + points.astype("<f4").tobytes(), "clouds")
        return True

    def _place(self, stored: str, target: Path) -> None:
        """Link or copy a file; a range of bytes of a larger one is always copied."""
        path = self._root / stored
        target.parent.mkdir(parents=True, exist_ok=True)
        if self._files == "link" and path.is_file():
            os.symlink(path, target)
            self.counts["files_linked"] += 1
            return
        if path.is_file():
            shutil.copyfile(path, target)
        else:
            target.write_bytes(read_bytes(path))
        self.counts["files_copied"] += 1

    def _write(self, target: Path, content: bytes, what: str) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        self.counts[f"{what}_written_anew"] += 1

    def _lost(self, frame: Frame, error: ImageError | CloudError) -> None:
        self.bad.add(frame["frame_id"], error.reason, str(error))

    def _stored_ending(self, frame: Frame) -> str | None:
        """ ".jpg" or ".png" of a picture as it is stored; None where it is missing or something else."""
        path = self._root / frame["image_path"]
        ending = path.suffix.lower().replace(".jpeg", ".jpg")
        if path.is_file():
            return ending if ending in (".jpg", ".png") else None
        try:
            return ".png" if read_bytes(path).startswith(PNG) else ".jpg"  # a range of bytes of a larger file
        except FileNotFoundError:
            return None


def _encoded(image: NDArray[np.uint8], ending: str) -> bytes:
    """The bytes of a file of RGB pixels."""
    return bytes(cv2.imencode(ending, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), (cv2.IMWRITE_JPEG_QUALITY, QUALITY))[1])
