"""Stage `ingest` for your own recordings: files → frames. Labels are read elsewhere (folder.annotations)."""

import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from clip2.scans.folder.calibration import Calibration, Camera, Matrix, check_rigid, in_metres, upright, upright_metres
from clip2.scans.folder.files import CALIBRATION, Record, Scene, facts_of, find_scenes, flat, samples_by_shard
from clip2.scans.folder.settings import FolderSettings
from clip2.scans.shards import ROLES
from clip2.scans.tables import write_shard
from clip2.scans.undistort import pinhole_intrinsics
from clip2.store.provenance import provenance

log = logging.getLogger(__name__)


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
    unmatched = Counter(images_missing_in_all=0, clouds_missing_in_all=0)
    for scene in scenes:
        scene.count_missing(unmatched)
    if unmatched.total():
        log.warning("%s: files without a counterpart of the same stem: %s", root, dict(unmatched))
    for role in ROLES:
        split = {"split": getattr(settings, role)}
        for shard, samples in samples_by_shard(scenes, settings, role).items():
            # What has no counterpart belongs to no role: the whole folder's numbers, in every shard.
            counts = Counter({"samples": len(samples), "poses_wrong": 0, **unmatched})
            rows = (row for scene, stem in samples for row in sample_frames(scene, stem, counts))
            write_shard(out / f"{shard}.parquet", "frames", rows, facts | split, made_by, counts)


def sample_frames(scene: Scene, stem: str, counts: Counter[str]) -> Iterator[Record]:
    """One row a picture of a sample (store.schemas.FRAMES); a sample without a usable pose is counted."""
    calibration = scene.calibration
    for name, pictures in scene.pictures.items():
        if stem not in pictures:
            continue
        camera = calibration.cameras[name]
        try:
            T_cam_from_points, T_points_from_cloud = placed(calibration, camera, scene.folder, stem)
        except (OSError, ValueError) as error:
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
            "timestamp_us": None,
            "image_path": pictures[stem],
            "T_cam_from_points": flat(T_cam_from_points),
            "clouds": [cloud],
            **_picture(camera),
        }


def placed(calibration: Calibration, camera: Camera, folder: Path, stem: str) -> tuple[Matrix, Matrix]:
    """(4, 4) points' frame (z up, metres) → camera, and cloud as stored → points' frame.

    Raises:
        OSError, ValueError: the sample's own pose is missing or impossible.
    """
    turn = upright(calibration)
    if calibration.sensor == "lidar":
        return in_metres(camera.T_cam_from_points, calibration) @ turn.T, upright_metres(calibration)
    if camera.pose_folder is None:
        pose = np.asarray(camera.T_points_from_cam, np.float64)
    else:
        path = folder / camera.pose_folder / f"{stem}.txt"
        pose = check_rigid(str(path), np.loadtxt(path, dtype=np.float64, ndmin=2))
    T_points_from_cam = turn @ in_metres(pose, calibration)
    return np.linalg.inv(T_points_from_cam), T_points_from_cam  # depth images are read in metres


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
