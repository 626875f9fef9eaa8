"""What the stages cost: peak memory and time, from the benchmark files that Snakemake writes."""

import csv
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from clip2.console import console as standard_output
from clip2.errors import InputError


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
    table = Table(box=box.SIMPLE_HEAD, title="Time and peak memory by rule")
    table.add_column("rule")
    for head in ("jobs", "time in all", "longest job", "peak memory"):
        table.add_column(head, justify="right", no_wrap=True)
    for rule, one in sorted(usage.items(), key=lambda item: -item[1].seconds):
        table.add_row(rule, str(one.jobs), f"{one.seconds:,.1f} s", f"{one.longest_s:,.1f} s", f"{one.peak_mb:,.0f} MB")
    table.add_section()
    peak = max(one.peak_mb for one in usage.values())
    total = sum(one.seconds for one in usage.values())
    longest = max(one.longest_s for one in usage.values())
    jobs = sum(one.jobs for one in usage.values())
    table.add_row("all", str(jobs), f"{total:,.1f} s", f"{longest:,.1f} s", f"{peak:,.0f} MB", style="bold")
    (console or standard_output()).print(table)
