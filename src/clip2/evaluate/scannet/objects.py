"""Stage `objects` for ScanNet: the instances that people marked → the evaluation's queries (17 classes, top-1).

An object's points are the mesh vertices of its mask in the axis-aligned scene; its picture is the frame that shows most
of these vertices unoccluded.
"""

import logging
from collections import Counter
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clip2.evaluate.scannet.settings import ScannetObjectsSettings
from clip2.evaluate.scannet.views import NO_FRAME, scene_pictures
from clip2.runtime.console import progress
from clip2.runtime.errors import InputError
from clip2.scans.scannet.files import labels_file
from clip2.scans.scannet.mesh import Instance, is_marked, read_classes, read_marked_scene
from clip2.store.bad_frames import BadFrames
from clip2.store.provenance import provenance
from clip2.store.ragged import RaggedWriter, ragged_writer
from clip2.store.schemas import OBJECTS
from clip2.store.tables import TableWriter, iterate_rows, read_header, table_writer

log = logging.getLogger(__name__)

Row = dict[str, Any]
COPIED = ("source", "source_kind", "dataset", "split", "sensor", "units", "axes")


def run(frames: Path, data_root: Path, out: Path, out_points: Path, settings: ScannetObjectsSettings) -> None:
    """Write the objects of one shard. Marked objects in = objects out + the sum of ``skipped`` in the header.

    Args:
        frames: the shard's Parquet file; its header names the scenes, so that those without a recording count too.
        data_root: the ScanNet data root.
        out, out_points: the objects' Parquet (store.schemas.OBJECTS) and HDF5 files, scene by scene.

    Raises:
        InputError: a scene's mesh, segments or marks are damaged or do not belong together.
    """
    header = read_header(frames)
    if header.get("dataset") != "scannet" or "scenes" not in header:
        raise InputError(f"{frames}: frames of {header.get('dataset')}, not of scannet; give what its `ingest` wrote")
    classes = read_classes(data_root)
    bad = BadFrames(settings.max_bad_share)
    counts, skipped = Counter(scenes=0, scenes_not_marked=0, frames=0, annotations=0), Counter[str]()
    views = groupby(iterate_rows(frames), key=lambda frame: frame["scene"])
    ahead = next(views, None)
    with ragged_writer(out_points) as points_writer, table_writer(out, OBJECTS, group_size=128) as table:
        for scene in progress(header["scenes"], "scenes", len(header["scenes"])):
            seen_by: list[Row] = []
            if ahead is not None and ahead[0] == scene:  # a scene without a recording has no frames
                seen_by, ahead = list(ahead[1]), next(views, None)
            counts["frames"] += len(seen_by)
            if is_marked(data_root, scene):
                counts["scenes"] += 1
                writers = (table, points_writer)
                counts["annotations"] += _scene(data_root, scene, seen_by, classes, settings, writers, skipped, bad)
            else:
                counts["scenes_not_marked"] += 1
        if ahead is not None:
            raise InputError(f"{frames}: frames of {ahead[0]} are out of order; delete it and run `ingest` again")
        bad.check(counts["frames"])
        table.header = points_writer.header = {
            "kind": "objects",
            **{key: header[key] for key in COPIED},
            "protocol": settings.model_dump(mode="json"),
            "queries": "mesh vertices of the human instance masks",
            "clouds_per_sample": 1,
            "counts": {**counts, "objects": table.n_rows},
            "skipped": dict(sorted(skipped.items())),
            "bad_frames": bad.header(),
            "provenance": provenance(
                "objects",
                settings.model_dump(mode="json"),
                {"frames": frames, "labels": labels_file(data_root)},
                ("opencv-python-headless",),
            ),
        }
    log.info("%s: %d objects of %d, skipped: %s", out.name, table.n_rows, counts["annotations"], dict(skipped))


def _scene(
    root: Path,
    scene: str,
    frames: list[Row],
    classes: dict[str, str | None],
    settings: ScannetObjectsSettings,
    writers: tuple[TableWriter, RaggedWriter],
    skipped: Counter[str],
    bad: BadFrames,
) -> int:
    """Append the objects of one scene; how many people marked in it."""
    marked = read_marked_scene(root, scene, classes)
    skipped.update({"repeated": marked.n_repeated} if marked.n_repeated else {})
    asked: list[tuple[Instance, NDArray[np.float32]]] = []
    for instance in marked.instances:
        if instance.class_name is None:
            skipped["not_in_benchmark"] += 1
        elif len(instance.vertices) < settings.min_points:
            skipped["few_points" if len(instance.vertices) else "no_points"] += 1
        else:
            asked.append((instance, marked.vertices[instance.vertices]))
    pictures = scene_pictures([points for _, points in asked], frames, root, settings.min_visible_share, bad)
    for (instance, points), picture in zip(asked, pictures):
        if settings.in_camera_only and picture is NO_FRAME:
            skipped["no_camera"] += 1
            continue
        writers[0].append(_object_row(scene, instance, points) | picture)
        writers[1].append(points)
    return len(marked.instances) + marked.n_repeated


def _object_row(scene: str, instance: Instance, points: NDArray[np.float32]) -> Row:
    return {
        "object_id": f"{scene}/{instance.object_id}",
        "scene": scene,
        "sample": scene,
        "category": instance.label,
        "class_name": instance.class_name,
        "fine_name": None,
        "n_points": len(points),
        "size_lwh": (points.max(0) - points.min(0)).tolist(),
    }
