"""Making a data set scene by scene: in several processes, and after an interruption only what is missing."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import cv2
from threadpoolctl import threadpool_limits

from clip2.runtime.console import progress
from clip2.runtime.errors import InputError
from clip2.runtime.workers import each
from clip2.store.atomic import read_json, remove_left_over, write_text
from clip2_world.marker import MARKER, write_marker

log = logging.getLogger(__name__)
Recipe = TypeVar("Recipe")
"""A dataclass with a field ``name``: all that one scene depends on, besides the code."""


def prepare(root: Path, format: str) -> None:
    """Make a data set's folder and mark it as generated; refuse to write into somebody else's.

    Raises:
        InputError: ``root`` holds files that are not a built-in world's.
    """
    # Empty folders are fine: a workflow makes those of its outputs beforehand.
    if any(path.is_file() for path in root.rglob("*")) and not (root / MARKER).is_file():
        raise InputError(f"{root} is not empty and not a built-in world: choose another folder, or empty this one")
    write_marker(root, format)
    remove_left_over(root / ".parts")


COMPLETE = "world.json"
"""File at the root that is written last: where it exists, the data set is complete."""


def code_digest() -> str:
    """Digest of this package's source text, which scenes depend on."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).resolve().parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def make_scenes(
    root: Path, recipes: Sequence[Recipe], make: Callable[[Path, Recipe], Any], code: str, workers: int
) -> Iterator[Any]:
    """What ``make(root, recipe)`` gave for each recipe, in their order; made now or by an earlier run.

    Args:
        make: a function of a module (other processes import it) that writes a scene's files and gives JSON of it.
        code: digest of the source text that scenes depend on: a change of it makes all of them anew.
        workers: processes; 1 works in this one.
    """
    pending = [recipe for recipe in recipes if not _is_finished(root, recipe, code)]
    if pending:
        log.info("built-in world: %d of %d scenes to render", len(pending), len(recipes))
    one = partial(_make_one, root, make, code)
    for name in progress(each(one, pending, workers), "built-in world: scenes", len(pending)):
        log.info("built-in world: %s done", name)
    return (read_json(_part_path(root, recipe))["part"] for recipe in recipes)


def _part_path(root: Path, recipe: Any) -> Path:
    return root / ".parts" / f"{recipe.name}.json"


def _made_from(recipe: Any, code: str) -> dict[str, Any]:
    """What a scene's bytes depend on, as JSON gives it back."""
    return dict(json.loads(json.dumps({"recipe": asdict(recipe), "code": code})))


def _is_finished(root: Path, recipe: Any, code: str) -> bool:
    path = _part_path(root, recipe)
    return path.is_file() and read_json(path)["made_from"] == _made_from(recipe, code)


def _make_one(root: Path, make: Callable[[Path, Any], Any], code: str, recipe: Any) -> str:
    """Write one scene's files and then, atomically, its part."""
    cv2.setNumThreads(1)
    with threadpool_limits(1):
        part = make(root, recipe)
    write_text(_part_path(root, recipe), json.dumps({"made_from": _made_from(recipe, code), "part": part}))
    return str(recipe.name)
