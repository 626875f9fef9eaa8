"""Stage `ingest` for SUN RGB-D: one frame a picture. Human boxes are read elsewhere (sunrgbd.annotations)."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from clip2.geometry import rigid
from clip2.scans.images import ImageError, picture_size
from clip2.scans.intrinsics import intrinsics_complaint
from clip2.scans.shards import ROLES
from clip2.scans.sunrgbd.files import names_by_shard, open_release
from clip2.scans.sunrgbd.recordings import AXES, DEPTH_FROM_CAM, Recording, Release
from clip2.scans.sunrgbd.settings import SunrgbdSettings
from clip2.scans.sunrgbd.votenet import CLOUD_FORMAT
from clip2.scans.tables import source_facts, write_shard
from clip2.store.bad_frames import BadFrames
from clip2.store.provenance import provenance

CAMERA = "rgbd"
METRES_PER_UNIT = 0.001


class FrameError(Exception):
    """A frame that cannot be used: a short fixed word for the counts, and a message that names the file."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def run(root: Path, out: Path, source: str, settings: SunrgbdSettings) -> None:
    """Write ``out/{shard}.parquet`` for every shard of both roles.

    Args:
        root: data root, in the official layout or in VoteNet's.
        source: name of the source, for the headers.
    """
    release = open_release(root, settings)
    made_by = provenance("ingest", settings.model_dump(mode="json"), release.tables, ("pillow",))
    facts = source_facts(source, root, "sunrgbd", "rgbd", AXES) | {"layout": release.layout}
    for role in ROLES:
        split = {"split": getattr(settings, role)}
        for shard, names in names_by_shard(release, settings, role).items():
            bad = BadFrames(settings.max_bad_share)
            rows = _rows(root, release, names, bad)
            counts = Counter(samples=len(names))
            write_shard(out / f"{shard}.parquet", "frames", rows, facts | split, made_by, counts, bad)


def _rows(root: Path, release: Release, names: list[str], bad: BadFrames) -> Iterator[dict[str, Any]]:
    for name in names:
        try:
            if name not in release.recordings:
                raise FrameError("not_in_metadata", f"{name}: the split names it, but the data set does not hold it")
            yield frame_row(root, release.recordings[name])
        except FrameError as error:
            bad.add(name, error.reason, str(error))


def frame_row(root: Path, recording: Recording) -> dict[str, Any]:
    """The row (store.schemas.FRAMES) of one recording, which is its own scene and its own sample.

    Raises:
        FrameError: a file or the calibration is missing.
    """
    if recording.calibration is None:
        raise FrameError("calibration_missing", f"{recording.name}: has no usable K and Rtilt; unpack it again")
    K, Rtilt = recording.calibration.K, recording.calibration.Rtilt
    width, height = _image_size(root / recording.image_path, "image")
    if complaint := intrinsics_complaint(tuple(K.ravel().tolist()), (width, height)):
        raise FrameError("calibration_wrong", f"{recording.name}: {complaint}")
    T_points_from_cam = rigid(Rtilt @ DEPTH_FROM_CAM, np.zeros(3))
    depth = None
    if recording.cloud_format == CLOUD_FORMAT:
        T_points_from_cloud = np.eye(4)
        if not (root / recording.cloud_path).is_file():
            raise FrameError("cloud_missing", f"{root / recording.cloud_path}: no such file; unpack it again")
    else:
        T_points_from_cloud = T_points_from_cam
        if _image_size(root / recording.cloud_path, "depth") != (width, height):
            raise FrameError("depth_size", f"{root / recording.cloud_path}: is not of the size of its colour image")
        depth = {"K": K.ravel().tolist(), "width": width, "height": height, "metres_per_unit": METRES_PER_UNIT}
    return {
        "frame_id": recording.name,
        "scene": recording.name,
        "sample": recording.name,
        "camera": CAMERA,
        "timestamp_us": 0,  # a single picture; the data set states no times
        "image_path": recording.image_path,
        "width": width,
        "height": height,
        "K": K.ravel().tolist(),
        # Not the inverse: VoteNet's rounded Rtilt is a rotation only to 2e-6, and the data set means its transpose.
        "T_cam_from_points": T_points_from_cam.T.ravel().tolist(),
        "clouds": [
            {
                "path": recording.cloud_path,
                "format": recording.cloud_format,
                "T_points_from_cloud": T_points_from_cloud.ravel().tolist(),
                "time_lag_s": 0.0,
                "depth": depth,
            }
        ],
    }


def _image_size(path: Path, what: str) -> tuple[int, int]:
    """(width, height) from the file's head: nothing is decoded."""
    try:
        return picture_size(path)
    except ImageError as error:
        raise FrameError(error.reason.replace("image", what), str(error)) from None
