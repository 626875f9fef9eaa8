"""Opening a nuScenes data set, and which of its samples a split means."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from nuscenes.nuscenes import NuScenes
from nuscenes.utils.splits import create_splits_scenes
from pyquaternion import Quaternion

from clip2.errors import InputError
from clip2.geometry import rigid
from clip2.scans.nuscenes.settings import SPLIT_HELP, NuscenesSettings
from clip2.scans.shards import shard_names, shard_of

LIDAR = "LIDAR_TOP"
AXES = {"points": f"{LIDAR}: x right, y forward, z up", "up": "z"}

Record = dict[str, Any]


def open_nuscenes(root: Path, version: str) -> NuScenes:
    """The devkit's object, with errors that say what to do."""
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; give the nuScenes data root (`--config dataroot=/path/to/nuscenes`)")
    if not (root / version).is_dir():
        found = sorted(path.parent.name for path in root.glob("*/sample_data.json"))
        raise InputError(f"{root}: holds no version {version!r}; found: {', '.join(found) or 'none'}")
    try:
        return NuScenes(version=version, dataroot=str(root), verbose=False)
    except FileNotFoundError as error:
        raise InputError(f"{root / version}: table {Path(error.filename).name} is missing; unpack it again") from None
    except ValueError as error:  # a JSON table cut short
        raise InputError(f"{root / version}: a table is not readable ({error}); unpack it again") from None


def pose_matrix(record: Record) -> NDArray[np.float64]:
    """4×4 transform of an ego_pose (global from ego) or calibrated_sensor (ego from sensor) record."""
    return rigid(Quaternion(record["rotation"]).rotation_matrix, record["translation"])


def T_global_from_sensor(nusc: NuScenes, sample_data: Record) -> NDArray[np.float64]:
    """Sensor → ego → global, both at the time of this very recording."""
    ego = pose_matrix(nusc.get("ego_pose", sample_data["ego_pose_token"]))
    return ego @ pose_matrix(nusc.get("calibrated_sensor", sample_data["calibrated_sensor_token"]))


def _scene_filter(nusc: NuScenes, split: str) -> tuple[set[str], set[str]]:
    """Scene names and sample tokens that a split option names."""
    official = create_splits_scenes()
    scenes: set[str] = set()
    samples: set[str] = set()
    for part in split.split(","):
        kind, _, name = part.strip().partition(":")
        if kind == "scene" and name:
            scenes.add(name)
        elif kind == "sample" and name:
            samples.add(name)
        elif kind == "all":
            scenes.update(scene["name"] for scene in nusc.scene)
        elif kind in official:
            scenes.update(official[kind])
        else:
            raise InputError(f"split {part.strip()!r} is unknown; it has to be {SPLIT_HELP}")
    return scenes, samples


def samples_by_shard(nusc: NuScenes, settings: NuscenesSettings, role: str) -> dict[str, list[Record]]:
    """The samples of a role, scene by scene and in time order, dealt out to its shards (which may be empty).

    Raises:
        InputError: the split option is unknown or names nothing in this data set.
    """
    split = getattr(settings, role)
    n_shards = settings.n_shards
    scenes, tokens = _scene_filter(nusc, split)
    shards: dict[str, list[Record]] = {name: [] for name in shard_names(role, n_shards[role])}
    for scene in sorted(nusc.scene, key=lambda scene: str(scene["name"])):
        chosen = [sample for sample in _in_time(nusc, scene) if scene["name"] in scenes or sample["token"] in tokens]
        if chosen:
            shards[shard_of(scene["name"], role, n_shards)] += chosen
    if not any(shards.values()):
        raise InputError(
            f"{nusc.dataroot} ({nusc.version}): split {split!r} names no scene of it; "
            f"it holds {len(nusc.scene)}, the first is {nusc.scene[0]['name'] if nusc.scene else '-'}"
        )
    return shards


def _in_time(nusc: NuScenes, scene: Record) -> Iterator[Record]:
    token = scene["first_sample_token"]
    while token:
        sample = nusc.get("sample", token)
        yield sample
        token = sample["next"]
