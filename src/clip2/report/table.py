"""A result file as a table on the console."""

from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from clip2.console import console as standard_output
from clip2.evaluate.result import MethodScore, Result, read_result

WIDE = 160
"""Columns of a terminal from which the per-class table stands beside the total's instead of below it."""


def warning(result: Result) -> str | None:
    """What must stand over a result that is not of a real data set, or None."""
    if result.source_kind == "real":
        return None
    return f"{result.source_kind.upper()}: not {_spelling(result.dataset)} figures"


def _spelling(dataset: str) -> str:
    return {"nuscenes": "nuScenes", "sunrgbd": "SUN RGB-D", "scannet": "ScanNet", "once": "ONCE"}.get(dataset, dataset)


def heading(result: Result) -> str:
    """Data set, split and number of objects."""
    name = _spelling(result.dataset)
    if result.source_kind != "real":
        name = f"{result.source_kind} by the {name} protocol"
    return f"Zero-shot recognition, {name}, {result.split}: {result.n_objects:,} objects"


def print_result(path: Path, console: Console | None = None) -> None:
    """Print a result file: methods with their totals, then each class.

    Raises:
        InputError: the file is missing or not a result.
    """
    result = read_result(path)
    console = console or standard_output()
    console.print()
    if told := warning(result):
        console.print(f"[bold white on red] {told} [/]")
    console.print(f"[bold]{heading(result)}[/]")
    totals, classes = totals_table(result), classes_table(result)
    if console.width >= WIDE:
        grid = Table.grid(padding=(0, 2))
        grid.add_row(totals, classes)
        console.print(grid)
    else:
        console.print(totals)
        console.print(classes)
    skipped = ", ".join(f"{reason} {n:,}" for reason, n in result.skipped.items()) or "none"
    console.print(f"[dim]boxes not asked about: {skipped}[/]\n")


def totals_table(result: Result) -> Table:
    """One row a method."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("method")
    for head in ("class mean", "95 %", "top-1", "top-3", "top-5", "n"):
        table.add_column(head, justify="right", no_wrap=True)
    best = max(m.class_mean_top1 for m in result.methods.values()) if result.methods else 0.0
    for name, method in result.methods.items():
        interval = "–" if method.ci95 is None else f"{method.ci95[0]:.1%} – {method.ci95[1]:.1%}".replace("%", "")
        table.add_row(
            name,
            f"{100 * method.class_mean_top1:.1f}",
            interval,
            *(f"{100 * value:.1f}" for value in (method.top1, method.top3, method.top5)),
            f"{method.n:,}",
            style="bold" if method.class_mean_top1 == best else "",
        )
    return table


def classes_table(result: Result) -> Table:
    """One row a class: its number of objects and the top-1 of every method, in percent."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("class")
    table.add_column("n", justify="right")
    for name in result.methods:
        table.add_column(name, justify="right", no_wrap=True)
    first = next(iter(result.methods.values()), None)
    for label in first.per_class if first else ():
        n = max(method.per_class[label].n for method in result.methods.values())
        table.add_row(label, f"{n:,}", *(_percent(method, label) for method in result.methods.values()))
    return table


def _percent(method: MethodScore, label: str) -> str:
    top1 = method.per_class[label].top1
    return "–" if top1 is None else f"{100 * top1:.1f}"
