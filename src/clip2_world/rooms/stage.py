"""The stage that makes the built-in world's rooms, in SUN RGB-D's or ScanNet's form, room by room, resumable."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clip2.runtime.errors import InputError
from clip2.store.atomic import write_json
from clip2_world.resume import COMPLETE, code_digest, make_scenes, prepare
from clip2_world.rooms import scannet_writer, sunrgbd_writer
from clip2_world.rooms.settings import MAX_SCENES, RoomsSettings
from clip2_world.rooms.surface import scan_room, take_frames
from clip2_world.seeds import VAL_OFFSET

FORMATS = {"sunrgbd": "SUN RGB-D", "scannet": "ScanNet"}
Records = list[dict[str, Any]]


@dataclass(frozen=True)
class RoomRecipe:
    """What one room's files depend on; ``number`` (from 0, in val from ``MAX_SCENES``) is in its files' names."""

    name: str
    number: int
    seed: int
    frames: int
    width: int

    @property
    def is_val(self) -> bool:
        """Whether it is for evaluation."""
        return self.number >= MAX_SCENES


def run(root: Path, kind: str, settings: RoomsSettings, workers: int = 1) -> None:
    """Make the data set, or what is missing of it.

    Args:
        root: folder to make it in; it must be new, empty or a built-in world already.
        kind: "sunrgbd" or "scannet".
        settings: how much to make. The same settings give the same bytes, whatever ``workers``.
        workers: processes that render rooms.

    Raises:
        InputError: ``root`` holds something else, or there is no such kind.
    """
    if kind not in FORMATS:
        raise InputError(f"no built-in rooms in the form {kind!r}: choose one of {', '.join(FORMATS)}")
    prepare(root, FORMATS[kind])
    (root / COMPLETE).unlink(missing_ok=True)
    recipes = room_recipes(settings)
    made = make_scenes(root, recipes, _WRITE_ROOM[kind], code_digest(), workers)
    counts = _WRITE_TABLES[kind](root, recipes, list(made))
    write_json(root / COMPLETE, {"kind": kind, "settings": settings.model_dump(mode="json"), "counts": counts})


def room_recipes(settings: RoomsSettings) -> list[RoomRecipe]:
    """The rooms of the data set, train before val, with seeds apart; named as ScanNet names its scenes."""
    numbers = [(k, settings.first_seed + k) for k in range(settings.train_scenes)]
    numbers += [(MAX_SCENES + k, settings.first_seed + VAL_OFFSET + k) for k in range(settings.val_scenes)]
    return [
        RoomRecipe(f"scene{k:04d}_00", k, seed, settings.frames_per_scene, settings.image_width) for k, seed in numbers
    ]


def _write_sunrgbd(root: Path, recipe: RoomRecipe) -> Records:
    room, frames = take_frames(recipe.seed, recipe.frames, recipe.width)
    first = recipe.number * recipe.frames + 1
    return [sunrgbd_writer.write_frame(root, first + k, frame, room.objects) for k, frame in enumerate(frames)]


def _write_scannet(root: Path, recipe: RoomRecipe) -> Records:
    scannet_writer.write_scene(root, scan_room(recipe.seed, recipe.frames, recipe.width, recipe.name))
    return []


def _sunrgbd_tables(root: Path, recipes: list[RoomRecipe], parts: list[Records]) -> dict[str, int]:
    names: dict[bool, list[str]] = {False: [], True: []}
    for recipe, records in zip(recipes, parts, strict=True):
        names[recipe.is_val] += [record["name"] for record in records]
    sunrgbd_writer.write_tables(root, [record for records in parts for record in records], names[False], names[True])
    return {"train_frames": len(names[False]), "val_frames": len(names[True])}


def _scannet_tables(root: Path, recipes: list[RoomRecipe], parts: list[Records]) -> dict[str, int]:
    train = [recipe.name for recipe in recipes if not recipe.is_val]
    val = [recipe.name for recipe in recipes if recipe.is_val]
    scannet_writer.write_tables(root, train, val)
    return {"train_scenes": len(train), "val_scenes": len(val)}


_WRITE_ROOM: dict[str, Callable[[Path, RoomRecipe], Records]] = {"sunrgbd": _write_sunrgbd, "scannet": _write_scannet}
_WRITE_TABLES: dict[str, Callable[[Path, list[RoomRecipe], list[Records]], dict[str, int]]] = {
    "sunrgbd": _sunrgbd_tables,
    "scannet": _scannet_tables,
}
