"""What a person sees while a stage runs, on a terminal and in a log file."""

import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import track

log = logging.getLogger(__name__)

T = TypeVar("T")
EVERY = (2.0, 30.0)
"""Seconds between two lines of progress in a log, least and most; between them, a tenth of the time that has passed."""
LOG_WIDTH = 120


def console() -> Console:
    """Standard output: as wide as the terminal (or COLUMNS says), or wide enough for a table in a log file."""
    out = Console()
    return out if out.is_terminal or os.environ.get("COLUMNS") else Console(width=LOG_WIDTH)


def progress(items: Iterable[T], what: str, total: int, done: int = 0) -> Iterator[T]:
    """Pass items on: a bar on a terminal, now and then a log line elsewhere, which the screen of a run reads.

    Args:
        total: how many there are in all.
        done: how many of them an earlier run has done, which ``items`` leaves out.
    """
    if sys.stderr.isatty():
        yield from track(items, what, total=total, completed=done, console=Console(stderr=True))
        return
    start = told = time.monotonic()
    number = 0
    for number, item in enumerate(items):
        now = time.monotonic()
        if number and now - told > min(max(EVERY[0], (now - start) / 10), EVERY[1]):
            told = now
            log.info("%s: %d of %d, %s", what, done + number, total, pace(number / (now - start)))
        yield item
    if told > start:
        log.info("%s: %d of %d, %s", what, done + number + 1, total, pace((number + 1) / (time.monotonic() - start)))


def pace(rate: float) -> str:
    """How many a second in words: "3.1 a second", "4.0 a minute"."""
    unit, seconds = next(((u, s) for u, s in (("second", 1), ("minute", 60)) if rate * s >= 1), ("hour", 3600))
    return f"{rate * seconds:.1f} {'an' if unit == 'hour' else 'a'} {unit}"
