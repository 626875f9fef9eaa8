"""Work in several processes, which end with this one."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

Item = TypeVar("Item")
Done = TypeVar("Done")


def each(one: Callable[[Item], Done], items: Sequence[Item], workers: int) -> Iterator[Done]:
    """``one(item)`` for each, in their order: in this process, or in so many others, which import ``one``.

    These end with this one, even when it is killed. They are started anew, as forks of a process that ran PyTorch may
    wait for its threads for ever.
    """
    workers = min(workers, len(items))
    if workers <= 1:
        yield from map(one, items)
        return
    spawn = get_context("spawn")
    with ProcessPoolExecutor(workers, spawn, initializer=_end_with, initargs=(os.getpid(),)) as pool:
        yield from pool.map(one, items)


def _end_with(parent: int) -> None:
    """End this worker within a second of its parent's death, even a violent one, which a pool does not see to."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
