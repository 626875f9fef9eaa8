"""Masks that are already on disk: COCO-style JSON with run lengths or polygons. docs/lifting.md describes it."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from clip2.detect.select import overlaps
from clip2.detect.stage import names_of_shards_beside
from clip2.detect.stored import Names, coco_named, coco_table, not_coco
from clip2.runtime.errors import InputError
from clip2.scans.texts import read_json
from clip2.segment.cut import Frame, Kept, cut_to_box
from clip2.store.rle import decode

Mask = NDArray[np.bool_]


def stored_masks(
    frames: Path, asked: Sequence[Frame], path: Path, min_iou: float, counts: Counter[str]
) -> Iterator[tuple[Frame, list[Kept]]]:
    """For each frame the mask of each of its boxes: the one whose own box overlaps it most, of at least ``min_iou``.

    Not by number: detections are filtered and sorted. A mask may serve several boxes, of several names for one thing.

    Args:
        frames: the shard's frames; those of the shards beside it may be in the file, too.
        asked: frames in which there are boxes.

    Raises:
        InputError: not of the form, a mask is damaged or of a picture of another size, or none is of any known frame.
    """
    of_frame = _annotations(path, frames, asked)
    for frame in asked:
        size = frame["height"], frame["width"]
        masks, boxes = [], []
        for place, row in of_frame.get(frame["frame_id"], ()):
            masks.append(_mask(path, place, row, size))
            boxes.append(_box(path, place, row, masks[-1]))
        overlap = overlaps(frame["boxes"], np.array(boxes, np.float32).reshape(-1, 4))
        kept: list[Kept] = []
        for box, shared in zip(frame["boxes"].tolist(), overlap):
            if not len(masks) or shared.max() < min_iou:
                counts["lost_no_mask"] += 1
                kept.append((None, None))
            else:
                kept.append((cut_to_box(masks[int(shared.argmax())], box, counts), None))
        yield frame, kept


def _annotations(path: Path, frames: Path, asked: Sequence[Frame]) -> dict[str, list[tuple[str, dict[str, Any]]]]:
    """Frame id → its annotations, each with where it stands in the file."""
    if not path.is_file():
        raise InputError(f"{path}: no such file of masks; check `masks`")
    data = read_json(path)
    rows, images = data, {}
    if isinstance(data, dict):
        images, rows = coco_table(path, data, "images", "file_name"), data.get("annotations")
    if not isinstance(rows, list):
        raise not_coco(path, "no list of annotations")
    names = Names({frame["frame_id"]: frame["image_path"] for frame in asked}, names_of_shards_beside(frames))
    found: dict[str, list[tuple[str, dict[str, Any]]]] = defaultdict(list)
    for number, row in enumerate(rows):
        place = f"annotation {number}"
        if not isinstance(row, dict):
            raise not_coco(path, f"{place} is no object")
        name = coco_named(path, place, row.get("image_id"), images, "image_id")
        if (frame_id := names.frame_of(name)) is None:
            names.count_other(name)
        else:
            found[frame_id].append((place, row))
    if asked and not found and not names.n_of_others:
        raise InputError(
            f"{path}: no mask in it belongs to a frame of this shard; frames go by their frame_id "
            f"({asked[0]['frame_id']}) or image path ({asked[0]['image_path']}){names.examples()}"
        )
    return found


def _mask(path: Path, place: str, row: dict[str, Any], size: tuple[int, int]) -> Mask:
    """An annotation's mask (height, width): run lengths, compressed or not, or polygons."""
    given = row.get("segmentation")
    if isinstance(given, dict):
        counts = given.get("counts")
        if given.get("size") != [*size]:
            raise InputError(
                f"{path}, {place}: the mask is of a picture of height, width {given.get('size')}, its frame has "
                f"{[*size]}; make the masks on the pictures that are detected in"
            )
        try:
            if not isinstance(counts, str) and not (isinstance(counts, list) and all(type(n) is int for n in counts)):
                raise ValueError("`counts` is neither text nor a list of whole numbers")
            return decode(counts, size)
        except (ValueError, OverflowError) as error:
            raise InputError(f"{path}, {place}: the mask is damaged: {error}; write it again") from None
    polygons = given if isinstance(given, list) and given else [None]
    mask = np.zeros(size, np.uint8)
    for polygon in polygons:
        corners = _corners(polygon)
        if corners is None:
            raise not_coco(path, f"{place}: segmentation is neither run lengths nor polygons x y x y …")
        # Corners are corners of pixels; drawn are the pixels between them, whose centres lie half a pixel further.
        cv2.fillPoly(mask, [np.rint(corners - 0.5).astype(np.int32)], 1)
    return mask > 0


def _are_pixels(values: Any) -> bool:
    """Whether it is a list of finite numbers that may be pixels."""
    return isinstance(values, list) and all(type(value) in (int, float) and abs(value) < 1e6 for value in values)


def _corners(polygon: Any) -> NDArray[np.float64] | None:
    """(N, 2) corners of a COCO polygon; None where it is none."""
    if not _are_pixels(polygon) or len(polygon) < 6 or len(polygon) % 2:
        return None
    return np.array(polygon, np.float64).reshape(-1, 2)


def _box(path: Path, place: str, row: dict[str, Any], mask: Mask) -> list[float]:
    """xyxy, pixels: the annotation's own ``bbox``, else what its mask spans."""
    given = row.get("bbox")
    if given is None:
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1] if len(rows) else [0.0] * 4
    if not _are_pixels(given) or len(given) != 4:
        raise not_coco(path, f"{place}: bbox is {given!r}, not four numbers x y width height")
    x, y, width, height = map(float, given)
    return [x, y, x + width, y + height]
