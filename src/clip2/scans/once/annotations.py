"""Stage `annotations` for ONCE: the human 3D boxes, for evaluation only, in files that no mining stage reads."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from clip2.geometry import rigid, yaw_rotation
from clip2.runtime.errors import InputError
from clip2.scans.benchmark_classes import ONCE_CLASSES
from clip2.scans.box_sense import MOST_TURN
from clip2.scans.once.files import AXES, Record, json_path, read_content, sequences_by_shard
from clip2.scans.once.settings import OnceSettings
from clip2.scans.shards import ROLES
from clip2.scans.tables import source_facts, write_shard
from clip2.store.provenance import provenance

MAX_NUMBER = 1e6
"""Metres (and radians); no box is so large or so far away."""


def run(root: Path, out: Path, source: str, settings: OnceSettings) -> None:
    """Write ``out/{shard}.parquet`` for every shard of both roles, boxes in the frame of the LiDAR's points."""
    facts = source_facts(source, root, "once", "lidar", AXES)
    for role in ROLES:
        split = {"split": getattr(settings, role)}
        for shard, sequences in sequences_by_shard(root, settings, role).items():
            counts = Counter(samples=0, samples_annotated=0, boxes_impossible=0)
            made_by = provenance(
                "annotations",
                settings.model_dump(mode="json"),
                {sequence: json_path(root, sequence) for sequence in sequences},
            )
            rows = (row for sequence in sequences for row in sequence_boxes(root, sequence, counts))
            write_shard(out / f"{shard}.parquet", "annotations", rows, facts | split, made_by, counts)


def sequence_boxes(root: Path, sequence: str, counts: Counter[str]) -> Iterator[Record]:
    """One row a box of a sequence (store.schemas.ANNOTATIONS); boxes without a size or a place are counted.

    Raises:
        InputError: names and boxes of a frame are not as many, boxes are not seven numbers, or turns not in radians.
    """
    path = json_path(root, sequence)
    for frame in read_content(path).frames:
        counts["samples"] += 1
        if frame.annos is None:
            continue
        counts["samples_annotated"] += 1
        names = frame.annos.get("names") or []
        try:
            boxes = np.asarray(frame.annos.get("boxes_3d") or [], np.float64).reshape(len(names), 7)
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                raise ValueError("names are not a list of words")
        except (ValueError, TypeError, OverflowError):
            raise InputError(
                f"{path}: frame {frame.frame_id}: `boxes_3d` is not as many boxes of 7 numbers as `names` are words; "
                "unpack it again"
            ) from None
        for index, (name, box) in enumerate(zip(names, boxes, strict=True)):
            if not np.isfinite(box).all() or (np.abs(box) > MAX_NUMBER).any() or (box[3:6] <= 0).any():
                counts["boxes_impossible"] += 1
                continue
            if abs(box[6]) > MOST_TURN:
                raise InputError(
                    f"{path}: frame {frame.frame_id}: a box is turned by {box[6]:g}, which are no radians; convert "
                    "degrees to radians"
                )
            yield _row(sequence, str(frame.frame_id), index, name, box)


def _row(sequence: str, frame: str, index: int, name: str, box: np.ndarray) -> Record:
    return {
        "annotation_id": f"{sequence}/{frame}/{index}",
        "scene": sequence,
        "sample": f"{sequence}/{frame}",
        "instance": None,  # ONCE follows nothing through its frames
        "category": name,
        "class_name": class_name if (class_name := name.strip().lower()) in ONCE_CLASSES else None,
        "fine_name": None,
        "T_points_from_box": rigid(yaw_rotation(box[6]), box[:3]).ravel().tolist(),
        "size_lwh": box[3:6].tolist(),
        "num_lidar_pts": -1,
        "num_radar_pts": -1,
        "visibility": None,
        "ego_distance_m": float(np.hypot(box[0], box[1])),
        "in_bicycle_rack": False,
    }
