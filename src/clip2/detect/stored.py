"""Boxes that are already on disk: a Parquet table or COCO-style JSON. docs/detectors.md describes both."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

from clip2.detect.detector import Found
from clip2.detect.vocabulary import Vocabulary
from clip2.errors import InputError

Row = tuple[str, list[float], str, float]  # frame id or image path, box xyxy, label, score
EMPTY = Found(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))


def read_boxes(path: Path, frames: Mapping[str, str], vocabulary: Vocabulary) -> dict[str, Found]:
    """The boxes of some frames.

    Args:
        path: ``.parquet`` or ``.json``.
        frames: frame id → image path, of one shard. The file may hold other shards' boxes too.

    Returns:
        frame id → boxes, in the order of the file.

    Raises:
        InputError: missing or not of a known form, a label that the vocabulary lacks, or no box is of these frames.
    """
    if not frames:
        return {}
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file of boxes; check `boxes`")
    frame_of = {**{image: frame for frame, image in frames.items()}, **{frame: frame for frame in frames}}
    reader = _parquet_rows if Path(path).suffix == ".parquet" else _coco_rows
    index = vocabulary.index()
    columns: dict[str, tuple[list[list[float]], list[float], list[int]]] = defaultdict(lambda: ([], [], []))
    for name, box, label, score in reader(Path(path), list(frame_of)):
        if name not in frame_of:
            continue
        if label.replace("_", " ").lower() not in index:
            raise InputError(
                f"{path}: label “{label}” is not in the vocabulary; add it to the file that `vocabulary` names"
            )
        if not np.isfinite([*box, score]).all():
            raise InputError(f"{path}: a box of {name} is not finite: {box}, score {score}; drop it")
        boxes, scores, labels = columns[frame_of[name]]
        boxes.append(box)
        scores.append(score)
        labels.append(index[label.replace("_", " ").lower()])
    if not columns:  # a whole shard without a box is a mistake in the ids
        frame, image = next(iter(frames.items()))
        raise InputError(
            f"{path}: no box in it belongs to a frame of this shard; frames go by their frame_id ({frame}) "
            f"or image path ({image})"
        )
    return {
        frame: Found(np.array(b, np.float32).reshape(-1, 4), np.array(s, np.float32), np.array(n, np.int64))
        for frame, (b, s, n) in columns.items()
    }


def _parquet_rows(path: Path, names: list[str]) -> Iterable[Row]:
    try:
        data = ds.dataset(path, format="parquet")
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{path}: not a readable Parquet file ({error})") from None
    have = set(data.schema.names)
    key = next((name for name in ("frame_id", "image_path") if name in have), None)
    box = ["box"] if "box" in have else ["x0", "y0", "x1", "y1"]
    if key is None or not {*box, "label", "score"} <= have:
        raise InputError(
            f"{path}: has columns {', '.join(sorted(have))}; "
            "needs frame_id or image_path, box or x0 y0 x1 y1, label, score"
        )
    for batch in data.to_batches(columns=[key, *box, "label", "score"], filter=ds.field(key).isin(names)):
        for row in batch.to_pylist():
            corners = row["box"] if "box" in row else [row[name] for name in box]
            yield row[key], corners, row["label"], row["score"]


def _coco_rows(path: Path, _names: list[str]) -> Iterable[Row]:
    """A COCO data set whose annotations have scores, or a plain list of results with names instead of numbers."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        images: dict[Any, str] = {}
        categories: dict[Any, str] = {}
        rows = data
        if isinstance(data, dict):
            images = {image["id"]: image["file_name"] for image in data["images"]}
            categories = {category["id"]: category["name"] for category in data["categories"]}
            rows = data["annotations"]
        for row in rows:
            x, y, width, height = map(float, row["bbox"])
            name = images.get(row["image_id"], row["image_id"])
            label = categories.get(row.get("category_id"), row.get("category", row.get("category_id")))
            if not isinstance(name, str) or not isinstance(label, str):
                raise InputError(
                    f"{path}: image_id {name!r} or category {label!r} is a number that no table explains; give an "
                    "object with images, categories and annotations, or frame ids and names instead of numbers"
                )
            yield name, [x, y, x + width, y + height], label, float(row["score"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: not COCO-style JSON ({type(error).__name__}: {error}); see docs/detectors.md"
        ) from None
