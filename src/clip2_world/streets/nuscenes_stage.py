"""The stage that makes the built-in world's streets as a nuScenes v1.0 data set, scene by scene, resumable."""

import json
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from clip2.store.atomic import atomic_path, write_json, write_text
from clip2_world.resume import COMPLETE, code_digest, make_scenes, prepare
from clip2_world.seeds import VAL_OFFSET
from clip2_world.streets.nuscenes_settings import WorldSettings
from clip2_world.streets.nuscenes_tables import MAP_MASK, SCENE_TABLES, Tables, shared_tables
from clip2_world.streets.nuscenes_writer import SceneRecipe, SceneWriter
from clip2_world.streets.rig import CHANNELS, LIDAR


def run(root: Path, settings: WorldSettings, workers: int = 1) -> None:
    """Make the data set, or what is missing of it.

    Args:
        root: folder to make it in; it must be new, empty or a built-in world already.
        settings: how much to make. The same settings give the same bytes, whatever ``workers``.
        workers: processes that render scenes.

    Raises:
        InputError: ``root`` holds something else.
    """
    prepare(root, "nuScenes")
    for folder in ("maps", "sweeps/" + LIDAR, *(f"samples/{c}" for c in (*CHANNELS, LIDAR))):
        (root / folder).mkdir(parents=True, exist_ok=True)
    _write_map(root)
    (root / COMPLETE).unlink(missing_ok=True)
    recipes = scene_recipes(settings)
    parts = make_scenes(root, recipes, _render_scene, code_digest(), workers)
    counts = _write_tables(root / settings.version, parts)
    write_json(root / COMPLETE, {"kind": "nuscenes", "settings": settings.model_dump(mode="json"), "counts": counts})


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


def _write_map(root: Path) -> None:
    """The blank map mask that all scenes share."""
    blank = cv2.imencode(".png", np.full((64, 64), 255, np.uint8))[1]
    with atomic_path(root / MAP_MASK) as temporary:
        temporary.write_bytes(blank.tobytes())


def _render_scene(root: Path, recipe: SceneRecipe) -> Tables:
    """Write one scene's files; its rows of the tables."""
    return SceneWriter(root, recipe).write()


def _write_tables(folder: Path, parts: Iterable[Tables]) -> dict[str, int]:
    """Write the tables of all scenes together; how many rows each has."""
    tables: Tables = {name: [] for name in SCENE_TABLES}
    for part in parts:
        for name in SCENE_TABLES:
            tables[name] += part[name]
    tables |= shared_tables([row["token"] for row in tables["log"]])
    for name, rows in tables.items():
        write_text(folder / f"{name}.json", json.dumps(rows, indent=0))
    return {name: len(rows) for name, rows in tables.items()}
