"""Which samples of a nuScenes data set a split means, and the shards that they are dealt out to."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from clip2.runtime.errors import InputError
from clip2.scans.nuscenes.official_splits import official_splits
from clip2.scans.nuscenes.settings import SPLIT_HELP, NuscenesSettings
from clip2.scans.shards import shard_names, shard_of


class Sample(NamedTuple):
    """A key frame: its token and its scene's name."""

    token: str
    scene: str


def scene_filter(
    scenes: Collection[str], split: str, tokens: Collection[str] | None = None
) -> tuple[set[str], set[str]]:
    """Scene names and sample tokens that a split option names.

    Args:
        scenes: names of the scenes that there are.
        tokens: of the samples that there are; None where they were not read: then each token may be one.

    Raises:
        InputError: the option is unknown, or names a scene or sample that is not there.
    """
    official = official_splits()
    names: set[str] = set()
    samples: set[str] = set()
    for part in split.split(","):
        kind, _, name = part.strip().partition(":")
        if kind == "scene" and name in scenes:
            names.add(name)
        elif kind == "sample" and name and (tokens is None or name in tokens):
            samples.add(name)
        elif kind in ("scene", "sample") and name:
            raise InputError(f"split {part.strip()!r}: the data set has no such {kind}; "
                             f"it holds {len(scenes)} scenes, the first is {next(iter(scenes), '-')}")  # fmt: skip
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
    names, tokens = scene_filter(scenes, split, {token for samples in scenes.values() for token in samples})
    shards: dict[str, list[Sample]] = {name: [] for name in shard_names(role, n_shards[role])}
    for scene, samples in scenes.items():
        chosen = [Sample(token, scene) for token in samples if scene in names or token in tokens]
        if chosen:
            shards[shard_of(scene, role, n_shards)] += chosen
    if not any(shards.values()):
        raise names_nothing(folder, split, scenes)
    return shards


def names_nothing(folder: Path, split: str, scenes: Collection[str]) -> InputError:
    """The error for a split that names nothing in a version's tables."""
    return InputError(
        f"{folder.parent} ({folder.name}): split {split!r} names no scene of it; "
        f"it holds {len(scenes)}, the first is {next(iter(scenes), '-')}"
    )
