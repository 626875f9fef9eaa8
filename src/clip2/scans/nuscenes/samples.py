"""Which samples of a nuScenes data set a split means, and the shards that they are dealt out to."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from clip2.errors import InputError
from clip2.scans.nuscenes.settings import SPLIT_HELP, NuscenesSettings
from clip2.scans.shards import shard_names, shard_of


class Sample(NamedTuple):
    """A key frame: its token and its scene's name."""

    token: str
    scene: str


def _scene_filter(scenes: Mapping[str, list[str]], split: str) -> tuple[set[str], set[str]]:
    """Scene names and sample tokens that a split option names."""
    from nuscenes.utils.splits import create_splits_scenes  # imports all of the devkit

    official = create_splits_scenes()
    names: set[str] = set()
    samples: set[str] = set()
    for part in split.split(","):
        kind, _, name = part.strip().partition(":")
        if kind == "scene" and name:
            names.add(name)
        elif kind == "sample" and name:
            samples.add(name)
        elif kind == "all":
            names.update(scenes)
        elif kind in official:
            names.update(official[kind])
        else:
            raise InputError(f"split {part.strip()!r} is unknown; it has to be {SPLIT_HELP}")
    return names, samples


def samples_by_shard(
    folder: Path, scenes: Mapping[str, list[str]], settings: NuscenesSettings, role: str
) -> dict[str, list[Sample]]:
    """The samples of a role, scene by scene and in time order, dealt out to its shards (which may be empty).

    Args:
        folder: the version's tables, for the message.
        scenes: tables.read_scenes.

    Raises:
        InputError: the split option is unknown or names nothing in this data set.
    """
    split = getattr(settings, role)
    n_shards = settings.n_shards
    names, tokens = _scene_filter(scenes, split)
    shards: dict[str, list[Sample]] = {name: [] for name in shard_names(role, n_shards[role])}
    for scene, samples in scenes.items():
        chosen = [Sample(token, scene) for token in samples if scene in names or token in tokens]
        if chosen:
            shards[shard_of(scene, role, n_shards)] += chosen
    if not any(shards.values()):
        raise InputError(
            f"{folder.parent} ({folder.name}): split {split!r} names no scene of it; "
            f"it holds {len(scenes)}, the first is {next(iter(scenes), '-')}"
        )
    return shards
