"""A folder of recordings: which scenes and samples it holds, by file names, and which of them a split means.

A scene is a folder with a ``calibration.json``: the root itself, or each of its sub-folders that has one.
"""

import hashlib
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from clip2.errors import InputError
from clip2.scans.folder.calibration import Calibration, read_calibration
from clip2.scans.folder.settings import SPLIT_HELP, FolderSettings
from clip2.scans.shards import shard_names, shard_of
from clip2.scans.tables import source_facts

CALIBRATION = "calibration.json"
IMAGES = (".jpg", ".jpeg", ".png")
_CLOUD_ENDINGS = {"npy": (".npy",)}
Record = dict[str, Any]


@dataclass(frozen=True)
class Scene:
    """One folder of recordings; ``name`` is its path below the root, ``.`` for the root itself."""

    root: Path
    name: str

    @property
    def folder(self) -> Path:
        """The folder itself."""
        return self.root / self.name

    @cached_property
    def calibration(self) -> Calibration:
        """What it declares of its sensors."""
        return read_calibration(self.folder / CALIBRATION)

    @cached_property
    def clouds(self) -> dict[str, str]:
        """Stem → cloud file or depth image, relative to the root."""
        if self.calibration.clouds is not None:
            clouds = self.calibration.clouds
            return self.files(clouds.folder, _CLOUD_ENDINGS.get(clouds.format, (".bin",)))
        (camera,) = self.calibration.cameras.values()
        return self.files(camera.depth.folder, (".png",)) if camera.depth else {}

    @cached_property
    def pictures(self) -> dict[str, dict[str, str]]:
        """Camera → stem → picture, relative to the root."""
        cameras = self.calibration.cameras
        return {name: self.files(cameras[name].image_folder, IMAGES) for name in sorted(cameras)}

    def files(self, folder: str, endings: tuple[str, ...]) -> dict[str, str]:
        """Stem → file of a sub-folder, relative to the root, sorted; empty where there is no such folder.

        Raises:
            InputError: two files have the same stem.
        """
        found: dict[str, str] = {}
        path = self.folder / folder
        for file in sorted(path.iterdir()) if path.is_dir() else ():
            if file.suffix.lower() in endings and not file.name.startswith("."):
                if file.stem in found:
                    raise InputError(f"{file}: there is {found[file.stem]} too; files are matched by stem, keep one")
                found[file.stem] = file.relative_to(self.root).as_posix()
        return found

    @property
    def samples(self) -> list[str]:
        """Stems that have a cloud and a picture, sorted."""
        seen = set().union(*self.pictures.values())
        return [stem for stem in self.clouds if stem in seen]

    def sample(self, stem: str) -> str:
        """The sample's name: unique in the root."""
        return stem if self.name == "." else f"{self.name}/{stem}"

    def unit(self, stem: str) -> str:
        """What is dealt out as a whole to splits and shards: the scene; where the root is the only one, the sample."""
        return stem if self.name == "." else self.name

    def count_missing(self, counts: Counter[str]) -> None:
        """Count the stems of one kind of file that have no counterpart of another kind."""
        for pictures in self.pictures.values():
            counts["images_missing_in_all"] += len(self.clouds.keys() - pictures.keys())
            counts["clouds_missing_in_all"] += len(pictures.keys() - self.clouds.keys())


def find_scenes(root: Path) -> list[Scene]:
    """The root, if it has a calibration, else its sub-folders that have one, sorted; all of one kind of sensor.

    Raises:
        InputError: there are none, or their calibrations are wrong or of different sensors.
    """
    names = ["."] if (root / CALIBRATION).is_file() else sorted(p.parent.name for p in root.glob(f"*/{CALIBRATION}"))
    if not names:
        raise InputError(f"{root / CALIBRATION}: no such file, nor in a sub-folder; see docs/your_own_data.md")
    scenes = [Scene(root, name) for name in names]
    sensors = {scene.calibration.sensor: scene.name for scene in scenes}
    if len(sensors) > 1:
        raise InputError(f"{root}: has lidar ({sensors['lidar']}) and rgbd ({sensors['rgbd']}); make two sources of it")
    return scenes


def samples_by_shard(scenes: list[Scene], settings: FolderSettings, role: str) -> dict[str, list[tuple[Scene, str]]]:
    """Scene and stem of each sample of a role, dealt out to its shards (which may be empty).

    Raises:
        InputError: the split option is unknown or names nothing that is there.
    """
    split = getattr(settings, role)
    chosen = _Chosen(scenes[0].root, split, settings.val_share)
    shards: dict[str, list[tuple[Scene, str]]] = {name: [] for name in shard_names(role, settings.n_shards[role])}
    for scene in scenes:
        for stem in scene.samples:
            if chosen.holds(scene, stem):
                shards[shard_of(scene.unit(stem), role, settings.n_shards)].append((scene, stem))
    if not any(shards.values()):
        total = sum(len(scene.samples) for scene in scenes)
        raise InputError(
            f"{scenes[0].root}: split {split!r} ({role}) names none of its {total} samples that have a cloud and a "
            "picture of the same stem; look at it with `clip2 check`"
        )
    return shards


class _Chosen:
    """Which samples a split option means."""

    def __init__(self, root: Path, split: str, val_share: float) -> None:
        self._names: set[str] = set()
        self._hashed: set[str] = set()
        self._all, self._val_share = False, val_share
        for part in (part.strip() for part in split.split(",")):
            kind, _, name = part.partition(":")
            lists = root / "splits" / f"{part}.txt"
            if kind == "scene" and name:
                self._names.add(name)
            elif part == "all":
                self._all = True
            elif lists.is_file():
                self._names.update(lists.read_text(encoding="utf-8").split())
            elif part in ("train", "val") and not (root / "splits").is_dir():
                self._hashed.add(part)
            else:
                raise InputError(f"split {part!r} is unknown (no {lists}); it has to be {SPLIT_HELP}")

    def holds(self, scene: Scene, stem: str) -> bool:
        if self._all or not self._names.isdisjoint((scene.name, scene.sample(stem))):
            return True
        return bool(self._hashed) and self._role(scene.unit(stem)) in self._hashed

    def _role(self, unit: str) -> str:
        """A stable share of the units is `val`, whatever other units there are."""
        number = int.from_bytes(hashlib.sha256(f"split of {unit}".encode()).digest()[:8], "big")
        return "val" if number < self._val_share * 2**64 else "train"


def facts_of(scenes: list[Scene], source: str, root: Path) -> Record:
    """The header's facts (scans.tables.write_shard)."""
    declared = sorted({f"{s.calibration.up} up, {s.calibration.units}" for s in scenes})
    words = f"as declared ({'; '.join(declared)}), turned so that z is up, in metres"
    return source_facts(source, root, "folder", scenes[0].calibration.sensor, {"points": words, "up": "z"})


def flat(T: Any) -> list[float]:
    """A matrix, row by row."""
    return [float(value) for value in np.ravel(T)]
