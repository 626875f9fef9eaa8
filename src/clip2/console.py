"""What a person sees while a stage runs, on a terminal and in a log file."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import track

log = logging.getLogger(__name__)

T = TypeVar("T")
EVERY_S = 30.0
LOG_WIDTH = 120


def console() -> Console:
    """Standard output: as wide as the terminal, or wide enough for a table in a log file."""
    out = Console()
    return out if out.is_terminal else Console(width=LOG_WIDTH)


def progress(items: Iterable[T], what: str, total: int, done: int = 0) -> Iterator[T]:
    """Pass items on: a bar on a terminal, a log line twice a minute elsewhere.

    Args:
        total: how many there are in all.
        done: how many of them an earlier run has done, which ``items`` leaves out.
    """
    if sys.stderr.isatty():
        yield from track(items, what, total=total, completed=done, console=Console(stderr=True))
        return
    start = told = time.monotonic()
    for number, item in enumerate(items):
        if (now := time.monotonic()) - told > EVERY_S:
            told = now
            log.info("%s: %d of %d, %.1f a second", what, done + number, total, number / (now - start))
        yield item
