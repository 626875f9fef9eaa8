"""Opening SUN RGB-D in either layout, and which of its frames a split means."""

from pathlib import Path

from clip2.runtime.errors import InputError
from clip2.scans.shards import shard_names, shard_of
from clip2.scans.sunrgbd.official import METADATA, read_official, release_folder
from clip2.scans.sunrgbd.recordings import Release
from clip2.scans.sunrgbd.settings import SPLIT_HELP, SunrgbdSettings
from clip2.scans.sunrgbd.votenet import FOLDER, read_votenet

NO_DATA = "has to hold SUNRGBD/ (the official release, with {0}) or {1}/ (made by VoteNet's scripts)"


def open_release(root: Path, settings: SunrgbdSettings) -> Release:
    """All frames of a data root; the official release is preferred where both layouts are there.

    Raises:
        InputError: neither layout is there, or its metadata cannot be read.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; give the SUN RGB-D data root")
    if base := release_folder(root):
        release = read_official(root, base, settings.labels)
    elif (root / FOLDER).is_dir():
        release = read_votenet(root, settings.labels)
    else:
        raise InputError(f"{root}: {NO_DATA.format(METADATA[settings.labels], FOLDER)}")
    if not release.recordings:
        raise InputError(f"{root} ({release.layout}): names no frame at all; unpack it again")
    return release


def names_in_split(release: Release, split: str) -> list[str]:
    """Names of the frames that a split option means, sorted; some may not be there.

    Raises:
        InputError: the option is unknown, its file is missing, or it means nothing.
    """
    names: set[str] = set()
    for part in (part.strip() for part in split.split(",")):
        kind, _, name = part.partition(":")
        if part == "all":
            names.update(release.recordings)
        elif part in release.splits:
            names.update(release.splits[part])
        elif kind == "frame" and name in release.recordings:
            names.add(name)
        elif kind == "frame" and name:
            example = next(iter(release.recordings))
            raise InputError(f"split {part!r}: there is no such frame; names are like {example!r}")
        elif part in ("train", "val", "trainval_train", "trainval_val"):
            raise InputError(
                f"split {part!r} needs {release.split_file}, which is missing or lacks it; get it, or use `all`"
            )
        else:
            raise InputError(f"split {part!r} is unknown; it has to be {SPLIT_HELP}")
    names.discard("")
    if not names:
        raise InputError(f"split {split!r} names no frame; look at {release.split_file}")
    return sorted(names)


def names_by_shard(release: Release, settings: SunrgbdSettings, role: str) -> dict[str, list[str]]:
    """The names of a role's frames, sorted, dealt out to its shards (which may be empty)."""
    shards: dict[str, list[str]] = {shard: [] for shard in shard_names(role, settings.n_shards[role])}
    for name in names_in_split(release, getattr(settings, role)):
        shards[shard_of(name, role, settings.n_shards)].append(name)
    return shards
