"""Keeping a GPU busy: work ahead in threads and results that are fetched late, a bounded number of both."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import torch
from numpy.typing import NDArray
from torch import Tensor

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


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Items in lists of ``size``; the last may be shorter."""
    batch: list[Item] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def one_behind(started: Iterable[Callable[[], Result]]) -> Iterator[Result]:
    """Results of work on a GPU: each is waited for only when the work after it has been started.

    Args:
        started: an iterator that starts the next piece of work and gives the function that waits for its result.
    """
    before: Callable[[], Result] | None = None
    for wait in started:
        if before is not None:
            yield before()
        before = wait
    if before is not None:
        yield before()


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Upload without waiting where the tensor is in pinned memory."""
    return tensor.to(device, non_blocking=True)


def to_host(*tensors: Tensor) -> Callable[[], list[NDArray[Any]]]:
    """Start copying to the CPU; the function returned waits for this copy, not for work queued after it."""
    # A non-blocking copy from the GPU lands in pinned memory, which the event guards.
    copies = [tensor.to("cpu", non_blocking=True) for tensor in tensors]
    event: torch.cuda.Event | None = None
    on_gpu = [tensor for tensor in tensors if tensor.is_cuda]
    if on_gpu:
        event = torch.cuda.Event(blocking=True)  # sleeps: a core that spins is a core that does not decode
        event.record(torch.cuda.current_stream(on_gpu[0].device))  # which need not be the current device

    def wait() -> list[NDArray[Any]]:
        if event is not None:
            event.synchronize()
        return [copy.numpy() for copy in copies]

    return wait
