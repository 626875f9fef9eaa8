"""A folder of recordings: which scenes and samples it holds, by file names, and which of them a split means.

A scene is a folder with a ``calibration.json``: the root itself, or each of its sub-folders that has one.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clip2.geometry import invert
from clip2.runtime.errors import InputError
from clip2.scans.folder.calibration import (
    CLOUD_ENDINGS,
    Calibration,
    declared_places,
    in_metres,
    read_calibration,
    read_pose,
    upright,
)
from clip2.scans.folder.settings import SPLIT_HELP, FolderSettings
from clip2.scans.poses import check_rigid
from clip2.scans.shards import shard_names, shard_of
from clip2.scans.tables import source_facts
from clip2.scans.texts import plain, read_names, read_text, unknown_names

CALIBRATION = "calibration.json"
LABELS = "labels"
"""Folder of the human boxes, for evaluation only."""
TIMES = "timestamps.txt"
ROOT_SCENE = "recording"
"""Name of the scene that a root without sub-folders is."""
IMAGES = (".jpg", ".jpeg", ".png")
LATEST_US = 10**17
"""Microseconds since 1970: the year 5138. In milliseconds, today would be later."""
FAR = 1000.0
"""Metres; cameras farther from the origin than this are in map coordinates, where float32 loses the millimetres."""
NO_SHIFT = (0.0, 0.0, 0.0)
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
    def shift(self) -> tuple[float, float, float]:
        """Whole metres, upright, that the declared coordinates have more than those of the points' frame.

        None, unless the scene's first camera stands far from the origin: then that camera's place.
        """
        camera = self.calibration.cameras[min(self.calibration.cameras)]
        for stem in self.samples:
            try:
                T_cam_from_declared, _ = declared_places(self.calibration, camera, self.folder, stem)
            except (OSError, ValueError, InputError):
                continue
            return _whole_metres(invert(T_cam_from_declared)[:3, 3])
        return NO_SHIFT

    @cached_property
    def origin(self) -> tuple[float, float, float]:
        """As :attr:`shift`, of the frame that the poses of its clouds lead to: the place of the first."""
        if self.pose_folder is None or self.calibration.sensor == "rgbd":
            return NO_SHIFT
        for stem in self.samples:
            try:
                pose = check_rigid(stem, read_pose(self.pose_folder / f"{stem}.txt"))
            except (OSError, ValueError, InputError):
                continue
            return _whole_metres(upright(self.calibration)[:3, :3] @ in_metres(pose, self.calibration)[:3, 3])
        return NO_SHIFT

    @property
    def data_folders(self) -> set[str]:
        """Folders of its clouds or depth images, and of its pictures, as declared."""
        cameras = self.calibration.cameras.values()
        clouds = [self.calibration.clouds, *(camera.depth for camera in cameras)]
        return {camera.image_folder for camera in cameras} | {declared.folder for declared in clouds if declared}

    @cached_property
    def clouds(self) -> dict[str, str]:
        """Stem → cloud file or depth image, relative to the root."""
        if self.calibration.clouds is not None:
            clouds = self.calibration.clouds
            return self.files(clouds.folder, (CLOUD_ENDINGS[clouds.format],))
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
            InputError: two files have the same stem, a name is no text, or the folder may not be read.
        """
        found: dict[str, str] = {}
        for file in listed(self.folder / folder):
            if file.suffix.lower() in endings:
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
        """What is a scene in the artefacts, and dealt out to shards as a whole: the folder.

        Where the root is the only folder and has no poses, nothing joins its samples: each is a scene of its own.
        """
        if self.name != ".":
            return self.name
        return stem if self.pose_folder is None else ROOT_SCENE

    @property
    def pose_folder(self) -> Path | None:
        """Where its poses are, if it declares any: of the clouds, or of the depth camera."""
        calibration = self.calibration
        declared = calibration.clouds or next(iter(calibration.cameras.values()))
        return self.folder / declared.pose_folder if declared.pose_folder else None

    @cached_property
    def times_us(self) -> dict[str, int]:
        """Stem → microseconds, from ``timestamps.txt`` beside the pose folder or in it; empty where there is none.

        Raises:
            InputError: a line is not a stem and seconds, or a stem has two; a sample has no time, or two have the same.
        """
        folders = [self.folder] if self.pose_folder is None else [self.folder, self.pose_folder]
        path = next((folder / TIMES for folder in folders if (folder / TIMES).is_file()), None)
        if path is None:
            return {}
        times = _read_times(path, self.samples)
        missing = [stem for stem in self.samples if stem not in times]
        if missing:
            raise InputError(f"{path}: has no time of {missing[0]}, and of {len(missing) - 1} others; add their lines")
        if len({times[stem] for stem in self.samples}) < len(self.samples):
            raise InputError(f"{path}: some samples have the same time; give each its own, in seconds with decimals")
        return times

    def count_missing(self, counts: Counter[str]) -> None:
        """Count the stems of one kind of file that have no counterpart of another kind."""
        for pictures in self.pictures.values():
            counts["images_missing_in_all"] += len(self.clouds.keys() - pictures.keys())
            counts["clouds_missing_in_all"] += len(pictures.keys() - self.clouds.keys())


def listed(folder: Path) -> list[Path]:
    """What a folder holds, sorted, without what is hidden; nothing where there is no such folder.

    Raises:
        InputError: a name is no text, or it may not be read.
    """
    try:
        found = sorted(path for path in folder.iterdir() if not path.name.startswith(".")) if folder.is_dir() else []
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror})") from None
    for path in found:
        try:
            path.name.encode()
        except UnicodeEncodeError:
            raise InputError(f"{folder}: the name {path.name!a} is not UTF-8; rename it") from None
    return found


def _whole_metres(place: NDArray[np.float64]) -> tuple[float, float, float]:
    """A place, if it is far from the origin."""
    x, y, z = np.round(place).tolist()
    return (x, y, z) if max(abs(x), abs(y), abs(z)) > FAR else NO_SHIFT


def _read_times(path: Path, stems: Sequence[str]) -> dict[str, int]:
    """Stem → microseconds, of lines `STEM seconds`; a first line that names columns and `#` comments are passed over.

    Raises:
        InputError: a line is none, or a stem has two times.
    """
    times: dict[str, int] = {}
    for number, line in enumerate(read_text(path).split("\n"), 1):
        fields = line.replace(",", " ").split()
        if not fields or fields[0].startswith("#"):
            continue
        try:
            stem, seconds = fields
            time_us = round(1e6 * float(seconds))
        except (ValueError, OverflowError) as error:
            if number == 1 and fields[0] not in stems and not any(map(str.isdecimal, fields)):
                continue
            raise InputError(f"{path}: not lines of `STEM seconds`: line {number}: {error}") from None
        if abs(time_us) > LATEST_US:
            raise InputError(
                f"{path}: line {number}: {seconds} is no time in seconds; divide nanoseconds by 1e9, microseconds by "
                "1e6, milliseconds by 1e3"
            )
        if times.setdefault(stem, time_us) != time_us:
            raise InputError(f"{path}: line {number}: {stem} has another time before; keep one line a stem")
    return times


def find_scenes(root: Path) -> list[Scene]:
    """The root, if it has a calibration, else its sub-folders that have one, sorted; all of one kind of sensor.

    Raises:
        InputError: there are none, one is there twice, or their calibrations are wrong or of different sensors.
    """
    names = ["."] if _declares(root) else [folder.name for folder in listed(root) if _declares(folder)]
    if not names:
        raise InputError(f"{root / CALIBRATION}: no such file, nor in a sub-folder; see docs/your_own_data.md")
    scenes = [Scene(root, name) for name in names]
    places: dict[Path, str] = {}
    for scene in scenes:
        if (other := places.setdefault(scene.folder.resolve(), scene.name)) != scene.name:
            raise InputError(f"{scene.folder}: is the same folder as {other!r}; keep one of them")
    sensors = {scene.calibration.sensor: scene.name for scene in scenes}
    if len(sensors) > 1:
        raise InputError(f"{root}: has lidar ({sensors['lidar']}) and rgbd ({sensors['rgbd']}); make two sources of it")
    return scenes


def _declares(folder: Path) -> bool:
    """Whether a folder has a calibration, or a link that should be one; one that may not be entered says nothing."""
    path = folder / CALIBRATION
    try:
        return path.is_file() or path.is_symlink()
    except OSError:
        return False


def passed_over(scenes: list[Scene]) -> list[str]:
    """Sub-folders of the root that look like scenes and are none, in words."""
    if scenes[0].name == ".":
        return []
    folders = {folder for scene in scenes for folder in scene.data_folders} - {"."}
    names, found = {scene.name for scene in scenes}, []
    for path in listed(scenes[0].root):
        try:
            if path.name not in names and any((path / folder).is_dir() for folder in folders):
                found.append(f"{path}: has no {CALIBRATION}, and is left out")
        except OSError as error:
            found.append(f"{path}: cannot be read ({error.strerror}), and is left out")
    return found


def role_samples(scenes: list[Scene], settings: FolderSettings, role: str) -> list[tuple[Scene, str]]:
    """Scene and stem of each sample of a role, in the order of the scenes.

    Raises:
        InputError: the split option is unknown or names nothing that is there.
    """
    split = getattr(settings, role)
    chosen = _Chosen(scenes, split, settings.val_share)
    found = [(scene, stem) for scene in scenes for stem in scene.samples if chosen.holds(scene, stem)]
    may_be_none = role == "val" and chosen.by_share  # a share of few scenes: mining wants no `val`
    if not found and not may_be_none:
        raise InputError(_why_none(scenes, split, role))
    return found


def samples_by_shard(scenes: list[Scene], settings: FolderSettings, role: str) -> dict[str, list[tuple[Scene, str]]]:
    """:func:`role_samples`, dealt out to the role's shards (which may be empty)."""
    shards: dict[str, list[tuple[Scene, str]]] = {name: [] for name in shard_names(role, settings.n_shards[role])}
    for scene, stem in role_samples(scenes, settings, role):
        shards[shard_of(scene.unit(stem), role, settings.n_shards)].append((scene, stem))
    return shards


def _why_none(scenes: list[Scene], split: str, role: str) -> str:
    """Why a role has no sample, with what to do about it."""
    root, total = scenes[0].root, sum(len(scene.samples) for scene in scenes)
    if total:
        hint = "; with one alone, set `train` and `val` both to `all`" if total == 1 else ""
        return f"{root}: split {split!r} ({role}) names none of its {total} samples{hint}; `clip2 check` lists them"
    scene = scenes[0]
    pictures = [stem for stems in scene.pictures.values() for stem in stems]
    if not scene.clouds and scene.calibration.clouds:
        declared = scene.calibration.clouds
        ending = CLOUD_ENDINGS[declared.format]
        return _holds_none(scene.folder / declared.folder, f"{ending} file, as format {declared.format!r} has them")
    first = scene.calibration.cameras[min(scene.calibration.cameras)]
    if not scene.clouds and first.depth:
        return _holds_none(scene.folder / first.depth.folder, "depth image (.png of 16 bits)")
    if not pictures:
        return _holds_none(scene.folder / first.image_folder, f"picture ({', '.join(IMAGES)})")
    examples = f"clouds like {next(iter(scene.clouds), '-')!r}, pictures like {next(iter(pictures), '-')!r}"
    return (
        f"{root}: no cloud and picture have the same name up to the ending ({len(scene.clouds)} clouds and "
        f"{len(pictures)} pictures in {scene.name!r}; {examples}); rename them, or correct the folders in {CALIBRATION}"
    )


def _holds_none(folder: Path, what: str) -> str:
    """That a folder holds none of what it should, and what it does."""
    if not folder.is_dir():
        return f"{folder}: no such folder; correct {CALIBRATION}"
    others = Counter(path.suffix or "without an ending" for path in listed(folder))
    found = ", ".join(f"{n} {other}" for other, n in others.most_common(3))
    return f"{folder}: holds no {what}; it holds {found or 'nothing'}"


class _Chosen:
    """Which samples a split option means."""

    def __init__(self, scenes: list[Scene], split: str, val_share: float) -> None:
        self._names: set[str] = set()
        self._all = False
        folder = scenes[0].root / "splits"
        for part in (part.strip() for part in split.split(",")):
            kind, _, name = part.partition(":")
            if kind == "scene" and name:
                if name not in {scene.name for scene in scenes}:
                    there = ", ".join(scene.name for scene in scenes[:5])
                    raise InputError(f"split {part!r}: {folder.parent} has no such scene; it has {there}")
                self._names.add(name)
            elif part == "all":
                self._all = True
            elif (folder / f"{part}.txt").is_file():
                self._names |= _listed(folder / f"{part}.txt", scenes)
            elif part in ("train", "val") and not folder.is_dir():
                # Of a single folder without poses, nothing joins the samples. With poses it is one scene: no part of it
                # is kept back, as the same things stand in all of it.
                whole = len(scenes) > 1 or scenes[0].pose_folder is not None
                units = Counter(
                    scene.name if whole else scene.sample(stem) for scene in scenes for stem in scene.samples
                )
                val = _drawn(units, val_share)
                self._names |= val if part == "val" else units.keys() - val
            else:
                raise InputError(f"split {part!r} is unknown (no {folder / part}.txt); it has to be {SPLIT_HELP}")

    @property
    def by_share(self) -> bool:
        """Whether nothing but the hash decides."""
        return not (self._all or self._names)

    def holds(self, scene: Scene, stem: str) -> bool:
        return self._all or not self._names.isdisjoint((scene.name, scene.sample(stem)))


def _listed(path: Path, scenes: list[Scene]) -> set[str]:
    """Scenes and samples that a list of ``splits/`` names: by name, or by a file of theirs, with or without its ending.

    Raises:
        InputError: a name is none of them.
    """
    known = {scene.name: scene.name for scene in scenes}
    for scene in scenes:
        for files in (scene.clouds, *scene.pictures.values()):
            for stem, file in files.items():
                known[scene.sample(stem)] = known[plain(file)] = scene.sample(stem)
    names = read_names(path, known)
    unknown = [name for name in names if name.text not in known and plain(name.text) not in known]
    if unknown:
        raise InputError(f"{unknown_names(path, unknown, known)}: no scene or sample of this folder has such a name")
    return {known[name.text] if name.text in known else known[plain(name.text)] for name in names}


FEW = 10
"""Scenes below which a hash would leave it to chance how much is `val`."""


def _drawn(units: Mapping[str, int], share: float) -> set[str]:
    """The units that are `val` where no list says: by a hash of their names, so that new ones never move old ones.

    Of few units, those whose samples come nearest to the share. Of two or more, either role gets one at least.

    Args:
        units: name → number of samples.
    """
    order = sorted(units, key=_number)
    if len(units) < 2 or share in (0, 1):
        return set(order) if share == 1 else set()
    if len(units) >= FEW:
        n = sum(_number(name) < share for name in order)
        return set(order[: min(max(n, 1), len(order) - 1)])
    chosen, wanted = set[str](), share * sum(units.values())
    while len(order) > 1:
        best = min(order, key=lambda name: abs(wanted - units[name]))
        if chosen and abs(wanted - units[best]) >= abs(wanted):
            break
        chosen.add(best)
        order.remove(best)
        wanted -= units[best]
    return chosen


def _number(name: str) -> float:
    """From 0 to 1, of nothing but the name."""
    return int.from_bytes(hashlib.sha256(f"split of {name}".encode()).digest()[:8], "big") / 2**64


def facts_of(scenes: list[Scene], source: str, root: Path) -> Record:
    """The header's facts (scans.tables.write_shard).

    ``shift_m`` gives the declared coordinates of points back, ``scene_origin_m`` those of poses.
    """
    declared = sorted({f"{s.calibration.up} up, {s.calibration.units}" for s in scenes})
    words = f"as declared ({'; '.join(declared)}), turned so that z is up, in metres"
    facts = source_facts(source, root, "folder", scenes[0].calibration.sensor, {"points": words, "up": "z"})
    for key, what in (("shift_m", "shift"), ("scene_origin_m", "origin")):
        moved = {scene.name: getattr(scene, what) for scene in scenes if getattr(scene, what) != NO_SHIFT}
        facts |= {key: moved} if moved else {}
    return facts


def flat(T: Any) -> list[float]:
    """A matrix, row by row."""
    return [float(value) for value in np.ravel(T)]
