"""Stage `ingest` for ONCE: sequences → frames. Human annotations are read elsewhere (once.annotations)."""

import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from clip2.runtime.errors import InputError
from clip2.scans.clouds import own_cloud
from clip2.scans.images import ImageError
from clip2.scans.images import picture_size as read_picture_size
from clip2.scans.once.files import (
    AXES,
    CLOUD_FORMAT,
    LIDAR,
    Camera,
    Record,
    Recording,
    Sequence,
    cloud_path,
    image_path,
    json_path,
    read_sequence,
    sequences_by_shard,
    stems,
)
from clip2.scans.once.settings import OnceSettings
from clip2.scans.shards import ROLES
from clip2.scans.tables import source_facts, write_shard
from clip2.scans.undistort import pinhole_intrinsics
from clip2.store.provenance import provenance

log = logging.getLogger(__name__)


def run(root: Path, out: Path, source: str, settings: OnceSettings) -> None:
    """Write ``out/{shard}.parquet`` for every shard of both roles.

    Args:
        root: data root of a ONCE data set: the folder that holds ``data`` and ``ImageSets``.
        source: name of the source, for the headers.
    """
    facts = source_facts(source, root, "once", "lidar", AXES)
    for role in ROLES:
        split, n_frames = {"split": getattr(settings, role)}, 0
        annotated_only = role == "val" and settings.annotated_only
        for shard, sequences in sequences_by_shard(root, settings, role).items():
            counts = Counter(frames=0, samples=0, samples_without_boxes=0, clouds_missing=0, images_missing=0)
            counts["samples_without_pose"] = 0
            rows = _rows(root, sequences, annotated_only, settings.undistort, counts)
            made_by = provenance(
                "ingest",
                settings.model_dump(mode="json"),
                {sequence: json_path(root, sequence) for sequence in sequences},
                ("opencv-python-headless",),
            )
            write_shard(out / f"{shard}.parquet", "frames", rows, facts | split, made_by, counts)
            n_frames += counts["frames"]
        if not n_frames:
            raise InputError(
                f"{root}: {split['split']!r} gives no picture with a point cloud; look at it with `clip2 check`"
            )


def _rows(
    root: Path, sequences: list[str], annotated_only: bool, undistort: bool, counts: Counter[str]
) -> Iterator[Record]:
    for name in sequences:
        yield from _frames(root, read_sequence(root, name), annotated_only, undistort, counts)


def _frames(
    root: Path, sequence: Sequence, annotated_only: bool, undistort: bool, counts: Counter[str]
) -> Iterator[Record]:
    """One row a picture (store.schemas.FRAMES); what the sequence lists and the disk has not is counted."""
    wanted = [row for row in sequence.recordings if row.annotated or not annotated_only]
    counts["samples_without_boxes"] += len(sequence.recordings) - len(wanted)
    clouds = stems(root, sequence.name, LIDAR)
    pictures = {camera.name: stems(root, sequence.name, camera.name) for camera in sequence.cameras}
    sizes = {name: picture_size(root, sequence.name, name, frames) for name, frames in pictures.items()}
    facts = [camera_facts(camera, size, undistort) for camera in sequence.cameras if (size := sizes[camera.name])]
    for row in wanted:
        seen = [fact for fact in facts if row.frame in pictures[fact["camera"]]]
        counts["samples"] += 1
        counts["clouds_missing"] += row.frame not in clouds
        counts["samples_without_pose"] += row.T_scene_from_points is None
        counts["images_missing"] += len(sequence.cameras) - len(seen)
        if row.frame in clouds:
            counts["frames"] += len(seen)
            for fact in seen:
                yield _frame(sequence.name, row, fact)


def _frame(sequence: str, recording: Recording, camera: Record) -> Record:
    frame, T = recording.frame, recording.T_scene_from_points
    return {
        "frame_id": f"{sequence}/{frame}/{camera['camera']}",
        "scene": sequence,
        "sample": f"{sequence}/{frame}",
        # Names are milliseconds since 1970.
        "timestamp_us": int(frame) * 1000 if frame.isdecimal() and len(frame) < 16 else None,
        "image_path": image_path(sequence, camera["camera"], frame),
        "T_scene_from_points": None if T is None else T.ravel().tolist(),
        "clouds": [own_cloud(cloud_path(sequence, frame), CLOUD_FORMAT)],
        **camera,
    }


def camera_facts(camera: Camera, size: tuple[int, int], undistort: bool) -> Record:
    """The columns of FRAMES that are the same in all pictures of a camera, which are (width, height) pixels.

    The pinhole camera that pictures are undistorted to has the intrinsics that the devkit's ``undistort_image_v2``
    takes: ``cv2.getOptimalNewCameraMatrix`` with alpha 0.
    """
    distorted = undistort and bool(camera.distortion.any())
    lens = {"K": camera.K.ravel().tolist(), "distortion": camera.distortion.tolist()} if distorted else None
    K = pinhole_intrinsics(camera.K, camera.distortion, size) if distorted else camera.K
    return {
        "camera": camera.name,
        "width": size[0],
        "height": size[1],
        "K": K.ravel().tolist(),
        "T_cam_from_points": camera.T_cam_from_points.ravel().tolist(),
        "lens": lens,
    }


def picture_size(root: Path, sequence: str, camera: str, frames: set[str]) -> tuple[int, int] | None:
    """Width and height from the first picture with a readable head (the JSON gives none); None where there is none."""
    for frame in sorted(frames):
        try:
            return read_picture_size(root / image_path(sequence, camera, frame))
        except ImageError as error:
            log.warning("%s", error)
    return None
