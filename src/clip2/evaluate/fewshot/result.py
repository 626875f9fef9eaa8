"""The few-shot result file: its form, reading and writing it, and the table that is printed."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field
from rich.console import Console

from clip2.evaluate.metrics import DIGITS
from clip2.evaluate.result_file import ResultPart, print_head, read_result_file
from clip2.runtime.console import console as standard_output
from clip2.runtime.tables import print_table
from clip2.store.atomic import write_sealed


class Spread(ResultPart):
    """One number over the draws."""

    mean: float = Field(ge=0, le=1)
    std: float = Field(ge=0, description="sample standard deviation over the draws; 0 where there is one")
    seeds: list[float] = Field(min_length=1, description="one value a draw")

    @classmethod
    def of(cls, values: list[float]) -> "Spread":
        std = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
        return cls(
            mean=round(float(np.mean(values)), DIGITS),
            std=round(std, DIGITS),
            seeds=[round(float(value), DIGITS) for value in values],
        )


class ShotScore(ResultPart):
    """One method with one number of shots."""

    class_mean_top1: Spread
    top1: Spread
    n_train: list[int] = Field(description="objects that were learnt from, one number a draw")


class FewshotMethodScore(ResultPart):
    """One method."""

    n: int = Field(ge=1, description="val objects that the method answered for")
    shots: dict[str, ShotScore] = Field(description="by number of shots a class; `0` for zero-shot")
    per_class: dict[str, Spread | None] = Field(
        description="top-1 of each class at the largest number of shots; null for a class without a val object"
    )


class FewshotResult(ResultPart):
    """Few-shot results of one or more methods on the same shots and objects."""

    dataset: str
    split: str
    source_kind: Literal["real", "built-in world"]
    protocol: dict[str, Any] = Field(description="every choice that moves the numbers")
    n_train: int = Field(ge=1, description="annotated objects that the shots are drawn from")
    n_val: int = Field(ge=1, description="number of queries")
    fewer: dict[str, int] = Field(
        description="classes with fewer training objects than the largest number of shots: how many they have"
    )
    skipped: dict[str, int] = Field(description="annotated val boxes that are no query, by reason")
    methods: dict[str, FewshotMethodScore]
    provenance: dict[str, Any]


def write_fewshot(path: Path, result: FewshotResult) -> None:
    write_sealed(path, result.model_dump(mode="json"))


def read_fewshot(path: Path) -> FewshotResult:
    """Read a result file; see :func:`clip2.evaluate.result_file.read_result_file`."""
    return read_result_file(path, FewshotResult, "few-shot result")


def print_fewshot(result: FewshotResult, console: Console | None = None) -> None:
    """Print class-mean top-1 by method and number of shots, then each class."""
    console = console or standard_output()
    title = f"Few-shot recognition, {result.dataset}, {result.split}: class-mean top-1, %, mean ± std over draws"
    print_head(console, title, result.source_kind, result.model_dump())
    counts = sorted({int(k) for method in result.methods.values() for k in method.shots})
    head = ["method", *(f"{k} shot{'s' * (k != 1)}" for k in counts), "n"]
    rows = [
        [name, *(_cell(method.shots.get(str(k))) for k in counts), f"{method.n:,}"]
        for name, method in result.methods.items()
    ]
    fewer = ", ".join(f"{name} {n}" for name, n in result.fewer.items())
    caption = f"{result.n_val:,} objects asked, shots drawn from {result.n_train:,}"
    print_table(console, head, rows, caption=caption + (f"; classes with fewer shots: {fewer}" if fewer else ""))


def _cell(score: ShotScore | None) -> str:
    if score is None:
        return ""
    value = score.class_mean_top1
    return f"{100 * value.mean:.1f}" + (f" ± {100 * value.std:.1f}" if len(value.seeds) > 1 else "")
