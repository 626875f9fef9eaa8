"""Stage `annotations` for nuScenes: the human 3D boxes, for evaluation only, in files that no mining stage reads."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from nuscenes.eval.detection.utils import category_to_detection_name
from nuscenes.nuscenes import NuScenes

from clip2.geometry import invert, points_in_oriented_box
from clip2.scans.nuscenes.settings import NuscenesSettings
from clip2.scans.nuscenes.tables import (
    AXES,
    LIDAR,
    Record,
    T_global_from_sensor,
    open_nuscenes,
    pose_matrix,
    samples_by_shard,
)
from clip2.scans.shards import ROLES
from clip2.scans.tables import source_facts, write_shard
from clip2.store.provenance import provenance

BICYCLE_RACK = "static_object.bicycle_rack"
TABLES = (
    "scene",
    "sample",
    "sample_data",
    "calibrated_sensor",
    "ego_pose",
    "sample_annotation",
    "instance",
    "category",
)
"""The tables whose content decides the annotations."""


def run(root: Path, out: Path, source: str, settings: NuscenesSettings) -> None:
    """Write ``out/{shard}.parquet`` for every shard of both roles, boxes in the frame of the sample's LiDAR points."""
    nusc = open_nuscenes(root, settings.version)
    made_by = provenance(
        "annotations",
        settings.model_dump(mode="json"),
        {name: root / settings.version / f"{name}.json" for name in TABLES},
        ("nuscenes-devkit", "pyquaternion"),
    )
    facts = source_facts(source, root, "nuscenes", "lidar", AXES)
    for role in ROLES:
        split = {"split": getattr(settings, role)}
        for shard, samples in samples_by_shard(nusc, settings, role).items():
            recorded = [sample for sample in samples if LIDAR in sample["data"]]
            rows = (row for sample in recorded for row in _annotations(nusc, sample))
            write_shard(
                out / f"{shard}.parquet", "annotations", rows, facts | split, made_by, {"samples": len(samples)}
            )


def _annotations(nusc: NuScenes, sample: Record) -> Iterator[Record]:
    """One row a box of a sample (store.schemas.ANNOTATIONS)."""
    lidar = nusc.get("sample_data", sample["data"][LIDAR])
    T_points_from_global = invert(T_global_from_sensor(nusc, lidar))
    ego_position = np.array(nusc.get("ego_pose", lidar["ego_pose_token"])["translation"])
    scene = nusc.get("scene", sample["scene_token"])["name"]
    boxes = [nusc.get("sample_annotation", token) for token in sample["anns"]]
    racks = [(pose_matrix(box), _size_lwh(box)) for box in boxes if box["category_name"] == BICYCLE_RACK]
    for box in boxes:
        centre = np.array([box["translation"]])
        yield {
            "annotation_id": box["token"],
            "scene": scene,
            "sample": sample["token"],
            "instance": box["instance_token"],
            "category": box["category_name"],
            "class_name": category_to_detection_name(box["category_name"]),
            "fine_name": nusc.get("instance", box["instance_token"]).get("fine_name"),
            "T_points_from_box": (T_points_from_global @ pose_matrix(box)).ravel().tolist(),
            "size_lwh": _size_lwh(box),
            "num_lidar_pts": box["num_lidar_pts"],
            "num_radar_pts": box["num_radar_pts"],
            "visibility": _visibility(nusc, box),
            # As eval.common.loaders.add_center_dist: horizontal distance from the ego frame's origin.
            "ego_distance_m": float(np.hypot(*(centre[0] - ego_position)[:2])),
            # As eval.common.loaders.filter_eval_boxes: the centre lies in a rack's box.
            "in_bicycle_rack": any(points_in_oriented_box(centre, T, size)[0] for T, size in racks),
        }


def _size_lwh(box: Record) -> list[float]:
    width, length, height = box["size"]
    return [length, width, height]


def _visibility(nusc: NuScenes, box: Record) -> str | None:
    token = box["visibility_token"]
    return nusc.get("visibility", token)["level"] if token else None
