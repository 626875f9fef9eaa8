"""The stage that makes the built-in world: a nuScenes v1.0 data set, scene by scene, resumable."""

import hashlib
import json
import logging
import os
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.progress import track
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from clip2.errors import InputError
from clip2.scans.marker import MARKER, write_marker
from clip2.scans.world.nuscenes_tables import MAP_MASK, SCENE_TABLES, Tables, shared_tables
from clip2.scans.world.nuscenes_writer import SceneRecipe, SceneWriter
from clip2.scans.world.rig import CHANNELS, LIDAR
from clip2.scans.world.settings import VAL_OFFSET, WorldSettings
from clip2.store.atomic import atomic_path, read_json, write_text

LAST_TABLE = "sample_data"
"""The table written last: where it exists, the data set is complete."""
log = logging.getLogger(__name__)


def run(root: Path, settings: WorldSettings, workers: int = 1) -> None:
    """Make the data set, or what is missing of it.

    Args:
        root: folder to make it in; it must be new, empty or a built-in world already.
        settings: how much to make. The same settings give the same bytes, whatever ``workers``.
        workers: processes that render scenes.

    Raises:
        InputError: ``root`` holds something else.
    """
    _prepare(root, settings)
    recipes = scene_recipes(settings)
    code = _code_digest()
    pending = [recipe for recipe in recipes if not _is_finished(root, recipe, code)]
    if pending:
        (root / settings.version / f"{LAST_TABLE}.json").unlink(missing_ok=True)
        log.info("built-in world: %d of %d scenes to render", len(pending), len(recipes))
    for number, name in enumerate(_with_bar(_render(root, pending, code, workers), len(pending)), 1):
        log.info("built-in world: %s done, %d of %d", name, number, len(pending))
    _write_tables(root, settings.version, recipes)


def scene_recipes(settings: WorldSettings) -> list[SceneRecipe]:
    """The scenes of the data set: names of nuScenes' official splits, train and val with seeds apart."""
    from nuscenes.utils.splits import create_splits_scenes  # slow to import, and no worker needs it

    splits = create_splits_scenes()
    chosen = [(name, 0) for name in splits["train"][: settings.train_scenes]]
    chosen += [(name, VAL_OFFSET) for name in splits["val"][: settings.val_scenes]]
    return [
        SceneRecipe(
            name,
            settings.first_seed + offset + int(name.removeprefix("scene-")),
            settings.key_frames,
            settings.image_width,
            settings.sweeps_per_key_frame,
        )
        for name, offset in chosen
    ]


def _with_bar(names: Iterator[str], total: int) -> Iterable[str]:
    """The same names, with a progress bar where stderr is a terminal."""
    console = Console(stderr=True)
    if not total or not console.is_terminal:
        return names
    return track(names, description="built-in world", total=total, console=console)


def _prepare(root: Path, settings: WorldSettings) -> None:
    """Make the folders; refuse to write into somebody else's data set."""
    # Empty folders are fine: a workflow makes those of its outputs beforehand.
    if any(path.is_file() for path in root.rglob("*")) and not (root / MARKER).is_file():
        raise InputError(f"{root} is not empty and not a built-in world: choose another folder, or empty this one")
    write_marker(root, "nuScenes")
    for folder in ("maps", ".parts", "sweeps/" + LIDAR, *(f"samples/{c}" for c in (*CHANNELS, LIDAR))):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for folder in (".parts", settings.version, "maps"):
        for left_over in (root / folder).glob(".*.part*"):  # of a run that was killed
            left_over.unlink(missing_ok=True)
    if not (root / MAP_MASK).is_file():
        blank = cv2.imencode(".png", np.full((64, 64), 255, np.uint8))[1]
        with atomic_path(root / MAP_MASK) as temporary:
            temporary.write_bytes(blank.tobytes())


def _part_path(root: Path, name: str) -> Path:
    return root / ".parts" / f"{name}.json"


def _is_finished(root: Path, recipe: SceneRecipe, code: str) -> bool:
    """Whether an earlier run finished this scene with this recipe and this code."""
    path = _part_path(root, recipe.name)
    return path.is_file() and read_json(path)["made_from"] == _made_from(recipe, code)


def _made_from(recipe: SceneRecipe, code: str) -> dict[str, Any]:
    """What a scene's bytes depend on."""
    return {"recipe": asdict(recipe), "code": code}


def _code_digest() -> str:
    """Digest of the source text of this package."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _render(root: Path, recipes: list[SceneRecipe], code: str, workers: int) -> Iterator[str]:
    """Render scenes, in this process or in others; gives the name of each when it is done."""
    if workers <= 1 or len(recipes) <= 1:
        for recipe in recipes:
            yield _render_scene(root, recipe, code)
        return
    size, context = min(workers, len(recipes)), get_context("spawn")
    with ProcessPoolExecutor(size, context, initializer=_end_with, initargs=(os.getpid(),)) as pool:
        for future in as_completed([pool.submit(_render_scene, root, recipe, code) for recipe in recipes]):
            yield future.result()


def _end_with(parent: int) -> None:
    """End this worker within a second of its parent's death, even a violent one, which a pool does not see to."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _render_scene(root: Path, recipe: SceneRecipe, code: str) -> str:
    """Write one scene's files and then, atomically, its rows."""
    cv2.setNumThreads(1)
    with threadpool_limits(1):
        tables = SceneWriter(root, recipe).write()
    write_text(_part_path(root, recipe.name), json.dumps({"made_from": _made_from(recipe, code), "tables": tables}))
    return recipe.name


def _write_tables(root: Path, version: str, recipes: list[SceneRecipe]) -> None:
    """Assemble the tables of all scenes; ``LAST_TABLE`` comes last."""
    tables: Tables = {name: [] for name in SCENE_TABLES}
    for recipe in recipes:
        part = read_json(_part_path(root, recipe.name))["tables"]
        for name in SCENE_TABLES:
            tables[name] += part[name]
    tables |= shared_tables([row["token"] for row in tables["log"]])
    for name in sorted(tables, key=lambda name: name == LAST_TABLE):
        write_text(root / version / f"{name}.json", json.dumps(tables[name], indent=0))
