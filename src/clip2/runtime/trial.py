"""Libraries in C that crash, hang or take all memory on damaged files are tried in a child process first."""

import contextlib
import faulthandler
import os
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path

from clip2.runtime.errors import InputError

SECONDS, BYTES_A_SECOND = 1.0, 10e6
"""Processor time that a file may take, whatever its size, and how fast the rest is read at least."""
PATIENCE = 30.0
"""Times that, by the clock: a disk may be slow."""
MEMORY = 768 << 20
"""Bytes that reading may take in addition to what the process has; readers hold a small part of a file at a time."""


def try_reading(path: Path, read: Callable[[Path], None], what: str, advice: str) -> None:
    """Read a file in a child process, which is forked in milliseconds, before the caller reads it itself.

    The child uses nothing but ``read``, which has to hold little at a time, and imports nothing.

    Args:
        read: what the caller will, as far as it is in danger; what it raises is the reason.
        what: it should be, for the message.
        advice: what to do where it cannot be read.

    Raises:
        InputError: reading raises, crashes, does not end, or takes too much memory.
    """
    seconds = SECONDS + path.stat().st_size / BYTES_A_SECOND
    answers, answer = os.pipe()
    child = os.fork()
    if child == 0:
        _child(path, read, answer, seconds)
    os.close(answer)
    try:
        status = _wait(child, PATIENCE * seconds)
        with os.fdopen(answers, "rb") as file:
            told = file.read().decode("utf-8", "replace")
    except BaseException:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise
    if status == 0 and not told:
        return
    if told:
        reason = told
    elif os.WIFSIGNALED(status) and os.WTERMSIG(status) not in (signal.SIGXCPU, signal.SIGKILL):
        reason = f"it crashes its reader ({signal.Signals(os.WTERMSIG(status)).name})"
    else:
        reason = "its reader does not come to an end"
    raise InputError(f"{path}: not a readable {what} ({reason}); {advice}")


def _child(path: Path, read: Callable[[Path], None], answer: int, seconds: float) -> None:
    """Never returns. Whatever happens is told by the pipe or by how the process ends."""
    code = 1
    try:
        faulthandler.disable()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 2))
        with contextlib.suppress(OSError, ValueError), open("/proc/self/statm", encoding="ascii") as file:
            size = int(file.read().split()[0]) * resource.getpagesize() + MEMORY
            resource.setrlimit(resource.RLIMIT_AS, (size, size))
        null = os.open(os.devnull, os.O_WRONLY)
        for stream in (1, 2):  # a library's last words are no message for users
            os.dup2(null, stream)
        read(path)
        code = 0
    except BaseException as error:
        words = " ".join(str(error).split())[:300]
        os.write(answer, f"{type(error).__name__}: {words}".encode("utf-8", "replace"))
    finally:
        os._exit(code)


def _wait(child: int, seconds: float) -> int:
    """Its status; killed where it takes too long by the clock."""
    end, pause = time.monotonic() + seconds, 0.0005
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
            return os.waitpid(child, 0)[1]
        time.sleep(pause)
        pause = min(0.02, 2 * pause)
