"""Stage `report-benchmark`: all results in one table, with published figures beside them, marked as such."""

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markdown import Markdown

from clip2.console import console as standard_output
from clip2.errors import InputError
from clip2.report.published import PUBLISHED, Published
from clip2.store.atomic import read_json, write_json, write_text

TASKS = ("zeroshot", "fewshot", "localization", "retrieval")
NAME = re.compile(rf"^(?P<benchmark>.+)_(?P<task>{'|'.join(TASKS)})\.json$")
Results = dict[str, dict[str, Any]]
"""Benchmark → result file of one task."""


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
        by_task[found["task"]][found["benchmark"]] = _read(path)
    published = [p for p in PUBLISHED if any(p.benchmark in there for there in by_task.values())]
    write_json(out, {**{t: _figures(t, r) for t, r in by_task.items()}, "published": [p._asdict() for p in published]})
    text = markdown(by_task, published)
    write_text(out.with_suffix(".md"), text)
    (console or standard_output()).print(Markdown(text))


def _read(path: Path) -> dict[str, Any]:
    try:
        result: dict[str, Any] = read_json(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; make it with `snakemake {path}`") from None
    except ValueError as error:
        raise InputError(f"{path}: not readable as JSON ({error}); make it again") from None
    return result


def _figures(task: str, results: Results) -> dict[str, Any]:
    """What of a task's results goes into the JSON: everything but confusions, bootstrap draws and provenance."""
    dropped = {"confusion", "absent_classes", "subsets"}
    return {
        benchmark: {
            **{key: result[key] for key in ("dataset", "split", "source_kind")},
            "methods": {
                name: {key: value for key, value in method.items() if key not in dropped}
                for name, method in result["methods"].items()
            },
        }
        for benchmark, result in results.items()
    }


def markdown(by_task: dict[str, Results], published: Sequence[Published]) -> str:
    """The whole table."""
    parts = ["# Benchmark\n", _warning(by_task)]
    sections: dict[str, Callable[[Results], list[str]]] = {
        "zeroshot": _zeroshot,
        "fewshot": _fewshot,
        "localization": _localization,
        "retrieval": _retrieval,
    }
    for task, section in sections.items():
        if by_task[task]:
            parts += section(by_task[task])
        if task == "zeroshot" and published:
            parts += _published(published)
    return "\n".join(part for part in parts if part is not None) + "\n"


def _warning(by_task: dict[str, Results]) -> str:
    made = sorted({b for results in by_task.values() for b, r in results.items() if r["source_kind"] != "real"})
    if not made:
        return ""
    return (
        f"**Made on the built-in world: {', '.join(made)}.** These figures show that the software works. They are no "
        "figures of the data sets whose formats and protocols the built-in worlds follow.\n"
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(head) - 1)}"]
    return lines + [f"| {' | '.join(row)} |" for row in rows] + [""]


def _methods(results: Results) -> list[str]:
    return list(dict.fromkeys(name for result in results.values() for name in result["methods"]))


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def _zeroshot(results: Results) -> list[str]:
    names = _methods(results)
    best = {b: max(m["class_mean_top1"] for m in r["methods"].values()) for b, r in results.items()}

    def cell(benchmark: str, name: str) -> str:
        method = results[benchmark]["methods"].get(name)
        if method is None:
            return ""
        text = _percent(method["class_mean_top1"])
        return f"**{text}**" if method["class_mean_top1"] == best[benchmark] else text

    rows = [[name, *(cell(benchmark, name) for benchmark in results)] for name in names]
    rows.append(["objects", *(f"{result['n_objects']:,}" for result in results.values())])
    rows.append(["classes", *(str(len(result["protocol"]["classes"])) for result in results.values())])
    title = "## Zero-shot recognition: class-mean top-1, %\n"
    return [title, *_table(["method", *results], rows)]


def _published(published: Sequence[Published]) -> list[str]:
    rows = [[p.method, p.benchmark, p.value, p.metric.replace("_", " "), p.source, p.remark] for p in published]
    title = "## Published figures: not measured here, other models and partly other protocols, %\n"
    return [title, *_table(["method", "benchmark", "value", "metric", "source", "remark"], rows)]


def _fewshot(results: Results) -> list[str]:
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
    title = "## Few-shot recognition: class-mean top-1, %, mean ± standard deviation over draws\n"
    return [title, *_table(["benchmark", "method", *(f"{k} shots" for k in shots)], rows)]


def _localization(results: Results) -> list[str]:
    columns = ("ap25", "ar25", "ap50", "ap_2m")
    rows = []
    for benchmark, result in results.items():
        for name, method in result["methods"].items():
            official = method["nuscenes"] or {}
            values = [method[column] for column in columns] + [official.get("mean_ap"), official.get("nd_score")]
            rows.append([benchmark, name, *map(_percent, values)])
        agnostic = result["class_agnostic"]
        rows.append([benchmark, "without names", *(_percent(agnostic[column]) for column in columns), "–", "–"])
    title = "## Open-world localisation, %\n"
    head = ["benchmark", "named by", "AP25", "AR25", "AP50", "AP 2 m", "nuScenes mAP", "NDS"]
    return [title, *_table(head, rows)]


def _retrieval(results: Results) -> list[str]:
    rows = []
    for benchmark, result in results.items():
        for name, method in result["methods"].items():
            values = [method["recall"].get(str(k)) for k in (1, 5, 10, 20, 50)] + [method["mean_ap"]]
            rows.append([benchmark, name, *map(_percent, values)])
    title = "## Rare things found by their name: mean over queries, %\n"
    return [title, *_table(["benchmark", "method", *(f"recall@{k}" for k in (1, 5, 10, 20, 50)), "mAP"], rows)]
