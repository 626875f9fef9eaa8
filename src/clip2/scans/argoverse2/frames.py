"""Stage `ingest` for Argoverse 2: logs → frames. Human annotations are read elsewhere (argoverse2.annotations)."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from clip2.geometry import invert
from clip2.runtime.errors import InputError
from clip2.scans.argoverse2.files import (
    AXES,
    CAMERAS,
    CLOUD_FORMAT,
    INTRINSICS,
    PLACES,
    POSES,
    Camera,
    Log,
    Matrix,
    Poses,
    Record,
    Sample,
    logs_by_shard,
    made_of,
    read_cameras,
)
from clip2.scans.argoverse2.settings import Argoverse2Settings
from clip2.scans.clouds import own_cloud
from clip2.scans.shards import ROLES
from clip2.scans.tables import source_facts, write_shard
from clip2.store.provenance import provenance


def run(root: Path, out: Path, source: str, settings: Argoverse2Settings) -> None:
    """Write ``out/{shard}.parquet`` for every shard of both roles.

    Args:
        root: data root: the folder that holds ``train``, ``val`` and ``test``.
        source: name of the source, for the headers.
    """
    facts = source_facts(source, root, "argoverse2", "lidar", AXES)
    for role in ROLES:
        split, n_frames = {"split": getattr(settings, role)}, 0
        for shard, logs in logs_by_shard(root, settings, role).items():
            counts = Counter(samples=0, images_missing=0, poses_missing=0)
            rows = (row for log in logs for row in _log_frames(log, settings.every, counts))
            made_by = provenance(
                "ingest", settings.model_dump(mode="json"), made_of(logs, POSES, INTRINSICS, PLACES), ("pyarrow",)
            )
            write_shard(out / f"{shard}.parquet", "frames", rows, facts | split, made_by, counts)
            n_frames += counts["frames"]
        if not n_frames:
            raise InputError(
                f"{root}: {split['split']!r} gives no picture with a sweep and a pose; look at it with `clip2 check`"
            )


def _log_frames(log: Log, every: int, counts: Counter[str]) -> Iterator[Record]:
    """A scene's frame has the city's axes, and its origin where the vehicle was at the log's first sweep."""
    cameras, poses = {camera.name: camera for camera in read_cameras(log)}, Poses(log)
    origin: Matrix | None = None
    for sample in log.samples(every):
        counts["samples"] += 1
        counts["images_missing"] += len(CAMERAS) - len(sample.pictures)
        T_city_from_points = poses.at(sample.sweep_ns)
        if T_city_from_points is None:
            counts["poses_missing"] += 1 + len(sample.pictures)
            continue
        origin = T_city_from_points[:3, 3].copy() if origin is None else origin
        for name, picture_ns in sample.pictures.items():
            T_city_from_ego = poses.at(picture_ns)
            if T_city_from_ego is None or name not in cameras:
                counts["poses_missing"] += 1
                continue
            counts["frames"] += 1
            yield _frame(log, sample, cameras[name], T_city_from_points, T_city_from_ego, origin)


def _frame(
    log: Log, sample: Sample, camera: Camera, T_city_from_points: Matrix, T_city_from_ego: Matrix, origin: Matrix
) -> Record:
    """One picture (store.schemas.FRAMES): vehicle at the sweep's time → city → vehicle at the picture's → camera."""
    picture_ns = sample.pictures[camera.name]
    T_cam_from_points = camera.T_cam_from_ego @ invert(T_city_from_ego) @ T_city_from_points
    T_scene_from_points = T_city_from_points.copy()
    T_scene_from_points[:3, 3] -= origin
    return {
        "frame_id": f"{log.name}/{sample.sweep_ns}/{camera.name}",
        "scene": log.name,
        "sample": f"{log.name}/{sample.sweep_ns}",
        "camera": camera.name,
        "timestamp_us": picture_ns // 1000,
        "image_path": log.image_path(camera.name, picture_ns),
        "width": camera.size[0],
        "height": camera.size[1],
        "K": camera.K.ravel().tolist(),
        "T_cam_from_points": T_cam_from_points.ravel().tolist(),
        "T_scene_from_points": T_scene_from_points.ravel().tolist(),
        "clouds": [own_cloud(log.cloud_path(sample.sweep_ns), CLOUD_FORMAT)],
        "lens": None,
    }
