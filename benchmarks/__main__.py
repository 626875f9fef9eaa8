"""``python -m benchmarks``: measure, print, write results/benchmarks.json and results/benchmarks.png."""

import argparse
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import accuracy, detect, embed, growth, lift, overhead, pretrain, report
from benchmarks.machine import describe_machine, in_words
from benchmarks.options import Options
from benchmarks.timing import Comparison
from clip2.runtime.console import console as standard_output
from clip2.runtime.device import resolve_device
from clip2.runtime.errors import InputError
from clip2.store.atomic import write_json
from clip2.store.provenance import git_state

PARTS: dict[str, Callable[[Options], Iterator[Comparison]]] = {
    "detect": detect.run,
    "embed": embed.run,
    "lift": lift.run,
    "pretrain": pretrain.run,
}
GPU_PARTS = ("detect", "embed", "pretrain")
"""Whose goals are for a GPU."""
OTHERS = ("growth", "accuracy", "snakemake")
OF_RESULTS = ("accuracy", "snakemake")
"""Parts that need the results of a finished run."""


def main(arguments: list[str] | None = None) -> None:
    asked = _parse(arguments)
    logging.basicConfig(level=logging.WARNING)
    try:
        with tempfile.TemporaryDirectory(prefix="clip2-benchmarks-") as scratch:
            _run(asked, Path(scratch))
    except InputError as error:
        sys.exit(f"error: {error}")


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"of {', '.join([*PARTS, *OTHERS])}; default all that can be run"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda …")
    parser.add_argument("--quick", action="store_true", help="small and few: whether it runs, not how fast")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="for decoding beside a GPU")
    parser.add_argument("--realdata", type=Path, help="folder of real sample frames with a frames.json, for lift")
    parser.add_argument(
        "--results", type=Path, help=f"results of a finished run of the built-in world, for {' and '.join(OF_RESULTS)}"
    )
    parser.add_argument("--out", type=Path, default=Path("results"), help="folder for benchmarks.json and .png")
    asked = parser.parse_args(arguments)
    asked.parts = asked.parts or [part for part in (*PARTS, *OTHERS) if asked.results or part not in OF_RESULTS]
    for part in asked.parts:
        if part not in (*PARTS, *OTHERS):
            parser.error(f"no such part: {part}; there are {', '.join([*PARTS, *OTHERS])}")
        if part in OF_RESULTS and asked.results is None:
            parser.error(f"{part} needs --results: the results folder of a finished run of the built-in world")
    return asked


def _run(asked: argparse.Namespace, scratch: Path) -> None:
    out = standard_output()
    parts = asked.parts
    options = Options(resolve_device(asked.device), asked.quick, scratch, asked.threads, asked.realdata, asked.results)
    if options.device.type == "cpu":
        os.environ["OMP_NUM_THREADS"] = "1"  # for the processes that are started from here
    machine = describe_machine()
    out.print(in_words(machine))
    skipped = (
        {}
        if options.gpu
        else {part: "no GPU: small networks on one CPU core instead" for part in GPU_PARTS if part in parts}
    )
    for part in skipped:
        out.print(f"[bold red]NOT MEASURED at full size: {part} ({skipped[part]})")
    comparisons: list[Comparison] = []
    for part in (part for part in PARTS if part in parts):
        for comparison in PARTS[part](options):
            out.print(f"{part}: {comparison.name} done")
            comparisons.append(comparison)
    grown = []
    for one in growth.run(options) if "growth" in parts else ():
        out.print(f"growth: {one.name} done")
        grown.append(one)
    found = accuracy.run(options) if "accuracy" in parts else []
    idle = overhead.run(asked.results) if "snakemake" in parts else None
    if comparisons:
        report.print_comparisons(comparisons, out)
    if grown:
        report.print_growth(grown, out)
    if found:
        report.print_accuracy(found, out)
    if idle:
        out.print(
            f"Snakemake: {idle['jobs']} jobs in {idle['wall_s']:.0f} s, of which {idle['idle_s']:.0f} s without a job"
        )
    written: dict[str, Any] = {
        "format": 1,
        "quick": options.quick,
        "machine": machine,
        "git": git_state(),
        "comparisons": [c.to_json() for c in comparisons],
        "growth": [g.to_json() for g in grown],
        "accuracy": [a.to_json() for a in found],
        "snakemake": idle,
        "skipped": skipped,
    }
    figures, picture = asked.out / "benchmarks.json", asked.out / "benchmarks.png"
    write_json(figures, written)
    out.print(f"written: {figures}")
    if comparisons or grown:
        title = in_words(machine) + " (--quick: shows that it runs, not how fast)" * options.quick
        report.draw(comparisons, grown, title, picture)
        out.print(f"written: {picture}")


if __name__ == "__main__":
    main()
