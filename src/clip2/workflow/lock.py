"""One run at a time in a folder."""

import fcntl
import os
from pathlib import Path
from typing import IO

from clip2.runtime.errors import InputError

_held: list[IO[str]] = []
"""A lock is held for as long as its file is open."""


def hold_lock(path: Path) -> None:
    """Take a lock for as long as this process lives.

    The operating system frees it even after ``kill -9``, so that running the same line again just works. Snakemake's
    own lock (off in the profiles) would have to be removed by hand.

    Raises:
        InputError: another process holds it.
    """
    lock = path.open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise InputError(f"another snakemake is working in {os.getcwd()}; wait for it or stop it first") from None
    _held.append(lock)
