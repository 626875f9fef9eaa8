"""Stage `ingest` for ScanNet: recordings → frames. Images stay in the `.sens` files. Human marks: scannet.annotations.

One sample is one frame (``ID/000120``): its picture and the cloud of its own depth image. The points' frame is the
scene's axis-aligned one where ID.txt has the alignment, else the scene's own (counted: ``scenes_not_aligned``).
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from clip2.geometry import invert, is_rigid
from clip2.runtime.errors import InputError
from clip2.scans.intrinsics import intrinsics_complaint
from clip2.scans.scannet.files import AXES, axis_alignment, has_scene, scene_file, scenes_by_shard, split_lists
from clip2.scans.scannet.sens import SensFrame, SensHeader, image_range, iterate_frames, read_header
from clip2.scans.scannet.settings import ScannetSettings
from clip2.scans.shards import ROLES
from clip2.scans.tables import source_facts, write_shard
from clip2.store.bad_frames import BadFrames
from clip2.store.provenance import provenance

CAMERA = "color"

Row = dict[str, Any]


def run(root: Path, out: Path, source: str, settings: ScannetSettings) -> None:
    """Write ``out/{shard}.parquet`` for every shard of both roles.

    The header's ``scenes`` are those of the shard that are there, with or without a recording.

    Args:
        root: data root, which holds ``scans/``.
        source: name of the source, for the headers.

    Raises:
        InputError: nothing of a split is there, or a recording's header cannot be read.
    """
    made_by = provenance(
        "ingest", settings.model_dump(mode="json"), split_lists(root, settings.train, settings.val), ()
    )
    facts = source_facts(source, root, "scannet", "rgbd", AXES)
    for role in ROLES:
        split = {"split": getattr(settings, role)}
        for shard, scenes in scenes_by_shard(root, settings, role).items():
            there = [scene for scene in scenes if has_scene(root, scene)]
            counts = Counter(
                scenes=len(there), scenes_missing=len(scenes) - len(there), scenes_without_sens=0, scenes_not_aligned=0
            )
            counts["frames_without_pose"] = 0
            bad = BadFrames(settings.max_bad_share)
            rows = (row for scene in there for row in _frames(root, scene, settings.frame_skip, counts, bad))
            named = facts | split | {"scenes": there}
            write_shard(out / f"{shard}.parquet", "frames", rows, named, made_by, counts, bad)


def _frames(root: Path, scene: str, skip: int, counts: Counter[str], bad: BadFrames) -> Iterator[Row]:
    """One row for every ``skip``-th frame of a scene that has a pose (store.schemas.FRAMES)."""
    path = scene_file(root, scene, ".sens")
    if not path.is_file():
        counts["scenes_without_sens"] += 1
        return
    header = read_header(path)
    _check_cameras(path, header)
    T_points_from_world = axis_alignment(root, scene)
    if T_points_from_world is None:
        counts["scenes_not_aligned"] += 1
        T_points_from_world = np.eye(4)
    relative = path.relative_to(root).as_posix()
    n_whole = 0
    for frame in iterate_frames(path, header):
        n_whole += 1
        if frame.number % skip:
            continue
        if frame.has_pose:
            yield _row(scene, relative, header, frame, T_points_from_world @ frame.T_world_from_common)
        else:
            counts["frames_without_pose"] += 1
    _report_missing(path, scene, header.n_frames, n_whole, skip, bad)


def _check_cameras(path: Path, header: SensHeader) -> None:
    for what, K, size, T in (
        ("colour", header.K_colour, header.colour_size, header.T_common_from_colour),
        ("depth", header.K_depth, header.depth_size, header.T_common_from_depth),
    ):
        complaint = intrinsics_complaint(tuple(K.ravel().tolist()), size)
        complaint = complaint or (None if is_rigid(T) else "its extrinsics are no rotation with a shift")
        if complaint:
            raise InputError(f"{path}: {what} camera: {complaint}; download it again")


def _report_missing(path: Path, scene: str, n_frames: int, n_whole: int, skip: int, bad: BadFrames) -> None:
    """Count the frames that a file cut short should have had, one message for all of them."""
    missing = len(range(0, n_frames, skip)) - len(range(0, n_whole, skip))
    if missing:
        message = f"{path}: is cut short: {n_whole} whole frames of {n_frames}; download it again"
        bad.add(frame_id(scene, n_whole), "sens_cut_short", message)
        bad.counts["sens_cut_short"] += missing - 1


def frame_id(scene: str, number: int) -> str:
    """Name of a frame, and of the sample that it is."""
    return f"{scene}/{number:06d}"


def _row(scene: str, path: str, header: SensHeader, frame: SensFrame, T_points_from_common: np.ndarray) -> Row:
    name = frame_id(scene, frame.number)
    depth = {
        "K": header.K_depth.ravel().tolist(),
        "width": header.depth_size[0],
        "height": header.depth_size[1],
        "metres_per_unit": header.metres_per_unit,
    }
    cloud = {
        "path": image_range(path, frame.depth),
        "format": "depth-zlib",
        "T_points_from_cloud": (T_points_from_common @ header.T_common_from_depth).ravel().tolist(),
        "time_lag_s": 0.0,
        "depth": depth,
    }
    return {
        "frame_id": name,
        "scene": scene,
        "sample": name,
        "camera": CAMERA,
        "timestamp_us": frame.timestamp,
        "image_path": image_range(path, frame.colour),
        "width": header.colour_size[0],
        "height": header.colour_size[1],
        "K": header.K_colour.ravel().tolist(),
        "T_cam_from_points": invert(T_points_from_common @ header.T_common_from_colour).ravel().tolist(),
        "T_scene_from_points": np.eye(4).ravel().tolist(),
        "clouds": [cloud],
    }
