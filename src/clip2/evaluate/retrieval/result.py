"""The retrieval result file: its form, reading and writing it, and the table that is printed."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field
from rich import box
from rich.console import Console
from rich.table import Table

from clip2.console import console as standard_output
from clip2.evaluate.result_file import ResultPart, read_result_file
from clip2.store.atomic import write_json


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
    write_json(path, result.model_dump(mode="json"))


def read_retrieval(path: Path) -> RetrievalResult:
    """Read a result file; see :func:`clip2.evaluate.result_file.read_result_file`."""
    return read_result_file(path, RetrievalResult, "retrieval result")


def print_retrieval(result: RetrievalResult, console: Console | None = None) -> None:
    """Print the means of every method, then the average precision of each query."""
    console = console or standard_output()
    title = (
        f"Search by name, {result.dataset}, {result.split}: {len(result.queries)} names, {result.n_objects:,} objects"
    )
    if result.source_kind != "real":
        title += f"\n{result.source_kind.upper()}: not figures of a real data set"
    totals = Table(title=title, box=box.SIMPLE_HEAD)
    totals.add_column("method")
    totals.add_column("mean AP", justify="right")
    first = next(iter(result.methods.values()))
    for k in first.recall:
        totals.add_column(f"recall @ {k}", justify="right")
    for name, method in result.methods.items():
        totals.add_row(name, *(f"{100 * value:.1f}" for value in (method.mean_ap, *method.recall.values())))
    console.print(totals)
    queries = Table(title="Average precision of each name", box=box.SIMPLE_HEAD)
    queries.add_column("name")
    queries.add_column("n", justify="right")
    for name in result.methods:
        queries.add_column(name, justify="right")
    for query, n in result.queries.items():
        cells = (f"{100 * method.per_query[query].ap:.1f}" for method in result.methods.values())
        queries.add_row(query, f"{n:,}", *cells)
    console.print(queries)
