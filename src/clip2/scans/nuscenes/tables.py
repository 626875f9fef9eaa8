"""What ingest and annotations need of a nuScenes data set's tables, read row by row and kept small.

The devkit loads all tables as dictionaries, several gigabytes at the size of trainval. It is the reference in tests.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pyquaternion import Quaternion

from clip2.geometry import rigid
from clip2.runtime.errors import InputError
from clip2.scans.nuscenes.rows import rows

LIDAR = "LIDAR_TOP"
CLOUD_FORMAT = "nuscenes-pcd-bin"
CAMERAS = ("CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_RIGHT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_FRONT_LEFT")
AXES = {"points": f"{LIDAR}: x right, y forward, z up", "up": "z"}

Matrix = NDArray[np.float64]


class Sensor(NamedTuple):
    """A row of calibrated_sensor: a sensor as it was mounted for one scene."""

    channel: str
    T_ego_from_sensor: Matrix
    intrinsics: list[list[float]]  # 3×3 pixels; empty for a LiDAR


class Recording(NamedTuple):
    """A row of sample_data: one image or sweep. ``previous`` is the token of the one before it, "" at the beginning."""

    token: str
    ego_pose: str
    sensor: Sensor
    timestamp_us: int
    path: str
    width: int
    height: int
    previous: str


def table_folder(root: Path, version: str) -> Path:
    """Folder of a version's tables.

    Raises:
        InputError: there is none.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; give the nuScenes data root (`--config dataroot=/path/to/nuscenes`)")
    if not (root / version).is_dir():
        found = sorted(path.parent.name for path in root.glob("*/sample_data.json"))
        raise InputError(f"{root}: holds no version {version!r}; found: {', '.join(found) or 'none'}")
    return root / version


def read_scenes(folder: Path) -> dict[str, list[str]]:
    """Scenes by name, in alphabetical order: the tokens of their samples in time order.

    Raises:
        InputError: a table is missing or broken, two scenes have one name, or the samples that follow one another are
            not those that call the scene theirs.
    """
    following: dict[str, str] = {}
    scene_of: dict[str, str] = {}
    for token, after, scene in rows(folder / "sample.json", "token", "next", "scene_token"):
        following[token], scene_of[token] = after, scene
    lengths = Counter(scene_of.values())
    scenes: dict[str, list[str]] = {}
    for name, scene, first in sorted(rows(folder / "scene.json", "name", "token", "first_sample_token")):
        if name in scenes:
            raise InputError(f"{folder}: table scene.json has two scenes {name!r}; give each a name of its own")
        scenes[name] = list(_chain(first, following, folder))
        if others := [token for token in scenes[name] if scene_of[token] != scene]:
            raise InputError(f"{folder}: by table scene.json, scene {name!r} holds sample {others[0]}, which is "
                             "another scene's by sample.json; unpack both again")  # fmt: skip
        if len(scenes[name]) < lengths[scene]:
            raise InputError(f"{folder}: table sample.json has {lengths[scene]} samples of scene {name!r}, but its "
                             f"chain of `next` ends after {len(scenes[name])}; unpack it again")  # fmt: skip
    return scenes


def _chain(token: str, following: Mapping[str, str], folder: Path) -> Iterator[str]:
    for _ in range(len(following)):
        if not token:
            return
        if token not in following:
            raise InputError(f"{folder}: table sample.json lacks row {token}, which another names; unpack it again")
        yield token
        token = following[token]
    if token:
        raise InputError(f"{folder}: table sample.json goes round in a circle, from row {token} on; unpack it again")


def no_pictures(folder: Path, split: str) -> InputError:
    """The error for a split none of whose samples has a sweep and a picture."""
    there = sorted({channel for (channel,) in rows(folder / "sensor.json", "channel")})
    return InputError(
        f"{folder}: split {split!r} gives no picture with a sweep: wanted are the channels {LIDAR} and "
        f"{', '.join(CAMERAS)}; sensor.json has {', '.join(there) or 'none'}"
    )


def pose_matrix(rotation: Sequence[float], translation: Sequence[float]) -> Matrix:
    """4×4 transform of a quaternion w x y z and a translation in metres, as tables give poses and boxes."""
    return rigid(Quaternion(rotation).rotation_matrix, translation)


def read_sensors(folder: Path, channels: Iterable[str]) -> dict[str, Sensor]:
    """Rows of calibrated_sensor by token, of some channels only."""
    wanted = set(channels)
    channel_of = dict(rows(folder / "sensor.json", "token", "channel"))
    keys = ("token", "sensor_token", "rotation", "translation", "camera_intrinsic")
    return {
        token: Sensor(channel_of[sensor], pose_matrix(rotation, translation), intrinsics)
        for token, sensor, rotation, translation, intrinsics in rows(folder / "calibrated_sensor.json", *keys)
        if channel_of.get(sensor) in wanted
    }


class Recordings:
    """Recordings of some samples, and of the LiDAR's sweeps between them. About 0.7 kB each."""

    def __init__(
        self, folder: Path, samples: Iterable[str], channels: Iterable[str], sweeps_of: Iterable[str] = ()
    ) -> None:
        """
        Args:
            folder: the version's tables.
            samples: tokens of the samples whose key frames are wanted.
            channels: sensors whose key frames are wanted.
            sweeps_of: tokens of samples whose LiDAR sweeps are wanted too (all of a scene: sweeps reach back).

        Raises:
            InputError: a table is missing or broken.
        """
        self._folder = folder
        self._key: dict[str, dict[str, Recording]] = {token: {} for token in samples}
        self._sweeps: dict[str, Recording] = {}
        sensors, moving = read_sensors(folder, channels), set(sweeps_of)
        keys = ("is_key_frame", "sample_token", "calibrated_sensor_token", "token", "ego_pose_token", "timestamp",
                "filename", "width", "height", "prev")  # fmt: skip
        for is_key, sample, mount, token, pose, *others in rows(folder / "sample_data.json", *keys):
            if (sensor := sensors.get(mount)) is None:
                continue
            # One string where both tokens are the same, as they are in nuScenes.
            recording = Recording(token, token if pose == token else pose, sensor, *others)
            if is_key and sample in self._key:
                self._key[sample][sensor.channel] = recording
            if sensor.channel == LIDAR and sample in moving:
                self._sweeps[token] = recording

    def of_sample(self, token: str) -> dict[str, Recording]:
        """A sample's key frames by channel; without those that are missing."""
        return self._key[token]

    def before(self, sweep: Recording) -> Recording | None:
        """The LiDAR sweep before another one; None at the beginning of a scene.

        Raises:
            InputError: it is not there, or not earlier.
        """
        if not sweep.previous:
            return None
        if sweep.previous not in self._sweeps:
            raise InputError(f"{self._folder}: table sample_data.json lacks row {sweep.previous}, which row "
                             f"{sweep.token} names; unpack it again")  # fmt: skip
        found = self._sweeps[sweep.previous]
        if found.timestamp_us >= sweep.timestamp_us:
            raise InputError(f"{self._folder}: table sample_data.json: `prev` of row {sweep.token} is {found.token}, "
                             "which is not earlier; unpack it again")  # fmt: skip
        return found

    @cached_property
    def _poses(self) -> dict[str, Matrix]:
        """Rows of ego_pose by token: (7,) quaternion w x y z and position, of the recordings that are kept."""
        key_frames = (recording for own in self._key.values() for recording in own.values())
        wanted: dict[str, Matrix | None] = {recording.ego_pose: None for recording in key_frames}
        wanted.update((recording.ego_pose, None) for recording in self._sweeps.values())
        for token, rotation, translation in rows(self._folder / "ego_pose.json", "token", "rotation", "translation"):
            if token in wanted:
                wanted[token] = np.array([*rotation, *translation])
        for token, pose in wanted.items():
            if pose is None:
                raise InputError(f"{self._folder}: table ego_pose.json lacks row {token}; unpack it again")
        return wanted  # type: ignore[return-value]  # none is None

    def ego_position(self, recording: Recording) -> NDArray[np.float64]:
        """(3,) position of the recording car in the global frame, metres."""
        return self._poses[recording.ego_pose][4:]

    def T_global_from_sensor(self, recording: Recording) -> Matrix:
        """Sensor → ego → global, both at the time of this very recording."""
        pose = self._poses[recording.ego_pose]
        return pose_matrix(pose[:4].tolist(), pose[4:].tolist()) @ recording.sensor.T_ego_from_sensor
