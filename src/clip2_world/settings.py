"""Settings of the built-in world by the kind of data set that it writes."""

from typing import Any, NamedTuple

from pydantic import ValidationError

from clip2.runtime.errors import InputError
from clip2.runtime.settings import Settings
from clip2_world.rooms.settings import RoomsSettings
from clip2_world.shapes.settings import ShapesSettings
from clip2_world.streets.nuscenes_settings import WorldSettings
from clip2_world.streets.once_settings import OnceWorldSettings

CAMERAS = 6
"""Of nuScenes' car."""
SETTINGS: dict[str, type[Settings]] = {
    "nuscenes": WorldSettings,
    "once": OnceWorldSettings,
    "sunrgbd": RoomsSettings,
    "scannet": RoomsSettings,
    "scanobjectnn": ShapesSettings,
    "modelnet40": ShapesSettings,
    "pairs": ShapesSettings,
}
STAGES = {
    "nuscenes": "clip2_world.streets.nuscenes_stage",
    "once": "clip2_world.streets.once_stage",
    "sunrgbd": "clip2_world.rooms.stage",
    "scannet": "clip2_world.rooms.stage",
    "scanobjectnn": "clip2_world.shapes.stage",
    "modelnet40": "clip2_world.shapes.stage",
    "pairs": "clip2_world.shapes.stage",
}
"""Kind → module that writes it, imported when it runs."""


class Size(NamedTuple):
    """How much a world that has scenes holds: scenes of the train and of the val split, and pictures of each scene."""

    train: int
    val: int
    pictures_a_scene: int


def world_size(source: str, kind: str, settings: dict[str, Any]) -> Size | None:
    """How much the world of a source will hold; None where it has no scenes but single objects.

    Raises:
        InputError: as :func:`check_settings`.
    """
    match checked := check_settings(source, kind, settings):
        case WorldSettings():
            return Size(checked.train_scenes, checked.val_scenes, CAMERAS * checked.key_frames)
        case OnceWorldSettings():
            return Size(checked.train_scenes, checked.val_scenes, len(checked.cameras) * checked.frames)
        case RoomsSettings():
            return Size(checked.train_scenes, checked.val_scenes, checked.frames_per_scene)
    return None


def check_settings(source: str, kind: str, settings: dict[str, Any]) -> Settings:
    """The settings of a source's world.

    Raises:
        InputError: there is no world of this kind, or a setting is wrong.
    """
    if kind not in SETTINGS:
        raise InputError(f"config: sources.{source}.world: there is no built-in world of kind {kind!r}")
    try:
        return SETTINGS[kind].model_validate(settings)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise InputError(f"config: sources.{source}.world.{key}: {first['msg']}") from None
