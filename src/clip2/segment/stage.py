"""Stage `segment`: frames and their 2D boxes → a mask for each box."""

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np

from clip2.runtime.console import progress
from clip2.runtime.errors import InputError
from clip2.scans.images import IMAGE_COLUMNS
from clip2.segment.cut import LOSSES, Frame, Kept
from clip2.segment.settings import SegmentSettings
from clip2.segment.stored import stored_masks
from clip2.store.bad_frames import BadFrames
from clip2.store.provenance import provenance
from clip2.store.schemas import MASKS
from clip2.store.tables import iterate_rows, table_writer

log = logging.getLogger(__name__)


def run(
    frames: Path,
    detections: Path,
    data_root: Path,
    out: Path,
    settings: SegmentSettings,
    device: str = "auto",
    threads: int = 1,
) -> None:
    """Segment one shard's boxes: a row for each row of ``detections``, in the same order.

    On a CPU the file's bytes depend neither on ``batch_size`` nor on ``threads``.

    Args:
        frames, detections: the shard's Parquet files.
        data_root: folder that the frames' image paths are relative to.
        device: "auto", "cpu", "cuda", "cuda:1" …
        threads: for decoding; on a CPU, so many images are computed at a time.

    Raises:
        InputError: detections of other frames, no such model or masks, or too many images that cannot be read.
    """
    bad = BadFrames(settings.max_bad_share)
    counts: Counter[str] = Counter(dict.fromkeys(("images", "boxes", "masks", "cut", *LOSSES), 0))
    inputs = {"frames": frames, "detections": detections}
    source: dict[str, Any] = {"model": "stored"}
    asked = _asked(frames, detections)
    if settings.kind == "stored":
        assert settings.masks is not None  # the settings see to it
        inputs["masks"] = settings.masks
        source["stored"] = stored = Counter[str]()
        found = stored_masks(frames, asked, settings.masks, settings.min_box_iou, counts, stored)
    else:
        # Torch and transformers take seconds to import, and masks on disk need neither.
        from clip2.detect.models import model_files
        from clip2.runtime.device import resolve_device
        from clip2.segment.models import load_segmenter
        from clip2.segment.runner import segment_on_cpu, segment_on_gpu

        inputs.update(model_files(settings.model))
        where = resolve_device(device)
        segmenter, source = load_segmenter(settings.model, settings.revision, where, settings.precision)
        if where.type == "cpu":
            found = segment_on_cpu(asked, data_root, segmenter, threads, bad, counts)
        else:
            found = segment_on_gpu(asked, data_root, segmenter, settings.batch_size, threads, bad, counts)
    with table_writer(out, MASKS) as table:

        def write(frame: Frame, masks: Iterable[Kept]) -> None:
            for box, (runs, score) in zip(frame["boxes"].tolist(), masks, strict=True):
                size = [frame["height"], frame["width"]]
                row = {"frame_id": frame["frame_id"], "box": box, "size": size, "counts": runs, "score": score}
                table.append(row)

        def write_bad(frame: Frame) -> None:
            counts["lost_bad_frame"] += len(frame["boxes"])
            write(frame, [(None, None)] * len(frame["boxes"]))

        waiting = iter(asked)
        for frame, masks in progress(found, "images", len(asked)):
            for before in takewhile(lambda one: one is not frame, waiting):  # noqa: B023 - it ends here
                write_bad(before)
            counts["images"] += 1
            write(frame, masks)
        for frame in waiting:
            write_bad(frame)
        counts["boxes"] = table.n_rows
        bad.check(len(asked))
        table.header = {
            "kind": "masks",
            "segmenter": source,
            "counts": dict(counts),
            "bad_frames": bad.header(),
            "provenance": provenance(
                "segment",
                settings.model_dump(mode="json"),
                inputs,
                ("torch", "torchvision", "transformers", "opencv-python-headless"),
            ),
        }
    log.info("%s: %s", out.name, dict(counts))


def _asked(frames: Path, detections: Path) -> list[Frame]:
    """Frames in which there are boxes, with these."""
    boxes: dict[str, list[list[float]]] = defaultdict(list)
    for row in iterate_rows(detections, ["frame_id", "box"]):
        boxes[row["frame_id"]].append(row["box"])
    asked = [
        {**frame, "boxes": np.array(boxes.pop(frame["frame_id"]), np.float32)}
        for frame in iterate_rows(frames, ["frame_id", *IMAGE_COLUMNS])
        if frame["frame_id"] in boxes
    ]
    if boxes:
        raise InputError(f"{detections}: {len(boxes)} frames in it are not in {frames}; run the detector again")
    return asked
