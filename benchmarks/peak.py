"""Peak memory and time of a command in a process of its own."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# A child's peak is never below what its parent held when it started it: a small process stands in between.
_LAUNCHER = """
import json, resource, signal, subprocess, sys, time
start = time.monotonic()
child = subprocess.Popen(sys.argv[2:])
signal.signal(signal.SIGTERM, lambda *_: child.terminate())
code = child.wait()
used = resource.getrusage(resource.RUSAGE_CHILDREN)
report = {"code": code, "peak_mb": used.ru_maxrss / 1024, "seconds": time.monotonic() - start,
          "cpu_seconds": used.ru_utime + used.ru_stime}
open(sys.argv[1], "w").write(json.dumps(report))
"""
POLL_S = 0.5


@dataclass(frozen=True)
class Usage:
    """Of a command and the processes that it waited for. ``peak_mb`` (2²⁰ bytes) is the largest process's."""

    peak_mb: float
    seconds: float
    cpu_seconds: float
    stopped: bool  # before its end, by us
    output: str


def measure(
    command: Sequence[str | Path],
    scratch: Path,
    environment: Mapping[str, str],
    cwd: Path | None = None,
    enough: Callable[[str], bool] | None = None,
) -> Usage:
    """Run a command.

    Args:
        scratch: folder for its output.
        environment: all of its environment.
        enough: asked twice a second, with the output so far; when true, the command is stopped and what it used until
            then is reported.

    Raises:
        RuntimeError: the command failed; its last lines.
    """
    log, report = scratch / "measured.log", scratch / "measured.json"
    report.unlink(missing_ok=True)
    stopped = False
    with log.open("w") as output:
        launcher = subprocess.Popen(
            [sys.executable, "-c", _LAUNCHER, report, *command], stdout=output, stderr=output, env=environment, cwd=cwd
        )
        while enough is not None and launcher.poll() is None and not stopped:
            time.sleep(POLL_S)
            if enough(log.read_text()):
                launcher.terminate()
                stopped = True
        launcher.wait()
    measured = json.loads(report.read_text())
    text = log.read_text()
    if measured.pop("code") and not stopped:
        raise RuntimeError(f"{' '.join(map(str, command))}\n{text[-3000:]}")
    return Usage(**measured, stopped=stopped, output=text)
