"""Stage `ingest` for nuScenes: tables → frames. Human annotations are read elsewhere (nuscenes.annotations)."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clip2.geometry import invert
from clip2.runtime.errors import InputError
from clip2.scans.intrinsics import intrinsics_complaint
from clip2.scans.nuscenes.samples import Sample, samples_by_shard
from clip2.scans.nuscenes.settings import NuscenesSettings
from clip2.scans.nuscenes.tables import (
    AXES,
    CAMERAS,
    CLOUD_FORMAT,
    LIDAR,
    Matrix,
    Recording,
    Recordings,
    no_pictures,
    read_scenes,
    table_folder,
)
from clip2.scans.shards import ROLES
from clip2.scans.tables import source_facts, write_shard
from clip2.store.provenance import provenance

TABLES = ("scene", "sample", "sample_data", "calibrated_sensor", "ego_pose", "sensor")
"""The tables whose content decides the frames."""

Row = dict[str, Any]


def run(root: Path, out: Path, source: str, settings: NuscenesSettings) -> None:
    """Write ``out/{shard}.parquet`` for every shard of both roles. Memory: under a kilobyte a frame of all shards.

    Args:
        root: data root of a nuScenes data set.
        source: name of the source, for the headers.
    """
    folder = table_folder(root, settings.version)
    scenes = read_scenes(folder)
    shards = {role: samples_by_shard(folder, scenes, settings, role) for role in ROLES}
    samples = [sample for of_role in shards.values() for shard in of_role.values() for sample in shard]
    in_scenes = {sample.scene for sample in samples} if settings.n_sweeps > 1 else set()
    recordings = Recordings(
        folder,
        (sample.token for sample in samples),
        (*CAMERAS, LIDAR),
        sweeps_of=(token for scene in in_scenes for token in scenes[scene]),
    )
    made_by = provenance(
        "ingest",
        settings.model_dump(mode="json"),
        {name: folder / f"{name}.json" for name in TABLES},
        ("nuscenes-devkit", "pyquaternion"),
    )
    facts = source_facts(source, root, "nuscenes", "lidar", AXES)
    for role, of_role in shards.items():
        split, n_frames = {"split": getattr(settings, role)}, 0
        for shard, own in of_role.items():
            counts = Counter(frames=0, samples=len(own), recordings_missing=0)
            rows = _rows(recordings, own, settings.n_sweeps, counts, folder)
            write_shard(out / f"{shard}.parquet", "frames", rows, facts | split, made_by, counts)
            n_frames += counts["frames"]
        if not n_frames:
            raise no_pictures(folder, split["split"])


def _rows(
    recordings: Recordings, samples: Sequence[Sample], n_sweeps: int, counts: Counter[str], folder: Path
) -> Iterator[Row]:
    """A scene's frame has the global frame's axes, and its origin where the LiDAR of its first sample was."""
    origins: dict[str, Matrix] = {}
    for sample in samples:
        seen = recordings.of_sample(sample.token)
        counts["recordings_missing"] += sum(LIDAR not in seen or camera not in seen for camera in CAMERAS)
        if LIDAR in seen:
            T_scene_from_points = recordings.T_global_from_sensor(seen[LIDAR])
            T_scene_from_points[:3, 3] -= origins.setdefault(sample.scene, T_scene_from_points[:3, 3].copy())
            for frame in _frames(recordings, sample, n_sweeps, T_scene_from_points):
                _check_camera(folder, frame)
                counts["frames"] += 1
                yield frame


def _check_camera(folder: Path, frame: Row) -> None:
    """As ``write_shard``, and with the tables that say it."""
    if complaint := intrinsics_complaint(tuple(frame["K"]), (frame["width"], frame["height"])):
        raise InputError(
            f"{folder}: {frame['camera']}, sample_data {frame['frame_id']}: {complaint}; K stands in table "
            "calibrated_sensor.json, width and height in sample_data.json"
        )


def _frames(recordings: Recordings, sample: Sample, n_sweeps: int, T_scene_from_points: Matrix) -> Iterator[Row]:
    """One row a camera of a sample (store.schemas.FRAMES)."""
    seen = recordings.of_sample(sample.token)
    T_global_from_points = recordings.T_global_from_sensor(seen[LIDAR])
    clouds = _clouds(recordings, seen[LIDAR], invert(T_global_from_points), n_sweeps)
    for channel in CAMERAS:
        if channel not in seen:
            continue
        image = seen[channel]
        # lidar → ego at the sweep's time → global → ego at the image's time → camera
        T_cam_from_points = invert(recordings.T_global_from_sensor(image)) @ T_global_from_points
        yield {
            "frame_id": image.token,
            "scene": sample.scene,
            "sample": sample.token,
            "camera": channel,
            "timestamp_us": image.timestamp_us,
            "image_path": image.path,
            "width": image.width,
            "height": image.height,
            "K": np.ravel(image.sensor.intrinsics).tolist(),
            "T_cam_from_points": T_cam_from_points.ravel().tolist(),
            "T_scene_from_points": T_scene_from_points.ravel().tolist(),
            "clouds": clouds,
        }


def _clouds(recordings: Recordings, lidar: Recording, T_points_from_global: Matrix, n_sweeps: int) -> list[Row]:
    """The key frame's own sweep and up to ``n_sweeps - 1`` before it; a scene's first key frames have fewer."""
    clouds: list[Row] = []
    sweep: Recording | None = lidar
    while sweep is not None:
        T = T_points_from_global @ recordings.T_global_from_sensor(sweep) if clouds else np.eye(4)
        clouds.append(
            {
                "path": sweep.path,
                "format": CLOUD_FORMAT,
                "T_points_from_cloud": T.ravel().tolist(),
                "time_lag_s": 1e-6 * (lidar.timestamp_us - sweep.timestamp_us),
                "depth": None,
            }
        )
        sweep = recordings.before(sweep) if len(clouds) < n_sweeps else None
    return clouds
