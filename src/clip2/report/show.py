"""Any result file as a table on the console: its name says which task it is of."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel

from clip2.errors import InputError
from clip2.evaluate.fewshot.result import FewshotResult, print_fewshot, read_fewshot
from clip2.evaluate.localization.result import LocalizationResult, print_localization, read_localization
from clip2.evaluate.result import Result
from clip2.evaluate.retrieval.result import RetrievalResult, print_retrieval, read_retrieval
from clip2.report.table import print_result


class ResultKind(NamedTuple):
    """The form of a task's results, and how they are shown."""

    model: type[BaseModel]
    show: Callable[[Path], Any]


RESULTS: dict[str, ResultKind] = {
    "zeroshot": ResultKind(Result, print_result),
    "fewshot": ResultKind(FewshotResult, lambda path: print_fewshot(read_fewshot(path))),
    "localization": ResultKind(LocalizationResult, lambda path: print_localization(read_localization(path))),
    "retrieval": ResultKind(RetrievalResult, lambda path: print_retrieval(read_retrieval(path))),
}


def show_result(path: Path) -> None:
    """Print a result file, named ``{benchmark}_{task}.json``.

    Raises:
        InputError: another name, or not a result of that task.
    """
    task = path.stem.rpartition("_")[2]
    if task not in RESULTS:
        raise InputError(f"{path}: a result is named BENCHMARK_TASK.json, with a task of {', '.join(RESULTS)}")
    RESULTS[task].show(path)
