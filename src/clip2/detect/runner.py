"""Frames → what the detector proposes, in order, with a bounded number of images in memory."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from clip2.detect.detector import Detector
from clip2.detect.found import Found
from clip2.runtime.prefetch import ahead, batches, one_behind
from clip2.scans.images import ImageError, read_frame_image
from clip2.store.bad_frames import BadFrames

Frame = dict[str, Any]
Result = TypeVar("Result")


def load_image(frame: Frame, data_root: Path, pin: bool = False) -> Tensor:
    """A frame's image as (3, H, W) uint8 RGB, a view of rows of pixels.

    Args:
        pin: put it into page-locked memory, from which a GPU fetches it without holding up the main thread.

    Raises:
        clip2.scans.images.ImageError: missing, unreadable or not of the frame's size.
    """
    image = torch.from_numpy(read_frame_image(data_root, frame))
    return (image.pin_memory() if pin else image).permute(2, 0, 1)


def detect_on_cpu(
    frames: Iterable[Frame], data_root: Path, detector: Detector, threads: int, bad: BadFrames
) -> Iterator[tuple[Frame, Found]]:
    """One image at a time in each thread, on one core: the same results whatever the number of threads.

    (Batches gain nothing on a CPU, and both they and operators that share cores change the last bits of a result.)
    """

    def detect(frame: Frame) -> Found:
        return detector([load_image(frame, data_root)])()[0]

    with single_core_operators():
        yield from good_ones(ahead(frames, detect, threads, threads), bad)


def detect_on_gpu(
    frames: Iterable[Frame], data_root: Path, detector: Detector, batch_size: int, threads: int, bad: BadFrames
) -> Iterator[tuple[Frame, Found]]:
    """While a batch is computed, the next one is decoded in threads and the one before is written by the caller."""
    images = ahead(frames, lambda frame: load_image(frame, data_root, pin=True), threads, 2 * batch_size + threads)
    for found in one_behind(_start(detector, batch) for batch in batches(good_ones(images, bad), batch_size)):
        yield from found


def _start(detector: Detector, batch: list[tuple[Frame, Tensor]]) -> Callable[[], list[tuple[Frame, Found]]]:
    """Start on a batch; the function returned waits for it. It does not hold on to the images."""
    frames = [frame for frame, _ in batch]
    wait = detector([image for _, image in batch])
    return lambda: list(zip(frames, wait()))


def good_ones(stream: Iterable[tuple[Frame, Future[Result]]], bad: BadFrames) -> Iterator[tuple[Frame, Result]]:
    """Results of the frames whose image could be read; the others are reported."""
    for frame, future in stream:
        try:
            result = future.result()
        except ImageError as error:
            bad.add(frame["frame_id"], error.reason, str(error))
        else:
            yield frame, result


@contextmanager
def single_core_operators() -> Iterator[None]:
    """Torch's operators keep to one core each, as long as threads work side by side."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
