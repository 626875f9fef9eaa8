"""What a job's log says: how far it is, why it failed, what is worth knowing."""

import re
from pathlib import Path
from typing import NamedTuple

TAIL = 64 * 1024
"""Bytes at the end of a log that are looked at."""
PROGRESS = re.compile(
    r"^\d\d:\d\d:\d\d [\w.]+: (?P<what>.+): (?P<done>\d+) of (?P<total>\d+), (?P<pace>[\d.]+) (?P<unit>an? \w+)$", re.M
)
SECONDS = {"a second": 1, "a minute": 60, "an hour": 3600}
ERROR = re.compile(r"^clip2\w*: error: ")
NOTE = "clip2: note: "
PYTHON_ERROR = re.compile(r"^[A-Za-z_][\w.]*(Error|Exception|Interrupt|Exit)\b")


class Progress(NamedTuple):
    """How far a job is, in its own words; ``rate`` is a second's."""

    what: str
    done: int
    total: int
    rate: float

    @property
    def left(self) -> int:
        return max(0, self.total - self.done)


def read_progress(log: str | None) -> Progress | None:
    """The last line of progress in a log (what ``clip2.runtime.console.progress`` writes); None without one."""
    lines = list(PROGRESS.finditer(_tail(log)))
    if not lines:
        return None
    what, done, total, pace, unit = lines[-1].groups()
    return Progress(what, int(done), int(total), float(pace) / SECONDS[unit])


def read_notes(log: str | None) -> list[str]:
    """Lines that a job wants a person to see though it succeeded."""
    return [line.removeprefix(NOTE) for line in _tail(log).splitlines() if line.startswith(NOTE)]


def read_error(log: str | None) -> str | None:
    """Why a job failed, in one line: its own error, else Python's; None where its log has neither."""
    lines = [line.rstrip() for line in _tail(log).splitlines()]
    for is_error in (ERROR.match, PYTHON_ERROR.match):
        if found := [line for line in lines if is_error(line)]:
            return found[-1]
    return None


def read_last(log: str | None) -> str:
    """What a job said last, for one that was killed: it could say no more."""
    lines = [line.strip() for line in _tail(log).splitlines() if line.strip()]
    return f"it said last: {lines[-1]}" if lines else "without a word in its log"


def _tail(log: str | None) -> str:
    """The end of a log; empty where there is none (yet, or here)."""
    if log is None:
        return ""
    try:
        with Path(log).open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - TAIL))
            return file.read().decode(errors="replace")
    except OSError:
        return ""
