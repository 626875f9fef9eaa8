"""Where ONCE keeps its files, which sequences a split means, and what a sequence's JSON says of its sensors.

Human boxes are in the same JSON; they are read elsewhere (once.annotations), and nothing here passes them on.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clip2.errors import InputError
from clip2.scans.once.settings import SPLIT_HELP, OnceSettings
from clip2.scans.shards import shard_names, shard_of
from clip2.scans.undistort import LENGTHS

LIDAR = "lidar_roof"
AXES = {"points": f"{LIDAR} as stored: x left, y backward, z up", "up": "z"}
CLOUD_FORMAT = "float32x4"
LISTS = ("train", "val", "test", "raw_small", "raw_medium", "raw_large")
Record = dict[str, Any]


@dataclass(frozen=True)
class Camera:
    """A camera of a sequence: name of its folder, intrinsics (3, 3), OpenCV distortion (k,), (4, 4) LiDAR → camera."""

    name: str
    K: NDArray[np.float64]
    distortion: NDArray[np.float64]
    T_cam_from_points: NDArray[np.float64]


@dataclass(frozen=True)
class Recording:
    """One time stamp of a sequence: its name in the file names, and whether people drew boxes for it."""

    frame: str
    annotated: bool


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
            return path.read_text(encoding="utf-8").split()
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
            names.add(name)
        elif part == "all":
            names.update(path.parent.name for path in (root / "data").glob("*/*.json"))
        elif part in LISTS:
            names.update(_listed(root, part))
        else:
            raise InputError(f"split {part!r} is unknown; it has to be {SPLIT_HELP}")
    return sorted(names)


def sequences_by_shard(root: Path, settings: OnceSettings, role: str) -> dict[str, list[str]]:
    """The sequences of a role that are on disk, dealt out to its shards (which may be empty).

    Raises:
        InputError: the split option names no sequence that is there.
    """
    named = named_sequences(root, getattr(settings, role))
    shards: dict[str, list[str]] = {name: [] for name in shard_names(role, settings.n_shards[role])}
    for sequence in named:
        if json_path(root, sequence).is_file():
            shards[shard_of(sequence, role, settings.n_shards)].append(sequence)
    if not any(shards.values()):
        raise InputError(
            f"{root}: none of the {len(named)} sequences of {getattr(settings, role)!r} is there; "
            f"looked for {json_path(root, named[0] if named else 'SEQ')}"
        )
    return shards


def read_json(path: Path) -> Record:
    """A sequence's JSON, with an error that says what to do."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        _ = content["calib"], content["frames"]
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; unpack the sequence's annotations there") from None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not a JSON of a ONCE sequence ({error!r}); unpack it again") from None
    return dict(content)


def read_sequence(root: Path, name: str) -> Sequence:
    """Calibration and time stamps of a sequence.

    Raises:
        InputError: the JSON is missing, damaged or holds an impossible calibration.
    """
    path = json_path(root, name)
    content = read_json(path)
    try:
        calibrations = {key: value for key, value in content["calib"].items() if key.startswith("cam")}
        cameras = [_camera(key, value) for key, value in sorted(calibrations.items())]
        recordings = [Recording(str(row["frame_id"]), "annos" in row) for row in content["frames"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: wrong calibration or frames ({error}); unpack it again") from None
    return Sequence(name, cameras, recordings)


def _camera(name: str, calibration: Record) -> Camera:
    K = np.reshape(np.asarray(calibration["cam_intrinsic"], np.float64), (3, 3))
    distortion = np.ravel(np.asarray(calibration["distortion"], np.float64))
    T_points_from_cam = np.reshape(np.asarray(calibration["cam_to_velo"], np.float64), (4, 4))
    if distortion.size not in LENGTHS:
        raise ValueError(f"{name}: {distortion.size} distortion coefficients, not one of {LENGTHS}")
    R = T_points_from_cam[:3, :3]
    if not np.allclose(R @ R.T, np.eye(3), atol=1e-3) or np.linalg.det(R) < 0:
        raise ValueError(f"{name}: cam_to_velo is not a rigid transform")
    # Not the transpose: the rotation is rounded in the file, and the devkit too takes the inverse.
    return Camera(name, K, distortion, np.linalg.inv(T_points_from_cam))
