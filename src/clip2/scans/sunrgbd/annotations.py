"""Stage `annotations` for SUN RGB-D: the human 3D boxes, for evaluation only, in files that no mining stage reads."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from clip2.runtime.errors import InputError
from clip2.scans.benchmark_classes import SUNRGBD_CLASSES
from clip2.scans.shards import ROLES
from clip2.scans.sunrgbd.boxes import Box, read_boxes
from clip2.scans.sunrgbd.files import names_by_shard, open_release
from clip2.scans.sunrgbd.recordings import AXES, Release
from clip2.scans.sunrgbd.settings import SunrgbdSettings
from clip2.scans.tables import source_facts, write_shard
from clip2.store.provenance import provenance


def run(root: Path, out: Path, source: str, settings: SunrgbdSettings) -> None:
    """Write ``out/{shard}.parquet`` for every shard of both roles, boxes in the frame of their picture's points.

    Raises:
        InputError: no frame at all is annotated.
    """
    release = open_release(root, settings)
    if all(recording.labels is None for recording in release.recordings.values()):
        raise InputError(f"{root} ({release.layout}): no frame has human boxes; they should be in {release.boxes_from}")
    made_by = provenance("annotations", settings.model_dump(mode="json"), release.tables)
    facts = source_facts(source, root, "sunrgbd", "rgbd", AXES) | {
        "layout": release.layout,
        "boxes_from": release.boxes_from,
    }
    for role in ROLES:
        split = {"split": getattr(settings, role)}
        for shard, names in names_by_shard(release, settings, role).items():
            counts = Counter(samples=len(names), samples_without_boxes=0, samples_not_there=0, boxes_malformed=0)
            rows = _rows(release, names, counts)
            write_shard(out / f"{shard}.parquet", "annotations", rows, facts | split, made_by, counts)


def _rows(release: Release, names: list[str], counts: Counter[str]) -> Iterator[dict[str, Any]]:
    for name in names:
        recording = release.recordings.get(name)
        if recording is None:
            counts["samples_not_there"] += 1
            continue
        boxes = read_boxes(recording.labels)
        counts["samples_without_boxes"] += not boxes
        counts["boxes_malformed"] += boxes.count(None)
        yield from (_row(name, index, box) for index, box in enumerate(boxes) if box is not None)


def _row(name: str, index: int, box: Box) -> dict[str, Any]:
    """One box (store.schemas.ANNOTATIONS)."""
    return {
        "annotation_id": f"{name}/{index}",
        "scene": name,
        "sample": name,
        "instance": f"{name}/{index}",
        "category": box.category,
        # As in VoteNet, a box counts where its raw name is one of the ten.
        "class_name": box.category if box.category in SUNRGBD_CLASSES else None,
        "fine_name": box.fine_name,
        "T_points_from_box": box.T_points_from_box.ravel().tolist(),
        "size_lwh": box.size_lwh.tolist(),
        "num_lidar_pts": -1,
        "num_radar_pts": -1,
        "visibility": None,
        "ego_distance_m": float(np.hypot(*box.T_points_from_box[:2, 3])),
        "in_bicycle_rack": False,
    }
