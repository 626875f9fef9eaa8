"""Which cameras of a recording are taken, and what pictures they have."""

import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from clip2.geometry import rigid
from clip2.imports.mcap import messages
from clip2.imports.mcap.index import Index
from clip2.imports.mcap.messages import CAMERA, PICTURE, Lens
from clip2.imports.scene_folder import SceneFolder
from clip2.imports.settings import McapSettings
from clip2.runtime.errors import InputError
from clip2.scans.images import decode_image

Matrix = NDArray[np.float64]
FISHEYE = ("equidistant", "kannala_brandt", "fisheye")
"""OpenCV's fisheye model."""
LENSES = {"": (0,), "plumb_bob": (4, 5), "rational_polynomial": (8, 12, 14), **dict.fromkeys(FISHEYE, (4,))}
"""Distortion model → how many coefficients it has: OpenCV's, in OpenCV's order."""
JPEG_QUALITY = 95


@dataclass
class Camera:
    """A camera: the topics of its pictures and calibration, and when its pictures were taken, by number."""

    name: str
    topic: str
    info_topic: str
    lens: Lens
    times: dict[int, int] = field(default_factory=dict)

    @property
    def T_cam_from_optical(self) -> Matrix:
        """(4, 4) from the frame that transforms tell of to that of the pictures: rectified ones are turned by R."""
        return rigid(self.lens.R, np.zeros(3)) if _rectified(self.topic) else np.eye(4)

    @property
    def declared(self) -> tuple[Matrix, tuple[float, ...]]:
        """(3, 3) intrinsics and OpenCV's distortion of the pictures as :meth:`stored`."""
        if self.lens.model in FISHEYE:
            return _fisheye_pinhole(self.lens), ()
        return self.lens.K, self.lens.distortion

    def stored(self, content: bytes, ending: str) -> tuple[bytes, str]:
        """A picture's file as it is; a fisheye's, whose lens the folder does not know, as a pinhole camera's.

        Raises:
            ValueError: it cannot be read.
        """
        if self.lens.model not in FISHEYE:
            return content, ending
        return _without_fisheye(_pixels(content), self.lens, ending), ending


def choose_cameras(index: Index, settings: McapSettings, where: Path, out: SceneFolder) -> list[Camera]:
    """Those that were asked for, or a topic of pictures of each camera that has its calibration."""
    pictures = {topic.name: topic for topic in index.topics[PICTURE]}
    if not pictures:
        raise InputError(
            f"{where}: has no pictures (sensor_msgs/Image, CompressedImage, or Foxglove's); video is not read"
        )
    infos = {topic.name: index.first[topic.name] for topic in index.topics[CAMERA]}
    asked = [name.strip() for name in settings.cameras.split(",")] if settings.cameras else []
    if unknown := [name for name in asked if name not in pictures]:
        raise InputError(f"{where}: has no pictures {unknown[0]!r} (--cameras); it has {', '.join(pictures)}")
    found: dict[str, list[str]] = defaultdict(list)  # topic of a calibration → topics of pictures
    for name in asked or pictures:
        if not asked and messages.is_depth(index.first[name]):
            continue
        info = _calibration_topic(name, messages.head_of(index.first[name]).frame, infos)
        if info is not None:
            found[info].append(name)
        elif asked:
            raise InputError(
                f"{where}: pictures {name} have no calibration (sensor_msgs/CameraInfo, foxglove."
                "CameraCalibration) of their frame or beside them; record it, too"
            )
        else:
            out.left_out[f"pictures of {name} without a calibration"] += pictures[name].n
    if not found:
        raise InputError(
            f"{where}: no picture has a calibration (sensor_msgs/CameraInfo, foxglove.CameraCalibration): "
            f"without it nothing can be put into a picture; there are pictures {', '.join(pictures)}"
        )
    chosen: list[Camera] = []
    for info, names in found.items():
        if asked and len(names) > 1:
            raise InputError(f"{where}: {' and '.join(names)} are pictures of one camera; name one of them (--cameras)")
        # Most pictures; then as the sensor gave them; then without loss.
        name = max(names, key=lambda name: (pictures[name].n, not _rectified(name), "ompressed" not in name))
        try:
            lens = messages.lens_of(infos[info])
        except ValueError as error:
            raise InputError(f"{where}: {info}: {error}; leave the camera out by naming others (--cameras)") from None
        lens = _rectified_lens(lens) if _rectified(name) else lens
        n_distortion = len(lens.distortion) if lens.model else 0
        if n_distortion not in LENSES.get(lens.model, ()):
            raise InputError(
                f"{where}: {info}: distortion {lens.model!r} with {n_distortion} numbers is not read; rectify the "
                "pictures (image_proc) and record those, or leave the camera out (--cameras)"
            )
        short = _camera_name(name)
        taken = any(camera.name == short for camera in chosen)
        camera = Camera(_safe(name) if taken else short, name, info, lens, index.times_of(name))
        _check_picture(camera, index.first[name], where)
        chosen.append(camera)
    out.said.append(f"pictures: {', '.join(camera.topic for camera in chosen)}")
    return chosen


def _check_picture(camera: Camera, message: Any, where: Path) -> None:
    """
    Raises:
        InputError: pictures are not read, or of another size than the calibration.
    """
    try:
        content, _ = messages.picture_file(message)
        size = _pixels(content).shape[1::-1]
    except ValueError as error:
        raise InputError(f"{where}: {camera.topic}: {error}; name other topics (--cameras)") from None
    if size != camera.lens.size:
        raise InputError(
            f"{where}: {camera.topic}: pictures are {size[0]}×{size[1]}, their calibration "
            f"({camera.info_topic}) is for {camera.lens.size[0]}×{camera.lens.size[1]}"
        )


def _pixels(content: bytes) -> NDArray[np.uint8]:
    image = decode_image(np.frombuffer(content, np.uint8))
    if image is None:
        raise ValueError(f"a picture of {len(content)} bytes cannot be read")
    return image


def _calibration_topic(picture: str, frame: str, infos: dict[str, Any]) -> str | None:
    """The calibration of a topic of pictures: the nearest by namespace; of several, the only one of the same frame."""
    parts = picture.split("/")
    for depth in range(len(parts) - 1, 0, -1):
        beside = [info for info in infos if info.split("/")[:-1] == parts[:depth]]
        same = [info for info in beside if messages.head_of(infos[info]).frame == frame]
        if len(same) == 1 or len(beside) == 1:
            return (same or beside)[0]
    same = [info for info in infos if messages.head_of(infos[info]).frame == frame]
    return same[0] if len(same) == 1 else None


def _rectified(topic: str) -> bool:
    """As image_proc calls its topics: image_rect, image_rect_color."""
    return any(part.startswith("image_rect") for part in topic.split("/"))


def _rectified_lens(lens: Lens) -> Lens:
    """The pinhole camera of rectified pictures: P's intrinsics, turned by R (sensor_msgs/CameraInfo).

    P's fourth column is left alone: it repeats, for the right camera of a pair, what the transforms say.
    """
    return lens._replace(model="", distortion=(), K=lens.P[:, :3])


def _camera_name(topic: str) -> str:
    """A topic's namespace as a name: ``/sensing/front/image_raw/compressed`` is ``sensing_front``."""
    parts = [part for part in topic.split("/") if part]
    while len(parts) > 1 and re.match(r"image|compressed|color$|raw$|rect", parts[-1]):
        parts.pop()
    return _safe("/".join(parts))


def _safe(topic: str) -> str:
    """A topic as a folder's name."""
    return re.sub(r"[^\w.-]", "_", topic.strip("/"))


def _fisheye_pinhole(lens: Lens) -> Matrix:
    """(3, 3) intrinsics of the pinhole camera that a fisheye's pictures become, with nothing but valid pixels."""
    D = np.array(lens.distortion)
    return np.asarray(
        cv2.fisheye.estimateNewCameraMatrixForUndistortRectify(lens.K, D, lens.size, np.eye(3), balance=0.0)
    )


def _without_fisheye(image: NDArray[np.uint8], lens: Lens, ending: str) -> bytes:
    D = np.array(lens.distortion)
    columns_rows = cv2.fisheye.initUndistortRectifyMap(
        lens.K, D, np.eye(3), _fisheye_pinhole(lens), lens.size, cv2.CV_16SC2
    )
    plain = cv2.cvtColor(cv2.remap(image, *columns_rows, interpolation=cv2.INTER_LINEAR), cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(ending, plain, (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))[1])
