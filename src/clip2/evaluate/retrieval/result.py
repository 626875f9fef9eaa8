"""The retrieval result file: its form, reading and writing it, and the table that is printed."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field
from rich.console import Console

from clip2.evaluate.result_file import ResultPart, print_head, read_result_file
from clip2.runtime.console import console as standard_output
from clip2.runtime.tables import print_by_class, print_table
from clip2.store.atomic import write_sealed


class QueryScore(ResultPart):
    """One name searched for."""

    n: int = Field(ge=1, description="objects of this name")
    ap: float = Field(ge=0, le=1, description="average precision over the whole ranking")
    recall: dict[str, float] = Field(description="{k: share of the objects among the first k}")


class RetrievalScore(ResultPart):
    """One way to rank: unweighted means over the queries, and each query."""

    mean_ap: float = Field(ge=0, le=1)
    recall: dict[str, float]
    no_image: int = Field(0, ge=0, description="objects that it could not see, ranked last")
    per_query: dict[str, QueryScore]


class RetrievalResult(ResultPart):
    """Long-tail retrieval by one or more methods over the same objects."""

    dataset: str
    split: str
    source_kind: Literal["real", "built-in world"]
    protocol: dict[str, Any] = Field(description="every choice that moves the numbers")
    n_objects: int = Field(ge=1, description="objects that are ranked, of all names")
    queries: dict[str, int] = Field(min_length=1, description="{name: objects of it}")
    skipped: dict[str, int] = Field(description="annotated boxes that are not among the objects, by reason")
    methods: dict[str, RetrievalScore]
    provenance: dict[str, Any]


def write_retrieval(path: Path, result: RetrievalResult) -> None:
    write_sealed(path, result.model_dump(mode="json"))


def read_retrieval(path: Path) -> RetrievalResult:
    """Read a result file; see :func:`clip2.evaluate.result_file.read_result_file`."""
    return read_result_file(path, RetrievalResult, "retrieval result")


def print_retrieval(result: RetrievalResult, console: Console | None = None) -> None:
    """Print the means of every method, then the average precision of each query."""
    console = console or standard_output()
    size = f"{len(result.queries)} names, {result.n_objects:,} objects"
    title = f"Search by name, {result.dataset}, {result.split}: {size}, %"
    print_head(console, title, result.source_kind, result.model_dump())
    first = next(iter(result.methods.values()))
    rows = [
        [name, *(f"{100 * value:.1f}" for value in (method.mean_ap, *method.recall.values()))]
        for name, method in result.methods.items()
    ]
    print_table(console, ["method", "mean AP", *(f"recall @ {k}" for k in first.recall)], rows)
    methods = {
        name: {query: method.per_query[query].ap for query in result.queries} for name, method in result.methods.items()
    }
    print_by_class(console, result.queries, methods, title="Average precision of each name, %", label="name")
