"""Boxes of frames → their masks, in order, with a bounded number of images in memory."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from torch import Tensor

from clip2.detect.runner import good_ones, load_image, single_core_operators
from clip2.runtime.errors import InputError
from clip2.runtime.prefetch import ahead, batches, one_behind
from clip2.segment.cut import Frame, Kept, cut_to_box
from clip2.segment.models import Masks, Segmenter
from clip2.store.bad_frames import BadFrames


def segment_on_cpu(
    frames: Iterable[Frame], data_root: Path, segmenter: Segmenter, threads: int, bad: BadFrames, counts: Counter[str]
) -> Iterator[tuple[Frame, list[Kept]]]:
    """One image at a time in each thread, on one core: the same results whatever the number of threads."""

    def segment(frame: Frame) -> tuple[list[Kept], Counter[str]]:
        own: Counter[str] = Counter()
        [groups] = segmenter([load_image(frame, data_root)], [frame["boxes"]])
        return _kept(frame, (wait() for wait in groups), own), own

    with single_core_operators():
        for frame, (kept, own) in good_ones(ahead(frames, segment, threads, threads), bad):
            counts.update(own)
            yield frame, kept


def segment_on_gpu(
    frames: Iterable[Frame],
    data_root: Path,
    segmenter: Segmenter,
    batch_size: int,
    threads: int,
    bad: BadFrames,
    counts: Counter[str],
) -> Iterator[tuple[Frame, list[Kept]]]:
    """While an image's boxes are computed, the next batch is decoded in threads and the masks before are written."""
    images = ahead(frames, lambda frame: load_image(frame, data_root, pin=True), threads, 2 * batch_size + threads)
    kept: list[Kept] = []
    for frame, masks in one_behind(_started(segmenter, batches(good_ones(images, bad), batch_size))):
        kept += _kept(frame, [masks], counts, len(kept))
        if len(kept) == len(frame["boxes"]):
            yield frame, kept
            kept = []


def _started(
    segmenter: Segmenter, groups: Iterable[list[tuple[Frame, Tensor]]]
) -> Iterator[Callable[[], tuple[Frame, Masks]]]:
    for batch in groups:
        of_images = segmenter([image for _, image in batch], [frame["boxes"] for frame, _ in batch])
        for (frame, _), waits in zip(batch, of_images, strict=True):
            for wait in waits:
                yield lambda frame=frame, wait=wait: (frame, wait())  # type: ignore[misc]


def _kept(frame: Frame, groups: Iterable[Masks], counts: Counter[str], first: int = 0) -> list[Kept]:
    """What is written of the masks of a frame's boxes, from box number ``first`` on."""
    kept: list[Kept] = []
    for masks, scores in groups:
        if not np.isfinite(scores).all():
            raise InputError(
                f"the segmenter gives scores that are not finite for {frame['image_path']}; "
                "set `precision` to bfloat16 or float32, or get another copy of the weights"
            )
        for mask, score in zip(masks, scores.tolist(), strict=True):
            kept.append((cut_to_box(mask, frame["boxes"][first + len(kept)].tolist(), counts), score))
    return kept
