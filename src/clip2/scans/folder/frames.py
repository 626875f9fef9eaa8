"""Stage `ingest` for your own recordings: files → frames. Labels are read elsewhere (folder.annotations)."""

import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from clip2.geometry import invert, rigid
from clip2.runtime.errors import InputError
from clip2.scans.folder.calibration import Camera, Matrix, declared_places, in_metres, read_pose, upright
from clip2.scans.folder.files import (
    CALIBRATION,
    Record,
    Scene,
    facts_of,
    find_scenes,
    flat,
    passed_over,
    samples_by_shard,
)
from clip2.scans.folder.settings import FolderSettings
from clip2.scans.poses import check_rigid
from clip2.scans.shards import ROLES
from clip2.scans.tables import write_shard
from clip2.scans.undistort import pinhole_intrinsics
from clip2.store.provenance import provenance

log = logging.getLogger(__name__)

LEAST_UPRIGHT = 0.5
"""Least cosine between a cloud's up and the scene's: vehicles climb and roll by less than 60 degrees."""


def run(root: Path, out: Path, source: str, settings: FolderSettings) -> None:
    """Write ``out/{shard}.parquet`` for every shard of both roles.

    Args:
        root: folder laid out as docs/your_own_data.md says.
        source: name of the source, for the headers.
    """
    scenes = find_scenes(root)
    made_by = provenance(
        "ingest",
        settings.model_dump(mode="json"),
        {f"{scene.name}/{CALIBRATION}": scene.folder / CALIBRATION for scene in scenes},
        ("opencv-python-headless",),
    )
    facts = facts_of(scenes, source, root)
    for words in passed_over(scenes):
        log.warning("%s", words)
    unmatched = Counter(images_missing_in_all=0, clouds_missing_in_all=0)
    for scene in scenes:
        scene.count_missing(unmatched)
    if unmatched.total():
        log.warning("%s: files without a counterpart of the same stem: %s", root, dict(unmatched))
    for role in ROLES:
        split = {"split": getattr(settings, role)}
        for shard, samples in samples_by_shard(scenes, settings, role).items():
            # What has no counterpart belongs to no role: the whole folder's numbers, in every shard.
            counts = Counter({"samples": len(samples), "poses_wrong": 0, "samples_without_pose": 0, **unmatched})
            rows = (row for scene, stem in samples for row in sample_frames(scene, stem, counts))
            write_shard(out / f"{shard}.parquet", "frames", rows, facts | split, made_by, counts)


def sample_frames(scene: Scene, stem: str, counts: Counter[str]) -> Iterator[Record]:
    """One row a picture of a sample (store.schemas.FRAMES); a sample without a usable pose is counted."""
    calibration = scene.calibration
    T_scene_from_points = scene_pose(scene, stem)
    counts["samples_without_pose"] += T_scene_from_points is None
    for name, pictures in scene.pictures.items():
        if stem not in pictures:
            continue
        camera = calibration.cameras[name]
        try:
            T_cam_from_points, T_points_from_cloud = placed(scene, camera, stem)
        except (OSError, ValueError, InputError) as error:
            log.warning("%s: sample passed over: pose: %s", scene.sample(stem), error)
            counts["poses_wrong"] += 1
            continue
        cloud_format = calibration.clouds.format if calibration.clouds else "depth-png"
        cloud = {
            "path": scene.clouds[stem],
            "format": cloud_format,
            "T_points_from_cloud": flat(T_points_from_cloud),
            "time_lag_s": 0.0,
            "depth": _depth(camera),
        }
        yield {
            "frame_id": f"{scene.sample(stem)}/{name}",
            "scene": scene.unit(stem),
            "sample": scene.sample(stem),
            "camera": name,
            "timestamp_us": scene.times_us.get(stem),
            "image_path": pictures[stem],
            "T_cam_from_points": flat(T_cam_from_points),
            "T_scene_from_points": None if T_scene_from_points is None else flat(T_scene_from_points),
            "clouds": [cloud],
            **_picture(camera),
        }


def placed(scene: Scene, camera: Camera, stem: str) -> tuple[Matrix, Matrix]:
    """(4, 4) points' frame (z up, metres, near the cameras) → camera, and cloud as stored → points' frame.

    Raises:
        OSError, ValueError, InputError: the sample's own pose is missing or impossible.
    """
    shift = np.array(scene.shift)
    T_cam_from_declared, T_declared_from_cloud = declared_places(scene.calibration, camera, scene.folder, stem)
    return T_cam_from_declared @ rigid(np.eye(3), shift), rigid(np.eye(3), -shift) @ T_declared_from_cloud


def scene_pose(scene: Scene, stem: str) -> Matrix | None:
    """(4, 4) points' frame → the scene's, both z up, metres; None without poses, or where this sample's was lost.

    Depth cameras' points are in the frame that their poses lead to. A cloud's pose is lost where its file is missing
    or holds numbers that are not finite, as mapping software writes them.

    Raises:
        InputError: a pose that cannot be right, or a folder without any of these samples' poses.
    """
    if scene.pose_folder is None:
        return None
    if scene.calibration.sensor == "rgbd":
        return np.eye(4)
    path = scene.pose_folder / f"{stem}.txt"
    if not path.is_file():
        if not any((scene.pose_folder / f"{other}.txt").is_file() for other in scene.samples):
            raise InputError(f"{scene.pose_folder}: holds no pose STEM.txt of any cloud; correct clouds.pose_folder")
        return None
    try:
        pose = read_pose(path)
        if not np.isfinite(pose).all():
            return None
        check_rigid("the pose", pose)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {error}; a pose leads from the cloud's points to the scene's frame") from None
    turn = upright(scene.calibration)
    T_scene_from_declared = turn @ in_metres(pose, scene.calibration) @ turn.T
    shift, origin = (rigid(np.eye(3), np.array(place)) for place in (scene.shift, scene.origin))
    T_scene_from_points = invert(origin) @ T_scene_from_declared @ shift
    if T_scene_from_points[2, 2] < LEAST_UPRIGHT:
        raise InputError(f"{path}: turns up away from up; a pose leads to a frame of the same axes as the clouds'")
    return T_scene_from_points


def _depth(camera: Camera) -> Record | None:
    """Calibration of the depth image (store.schemas.DEPTH); without its own, the picture's."""
    depth = camera.depth
    if depth is None:
        return None
    return {
        "K": flat(depth.K or camera.K),
        "width": depth.width or camera.width,
        "height": depth.height or camera.height,
        "metres_per_unit": depth.metres_per_unit,
    }


def _picture(camera: Camera) -> Record:
    """Size and intrinsics of the picture, and its lens where it has distortion."""
    size, distortion = (camera.width, camera.height), camera.distortion or []
    distorted = any(distortion)
    return {
        "width": size[0],
        "height": size[1],
        "K": flat(pinhole_intrinsics(camera.K, distortion, size) if distorted else camera.K),
        "lens": {"K": flat(camera.K), "distortion": distortion} if distorted else None,
    }
