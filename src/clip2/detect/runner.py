"""Frames → what the detector proposes, in order, with a bounded number of images in memory."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from clip2.detect.detector import Detector, Found
from clip2.scans.images import ImageError, read_frame_image
from clip2.store.bad_frames import BadFrames

Frame = dict[str, Any]
Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(
    items: Iterable[Item], function: Callable[[Item], Result], threads: int, depth: int
) -> Iterator[tuple[Item, Future[Result]]]:
    """Items in order, each with the future of ``function(item)``; at most ``depth`` are started ahead of time."""
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    pool = ThreadPoolExecutor(max(1, threads))
    try:
        for item in items:
            waiting.append((item, pool.submit(function, item)))
            if len(waiting) > depth:
                yield waiting.popleft()
        while waiting:
            yield waiting.popleft()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


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

    with _single_core_operators():
        yield from _good(ahead(frames, detect, threads, threads), bad)


def detect_on_gpu(
    frames: Iterable[Frame], data_root: Path, detector: Detector, batch_size: int, threads: int, bad: BadFrames
) -> Iterator[tuple[Frame, Found]]:
    """While a batch is computed, the next one is decoded in threads and the one before is written by the caller."""
    images = ahead(frames, lambda frame: load_image(frame, data_root, pin=True), threads, 2 * batch_size + threads)
    running: tuple[list[Frame], Callable[[], list[Found]]] | None = None
    for batch in _batches(_good(images, bad), batch_size):
        before, running = running, ([frame for frame, _ in batch], detector([image for _, image in batch]))
        if before:
            yield from zip(before[0], before[1]())
    if running:
        yield from zip(running[0], running[1]())


def _good(stream: Iterable[tuple[Frame, Future[Result]]], bad: BadFrames) -> Iterator[tuple[Frame, Result]]:
    """Results of the frames whose image could be read; the others are reported."""
    for frame, future in stream:
        try:
            result = future.result()
        except ImageError as error:
            bad.add(frame["frame_id"], error.reason, str(error))
        else:
            yield frame, result


def _batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    batch: list[Item] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


@contextmanager
def _single_core_operators() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
