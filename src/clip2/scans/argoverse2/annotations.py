"""Stage `annotations` for Argoverse 2: the human 3D boxes, for evaluation only, in files that no mining stage reads."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from clip2.runtime.errors import InputError
from clip2.scans.argoverse2.files import AXES, POSE_COLUMNS, Log, Record, logs_by_shard, made_of, poses_of, read_columns
from clip2.scans.argoverse2.settings import Argoverse2Settings
from clip2.scans.benchmark_classes import ARGOVERSE2_CLASSES
from clip2.scans.box_sense import standing
from clip2.scans.shards import ROLES
from clip2.scans.tables import source_facts, write_shard
from clip2.store.provenance import provenance

BOXES = "annotations.feather"
SIZES = ("length_m", "width_m", "height_m")


def run(root: Path, out: Path, source: str, settings: Argoverse2Settings) -> None:
    """Write ``out/{shard}.parquet`` for every shard of both roles, boxes in the frame of the sweep's points."""
    facts = source_facts(source, root, "argoverse2", "lidar", AXES)
    for role in ROLES:
        split = {"split": getattr(settings, role)}
        for shard, logs in logs_by_shard(root, settings, role).items():
            counts = Counter(samples=0, samples_annotated=0, boxes_impossible=0, boxes_repeated=0)
            made_by = provenance("annotations", settings.model_dump(mode="json"), made_of(logs, BOXES), ("pyarrow",))
            rows = standing((row for log in logs for row in log_boxes(log, settings.every, counts)), root)
            write_shard(out / f"{shard}.parquet", "annotations", rows, facts | split, made_by, counts)


def log_boxes(log: Log, every: int, counts: Counter[str]) -> Iterator[Record]:
    """One row a box of the sweeps that are used (store.schemas.ANNOTATIONS); boxes without a size, and those that are
    there twice, are counted.

    Raises:
        InputError: the file is damaged, or of other sweeps.
    """
    recorded = log.sweeps()
    sweeps = set(recorded[::every])
    counts["samples"] += len(sweeps)
    path = log.folder / BOXES
    if not path.is_file():  # the test split's are kept back
        return
    columns = read_columns(path, "timestamp_ns", "track_uuid", "category", *SIZES, *POSE_COLUMNS, "num_interior_pts")
    try:
        T_points_from_box = poses_of(columns)
    except ValueError as error:
        raise InputError(f"{path}: {error}; unpack the log again") from None
    times = columns["timestamp_ns"].tolist()
    if times and recorded and not set(recorded).intersection(times):
        raise InputError(
            f"{path}: none of its {len(times)} boxes is at the time of a sweep: timestamp_ns has to be in nanoseconds, "
            f"a whole number as the sweeps' files are called ({recorded[0]}), and is {times[0]}"
        )
    counts["samples_annotated"] += len(sweeps.intersection(times))
    seen: set[tuple[int, str]] = set()
    for i, time in enumerate(times):
        if time not in sweeps:
            continue
        size = [float(columns[key][i]) for key in SIZES]
        if min(size) <= 0:
            counts["boxes_impossible"] += 1
            continue
        if (one := (time, columns["track_uuid"][i])) in seen:
            counts["boxes_repeated"] += 1
            continue
        seen.add(one)
        category, T = columns["category"][i].strip(), T_points_from_box[i]
        yield {
            "annotation_id": f"{log.name}/{time}/{columns['track_uuid'][i]}",
            "scene": log.name,
            "sample": f"{log.name}/{time}",
            "instance": f"{log.name}/{columns['track_uuid'][i]}",
            "category": category,
            "class_name": category.lower() if category.lower() in ARGOVERSE2_CLASSES else None,
            "fine_name": None,
            "T_points_from_box": T.ravel().tolist(),
            "size_lwh": size,
            "num_lidar_pts": int(columns["num_interior_pts"][i]),
            "num_radar_pts": 0,
            "visibility": None,
            "ego_distance_m": float(np.hypot(T[0, 3], T[1, 3])),
            "in_bicycle_rack": False,
        }
