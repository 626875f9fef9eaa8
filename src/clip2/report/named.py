"""Results that have a fixed name: as tables on the console, and the same as pages that `snakemake --report` shows."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel
from rich.console import Console

from clip2.evaluate.audit_summary import print_audit, read_audit
from clip2.evaluate.fewshot.result import FewshotResult, print_fewshot, read_fewshot
from clip2.evaluate.localization.result import LocalizationResult, print_localization, read_localization
from clip2.evaluate.result import Result
from clip2.evaluate.retrieval.result import RetrievalResult, print_retrieval, read_retrieval
from clip2.evaluate.search_audit_summary import KIND as SEARCH
from clip2.evaluate.search_audit_summary import print_search_audit
from clip2.evaluate.seeds import SeedsResult, print_seeds
from clip2.evaluate.track_audit_summary import KIND as TRACKS
from clip2.evaluate.track_audit_summary import print_track_audit
from clip2.report.benchmark import print_benchmark, read_benchmark
from clip2.report.table import print_result
from clip2.runtime.errors import InputError
from clip2.store.atomic import write_text

PAGE_WIDTH = 118
"""Characters, as wide as a report shows beside its menu."""
PAGE = """<!doctype html>
<html><head><meta charset="utf-8"><style>
body {{ background: {background}; color: {foreground}; margin: 1em 1.5em; }}
pre {{ font: 13px/1.3 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; white-space: pre-wrap; }}
</style></head><body><pre>{code}</pre></body></html>
"""


class ResultKind(NamedTuple):
    """The form of a task's results, and how they are shown."""

    model: type[BaseModel]
    show: Callable[[Path, Console | None], Any]


RESULTS: dict[str, ResultKind] = {
    "zeroshot": ResultKind(Result, print_result),
    "fewshot": ResultKind(FewshotResult, lambda path, out: print_fewshot(read_fewshot(path), out)),
    "localization": ResultKind(LocalizationResult, lambda path, out: print_localization(read_localization(path), out)),
    "retrieval": ResultKind(RetrievalResult, lambda path, out: print_retrieval(read_retrieval(path), out)),
    "seeds": ResultKind(SeedsResult, print_seeds),
}


AUDITS: dict[str, Callable[[Mapping[str, Any], Console | None], None]] = {
    TRACKS: print_track_audit,
    SEARCH: print_search_audit,
}
"""Audits of other kinds than that of triplets."""


def print_named(path: Path, console: Console | None = None) -> None:
    """Print a result file: ``{benchmark}_{task}.json``, an audit, or the benchmark.

    Args:
        console: where to; standard output unless one is given.

    Raises:
        InputError: missing, of another name, or not what its name says.
    """
    task = path.stem.rpartition("_")[2]
    if task in RESULTS:
        RESULTS[task].show(path, console)
    elif task == "audit":
        kind = path.stem if path.stem in AUDITS else "audit"
        AUDITS.get(kind, print_audit)(read_audit(path, kind), console)
    elif task == "benchmark":
        print_benchmark(read_benchmark(path), console)
    elif not path.exists():
        raise InputError(f"{path}: no such file; `snakemake --cores all results/BENCHMARK_TASK.json` makes results")
    else:
        raise InputError(
            f"{path}: results are named audit.json, {', '.join(f'{name}.json' for name in AUDITS)}, benchmark.json or "
            f"BENCHMARK_TASK.json, with a task of {', '.join(RESULTS)}"
        )


def write_page(path: Path, out: Path) -> None:
    """Write what :func:`print_named` prints of a result file as a page (.html) with colours."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=PAGE_WIDTH, file=nowhere, force_terminal=True, color_system="truecolor")
        print_named(path, console)
        write_text(out, console.export_html(inline_styles=True, code_format=PAGE))
