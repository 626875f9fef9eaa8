"""How long a finished run of the workflow had no job running: what Snakemake itself took between jobs."""

from pathlib import Path
from typing import Any

from clip2.report.memory import read_jobs
from clip2.runtime.errors import InputError


def run(results: Path) -> dict[str, Any]:
    """Read ``results/benchmarks/**.tsv`` of a run that was not interrupted, nor copied since.

    A job ended when its file was written and began so many seconds before; starting Snakemake itself is not in it.

    Returns: wall seconds from the first job's start to the last one's end, and those with no job running.
    """
    spans = []
    for path, seconds, _ in read_jobs(results / "benchmarks"):
        end = path.stat().st_mtime
        spans.append((end - seconds, end))
    if not spans:
        raise InputError(f"{results}: holds no benchmarks/*.tsv; give the results folder of a finished run")
    spans.sort()
    idle, until = 0.0, spans[0][0]
    for start, end in spans:
        idle += max(0.0, start - until)
        until = max(until, end)
    wall = until - spans[0][0]
    return {"jobs": len(spans), "wall_s": wall, "idle_s": idle, "idle_share": idle / wall}
