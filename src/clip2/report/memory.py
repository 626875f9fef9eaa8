"""What the stages cost: peak memory and time, from the benchmark files that Snakemake writes."""

import csv
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from clip2.runtime.console import console as standard_output
from clip2.runtime.errors import InputError
from clip2.runtime.tables import print_table


@dataclass
class Usage:
    """All jobs of one rule."""

    jobs: int = 0
    seconds: float = 0.0
    longest_s: float = 0.0
    peak_mb: float = 0.0


def read_jobs(folder: Path) -> Iterator[tuple[Path, float, float]]:
    """Of each job that Snakemake measured: its benchmark file, seconds, and peak memory in MB.

    Args:
        folder: all ``.tsv`` in it; columns ``s`` (seconds) and ``max_rss`` (MB), one row a repetition.

    Raises:
        InputError: one of them is no benchmark file.
    """
    for path in sorted(folder.rglob("*.tsv")):
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
        for row in rows:
            try:
                seconds, peak = float(row["s"]), _number(row["max_rss"])
            except (KeyError, TypeError, ValueError):
                raise InputError(f"{path}: not a Snakemake benchmark file (columns s and max_rss); remove it") from None
            yield path, seconds, peak


def read_usage(folder: Path) -> dict[str, Usage]:
    """Sum the benchmark files under a folder by rule.

    Args:
        folder: ``{rule}/….tsv`` or ``{rule}.tsv``.

    Raises:
        InputError: no benchmark file, or one that is not.
    """
    usage: dict[str, Usage] = defaultdict(Usage)
    for path, seconds, peak in read_jobs(folder):
        one = usage[path.relative_to(folder).with_suffix("").parts[0]]
        one.jobs += 1
        one.seconds += seconds
        one.longest_s = max(one.longest_s, seconds)
        one.peak_mb = max(one.peak_mb, peak)
    if not usage:
        raise InputError(f"{folder}: holds no benchmark file (.tsv); run the workflow first")
    return dict(usage)


def _number(text: str) -> float:
    """Snakemake writes "-" or "NA" for a job that ended before it could be measured."""
    return 0.0 if text in ("-", "NA") else float(text)


def print_usage(folder: Path, console: Console | None = None) -> None:
    """Print :func:`read_usage`, the longest rule first."""
    usage = read_usage(folder)
    rows = [
        _row(rule, one.jobs, one.seconds, one.longest_s, one.peak_mb)
        for rule, one in sorted(usage.items(), key=lambda item: -item[1].seconds)
    ]
    every = usage.values()
    most = [max(getattr(one, name) for one in every) for name in ("longest_s", "peak_mb")]
    rows.append(_row("all", sum(one.jobs for one in every), sum(one.seconds for one in every), *most))
    head = ["stage", "jobs", "time in all", "longest job", "peak memory"]
    title = "Time and peak memory of each stage"
    print_table(console or standard_output(), head, rows, title=title, bold=[len(rows) - 1])


def _row(name: str, jobs: int, seconds: float, longest_s: float, peak_mb: float) -> list[str]:
    return [name, f"{jobs:,}", f"{seconds:,.1f} s", f"{longest_s:,.1f} s", f"{peak_mb:,.0f} MB"]
