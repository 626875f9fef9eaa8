"""Where ONCE keeps its files, which sequences a split means, and what a sequence's JSON says of its sensors.

Human boxes are in the same JSON; they are read elsewhere (once.annotations), and nothing here passes them on.
"""

import json
import logging
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, Field, ValidationError
from scipy.spatial.transform import Rotation

from clip2.geometry import invert, is_rigid, rigid
from clip2.runtime.errors import InputError
from clip2.scans.files import absent
from clip2.scans.once.settings import SPLIT_HELP, OnceSettings
from clip2.scans.shards import shard_names, shard_of
from clip2.scans.texts import plain, read_json, read_names
from clip2.scans.undistort import LENGTHS

LIDAR = "lidar_roof"
AXES = {"points": f"{LIDAR} as stored: x left, y backward, z up", "up": "z"}
CLOUD_FORMAT = "float32x4"
LISTS = ("train", "val", "test", "raw_small", "raw_medium", "raw_large")
Record = dict[str, Any]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Camera:
    """A camera of a sequence: name of its folder, intrinsics (3, 3), OpenCV distortion (k,), (4, 4) LiDAR → camera."""

    name: str
    K: NDArray[np.float64]
    distortion: NDArray[np.float64]
    T_cam_from_points: NDArray[np.float64]


@dataclass(frozen=True)
class Recording:
    """One time stamp of a sequence: its name in the file names, and whether people drew boxes for it.

    ``T_scene_from_points``: to the LiDAR's frame at the first time stamp that has a pose; None where there is no pose.
    """

    frame: str
    annotated: bool
    T_scene_from_points: NDArray[np.float64] | None


@dataclass(frozen=True)
class Sequence:
    """What a sequence's JSON says of its sensors; recordings in the file's order, which is time's."""

    name: str
    cameras: list[Camera]
    recordings: list[Recording]


def json_path(root: Path, sequence: str) -> Path:
    """``data/SEQ/SEQ.json``: calibration, frames and boxes of a sequence."""
    return root / "data" / sequence / f"{sequence}.json"


def cloud_path(sequence: str, frame: str) -> str:
    """A point cloud, relative to the data root."""
    return f"data/{sequence}/{LIDAR}/{frame}.bin"


def image_path(sequence: str, camera: str, frame: str) -> str:
    """A picture, relative to the data root."""
    return f"data/{sequence}/{camera}/{frame}.jpg"


def stems(root: Path, sequence: str, folder: str) -> set[str]:
    """Names of the recordings that one sensor's folder holds; empty where there is no such folder."""
    path = root / "data" / sequence / folder
    return {file.stem for file in path.iterdir()} if path.is_dir() else set()


def _listed(root: Path, name: str) -> list[str]:
    """Sequences of a list of ImageSets (``train.txt``, in older copies ``train_split.txt``)."""
    for file in (f"{name}.txt", f"{name}_split.txt", f"{name}_set.txt"):
        if (path := root / "ImageSets" / file).is_file():
            return [plain(name.text) for name in read_names(path)]
    raise InputError(f"{root / 'ImageSets' / name}.txt: no such list; unpack ONCE's ImageSets there")


def named_sequences(root: Path, split: str) -> list[str]:
    """Sequences that a split option names, sorted, each once, whether or not they are on disk.

    Raises:
        InputError: no such folder or list, or the option is unknown.
    """
    if not (root / "data").is_dir():
        raise InputError(f"{root}: has no folder `data`; give the folder that holds ONCE's `data` and `ImageSets`")
    names: set[str] = set()
    for part in (part.strip() for part in split.split(",")):
        kind, _, name = part.partition(":")
        if kind == "scene" and name:
            if not json_path(root, name).is_file():
                raise InputError(f"split {part!r}: {absent(json_path(root, name))}; is the sequence's name right?")
            names.add(name)
        elif part == "all":
            names.update(path.parent.name for path in (root / "data").glob("*/*.json"))
        elif part in LISTS:
            names.update(_listed(root, part))
        else:
            raise InputError(f"split {part!r} is unknown; it has to be {SPLIT_HELP}")
    return sorted(names)


def role_sequences(root: Path, settings: OnceSettings, role: str) -> list[str]:
    """The sequences of a role that are on disk, sorted.

    Raises:
        InputError: the split option names no sequence that is there.
    """
    named = named_sequences(root, getattr(settings, role))
    there = [sequence for sequence in named if json_path(root, sequence).is_file()]
    if missing := sorted(set(named) - set(there)):
        log.warning(
            "%s: %d of %d sequences are not there: %s …", role, len(missing), len(named), ", ".join(missing[:5])
        )
    if not there:
        raise InputError(
            f"{root}: none of the {len(named)} sequences of {getattr(settings, role)!r} is there; "
            f"looked for {json_path(root, named[0] if named else 'SEQ')}"
        )
    return there


def sequences_by_shard(root: Path, settings: OnceSettings, role: str) -> dict[str, list[str]]:
    """:func:`role_sequences`, dealt out to the role's shards (which may be empty)."""
    shards: dict[str, list[str]] = {name: [] for name in shard_names(role, settings.n_shards[role])}
    for sequence in role_sequences(root, settings, role):
        shards[shard_of(sequence, role, settings.n_shards)].append(sequence)
    return shards


class _Frame(BaseModel):
    """One time stamp in a sequence's JSON. ``annos`` may be missing or null: nobody drew boxes."""

    frame_id: Annotated[str, Field(pattern=r"^[^/\\\x00]+$", max_length=200)] | int
    annos: Record | None = None
    pose: Any = None


def _once_each(frames: list[_Frame]) -> list[_Frame]:
    ids = Counter(str(frame.frame_id) for frame in frames)
    if repeated := [name for name, number in ids.items() if number > 1]:
        raise ValueError(f"frame_id {repeated[0]} is there {ids[repeated[0]]} times")
    return frames


class Content(BaseModel):
    """A sequence's JSON, as far as it is read: ``calib`` is checked where it is used, ``annos`` by once.annotations."""

    calib: Record
    frames: Annotated[list[_Frame], AfterValidator(_once_each)]


def read_content(path: Path) -> Content:
    """A sequence's JSON.

    Raises:
        InputError: missing, or not such a file.
    """
    try:
        return Content.model_validate(read_json(path))
    except FileNotFoundError as error:
        raise InputError(f"{error}; unpack the sequence's annotations there") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"{path}: not a JSON of a ONCE sequence ({where}: {first['msg']}); unpack it again") from None


def sensors_of(data: bytes) -> bytes:
    """What frames are made of in a sequence's JSON, where it is one: corrected boxes change nothing of it."""
    try:
        content = Content.model_validate_json(data)
    except ValidationError:
        return data
    frames = [(str(frame.frame_id), frame.annos is not None) for frame in content.frames]
    return json.dumps([content.calib, frames], sort_keys=True).encode()


def read_sequence(root: Path, name: str) -> Sequence:
    """Calibration and time stamps of a sequence.

    Raises:
        InputError: the JSON is missing, damaged or holds an impossible calibration.
    """
    path = json_path(root, name)
    content = read_content(path)
    try:
        calibrations = {key: value for key, value in content.calib.items() if key.startswith("cam")}
        cameras = [_camera(key, value) for key, value in sorted(calibrations.items())]
        recordings = _recordings(content.frames)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise InputError(f"{path}: wrong calibration or poses ({error}); unpack it again") from None
    return Sequence(name, cameras, recordings)


def _recordings(frames: list[_Frame]) -> list[Recording]:
    poses = [_pose(frame.pose) for frame in frames]
    first = next((pose for pose in poses if pose is not None), np.eye(4))
    return [
        Recording(str(frame.frame_id), frame.annos is not None, None if pose is None else invert(first) @ pose)
        for frame, pose in zip(frames, poses, strict=True)
    ]


def _pose(numbers: Any) -> NDArray[np.float64] | None:
    """(4, 4) of a frame's ``pose``: quaternion x y z w and position of the LiDAR; None where it is not there.

    Frames whose pose was lost have seven zeros.
    """
    pose = np.asarray([] if numbers is None else numbers, np.float64).ravel()
    if len(pose) != 7 or not np.isfinite(pose).all() or not pose[:4].any():
        return None
    return rigid(Rotation.from_quat(pose[:4]).as_matrix(), pose[4:])


def _camera(name: str, calibration: Record) -> Camera:
    K = np.reshape(np.asarray(calibration["cam_intrinsic"], np.float64), (3, 3))
    distortion = np.ravel(np.asarray(calibration["distortion"], np.float64))
    T_points_from_cam = np.reshape(np.asarray(calibration["cam_to_velo"], np.float64), (4, 4))
    if distortion.size not in LENGTHS or not np.isfinite(distortion).all():
        raise ValueError(f"{name}: {distortion.size} distortion coefficients, not one of {LENGTHS}")
    if not is_rigid(T_points_from_cam):
        raise ValueError(f"{name}: cam_to_velo is not a rigid transform")
    # Not the transpose: the rotation is rounded in the file, and the devkit too takes the inverse.
    return Camera(name, K, distortion, np.linalg.inv(T_points_from_cam))
