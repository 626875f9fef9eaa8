"""The localisation result file: its form, reading and writing it, and the table that is printed."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field
from rich.console import Console

from clip2.evaluate.result_file import ResultPart, print_head, read_result_file
from clip2.runtime.console import console as standard_output
from clip2.runtime.tables import print_by_class, print_table
from clip2.store.atomic import write_sealed

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


class Calibration(ResultPart):
    """Are names right as often as they are sure? Of boxes that meet an annotated thing."""

    n: int = Field(ge=0, description="boxes that were looked at")
    ece: Share = Field(description="expected calibration error: mean of |said - right| over the bins")
    bins: list[tuple[int, float, float]] = Field(description="boxes, mean probability, share of right names")


class Placement(ResultPart):
    """Are things that stand, and were seen at two samples or more, where the boxes say?"""

    n: int = Field(ge=0, description="boxes that were looked at")
    within_half_metre: Share = Field(description="of the annotated centre, in plan view")
    median_m: Share = Field(description="metres between the centres, in plan view")


class LocalizationScore(ResultPart):
    """One method: means over the classes that occur, each class, and the devkit's figures."""

    ap25: Share
    ar25: Share
    ap50: Share
    ar50: Share
    ap_2m: Share = None
    per_class: dict[str, BoxScores]
    nuscenes: Official | None = None
    calibration: Calibration | None = Field(None, description="of `labels`")
    placement: Placement | None = Field(None, description="of `labels`")


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
    write_sealed(path, result.model_dump(mode="json"))


def read_localization(path: Path) -> LocalizationResult:
    """Read a result file; see :func:`clip2.evaluate.result_file.read_result_file`."""
    return read_result_file(path, LocalizationResult, "localisation result")


def print_localization(result: LocalizationResult, console: Console | None = None) -> None:
    """Print the means of every method, then AP25 of each class."""
    console = console or standard_output()
    title = f"Open-world localisation, {result.dataset}, {result.split}, %"
    print_head(console, title, result.source_kind, result.model_dump())
    columns = ("ap25", "ar25", "ap50", "ar50", "ap_2m")
    rows = []
    for name, method in result.methods.items():
        official = method.nuscenes
        values = [getattr(method, column) for column in columns]
        values += [official.mean_ap, official.nd_score] if official else [None, None]
        rows.append([name, *map(_cell, values)])
    agnostic = result.class_agnostic
    caption = (
        f"{result.n_proposals:,} proposals, {result.n_boxes:,} boxes; without names AR25 {_cell(agnostic.ar25)}, "
        f"AP25 {_cell(agnostic.ap25)}"
    )
    heads = [name.upper().replace("_2M", " 2 m") for name in columns]
    print_table(console, ["named by", *heads, "nuScenes mAP", "nuScenes NDS"], rows, caption=caption)
    if (labels := result.methods.get("labels")) and labels.calibration and labels.placement:
        sure, place = labels.calibration, labels.placement
        console.print(
            f"labels: of {sure.n:,} that meet an annotated thing, calibration error (ECE) {_cell(sure.ece)}; "
            f"of {place.n:,} of standing things, {_cell(place.within_half_metre)} within 0.5 m of their place"
        )
    counts = {label: scores.n for label, scores in next(iter(result.methods.values())).per_class.items()}
    methods = {
        name: {label: scores.ap25 for label, scores in method.per_class.items()}
        for name, method in result.methods.items()
    }
    print_by_class(console, counts, methods, title="AP25 of each class, %")


def _cell(value: Share) -> str:
    return "–" if value is None else f"{100 * value:.1f}"
