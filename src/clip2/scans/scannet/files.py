"""Where the files of a ScanNet data set lie, which scenes a split means, and how a scene is turned to its walls.

Layout: ``scans/ID/ID.sens`` and so on (``scans_test`` for the test scenes), as ScanNet's download script leaves it, and
the split lists of ScanNet's repository (``Tasks/Benchmark/scannetv2_train.txt`` …), beside them, in ``meta/`` or under
their path in that repository.
"""

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clip2.geometry import is_rigid
from clip2.runtime.errors import InputError
from clip2.scans.scannet.settings import SPLIT_HELP, ScannetSettings
from clip2.scans.shards import shard_names, shard_of
from clip2.scans.texts import plain, read_names

log = logging.getLogger(__name__)
AXES = {"points": "axis-aligned scene: x and y along the walls, z up", "up": "z"}
SCAN_FOLDERS = ("scans", "scans_test")
LIST_FOLDERS = ("", "meta", "Tasks/Benchmark")
OFFICIAL = ("train", "val", "test")
LABELS = "scannetv2-labels.combined.tsv"


def scene_file(root: Path, scene: str, ending: str) -> Path:
    """``scans/ID/ID{ending}``, or below ``scans_test`` where the scene's folder is there."""
    for folder in SCAN_FOLDERS:
        if (root / folder / scene).is_dir():
            return root / folder / scene / f"{scene}{ending}"
    return root / SCAN_FOLDERS[0] / scene / f"{scene}{ending}"


def has_scene(root: Path, scene: str) -> bool:
    """Whether the scene's folder is there."""
    return scene_file(root, scene, "").parent.is_dir()


def labels_file(root: Path) -> Path:
    """The table of label names, at the root or in ``meta/``."""
    return root / LABELS if (root / LABELS).exists() else root / "meta" / LABELS


def split_parts(split: str) -> Iterator[tuple[str, str]]:
    """The comma-separated parts of a split option: (kind, name).

    Raises:
        InputError: a part is none that is known.
    """
    for part in split.split(","):
        kind, _, name = part.strip().partition(":")
        if kind not in (*OFFICIAL, "all", "scene") or (kind == "scene") != bool(name):
            raise InputError(f"split {part.strip()!r} is unknown; it has to be {SPLIT_HELP}")
        yield kind, name


def split_list(root: Path, name: str) -> Path:
    """The official list of a split.

    Raises:
        InputError: it is nowhere.
    """
    for folder in LIST_FOLDERS:
        path = root / folder / f"scannetv2_{name}.txt"
        if path.is_file():
            return path
    raise InputError(
        f"{root}: has no scannetv2_{name}.txt; copy it there from Tasks/Benchmark of ScanNet's repository, "
        "or set the split to `all` or `scene:ID`"
    )


def split_lists(root: Path, *splits: str) -> dict[str, Path]:
    """File name → path of the official lists that some split options read."""
    names = {kind for split in splits for kind, _ in split_parts(split) if kind in OFFICIAL}
    return {path.name: path for path in (split_list(root, name) for name in sorted(names))}


def split_scenes(root: Path, split: str) -> list[str]:
    """The scenes that a split option names, sorted; some of them may not be there."""
    scenes: set[str] = set()
    for kind, name in split_parts(split):
        if kind == "scene":
            if not has_scene(root, name):
                raise InputError(f"split 'scene:{name}': {scene_file(root, name, '').parent} is not there")
            scenes.add(name)
        elif kind == "all":
            scenes |= {path.name for folder in SCAN_FOLDERS for path in (root / folder).glob("*") if path.is_dir()}
        else:
            scenes |= {plain(name.text).rpartition("/")[2] for name in read_names(split_list(root, kind))}
    return sorted(scenes)


def role_scenes(root: Path, settings: ScannetSettings, role: str) -> list[str]:
    """The scenes of a role, sorted; some of them may not be there.

    Raises:
        InputError: no such folder, the split option is unknown, or not one of its scenes is there.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; give the ScanNet data root, which holds scans/")
    split = getattr(settings, role)
    scenes = split_scenes(root, split)
    if not any(has_scene(root, scene) for scene in scenes):
        raise InputError(
            f"{root}: split {split!r} ({len(scenes)} scenes) names no scene that is there; "
            "scenes are expected as scans/ID/"
        )
    if missing := [scene for scene in scenes if not has_scene(root, scene)]:
        log.warning("%s: %d of %d scenes are not there: %s …", role, len(missing), len(scenes), ", ".join(missing[:5]))
    return scenes


def scenes_by_shard(root: Path, settings: ScannetSettings, role: str) -> dict[str, list[str]]:
    """:func:`role_scenes`, dealt out to the role's shards (which may be empty)."""
    shards: dict[str, list[str]] = {name: [] for name in shard_names(role, settings.n_shards[role])}
    for scene in role_scenes(root, settings, role):
        shards[shard_of(scene, role, settings.n_shards)].append(scene)
    return shards


def axis_alignment(root: Path, scene: str) -> NDArray[np.float64] | None:
    """``T_points_from_world`` (4, 4): turns a scene to its walls; None where ID.txt has none, as for test scenes.

    Raises:
        InputError: it is there and not sixteen numbers.
    """
    path = scene_file(root, scene, ".txt")
    if not path.is_file():
        return None
    for line in path.read_bytes().decode("utf-8", "replace").splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "axisAlignment":
            try:
                T = np.array([float(number) for number in value.split()]).reshape(4, 4)
            except ValueError:
                raise InputError(f"{path}: axisAlignment is not sixteen numbers; download it again") from None
            if not is_rigid(T):
                raise InputError(f"{path}: axisAlignment is not a rotation with a shift; download it again")
            return T
    return None
