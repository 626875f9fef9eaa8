"""Stage `objects`: human boxes of one shard → the evaluation's queries, each with its points and its best picture."""

import logging
import sys
from collections import Counter, defaultdict
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clip2.evaluate.boxes import BoxSearch, annotation_corners
from clip2.evaluate.settings import ObjectsSettings
from clip2.geometry import project_box
from clip2.runtime.console import progress
from clip2.runtime.errors import InputError
from clip2.scans.box_sense import ENOUGH, MOST_EMPTY, Hits
from clip2.scans.clouds import CloudError, load_points
from clip2.scans.images import ImageError, read_frame_image
from clip2.scans.sanity import FrameCheck
from clip2.scans.windows import square_window_jpeg
from clip2.store.bad_frames import BadFrames
from clip2.store.provenance import provenance
from clip2.store.ragged import ragged_writer
from clip2.store.schemas import OBJECTS
from clip2.store.tables import iterate_rows, read_header, read_table, table_writer

log = logging.getLogger(__name__)

Row = dict[str, Any]
NO_CAMERA: Row = {"camera": None, "box": [float("nan")] * 4, "image": None}
"""Parquet holds no null where a list's length is fixed: the box of an unseen object is NaN."""


def run(
    frames: Path, annotations: Path, data_root: Path, out: Path, out_points: Path, settings: ObjectsSettings
) -> None:
    """Write the objects of one shard. Annotations in = objects out + the sum of ``skipped`` in the header.

    Args:
        frames, annotations: the shard's Parquet files.
        data_root: folder that the frames' paths are relative to.
        out, out_points: the objects' Parquet (store.schemas.OBJECTS) and HDF5 files, in the annotations' order.
    """
    asked, skipped = _select(annotations, settings)
    n_annotations = sum(map(len, asked.values())) + skipped.total()
    bad = BadFrames(settings.max_bad_share)
    n_frames, clouds_used = 0, 0
    sense, hits = FrameCheck(read_header(frames)["sensor"], str(frames)), Hits()
    rows = progress(iterate_rows(frames), "frames", read_table(frames, columns=[]).num_rows)
    with ragged_writer(out_points) as points_writer, table_writer(out, OBJECTS) as table:
        for sample, group in groupby(rows, key=lambda frame: frame["sample"]):
            views = list(group)
            n_frames += len(views)
            boxes = asked.pop(sample, [])
            if not boxes:
                continue
            clouds = views[0]["clouds"][: settings.max_clouds or None]
            clouds_used = max(clouds_used, len(clouds))
            try:
                points = load_points(clouds, data_root, settings.min_sweep_range)
            except CloudError as error:
                for view in views:
                    bad.add(view["frame_id"], error.reason, str(error))
                skipped[error.reason] += len(boxes)
                continue
            sense.add(views[0], points)
            search, pictures = BoxSearch(points), Pictures(views, data_root, settings.min_view_share, bad)
            for box in boxes:
                crop = points[search.inside(box, settings.margin_m)]
                hits.add(box, len(crop))
                if len(crop) < settings.min_points:
                    skipped["few_points" if len(crop) else "no_points"] += 1
                    continue
                picture = pictures.best(box)
                if settings.in_camera_only and picture["camera"] is None:
                    skipped["no_camera"] += 1
                    continue
                table.append(_object_row(box, len(crop)) | picture)
                points_writer.append(crop)
        bad.check(n_frames)
        sense.finish()
        if complaint := hits.complaint(ENOUGH, MOST_EMPTY):
            raise InputError(f"{annotations}: {complaint}; `clip2 check SOURCE` shows the figures")
        if asked:  # Ingest leaves out samples whose recordings are missing.
            skipped["sample_without_frames"] += sum(map(len, asked.values()))
        header, of_boxes = read_header(frames), read_header(annotations)
        table.header = points_writer.header = {
            "kind": "objects",
            **{key: header[key] for key in ("source", "source_kind", "dataset", "split", "sensor", "units", "axes")},
            **({"classes": of_boxes["classes"]} if "classes" in of_boxes else {}),
            "protocol": settings.model_dump(mode="json"),
            "clouds_per_sample": clouds_used,
            "counts": {"annotations": n_annotations, "objects": table.n_rows},
            "skipped": dict(sorted(skipped.items())),
            "bad_frames": bad.header(),
            "provenance": provenance(
                "objects",
                settings.model_dump(mode="json"),
                {"frames": frames, "annotations": annotations},
                ("opencv-python-headless",),
            ),
        }
    if remark := hits.remark(ENOUGH):
        print(f"clip2: note: {annotations}: {remark}", file=sys.stderr)
    log.info("%s: %d objects of %d boxes, skipped: %s", out.name, table.n_rows, n_annotations, dict(skipped))


def _select(annotations: Path, settings: ObjectsSettings) -> tuple[dict[str, list[Row]], Counter[str]]:
    """Annotations that pass the filters that need no points, by sample, and the counts of the others.

    Raises:
        InputError: all lie beyond their classes' range.
    """
    asked: dict[str, list[Row]] = defaultdict(list)
    skipped: Counter[str] = Counter()
    class_range = settings.ranges(read_header(annotations)["dataset"])
    for row in iterate_rows(annotations):
        reason = _reason_to_skip(row, settings, class_range)
        if reason:
            skipped[reason] += 1
        else:
            asked[row["sample"]].append(row)
    if not asked and (beyond := skipped["beyond_class_range"]) >= ENOUGH:
        raise InputError(
            f"{annotations}: each of the {beyond} boxes of the classes is farther away than its class_range: boxes and "
            "poses are not in the same axes or units; `clip2 check SOURCE` looks at them"
        )
    return asked, skipped


def _reason_to_skip(row: Row, settings: ObjectsSettings, class_range: dict[str, float]) -> str | None:
    if row["class_name"] is None and not settings.include_other:
        return "not_in_benchmark"
    if row["ego_distance_m"] >= class_range.get(row["class_name"], np.inf):  # the devkit keeps `<`
        return "beyond_class_range"
    if settings.official_filters and row["num_lidar_pts"] + row["num_radar_pts"] == 0:
        return "no_sensor_points"
    if settings.official_filters and row["in_bicycle_rack"] and row["class_name"] in ("bicycle", "motorcycle"):
        return "in_bicycle_rack"
    if settings.visibility and row["visibility"] not in settings.visibility:
        return "visibility"
    return None


def _object_row(box: Row, n_points: int) -> Row:
    copied = ("scene", "sample", "category", "class_name", "fine_name", "ego_distance_m", "size_lwh")
    return {"object_id": box["annotation_id"], **{key: box[key] for key in copied}, "n_points": n_points}


class Pictures:
    """The images of one sample, decoded when first asked for."""

    def __init__(self, views: list[Row], data_root: Path, min_share: float, bad: BadFrames) -> None:
        self._views, self._root, self._min_share, self._bad = views, data_root, min_share, bad
        self._images: dict[str, NDArray[np.uint8] | None] = {}

    def best(self, box: Row) -> Row:
        """``camera``, ``box`` and ``image`` of the view that shows most of a box, in pixels, or NO_CAMERA."""
        corners = annotation_corners(box)
        seen = []
        for view in self._views:
            T, K = np.reshape(view["T_cam_from_points"], (4, 4)), np.reshape(view["K"], (3, 3))
            projected = project_box(corners, T, K, (view["width"], view["height"]))
            if projected is not None and projected[1] >= self._min_share:
                xyxy = projected[0]
                seen.append((float(np.prod(xyxy[2:] - xyxy[:2])), view, xyxy))
        for _, view, xyxy in sorted(seen, key=lambda item: -item[0]):
            image = self._image(view)
            if image is not None:
                return {"camera": view["camera"], "box": xyxy.tolist(), "image": square_window_jpeg(image, xyxy)}
        return NO_CAMERA

    def _image(self, view: Row) -> NDArray[np.uint8] | None:
        key = view["frame_id"]
        if key not in self._images:
            try:
                self._images[key] = read_frame_image(self._root, view)
            except ImageError as error:
                self._bad.add(key, error.reason, str(error))
                self._images[key] = None
        return self._images[key]
