"""Stage `annotations` for ScanNet: boxes of the objects that people marked, for evaluation only.

People marked the mesh of a whole scene, not its frames: a row's ``sample`` is the scene's ID (one pseudo-sample a
scene), and its box is the axis-aligned one around the object's vertices in the axis-aligned scene (VoteNet's
convention). No sensor stands in a scene, so ``ego_distance_m`` is NaN.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from clip2.geometry import rigid
from clip2.scans.scannet.files import AXES, has_scene, labels_file, scenes_by_shard, split_lists
from clip2.scans.scannet.mesh import is_marked, read_classes, read_marked_scene
from clip2.scans.scannet.settings import ScannetSettings
from clip2.scans.shards import ROLES
from clip2.scans.tables import source_facts, write_shard
from clip2.store.provenance import provenance


def run(root: Path, out: Path, source: str, settings: ScannetSettings) -> None:
    """Write ``out/{shard}.parquet`` for every shard of both roles."""
    classes = read_classes(root)
    lists = split_lists(root, settings.train, settings.val)
    made_by = provenance("annotations", settings.model_dump(mode="json"), {"labels": labels_file(root), **lists})
    facts = source_facts(source, root, "scannet", "rgbd", AXES)
    for role in ROLES:
        split = {"split": getattr(settings, role)}
        for shard, scenes in scenes_by_shard(root, settings, role).items():
            there = [scene for scene in scenes if has_scene(root, scene)]
            marked = [scene for scene in there if is_marked(root, scene)]
            counts = Counter(
                scenes=len(there),
                scenes_missing=len(scenes) - len(there),
                scenes_not_marked=len(there) - len(marked),
                objects_repeated=0,
                objects_without_vertices=0,
                objects_of_no_known_label=0,
            )
            rows = (row for scene in marked for row in _annotations(root, scene, classes, counts))
            write_shard(out / f"{shard}.parquet", "annotations", rows, facts | split, made_by, counts)


def _annotations(
    root: Path, scene: str, classes: dict[str, str | None], counts: Counter[str]
) -> Iterator[dict[str, Any]]:
    """One row an object of a scene (store.schemas.ANNOTATIONS)."""
    marked = read_marked_scene(root, scene, classes)
    counts["objects_repeated"] += marked.n_repeated
    for instance in marked.instances:
        if not len(instance.vertices):
            counts["objects_without_vertices"] += 1
            continue
        counts["objects_of_no_known_label"] += instance.label not in classes
        vertices = marked.vertices[instance.vertices].astype(np.float64)
        low, high = vertices.min(0), vertices.max(0)
        name = f"{scene}/{instance.object_id}"
        yield {
            "annotation_id": name,
            "scene": scene,
            "sample": scene,
            "instance": name,
            "category": instance.label,
            "class_name": instance.class_name,
            "fine_name": None,
            "T_points_from_box": rigid(np.eye(3), (low + high) / 2).ravel().tolist(),
            "size_lwh": (high - low).tolist(),
            "num_lidar_pts": -1,
            "num_radar_pts": -1,
            "visibility": None,
            "ego_distance_m": float("nan"),
            "in_bicycle_rack": False,
        }
