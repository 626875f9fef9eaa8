"""Stage `detect`: frames → 2D boxes with labels."""

import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from clip2.detect.found import Found
from clip2.detect.select import LOSSES, select
from clip2.detect.settings import DetectSettings
from clip2.detect.stored import EMPTY, read_boxes
from clip2.detect.vocabulary import Vocabulary, read_vocabulary
from clip2.runtime.console import progress
from clip2.runtime.errors import InputError
from clip2.scans.images import IMAGE_COLUMNS
from clip2.store.bad_frames import BadFrames
from clip2.store.provenance import provenance
from clip2.store.schemas import DETECTIONS
from clip2.store.tables import iterate_rows, read_table, table_writer

log = logging.getLogger(__name__)

Record = dict[str, Any]
COLUMNS = ["frame_id", *IMAGE_COLUMNS]


def run(
    frames: Path, data_root: Path, out: Path, settings: DetectSettings, device: str = "auto", threads: int = 1
) -> None:
    """Detect in one shard. Boxes that the detector proposed = boxes kept + the sum of the losses that the header names.

    On a CPU the file's bytes depend neither on ``batch_size`` nor on ``threads``.

    Args:
        frames: the shard's Parquet file.
        data_root: folder that the frames' image paths are relative to.
        device: "auto", "cpu", "cuda", "cuda:1" …
        threads: for decoding; on a CPU, so many images are computed at a time.
    """
    vocabulary = read_vocabulary(settings.vocabulary)
    bad = BadFrames(settings.max_bad_share)
    counts: Counter[str] = Counter(dict.fromkeys(("images", "boxes_raw", *LOSSES, "kept"), 0))
    n_frames = read_table(frames, columns=[]).num_rows
    inputs = {"frames": frames, "vocabulary": settings.vocabulary}
    source: dict[str, Any] = {"model": "stored"}
    if settings.kind == "stored":
        assert settings.boxes is not None  # the settings see to it
        inputs["boxes"] = settings.boxes
        stored: Counter[str] = Counter()
        source["stored"] = stored
        found = _stored(frames, settings.boxes, vocabulary, stored)
    else:
        # Torch and transformers take five seconds to import, and boxes on disk need neither.
        from clip2.detect.models import load_detector, model_files
        from clip2.detect.runner import detect_on_cpu, detect_on_gpu
        from clip2.runtime.device import resolve_device

        inputs.update(model_files(settings.model))
        where = resolve_device(device)
        detector, source = load_detector(settings.model, settings.revision, where, settings.precision)
        detector.encode_vocabulary(vocabulary, settings.prompt)
        rows = iterate_rows(frames, COLUMNS)
        if where.type == "cpu":
            found = detect_on_cpu(rows, data_root, detector, threads, bad)
        else:
            found = detect_on_gpu(rows, data_root, detector, settings.batch_size, threads, bad)
    with table_writer(out, DETECTIONS) as table:
        for frame, proposed in progress(found, "images", n_frames):
            if not (np.isfinite(proposed.scores).all() and np.isfinite(proposed.boxes).all()):
                raise InputError(
                    f"{settings.model}: gives scores or boxes that are not finite for {frame['image_path']}; "
                    "set `precision` to bfloat16 or float32, or get another copy of the weights"
                )
            counts["images"] += 1
            for box, label, score in select(proposed, frame["width"], frame["height"], settings, counts):
                table.append(
                    {"frame_id": frame["frame_id"], "box": box, "label": vocabulary.names[label], "score": score}
                )
        bad.check(n_frames)
        table.header = {
            "kind": "detections",
            "detector": source,
            "counts": dict(counts),
            "bad_frames": bad.header(),
            "vocabulary": list(vocabulary.names),
            "provenance": provenance(
                "detect",
                settings.model_dump(mode="json"),
                inputs,
                ("torch", "torchvision", "transformers", "opencv-python-headless"),
            ),
        }
    log.info("%s: %s", out.name, dict(counts))


def _stored(frames: Path, boxes: Path, vocabulary: Vocabulary, counts: Counter[str]) -> Iterator[tuple[Record, Found]]:
    rows = list(iterate_rows(frames, ["frame_id", "image_path", "width", "height"]))
    of_frame = read_boxes(
        boxes,
        {row["frame_id"]: row["image_path"] for row in rows},
        vocabulary,
        {row["frame_id"]: (row["width"], row["height"]) for row in rows},
        names_of_shards_beside(frames),
        counts,
    )
    for frame in iterate_rows(frames, COLUMNS):
        yield frame, of_frame.get(frame["frame_id"], EMPTY)


def names_of_shards_beside(frames: Path) -> set[str]:
    """Frame ids and image paths of all shards of the source: what boxes of one file may belong to."""
    names: set[str] = set()
    for path in sorted(frames.parent.glob("*-*of*.parquet")):
        for column in read_table(path, ["frame_id", "image_path"]).columns:
            names.update(column.to_pylist())
    return names
