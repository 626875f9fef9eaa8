"""Stage `report-benchmark`: all results in one table, with published figures beside them, marked as such."""

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from clip2.evaluate.result_file import made_from, missing
from clip2.report.published import PUBLISHED
from clip2.runtime.console import console as standard_output
from clip2.runtime.errors import InputError
from clip2.runtime.tables import print_table
from clip2.store.atomic import read_json, write_sealed, write_text

TASKS = ("zeroshot", "fewshot", "localization", "retrieval")
NAME = re.compile(rf"^(?P<benchmark>.+)_(?P<task>{'|'.join(TASKS)})\.json$")
Results = dict[str, dict[str, Any]]
"""Benchmark → figures of one task."""
Table = dict[str, Any]
"""Task → :data:`Results`, and ``published``: what ``results/benchmark.json`` holds."""
NOT_REAL = (
    "These figures show that the software works. They are no figures of the data sets whose formats and protocols the "
    "built-in worlds follow."
)


def run(results: Sequence[Path], out: Path, console: Console | None = None) -> None:
    """Write the table as JSON and, beside it, as Markdown; print it.

    Args:
        results: files named ``{benchmark}_{task}.json``.

    Raises:
        InputError: a file of another name, or one that cannot be read.
    """
    by_task: dict[str, Results] = {task: {} for task in TASKS}
    for path in results:
        found = NAME.match(path.name)
        if found is None:
            raise InputError(f"{path}: a result is named BENCHMARK_TASK.json, with a task of {', '.join(TASKS)}")
        by_task[found["task"]][found["benchmark"]] = _figures(_read(path))
    published = [p._asdict() for p in PUBLISHED if any(p.benchmark in there for there in by_task.values())]
    table = {**by_task, "published": published}
    write_sealed(out, table)
    write_text(out.with_suffix(".md"), markdown(table))
    print_benchmark(table, console)


def read_benchmark(path: Path) -> Table:
    """Read the JSON that :func:`run` wrote.

    Raises:
        InputError: missing, not JSON, or something else.
    """
    table = _read(path)
    if set(table) != {*TASKS, "published"}:
        raise InputError(f"{path}: not a table of all results; make it again")
    return table


def _read(path: Path) -> dict[str, Any]:
    try:
        result: dict[str, Any] = read_json(path)
    except FileNotFoundError:
        raise missing(path) from None
    except ValueError as error:
        raise InputError(f"{path}: not readable as JSON ({error}); make it again") from None
    return result


def _figures(result: dict[str, Any]) -> dict[str, Any]:
    """What of a result goes into the JSON: everything but confusions, bootstrap draws and provenance."""
    dropped = {"confusion", "absent_classes", "subsets"}
    kept = ("dataset", "split", "source_kind", "n_objects", "class_agnostic")
    return {
        **{key: result[key] for key in kept if key in result},
        "made_from": made_from(result),
        "n_classes": len(result["protocol"]["classes"]) if "classes" in result["protocol"] else None,
        "methods": {
            name: {key: value for key, value in method.items() if key not in dropped}
            for name, method in result["methods"].items()
        },
    }


class Section(NamedTuple):
    """One table of the page."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    n_words: int = 1
    """Columns, from the left, that say what a row is of."""
    words: Collection[int] = ()
    """Columns of words; without: those."""
    best: Collection[tuple[int, int]] = ()
    """(row, column) of what stands out."""


def sections(table: Table) -> list[Section]:
    """The tables of the page, from the JSON."""
    made = {"zeroshot": _zeroshot, "fewshot": _fewshot, "localization": _localization, "retrieval": _retrieval}
    parts = []
    for task, section in made.items():
        if table[task]:
            parts.append(section(table[task]))
        if task == "zeroshot" and table["published"]:
            parts.append(_published(table["published"]))
    return parts


def markdown(table: Table) -> str:
    """The page as Markdown."""
    made = _made(table)
    lines = ["# Benchmark", ""]
    if made:
        lines += [f"**Made on the built-in world: {', '.join(made)}.** {NOT_REAL}", ""]
    for title, head, rows, _, _, best in sections(table):
        lines += [f"## {title}", "", f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(head) - 1)}"]
        for i, row in enumerate(rows):
            cells = [f"**{cell}**" if (i, j) in best else cell for j, cell in enumerate(row)]
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def print_benchmark(table: Table, console: Console | None = None) -> None:
    """Print the page."""
    console = console or standard_output()
    if made := _made(table):
        console.print(f"Made on the built-in world: {', '.join(made)}. {NOT_REAL}", style="bold red", highlight=False)
    for title, head, rows, n_words, words, best in sections(table):
        marked = [[f"{cell} *" if (i, j) in best else cell for j, cell in enumerate(row)] for i, row in enumerate(rows)]
        caption = "* the best" if best else None
        print_table(console, head, marked, title=title, caption=caption, keep=n_words, words=words or range(n_words))


def _made(table: Table) -> list[str]:
    """Benchmarks whose figures are of no real data set."""
    return sorted({b for task in TASKS for b, result in table[task].items() if result["source_kind"] != "real"})


def _methods(results: Results) -> list[str]:
    return list(dict.fromkeys(name for result in results.values() for name in result["methods"]))


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def _zeroshot(results: Results) -> Section:
    names = _methods(results)
    rows = []
    for name in names:
        methods = [result["methods"].get(name) for result in results.values()]
        rows.append([name, *("" if method is None else _percent(method["class_mean_top1"]) for method in methods)])
    rows.append(["objects", *(f"{result['n_objects']:,}" for result in results.values())])
    rows.append(["classes", *(str(result["n_classes"]) for result in results.values())])
    best = []
    for column, result in enumerate(results.values(), start=1):
        scores = {name: method["class_mean_top1"] for name, method in result["methods"].items()}
        best += [(names.index(name), column) for name in scores if scores[name] == max(scores.values())]
    return Section("Zero-shot recognition: class-mean top-1, %", ["method", *results], rows, best=best)


def _published(published: Sequence[dict[str, str]]) -> Section:
    keys = ("method", "benchmark", "value", "metric", "source", "remark")
    rows = [[p[key].replace("class_mean_top1", "class mean top1") for key in keys] for p in published]
    title = "Published figures: not measured here, other models and partly other protocols, %"
    return Section(title, keys, rows, n_words=2, words=(0, 1, 3, 4, 5))


def _fewshot(results: Results) -> Section:
    shots = sorted(
        {int(k) for result in results.values() for method in result["methods"].values() for k in method["shots"]}
    )

    def cell(method: dict[str, Any], k: int) -> str:
        score = method["shots"].get(str(k))
        if score is None:
            return ""
        spread = score["class_mean_top1"]
        text = _percent(spread["mean"])
        return f"{text} ± {_percent(spread['std'])}" if len(spread["seeds"]) > 1 else text

    rows = [
        [benchmark, name, *(cell(method, k) for k in shots)]
        for benchmark, result in results.items()
        for name, method in result["methods"].items()
    ]
    title = "Few-shot recognition: class-mean top-1, %, mean ± standard deviation over draws"
    return Section(title, ["benchmark", "method", *(f"{k} shots" for k in shots)], rows, n_words=2)


def _localization(results: Results) -> Section:
    columns = ("ap25", "ar25", "ap50", "ap_2m")
    rows = []
    for benchmark, result in results.items():
        for name, method in result["methods"].items():
            official = method["nuscenes"] or {}
            values = [method[column] for column in columns] + [official.get("mean_ap"), official.get("nd_score")]
            rows.append([benchmark, name, *map(_percent, values)])
        agnostic = result["class_agnostic"]
        rows.append([benchmark, "without names", *(_percent(agnostic[column]) for column in columns), "–", "–"])
    head = ["benchmark", "named by", "AP25", "AR25", "AP50", "AP 2 m", "nuScenes mAP", "NDS"]
    return Section("Open-world localisation, %", head, rows, n_words=2)


def _retrieval(results: Results) -> Section:
    rows = []
    for benchmark, result in results.items():
        for name, method in result["methods"].items():
            values = [method["recall"].get(str(k)) for k in (1, 5, 10, 20, 50)] + [method["mean_ap"]]
            rows.append([benchmark, name, *map(_percent, values)])
    head = ["benchmark", "method", *(f"recall@{k}" for k in (1, 5, 10, 20, 50)), "mAP"]
    return Section("Rare things found by their name: mean over queries, %", head, rows, n_words=2)
