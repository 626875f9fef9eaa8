"""What all kinds of result file have in common: how they are read, refused and headed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from rich.console import Console

from clip2.runtime.errors import InputError
from clip2.store.atomic import read_json

M = TypeVar("M", bound=BaseModel)


class ResultPart(BaseModel):
    """A part of a result file; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid")


def read_result_file(path: Path, model: type[M], what: str) -> M:
    """A result file of one form; ``what`` it should be, for the message.

    Raises:
        InputError: missing, not JSON, or not such a result.
    """
    try:
        return model.model_validate(read_json(path))
    except FileNotFoundError:
        raise missing(path) from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise InputError(f"{path}: not a {what} ({key}: {first['msg']}); make it again") from None
    except (ValueError, RecursionError, OSError) as error:
        raise InputError(f"{path}: not readable as JSON ({error}); make it again") from None


def missing(path: Path) -> InputError:
    """The error for a result file that is not there."""
    return InputError(f"{path}: no such file; make it with `snakemake --cores all {path}`")


MODEL_NAME = ("trained on", "detector", "lifter", "teacher", "model")
"""What the parts of a model's name are, which the workflow joins by dots."""


def made_from(result: Mapping[str, Any]) -> str:
    """What a result is of: "source world, detector tiny_owl, lifter auto, teacher tiny_clip, model small".

    Args:
        result: the content of any result file. An audit has ``source`` and ``mined_by`` ("detector.lifter"), all others
            have ``protocol.source`` and ``protocol.model.name``; what is not there is not told.
    """
    protocol = result.get("protocol", {})
    source = result.get("source") or protocol.get("source")
    told = {"source": source}
    if model := (protocol.get("model") or {}).get("name"):
        parts = model.split(".")
        told |= dict(zip(MODEL_NAME, parts, strict=True)) if len(parts) == len(MODEL_NAME) else {"model": model}
    if mined_by := result.get("mined_by"):
        told |= dict(zip(("detector", "lifter"), mined_by.split("."), strict=False))
    return ", ".join(
        f"{key} {value}" for key, value in told.items() if value and (key, value) != ("trained on", source)
    )


def interval(ends: tuple[float, float] | None) -> str:
    """Shares as they stand in a table: "61.5 – 66.9"; a dash where there is none."""
    return "–" if ends is None else " – ".join(f"{100 * end:.1f}" for end in ends)


def print_head(console: Console, title: str, source_kind: str, result: Mapping[str, Any]) -> None:
    """Print what stands over a result: what it is, a warning if it is of no real data set, what it was made from."""
    console.print(f"\n{title}", style="bold", highlight=False)
    if source_kind != "real":
        console.print(f" {source_kind.upper()}: not figures of a real data set ", style="bold white on red")
    if told := made_from(result):
        console.print(told, highlight=False)
