"""Masks that are already on disk: COCO-style JSON with run lengths or polygons. docs/lifting.md describes it."""

import logging
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from clip2.detect.coco import Annotation, annotations, not_coco, told
from clip2.detect.names import Names
from clip2.detect.select import overlaps
from clip2.detect.stage import names_of_shards_beside
from clip2.detect.stored import BEYOND
from clip2.runtime.errors import InputError
from clip2.scans.texts import read_json
from clip2.segment.cut import Frame, Kept, cut_to_box
from clip2.store.rle import decode

log = logging.getLogger(__name__)
Mask = NDArray[np.bool_]
AGREE = 0.5
"""Overlap of an annotation's own box with what its mask spans, from which on the two mean one thing. A box around what
others hide of a thing agrees less, but not for most."""
MOST_IMPOSSIBLE = 0.5
"""Share of masks that cannot be masks of their pictures, above which they are masks of another convention."""
IMPOSSIBLE = ("empty", "below_a_pixel", "beyond_the_picture", "off_their_bbox")
MANY = 10
"""Boxes, and masks in their frames, of which some have to belong together."""


def stored_masks(
    frames: Path,
    asked: Sequence[Frame],
    path: Path,
    min_iou: float,
    counts: Counter[str],
    stored: Counter[str] | None = None,
) -> Iterator[tuple[Frame, list[Kept]]]:
    """For each frame the mask of each of its boxes: the one whose own box overlaps it most, of at least ``min_iou``.

    Not by number: detections are filtered and sorted. A mask may serve several boxes, of several names for one thing.

    Args:
        frames: the shard's frames; those of the shards beside it may be in the file, too.
        asked: frames in which there are boxes.
        counts: ``lost_no_mask`` and those of :func:`clip2.segment.cut.cut_to_box` are added to.
        stored: of the masks in these frames: ``annotations``, :data:`IMPOSSIBLE` and those of
            :func:`clip2.detect.coco.annotations`.

    Raises:
        InputError: not of the form, a mask is damaged or of a picture of another size, many masks are of another
            convention, none is of any known frame, or no box has one.
    """
    stored = Counter() if stored is None else stored
    of_frame = _annotations(path, frames, asked, stored)
    n_boxes = n_with_mask = 0
    for frame in asked:
        size = frame["height"], frame["width"]
        masks, boxes = [], []
        for annotation in of_frame.pop(frame["frame_id"], ()):
            mask, corners = _mask(path, annotation, size)
            span = _span(mask)
            box = _box(path, annotation)
            if wrong := _what_is_wrong(span, corners, box, size):
                stored[wrong] += 1
            masks.append(mask)
            boxes.append(span if box is None else box)
        overlap = overlaps(frame["boxes"], np.array(boxes, np.float32).reshape(-1, 4))
        n_boxes += len(overlap) if masks else 0
        kept: list[Kept] = []
        for box, shared in zip(frame["boxes"].tolist(), overlap):
            if not len(masks) or shared.max() < min_iou:
                counts["lost_no_mask"] += 1
                kept.append((None, None))
            else:
                n_with_mask += 1
                kept.append((cut_to_box(masks[int(shared.argmax())], box, counts), None))
        yield frame, kept
    _check_convention(path, stored)
    if n_boxes and not n_with_mask:
        n = stored["annotations"]
        said = f"none of {n} masks overlaps one of the {n_boxes} boxes in their frames by `min_box_iou`"
        if min(n_boxes, n) >= MANY:
            raise InputError(f"{path}: {said}; make them of these pictures, in pixels, run lengths down the columns")
        log.warning("%s: %s", path, said)
    for what in told(stored):
        log.warning("%s: of the masks, %s", path, what)


def _check_convention(path: Path, stored: Counter[str]) -> None:
    n = {kind: stored[kind] for kind in IMPOSSIBLE if stored[kind]}
    if not n:
        return
    kinds = ", ".join(f"{number} {kind.replace('_', ' ')}" for kind, number in n.items())
    said = f"of {stored['annotations']} masks, {kinds}"
    if sum(n.values()) > MOST_IMPOSSIBLE * stored["annotations"]:
        raise InputError(
            f"{path}: {said}: they are not in pixels of these pictures, or of another convention (COCO's polygons are "
            "x y x y …, its run lengths go down the columns, its bbox is x y width height); convert them"
        )
    log.warning("%s: %s", path, said)


def _what_is_wrong(
    span: list[float], corners: NDArray[np.float64] | None, box: list[float] | None, size: tuple[int, int]
) -> str | None:
    """Which of :data:`IMPOSSIBLE` a mask of a picture of a size (height, width) is.

    Args:
        span: xyxy of its pixels.
        corners: (N, 2) of its polygons, if it is of polygons.
        box: xyxy, the annotation's own, if it has one.
    """
    if corners is not None:
        low, high, sides = corners.min(0), corners.max(0), np.array(size[::-1])
        if (high - low < 1).all():
            return "below_a_pixel"
        if (low < -BEYOND * sides).any() or (high > (1 + BEYOND) * sides).any():
            return "beyond_the_picture"
    if span[2] <= span[0]:
        return "empty"
    off = box is not None and overlaps(np.array([span], np.float32), np.array([box], np.float32))[0, 0] < AGREE
    return "off_their_bbox" if off else None


def _annotations(path: Path, frames: Path, asked: Sequence[Frame], stored: Counter[str]) -> dict[str, list[Annotation]]:
    """Frame id → its annotations."""
    if not path.is_file():
        raise InputError(f"{path}: no such file of masks; check `masks`")
    names = Names(path, {frame["frame_id"]: frame["image_path"] for frame in asked}, names_of_shards_beside(frames))
    sizes = {frame["frame_id"]: (frame["width"], frame["height"]) for frame in asked}
    found: dict[str, list[Annotation]] = defaultdict(list)
    for annotation in annotations(path, read_json(path), names, sizes, stored):
        stored["annotations"] += 1
        found[annotation.frame].append(annotation)
    if asked and not found and not names.n_of_others and not stored["crowd_or_ignored"]:
        raise InputError(
            f"{path}: no mask in it belongs to a frame of this shard; frames go by their frame_id "
            f"({asked[0]['frame_id']}) or image path ({asked[0]['image_path']}){names.examples()}"
        )
    return found


def _mask(path: Path, annotation: Annotation, size: tuple[int, int]) -> tuple[Mask, NDArray[np.float64] | None]:
    """An annotation's mask (height, width): run lengths, compressed or not, or polygons; and all corners of these."""
    place, given = annotation.place, annotation.row.get("segmentation")
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
            return decode(counts, size), None
        except (ValueError, OverflowError) as error:
            raise InputError(f"{path}, {place}: the mask is damaged: {error}; write it again") from None
    mask = np.zeros(size, np.uint8)
    polygons = []
    for polygon in given if isinstance(given, list) and given else [None]:
        corners = _corners(polygon)
        if corners is None:
            raise not_coco(path, f"{place}: segmentation is neither run lengths nor polygons x y x y …")
        polygons.append(corners * annotation.scale)
        # Corners are corners of pixels; drawn are the pixels between them, whose centres lie half a pixel further.
        cv2.fillPoly(mask, [np.rint(polygons[-1] - 0.5).astype(np.int32)], 1)
    return mask > 0, np.concatenate(polygons)


def _are_pixels(values: Any) -> bool:
    """Whether it is a list of finite numbers that may be pixels."""
    return isinstance(values, list) and all(type(value) in (int, float) and abs(value) < 1e6 for value in values)


def _corners(polygon: Any) -> NDArray[np.float64] | None:
    """(N, 2) corners of a COCO polygon; None where it is none."""
    if not _are_pixels(polygon) or len(polygon) < 6 or len(polygon) % 2:
        return None
    return np.array(polygon, np.float64).reshape(-1, 2)


def _span(mask: Mask) -> list[float]:
    """xyxy, pixels; zeros for an empty mask."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1] if len(rows) else [0.0] * 4


def _box(path: Path, annotation: Annotation) -> list[float] | None:
    """xyxy, pixels: the annotation's own ``bbox``."""
    given = annotation.row.get("bbox")
    if given is None:
        return None
    if not _are_pixels(given) or len(given) != 4:
        raise not_coco(path, f"{annotation.place}: bbox is {given!r}, not four numbers x y width height")
    (x, y, width, height), (across, down) = map(float, given), annotation.scale
    return [x * across, y * down, (x + width) * across, (y + height) * down]
