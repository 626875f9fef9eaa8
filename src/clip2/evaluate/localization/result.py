"""The localisation result file: its form, reading and writing it, and the table that is printed."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field
from rich import box
from rich.console import Console
from rich.table import Table

from clip2.console import console as standard_output
from clip2.evaluate.result_file import ResultPart, read_result_file
from clip2.store.atomic import write_json

Share = float | None


class BoxScores(ResultPart):
    """Average precision (ap) and recall of all detections (ar): at 3D overlaps of 0.25 and 0.5; null without boxes."""

    n: int = Field(ge=0, description="annotated boxes")
    n_found: int = Field(ge=0, description="boxes that the method gave")
    ap25: Share
    ar25: Share
    ap50: Share
    ar50: Share
    ap_2m: Share = Field(None, description="LiDAR: nuScenes' average precision with centres less than 2 m apart")


class Official(ResultPart):
    """What the nuScenes devkit's own evaluation says (detection_cvpr_2019)."""

    mean_ap: float
    nd_score: float
    tp_errors: dict[str, float | None]
    label_aps: dict[str, dict[str, float]] = Field(description="{class: {metres: average precision}}")
    label_tp_errors: dict[str, dict[str, float | None]]


class LocalizationScore(ResultPart):
    """One method: means over the classes that occur, each class, and the devkit's figures."""

    ap25: Share
    ar25: Share
    ap50: Share
    ar50: Share
    ap_2m: Share = None
    per_class: dict[str, BoxScores]
    nuscenes: Official | None = None


class LocalizationResult(ResultPart):
    """Localisation by one or more ways to name the same proposals."""

    dataset: str
    split: str
    source_kind: Literal["real", "built-in world"]
    protocol: dict[str, Any] = Field(description="every choice that moves the numbers")
    n_groups: int = Field(ge=0, description="samples, or scenes where boxes are annotated by scene")
    n_proposals: int = Field(ge=0)
    n_boxes: int = Field(ge=1, description="annotated boxes to find")
    skipped: dict[str, int] = Field(description="annotated boxes that were not looked for, by reason")
    class_agnostic: BoxScores = Field(description="the proposals without names, against boxes of all classes")
    methods: dict[str, LocalizationScore]
    provenance: dict[str, Any]


def write_localization(path: Path, result: LocalizationResult) -> None:
    write_json(path, result.model_dump(mode="json"))


def read_localization(path: Path) -> LocalizationResult:
    """Read a result file; see :func:`clip2.evaluate.result_file.read_result_file`."""
    return read_result_file(path, LocalizationResult, "localisation result")


def print_localization(result: LocalizationResult, console: Console | None = None) -> None:
    """Print the means of every method, then AP25 of each class."""
    console = console or standard_output()
    title = f"Open-world localisation, {result.dataset}, {result.split}"
    if result.source_kind != "real":
        title += f"\n{result.source_kind.upper()}: not figures of a real data set"
    agnostic = result.class_agnostic
    caption = (
        f"{result.n_proposals:,} proposals, {result.n_boxes:,} boxes; without names AR25 {_cell(agnostic.ar25)}, "
        f"AP25 {_cell(agnostic.ap25)}"
    )
    totals = Table(title=title, box=box.SIMPLE_HEAD, caption=caption)
    totals.add_column("method")
    columns = ("ap25", "ar25", "ap50", "ar50", "ap_2m")
    for name in columns:
        totals.add_column(name.upper().replace("_2M", " 2 m"), justify="right")
    for name in ("mAP", "NDS"):
        totals.add_column(f"nuScenes {name}", justify="right")
    for name, method in result.methods.items():
        official = method.nuscenes
        values = [getattr(method, column) for column in columns]
        values += [official.mean_ap, official.nd_score] if official else [None, None]
        totals.add_row(name, *map(_cell, values))
    console.print(totals)
    classes = Table(title="AP25 of each class", box=box.SIMPLE_HEAD)
    classes.add_column("class")
    classes.add_column("n", justify="right")
    for name in result.methods:
        classes.add_column(name, justify="right")
    for label, first in next(iter(result.methods.values())).per_class.items():
        cells = (_cell(method.per_class[label].ap25) for method in result.methods.values())
        classes.add_row(label, f"{first.n:,}", *cells)
    console.print(classes)


def _cell(value: Share) -> str:
    return "–" if value is None else f"{100 * value:.1f}"
