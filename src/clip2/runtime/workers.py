"""Work in several processes, which end with this one."""

import os
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context


def worker_pool(size: int) -> ProcessPoolExecutor:
    """Processes that end with this one, even when it is killed. They are started anew, as forks of a process that ran
    PyTorch may wait for its threads for ever."""
    return ProcessPoolExecutor(size, get_context("spawn"), initializer=_end_with, initargs=(os.getpid(),))


def _end_with(parent: int) -> None:
    """End this worker within a second of its parent's death, even a violent one, which a pool does not see to."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
