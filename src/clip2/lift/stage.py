"""Stage `lift`: detections and points → self-contained (text, image crop, point crop) triplets."""

import logging
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from clip2.lift import lift_boxes
from clip2.lift.merge import Crop, ViewMerger, thinned
from clip2.lift.sensor import METHOD_OF_SENSOR
from clip2.lift.settings import LiftSettings
from clip2.runtime.console import progress
from clip2.runtime.errors import InputError
from clip2.scans.clouds import Cloud, CloudError, load_points
from clip2.scans.images import ImageError, read_frame_image
from clip2.scans.sanity import FrameCheck
from clip2.scans.windows import square_window_jpeg
from clip2.store.bad_frames import BadFrames
from clip2.store.provenance import provenance
from clip2.store.ragged import ragged_writer
from clip2.store.rle import decode
from clip2.store.schemas import TRIPLETS
from clip2.store.tables import iterate_rows, read_header, read_table, table_writer

log = logging.getLogger(__name__)

Row = dict[str, Any]


def run(
    frames: Path,
    detections: Path,
    data_root: Path,
    out: Path,
    out_points: Path,
    settings: LiftSettings,
    masks: Path | None = None,
) -> None:
    """Lift one shard. Boxes in = triplets out + the sum of the losses + the merged views that the header names.

    Args:
        frames, detections: the shard's Parquet files.
        data_root: folder that the frames' paths are relative to.
        out, out_points: the triplets' Parquet and HDF5 files.
        masks: of these detections, a row for each; None to lift whole boxes.
    """
    header = read_header(frames)
    arguments = _arguments(settings, header["sensor"])
    boxes: dict[str, list[Row]] = defaultdict(list)
    for row in _with_masks(detections, masks) if masks else iterate_rows(detections):
        boxes[row["frame_id"]].append(row)
    counts: Counter[str] = Counter(boxes=sum(map(len, boxes.values())))
    bad = BadFrames(settings.max_bad_share)
    sense = FrameCheck(header["sensor"], str(frames))
    n_frames = 0
    rows = progress(iterate_rows(frames), "frames", read_table(frames, columns=[]).num_rows)
    merger = ViewMerger(header["sensor"] == "rgbd", settings.max_points) if settings.views == "merge" else None
    with ragged_writer(out_points) as points_writer, table_writer(out, TRIPLETS) as table:

        def write(crop: Crop) -> None:
            table.append(crop.row)
            points_writer.append(crop.points)

        for _, scene in groupby(rows, key=lambda frame: frame["scene"]):
            # Frames of one sample stand together and share their points: read them once.
            for _, group in groupby(scene, key=lambda frame: frame["clouds"]):
                points: Cloud | None = None
                for frame in group:
                    n_frames += 1
                    found = boxes.pop(frame["frame_id"], [])
                    if not found:
                        continue
                    try:
                        if points is None:
                            points = load_points(frame["clouds"], data_root, settings.min_sweep_range)
                        image = read_frame_image(data_root, frame)
                    except (CloudError, ImageError) as error:
                        bad.add(frame["frame_id"], error.reason, str(error))
                        counts["lost_bad_frame"] += len(found)
                        continue
                    sense.add(frame, points)
                    for crop in _crops(frame, found, points, image, arguments, settings, counts):
                        (merger.add if merger else write)(crop)
            if merger:
                for crop in merger.take():
                    write(crop)
        bad.check(n_frames)
        sense.finish()
        if boxes:
            raise InputError(f"{detections}: {len(boxes)} frames in it are not in {frames}; run the detector again")
        if merger:
            counts["merged_views"] = merger.n_merged
        table.header = points_writer.header = {
            "kind": "triplets",
            **{key: header[key] for key in ("source", "source_kind", "split", "sensor", "units", "axes")},
            "method": arguments["method"],
            "counts": {"frames": n_frames, **dict(sorted(counts.items())), "triplets": table.n_rows},
            "bad_frames": bad.header(),
            "provenance": provenance(
                "lift",
                settings.model_dump(mode="json"),
                {"frames": frames, "detections": detections} | ({"masks": masks} if masks else {}),
                ("scipy", "scikit-learn", "opencv-python-headless"),
            ),
        }
    log.info("%s: %s, %d triplets", out.name, dict(sorted(counts.items())), table.n_rows)


def _arguments(settings: LiftSettings, sensor: str) -> dict[str, Any]:
    """The lifting method for a sensor, and its parameters; a mistyped one is refused before any work, by trying it."""
    method = METHOD_OF_SENSOR[sensor] if settings.method == "auto" else settings.method
    fill = {"fill": settings.fill} if method == "depth" else {}
    arguments = {"method": method, **fill, **settings.parameters}
    try:
        lift_boxes(np.empty((0, 3)), np.eye(4), np.eye(3), [], (1, 1), **arguments)
    except TypeError as error:
        raise InputError(f"setting 'parameters': {error}; docs/lifting.md lists those of {method!r}") from None
    return arguments


def _with_masks(detections: Path, masks: Path) -> Iterator[Row]:
    """Detections, each with the row of its mask, as run lengths: pictures of them would fill the memory."""
    if read_table(detections, columns=[]).num_rows != read_table(masks, columns=[]).num_rows:
        raise InputError(f"{masks}: holds masks of other boxes than {detections}; delete it and run `segment` again")
    for row, mask in zip(iterate_rows(detections), iterate_rows(masks), strict=True):
        if (row["frame_id"], row["box"]) != (mask["frame_id"], mask["box"]):
            raise InputError(f"{masks}: is not in the order of {detections}; delete it and run `segment` again")
        yield {**row, "mask": mask}


def _mask(row: Row) -> np.ndarray | None:
    """(height, width) the mask of a detection; None where it has none."""
    mask = row["mask"]
    try:
        return None if mask["counts"] is None else decode(mask["counts"], tuple(mask["size"]))
    except ValueError as error:
        raise InputError(f"the mask of box {mask['box']} in frame {mask['frame_id']} is damaged: {error}") from None


def _crops(
    frame: Row,
    found: list[Row],
    points: Cloud,
    image: np.ndarray,
    arguments: dict[str, Any],
    settings: LiftSettings,
    counts: Counter[str],
) -> Iterator[Crop]:
    """Lift the boxes found in one picture; those that are lost are counted."""
    T_cam_from_points = np.reshape(frame["T_cam_from_points"], (4, 4))
    camera = -T_cam_from_points[:3, :3].T @ T_cam_from_points[:3, 3]  # its centre in the points' frame
    lifted = lift_boxes(
        points,
        T_cam_from_points,
        np.reshape(frame["K"], (3, 3)),
        np.array([row["box"] for row in found], np.float64),
        (frame["width"], frame["height"]),
        masks=map(_mask, found) if "mask" in found[0] else None,
        mask_counts=counts,
        **arguments,
    )
    for number, (row, chosen) in enumerate(zip(found, lifted, strict=True)):
        crop = points[chosen]
        if len(crop) < settings.min_points:
            counts["lost_few_points" if len(crop) else "lost_no_points"] += 1
            continue
        range_m = float(np.median(np.linalg.norm(crop[:, :3] - camera, axis=1)))
        if range_m > settings.max_range:
            counts["lost_too_far"] += 1
            continue
        crop = thinned(crop, settings.max_points)
        yield Crop(
            {
                "triplet_id": f"{frame['frame_id']}-{number:03d}",
                "frame_id": frame["frame_id"],
                "scene": frame["scene"],
                "sample": frame["sample"],
                "box": row["box"],
                "label": row["label"],
                "score": row["score"],
                "n_points": len(crop),
                "range_m": range_m,
                "extent": np.ptp(crop[:, :3], axis=0).tolist(),
                "image": square_window_jpeg(image, row["box"]),
            },
            crop,
            T_cam_from_points,
        )
