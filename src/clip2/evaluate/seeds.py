"""Stage `seeds`: how far CLIP²'s figure moves with the seed of the training, from results that differ in that alone."""

from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Literal

from pydantic import Field
from rich.console import Console

from clip2.evaluate.metrics import DIGITS
from clip2.evaluate.result import Result, read_result
from clip2.evaluate.result_file import ResultPart, interval, print_head, read_result_file
from clip2.runtime.console import console as standard_output
from clip2.runtime.errors import InputError
from clip2.runtime.tables import print_table
from clip2.store.atomic import write_sealed
from clip2.store.provenance import provenance

METHOD = "clip2"
METRICS = ("class_mean_top1", "top1")


class SeedScore(ResultPart):
    """CLIP² trained with one seed."""

    seed: int
    class_mean_top1: float = Field(ge=0, le=1)
    ci95: tuple[float, float] | None = Field(description="bootstrap interval of class_mean_top1, over scenes")
    top1: float = Field(ge=0, le=1)


class Spread(ResultPart):
    """One metric over the seeds."""

    mean: float
    std: float = Field(description="standard deviation of the sample: n − 1 below")


class SeedsResult(ResultPart):
    """The same experiment, trained with several seeds."""

    dataset: str
    split: str
    source_kind: Literal["real", "built-in world"]
    protocol: dict[str, Any] = Field(description="of the zero-shot result with the first seed")
    n_objects: int = Field(ge=1)
    seeds: list[SeedScore]
    class_mean_top1: Spread
    top1: Spread
    provenance: dict[str, Any]


def run(results: Sequence[Path], seeds: Sequence[int], out: Path) -> None:
    """Gather zero-shot results.

    Args:
        results: one a seed, in their order.

    Raises:
        InputError: too few, one without CLIP², or results that were not measured alike.
    """
    if len(results) != len(seeds) or len(set(seeds)) < 2:
        raise InputError(
            f"{len(results)} results of seeds {', '.join(map(str, seeds))}: give one a seed, of two or more"
        )
    read = [read_result(path) for path in results]
    for path, result in zip(results, read, strict=True):
        if METHOD not in result.methods:
            raise InputError(f"{path}: has no figures of {METHOD}; make it with `methods: [clip2]` or more")
        if _measured(result) != _measured(read[0]):
            raise InputError(f"{path}: was not measured as {results[0]} was; make both again")
    scores = [result.methods[METHOD] for result in read]
    spread = {}
    for metric in METRICS:
        values = [getattr(score, metric) for score in scores]
        spread[metric] = {"mean": round(mean(values), DIGITS), "std": round(stdev(values), DIGITS)}
    told = {
        **read[0].model_dump(mode="json", include={"dataset", "split", "source_kind", "protocol", "n_objects"}),
        "seeds": [
            {"seed": seed, "ci95": score.ci95, **{metric: getattr(score, metric) for metric in METRICS}}
            for seed, score in zip(seeds, scores, strict=True)
        ],
        **spread,
        "provenance": provenance("seeds", {}, {f"seed {n}": path for n, path in zip(seeds, results, strict=True)}),
    }
    write_sealed(out, SeedsResult.model_validate(told).model_dump(mode="json"))


def _measured(result: Result) -> Any:
    """On what and how a result was measured: all but whom."""
    protocol = {key: value for key, value in result.protocol.items() if key != "model"}
    return result.dataset, result.split, result.source_kind, result.n_objects, result.skipped, protocol


def print_seeds(path: Path, console: Console | None = None) -> None:
    """Print a file that :func:`run` wrote.

    Raises:
        InputError: missing, or not such a file.
    """
    result = read_result_file(path, SeedsResult, "result over seeds")
    console = console or standard_output()
    title = f"CLIP² by the seed of its training, {result.split}: {result.n_objects:,} objects"
    print_head(console, title, result.source_kind, result.model_dump())
    rows = [
        (
            f"{score.seed}",
            f"{100 * score.class_mean_top1:.1f}",
            interval(score.ci95),
            f"{100 * score.top1:.1f}",
        )
        for score in result.seeds
    ]
    spread = [f"{100 * one.mean:.1f} ± {100 * one.std:.1f}" for one in (result.class_mean_top1, result.top1)]
    rows.append(("all", spread[0], "", spread[1]))
    print_table(console, ("seed", "class mean", "95 % over scenes", "top-1"), rows, bold=[len(rows) - 1])
