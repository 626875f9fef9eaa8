"""Stage `ingest` for nuScenes: tables → frames. Human annotations are read elsewhere (nuscenes.annotations)."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from nuscenes.nuscenes import NuScenes

from clip2.geometry import invert
from clip2.scans.nuscenes.settings import NuscenesSettings
from clip2.scans.nuscenes.tables import (
    AXES,
    LIDAR,
    Record,
    T_global_from_sensor,
    open_nuscenes,
    samples_by_shard,
)
from clip2.scans.shards import ROLES
from clip2.scans.tables import source_facts, write_shard
from clip2.store.provenance import provenance

CAMERAS = ("CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_RIGHT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_FRONT_LEFT")
TABLES = ("scene", "sample", "sample_data", "calibrated_sensor", "ego_pose", "sensor")
"""The tables whose content decides the frames."""


def run(root: Path, out: Path, source: str, settings: NuscenesSettings) -> None:
    """Write ``out/{shard}.parquet`` for every shard of both roles.

    Args:
        root: data root of a nuScenes data set.
        source: name of the source, for the headers.
    """
    nusc = open_nuscenes(root, settings.version)
    made_by = provenance(
        "ingest",
        settings.model_dump(mode="json"),
        {name: root / settings.version / f"{name}.json" for name in TABLES},
        ("nuscenes-devkit", "pyquaternion"),
    )
    facts = source_facts(source, root, "nuscenes", "lidar", AXES)
    for role in ROLES:
        split = {"split": getattr(settings, role)}
        for shard, samples in samples_by_shard(nusc, settings, role).items():
            counts = Counter(samples=len(samples), recordings_missing=0)
            rows = _rows(nusc, samples, settings.n_sweeps, counts)
            write_shard(out / f"{shard}.parquet", "frames", rows, facts | split, made_by, counts)


def _rows(nusc: NuScenes, samples: list[Record], n_sweeps: int, counts: Counter[str]) -> Iterator[Record]:
    for sample in samples:
        missing = sum(camera not in sample["data"] for camera in CAMERAS) if LIDAR in sample["data"] else len(CAMERAS)
        counts["recordings_missing"] += missing
        if LIDAR in sample["data"]:
            yield from _frames(nusc, sample, n_sweeps)


def _frames(nusc: NuScenes, sample: Record, n_sweeps: int) -> Iterator[Record]:
    """One row a camera of a sample (store.schemas.FRAMES)."""
    lidar = nusc.get("sample_data", sample["data"][LIDAR])
    T_global_from_points = T_global_from_sensor(nusc, lidar)
    scene = nusc.get("scene", sample["scene_token"])["name"]
    clouds = _clouds(nusc, lidar, invert(T_global_from_points), n_sweeps)
    for channel in CAMERAS:
        if channel not in sample["data"]:
            continue
        camera = nusc.get("sample_data", sample["data"][channel])
        calibration = nusc.get("calibrated_sensor", camera["calibrated_sensor_token"])
        # lidar → ego at the sweep's time → global → ego at the image's time → camera
        T_cam_from_points = invert(T_global_from_sensor(nusc, camera)) @ T_global_from_points
        yield {
            "frame_id": camera["token"],
            "scene": scene,
            "sample": sample["token"],
            "camera": channel,
            "timestamp_us": camera["timestamp"],
            "image_path": camera["filename"],
            "width": camera["width"],
            "height": camera["height"],
            "K": np.ravel(calibration["camera_intrinsic"]).tolist(),
            "T_cam_from_points": T_cam_from_points.ravel().tolist(),
            "clouds": clouds,
        }


def _clouds(nusc: NuScenes, lidar: Record, T_points_from_global: np.ndarray, n_sweeps: int) -> list[Record]:
    """The key frame's own sweep and up to ``n_sweeps - 1`` before it; a scene's first key frames have fewer."""
    clouds: list[Record] = []
    sweep = lidar
    while True:
        T = T_points_from_global @ T_global_from_sensor(nusc, sweep) if clouds else np.eye(4)
        clouds.append(
            {
                "path": sweep["filename"],
                "format": "nuscenes-pcd-bin",
                "T_points_from_cloud": T.ravel().tolist(),
                "time_lag_s": 1e-6 * (lidar["timestamp"] - sweep["timestamp"]),
                "depth": None,
            }
        )
        if len(clouds) == n_sweeps or not sweep["prev"]:
            return clouds
        sweep = nusc.get("sample_data", sweep["prev"])
