"""Stage `annotations` for nuScenes: the human 3D boxes, for evaluation only, in files that no mining stage reads."""

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from nuscenes.eval.detection.constants import DETECTION_NAMES
from nuscenes.eval.detection.utils import category_to_detection_name

from clip2.geometry import invert, points_in_oriented_box
from clip2.scans.box_sense import standing
from clip2.scans.nuscenes.boxes import Box, Boxes
from clip2.scans.nuscenes.samples import Sample, samples_by_shard
from clip2.scans.nuscenes.settings import NuscenesSettings
from clip2.scans.nuscenes.tables import AXES, LIDAR, Matrix, Recordings, pose_matrix, read_scenes, table_folder
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
    folder = table_folder(root, settings.version)
    scenes = read_scenes(folder)
    shards = {role: samples_by_shard(folder, scenes, settings, role) for role in ROLES}
    # A sample can be of both roles.
    tokens = list(dict.fromkeys(s.token for of_role in shards.values() for shard in of_role.values() for s in shard))
    recordings, boxes = Recordings(folder, tokens, (LIDAR,)), Boxes(folder, tokens)
    if boxes.n_elsewhere and not len(boxes):
        table = folder / "sample_annotation.json"
        print(f"clip2: note: {table}: none of its {boxes.n_elsewhere} boxes is of train or val", file=sys.stderr)
    made_by = provenance(
        "annotations",
        settings.model_dump(mode="json"),
        {name: folder / f"{name}.json" for name in TABLES},
        ("nuscenes-devkit", "pyquaternion"),
    )
    facts = source_facts(source, root, "nuscenes", "lidar", AXES)
    for role, of_role in shards.items():
        split = {"split": getattr(settings, role)}
        for shard, samples in of_role.items():
            recorded = [sample for sample in samples if LIDAR in recordings.of_sample(sample.token)]
            counts = Counter(samples=len(samples), boxes_impossible=0)
            found = (sample_boxes(recordings, boxes, sample, settings.categories, counts) for sample in recorded)
            rows = standing(chain.from_iterable(found), folder / "sample_annotation.json")
            write_shard(out / f"{shard}.parquet", "annotations", rows, facts | split, made_by, counts)


def class_of(category: str, categories: Mapping[str, str]) -> str | None:
    """The detection class of a category.

    Args:
        categories: category → nuScenes' category or detection class, for those of other data sets.
    """
    name = categories.get(category, category)
    return name if name in DETECTION_NAMES else category_to_detection_name(name)


def sample_boxes(
    recordings: Recordings, boxes: Boxes, sample: Sample, categories: Mapping[str, str], counts: Counter[str]
) -> Iterator[dict[str, Any]]:
    """One row a box of a sample that has a sweep (store.schemas.ANNOTATIONS); boxes without a size are counted."""
    lidar = recordings.of_sample(sample.token)[LIDAR]
    T_points_from_global = invert(recordings.T_global_from_sensor(lidar))
    ego_position = recordings.ego_position(lidar)
    own = list(boxes.of_sample(sample.token))
    racks = [(_T_global_from_box(box), _size_lwh(box)) for box in own if box.instance.category == BICYCLE_RACK]
    for box in own:
        if min(box.size_wlh) <= 0:
            counts["boxes_impossible"] += 1
            continue
        centre = np.array([box.translation])
        yield {
            "annotation_id": box.token,
            "scene": sample.scene,
            "sample": sample.token,
            "instance": box.instance.token,
            "category": box.instance.category,
            "class_name": class_of(box.instance.category, categories),
            "fine_name": box.instance.fine_name,
            "T_points_from_box": (T_points_from_global @ _T_global_from_box(box)).ravel().tolist(),
            "size_lwh": _size_lwh(box),
            "num_lidar_pts": box.num_lidar_pts,
            "num_radar_pts": box.num_radar_pts,
            "visibility": box.visibility,
            # As eval.common.loaders.add_center_dist: horizontal distance from the ego frame's origin.
            "ego_distance_m": float(np.hypot(*(centre[0] - ego_position)[:2])),
            # As eval.common.loaders.filter_eval_boxes: the centre lies in a rack's box.
            "in_bicycle_rack": any(points_in_oriented_box(centre, T, size)[0] for T, size in racks),
        }


def _T_global_from_box(box: Box) -> Matrix:
    return pose_matrix(box.rotation, box.translation)


def _size_lwh(box: Box) -> list[float]:
    width, length, height = box.size_wlh
    return [length, width, height]
