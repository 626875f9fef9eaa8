"""Where Argoverse 2's sensor data set keeps its files, which logs a split means, and what a log says of its sensors.

Layout and meaning: the data set's own API (argoverse/av2-api: `datasets/sensor`, `geometry/camera/pinhole_camera.py`).
Human boxes lie in a file of their own, which is read elsewhere (argoverse2.annotations).
"""

import bisect
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import feather
from scipy.spatial.transform import Rotation

from clip2.geometry import invert, rigid
from clip2.runtime.errors import InputError
from clip2.scans.argoverse2.settings import SPLIT_HELP, Argoverse2Settings
from clip2.scans.files import absent
from clip2.scans.shards import shard_names, shard_of

SPLITS = ("train", "val", "test")
CAMERAS = (
    "ring_front_center",
    "ring_front_left",
    "ring_front_right",
    "ring_side_left",
    "ring_side_right",
    "ring_rear_left",
    "ring_rear_right",
)
"""All around; the stereo pair is grey, looks ahead as the first one does, and is not used."""
AXES = {"points": "the vehicle's as stored: x forward, y left, z up, origin at the rear axle", "up": "z"}
CLOUD_FORMAT = "argoverse2-feather"
POSES, INTRINSICS, PLACES = (
    "city_SE3_egovehicle.feather",
    "calibration/intrinsics.feather",
    "calibration/egovehicle_SE3_sensor.feather",
)
MOST_APART_NS = 50_000_000
"""Between a sweep and its picture: half the time between two sweeps. Cameras run at twice their rate."""
POSE_COLUMNS = ("qw", "qx", "qy", "qz", "tx_m", "ty_m", "tz_m")
Matrix = NDArray[np.float64]
Record = dict[str, Any]


class Camera(NamedTuple):
    """A camera of a log: (width, height), intrinsics (3, 3), and (4, 4) vehicle → camera."""

    name: str
    size: tuple[int, int]
    K: Matrix
    T_cam_from_ego: Matrix


class Sample(NamedTuple):
    """One sweep, and the nearest picture of each camera that has one: times in nanoseconds, as files are called."""

    sweep_ns: int
    pictures: dict[str, int]


class Log(NamedTuple):
    """One log: its split's folder and its name."""

    root: Path
    split: str
    name: str

    @property
    def path(self) -> str:
        """Its folder, relative to the data root."""
        return f"{self.split}/{self.name}"

    @property
    def folder(self) -> Path:
        """Its folder."""
        return self.root / self.path

    def cloud_path(self, sweep_ns: int) -> str:
        """A sweep, relative to the data root."""
        return f"{self.path}/sensors/lidar/{sweep_ns}.feather"

    def image_path(self, camera: str, picture_ns: int) -> str:
        """A picture, relative to the data root."""
        return f"{self.path}/sensors/cameras/{camera}/{picture_ns}.jpg"

    def sweeps(self) -> list[int]:
        """Times of all its sweeps, in order."""
        return _times(self.folder / "sensors" / "lidar", ".feather")

    def pictures(self) -> dict[str, list[int]]:
        """Camera → times of its pictures, in order; of the cameras that are there."""
        found = {camera: _times(self.folder / "sensors" / "cameras" / camera, ".jpg") for camera in CAMERAS}
        return {camera: times for camera, times in found.items() if times}

    def samples(self, every: int) -> list[Sample]:
        """Each n-th sweep with its pictures."""
        pictures = self.pictures()
        return [
            Sample(
                sweep, {name: time for name, times in pictures.items() if (time := _nearest(times, sweep)) is not None}
            )
            for sweep in self.sweeps()[::every]
        ]


def _times(folder: Path, ending: str) -> list[int]:
    files = folder.iterdir() if folder.is_dir() else ()
    return sorted(int(file.stem) for file in files if file.suffix == ending and file.stem.isdecimal())


def _nearest(times: list[int], to: int) -> int | None:
    """The nearest of some times, which are in order; None where none is near enough."""
    after = bisect.bisect(times, to)
    found = min(times[max(after - 1, 0) : after + 1], key=lambda time: abs(time - to))
    return found if abs(found - to) <= MOST_APART_NS else None


# --- which logs -------------------------------------------------------------------------------------------------------


def named_logs(root: Path, split: str) -> list[Log]:
    """Logs that a split option names, by name, each once.

    Raises:
        InputError: no such folder, or the option is unknown or names nothing.
    """
    if not any((root / name).is_dir() for name in SPLITS):
        raise InputError(f"{root}: has none of the folders {', '.join(SPLITS)}; give the folder that the sensor data "
                         "set's archives were unpacked in (…/sensor)")  # fmt: skip
    found: dict[str, Log] = {}
    for part in (part.strip() for part in split.split(",")):
        kind, _, name = part.partition(":")
        if kind == "scene" and name:
            logs = [Log(root, where, name) for where in SPLITS if (root / where / name / POSES).is_file()]
            if not logs:
                raise InputError(f"split {part!r}: {root} has no log of that name in {', '.join(SPLITS)}")
        elif part == "all" or part in SPLITS:
            logs = [log for where in (SPLITS if part == "all" else (part,)) for log in _logs(root, where)]
        else:
            raise InputError(f"split {part!r} is unknown; it has to be {SPLIT_HELP}")
        found |= {log.name: log for log in logs}
    if not found:
        raise InputError(f"{root}: split {split!r} has no log (a folder with {POSES}); unpack its archives there")
    return [found[name] for name in sorted(found)]


def _logs(root: Path, split: str) -> list[Log]:
    return [Log(root, split, path.parent.name) for path in sorted((root / split).glob(f"*/{POSES}"))]


def logs_by_shard(root: Path, settings: Argoverse2Settings, role: str) -> dict[str, list[Log]]:
    """The logs of a role, dealt out to its shards (which may be empty)."""
    shards: dict[str, list[Log]] = {name: [] for name in shard_names(role, settings.n_shards[role])}
    for log in named_logs(root, getattr(settings, role)):
        shards[shard_of(log.name, role, settings.n_shards)].append(log)
    return shards


def made_of(logs: list[Log], *files: str) -> dict[str, Path]:
    """Files of some logs that are there, by their path below the data root: for an artefact's provenance."""
    paths = {f"{log.path}/{file}": log.folder / file for log in logs for file in files}
    return {name: path for name, path in paths.items() if path.is_file()}


# --- what a log says of its sensors -----------------------------------------------------------------------------------


def read_columns(path: Path, *columns: str) -> dict[str, Any]:
    """Columns of a Feather file: numbers as float64 or int64 arrays, words as lists; empty arrays where it has no row.

    Raises:
        InputError: missing, damaged, without such a column, or with empty cells.
    """
    if not path.is_file():
        raise InputError(f"{absent(path)}; unpack the log again")
    try:
        table = feather.read_table(path, columns=list(columns), memory_map=False)
        table.validate(full=True)
        if not table.num_rows:  # whose columns may be of no type
            return {name: np.empty(0) for name in columns}
        found = {name: _plain(table[name]) for name in columns}
        if any(column.null_count for column in found.values()):
            raise ValueError("cells are empty")
        values = {name: column.to_pylist() if str(column.type).endswith("string") else column.to_numpy()
                  for name, column in found.items()}  # fmt: skip
        for name, column in values.items():
            if not isinstance(column, list) and not np.isfinite(column).all():
                raise ValueError(f"{name} is not finite")
    except Exception as error:  # Arrow has errors of many kinds for bytes that are no file of its own
        raise InputError(f"{path}: not a table of Argoverse 2 ({error}); unpack the log again") from None
    return values


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column as it reads; pandas saves categories as numbers of a dictionary."""
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def poses_of(columns: dict[str, Any]) -> Matrix:
    """(N, 4, 4) of the columns ``POSE_COLUMNS``: quaternions and places.

    Raises:
        ValueError: a quaternion is none.
    """
    q = np.column_stack([columns[name] for name in ("qx", "qy", "qz", "qw")]).astype(np.float64)
    if (np.abs(np.linalg.norm(q, axis=1) - 1) > 0.01).any():
        raise ValueError("a quaternion is no rotation")
    T = np.tile(np.eye(4), (len(q), 1, 1))
    if len(q):
        T[:, :3, :3] = Rotation.from_quat(q).as_matrix()
        T[:, :3, 3] = np.column_stack([columns[name] for name in ("tx_m", "ty_m", "tz_m")])
    return T


def read_cameras(log: Log) -> list[Camera]:
    """The calibration of a log's ring cameras.

    Pictures are those of pinhole cameras: the API, too, leaves k1, k2 and k3 of the file alone.

    Raises:
        InputError: a file is missing, damaged or lacks a camera.
    """
    inner, outer = log.folder / INTRINSICS, log.folder / PLACES
    lens = read_columns(inner, "sensor_name", "fx_px", "fy_px", "cx_px", "cy_px", "width_px", "height_px")
    placed = read_columns(outer, "sensor_name", *POSE_COLUMNS)
    try:
        T_ego_from_sensor = dict(zip(placed["sensor_name"], poses_of(placed), strict=True))
    except ValueError as error:
        raise InputError(f"{outer}: {error}; unpack the log again") from None
    found = []
    for i, name in enumerate(lens["sensor_name"]):
        if name not in CAMERAS:
            continue
        if name not in T_ego_from_sensor:
            raise InputError(f"{outer}: has no place of {name}; unpack the log again")
        fx, fy, cx, cy = (float(lens[key][i]) for key in ("fx_px", "fy_px", "cx_px", "cy_px"))
        K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
        size = (int(lens["width_px"][i]), int(lens["height_px"][i]))
        found.append(Camera(name, size, K, invert(T_ego_from_sensor[name])))
    return found


class Poses:
    """Where the vehicle of a log was in its city, at the times of its sweeps and pictures."""

    def __init__(self, log: Log) -> None:
        """
        Raises:
            InputError: the file is missing or damaged.
        """
        self._path = log.folder / POSES
        self._columns = read_columns(self._path, "timestamp_ns", *POSE_COLUMNS)
        self._rows = {time: row for row, time in enumerate(self._columns["timestamp_ns"].tolist())}

    @cached_property
    def _all(self) -> Matrix:
        try:
            return poses_of(self._columns)
        except ValueError as error:
            raise InputError(f"{self._path}: {error}; unpack the log again") from None

    def at(self, time_ns: int) -> Matrix | None:
        """(4, 4) ``T_city_from_ego`` at a time that the file has; None at others, as the API does not guess either."""
        row = self._rows.get(time_ns)
        return None if row is None else rigid(self._all[row][:3, :3], self._all[row][:3, 3])
