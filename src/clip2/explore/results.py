"""Results for the page: how many boxes became things and why the others did not, tables of results, training curves."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clip2.runtime.errors import InputError
from clip2.store.atomic import read_json
from clip2.store.tables import read_header

Json = dict[str, Any]
CURVE_POINTS = 400
"""Steps of a training curve that are drawn; of more, every so many-th."""

STEPS: Mapping[str, tuple[str, str]] = {
    "detections": ("boxes_raw", "kept"),
    "triplets": ("boxes", "triplets"),
    "tracks": ("triplets", "tracks"),
}
"""Stage → what goes in and what comes out, as its header counts them."""
_NO_LOSS = {"images", "frames", "scenes", "samples", "moving"}
"""Counts beside those: neither in nor out, nor lost."""


def funnel(stages: Mapping[str, Sequence[Path]], n_labelled: int) -> list[Json]:
    """What each stage was given, what it gave, and what it lost by reason; summed over shards.

    Args:
        stages: stage → its files; a stage without files is left out.
        n_labelled: things that have a label.
    """
    rows: list[Json] = []
    for stage, paths in stages.items():
        if not paths:
            continue
        counts: Counter[str] = Counter()
        for path in paths:
            counts.update(read_header(path)["counts"])
        given, gave = STEPS[stage]
        lost = {k.removeprefix("lost_"): v for k, v in counts.items() if k not in {given, gave, *_NO_LOSS} and v}
        rows.append({"stage": stage, "in": counts[given], "out": counts[gave], "lost": lost})
    return [*rows, {"stage": "labels", "in": rows[-1]["out"] if rows else n_labelled, "out": n_labelled, "lost": {}}]


def results(paths: Sequence[Path]) -> list[Json]:
    """Result files (JSON) under their names, without what the page does not show.

    Raises:
        InputError: a file that is missing or not JSON.
    """
    return [{"name": path.stem, **_trimmed(_read(path))} for path in paths]


def _read(path: Path) -> Any:
    try:
        return read_json(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; make it with `snakemake {path}`") from None
    except ValueError as error:
        raise InputError(f"{path}: not readable as JSON ({error}); make it again") from None


def _trimmed(result: Json) -> Json:
    return {key: value for key, value in result.items() if key != "provenance"}


def curves(paths: Sequence[Path]) -> list[Json]:
    """Training logs (JSON lines) of models: loss and learning rate by step."""
    found = []
    for path in paths:
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            raise InputError(f"{path}: no such file; make it with `snakemake {path}`") from None
        chosen = lines[:: max(1, len(lines) // CURVE_POINTS)]
        try:
            rows = [json.loads(line) for line in chosen]
        except ValueError as error:
            raise InputError(f"{path}: a line is not readable as JSON ({error}); train again") from None
        keys = [key for key in ("loss", "loss_text", "loss_image", "lr") if rows and key in rows[0]]
        found.append(
            {
                "name": path.parent.name,
                "step": [row["step"] for row in rows],
                "series": {key: [round(row[key], 6) for row in rows] for key in keys},
            }
        )
    return found
