"""A result file as a table on the console."""

from pathlib import Path

from rich.console import Console

from clip2.evaluate.result import Result, read_result
from clip2.evaluate.result_file import interval, made_from
from clip2.runtime.console import console as standard_output
from clip2.runtime.tables import print_by_class, print_table


def warning(result: Result) -> str | None:
    """What must stand over a result that is not of a real data set, or None."""
    if result.source_kind == "real":
        return None
    return f"{result.source_kind.upper()}: not {_spelling(result.dataset)} figures"


def _spelling(dataset: str) -> str:
    names = {
        "nuscenes": "nuScenes",
        "once": "ONCE",
        "argoverse2": "Argoverse 2",
        "sunrgbd": "SUN RGB-D",
        "scannet": "ScanNet",
    }
    return names.get(dataset, dataset)


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
        console.print(f" {told} ", style="bold white on red")
    console.print(heading(result), style="bold", highlight=False)
    console.print(made_from(result.model_dump()), highlight=False)
    _print_totals(result, console)
    first = next(iter(result.methods.values()), None)
    counts = {
        label: max(method.per_class[label].n for method in result.methods.values())
        for label in (first.per_class if first else ())
    }
    methods = {
        name: {label: score.top1 for label, score in method.per_class.items()}
        for name, method in result.methods.items()
    }
    print_by_class(console, counts, methods, title="Recognised of each class, %")
    _print_changes(result, console)
    skipped = ", ".join(f"{reason} {n:,}" for reason, n in result.skipped.items()) or "none"
    console.print(f"boxes not asked about: {skipped}\n", style="dim", highlight=False)


def _print_changes(result: Result, console: Console) -> None:
    """What became of a method's answers for objects that were changed in ways that should not matter."""
    for name, method in result.methods.items():
        rows = [
            (change, f"{100 * score.same_answer:.1f}", f"{100 * score.class_mean_top1:.1f}")
            for change, score in method.changed.items()
        ]
        if rows:
            head = ("changed", "same answer, %", "class mean")
            print_table(console, head, rows, title=f"{name}, shown the same objects")


def _print_totals(result: Result, console: Console) -> None:
    """One row a method, the best one in bold."""
    head = ("method", "class mean", "95 %", "top-1", "top-3", "top-5", "n")
    best = max((m.class_mean_top1 for m in result.methods.values()), default=0.0)
    rows = [
        (
            name,
            f"{100 * method.class_mean_top1:.1f}",
            interval(method.ci95),
            *(f"{100 * value:.1f}" for value in (method.top1, method.top3, method.top5)),
            f"{method.n:,}",
        )
        for name, method in result.methods.items()
    ]
    bold = [number for number, method in enumerate(result.methods.values()) if method.class_mean_top1 == best]
    print_table(console, head, rows, bold=bold)
