"""What must hold when a job publishes a file: its run still lives, and its inputs are what they were when it began.

Of a run that was killed, jobs may go on for hours. Their outputs would replace those of a newer run. An input that
is edited while a job reads it would be in the artefact's header, but not in the artefact. And one that is edited before
a job reads it, and put back, would stay in the artefact: a run looks at its inputs once, when it plans its jobs.
"""

import json
import os
import re
import socket
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from clip2.runtime.errors import InputError

RUN = "CLIP2_RUN"
"""Environment variable of a run's jobs: host, process number and start time of the run's own process."""
PLANNED = "CLIP2_PLANNED"
"""Another: the file that says which contents the run has planned its jobs with."""

_noted: dict[Path, tuple[int, ...]] | None = None
_used: set[Path] = set()


def announce_run(planned: Mapping[str, str], note: Path) -> None:
    """Let this process be the run that the jobs it starts belong to.

    Args:
        planned: files that no job makes → how the SHA-256 of what they hold begins.
        note: where jobs can read it; no other run writes there.
    """
    os.environ[RUN] = f"{_machine()} {os.getpid()} {_start_time(os.getpid())}"
    note.write_text(json.dumps({os.path.abspath(path): digest for path, digest in planned.items()}), encoding="utf-8")
    os.environ[PLANNED] = str(note.absolute())


def check_planned(path: Path, digest: str) -> None:
    """Compare what a job has read with what its run was planned with.

    Raises:
        InputError: the file was edited in between.
    """
    planned = _planned(os.environ.get(PLANNED, "")).get(os.path.abspath(path), "")
    if not digest.startswith(planned):
        raise InputError(f"{path}: changed since this run began, so its output is not published; run again")


@cache
def _planned(note: str) -> dict[str, str]:
    """Empty where there is none: in jobs that a person starts, or on a machine that does not see the run's folder."""
    try:
        return dict(json.loads(Path(note).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def owner() -> str:
    """This process, named as no other of any machine is: for names of files that are being written."""
    return f"{os.getpid()}-{_start_time(os.getpid())}-{_machine()}"


def is_gone(owner: str) -> bool | None:
    """Whether a process (as :func:`owner` names it) has ended; None for one that cannot be seen from here."""
    number, started, machine = owner.split("-", 2)
    return _start_time(int(number)) != started if machine == _machine() else None


def check_publishing() -> None:
    """Refuse to publish for a run of this machine that is gone, or what was made from an input that has changed.

    Jobs that a person starts belong to no run.

    Raises:
        InputError: either of the two.
    """
    if RUN in os.environ:
        machine, number, started = os.environ[RUN].rsplit(" ", 2)
        if machine == _machine() and _start_time(int(number)) != started:
            raise InputError("the run that started this job was ended, so its output is not published; run it again")
    for path in _used:
        if not path.is_file() or _state(path) != (_noted or {})[path]:
            raise InputError(
                f"{path}: changed while this job was reading it, so its output is not published; run again"
            )


@cache
def _machine() -> str:
    """Host, and what tells containers on it apart, which count their processes each for itself."""
    try:
        processes = os.readlink("/proc/self/ns/pid")
    except OSError:
        processes = ""
    return re.sub("[^A-Za-z0-9.]+", "_", f"{socket.gethostname()[:40]} {processes}").strip("_")


def _start_time(number: int) -> str:
    """When a process began, in clock ticks since boot; empty where there is no such process (or no /proc)."""
    try:
        after_name = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if after_name[0] == "Z" else after_name[19]


def begin_job(paths: Iterable[Path]) -> None:
    """Note what the files among ``paths`` are before a stage reads them. Without it, inputs are not compared."""
    global _noted
    _used.clear()
    _noted = {path.absolute(): _state(path) for path in paths if path.is_file()}


def use_input(path: Path) -> None:
    """An input that goes into an artefact's header: from here on it is compared whenever the job publishes a file."""
    if _noted is not None:
        _noted.setdefault(path.absolute(), _state(path))
        _used.add(path.absolute())


def _state(path: Path) -> tuple[int, ...]:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
