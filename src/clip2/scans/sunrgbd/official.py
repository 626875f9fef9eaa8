"""The official release: ``SUNRGBD/SENSOR/…/FRAME/{image,depth,depth_bfx,…}`` and the MATLAB metadata."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clip2.runtime.errors import InputError
from clip2.scans.sunrgbd.matlab import numbers, read_variables, text
from clip2.scans.sunrgbd.recordings import (
    DEPTH_FROM_CAM,
    Calibration,
    Recording,
    Release,
    calibration,
    read_numbers,
)

SENSORS = ("kv1", "kv2", "realsense", "xtion")
METADATA = {"v2": "SUNRGBDMeta3DBB_v2.mat", "v1": "SUNRGBDMeta.mat"}
SPLIT_FILE = "traintestSUNRGBD/allsplit.mat"
ENTRY_FIELDS = ("rgbpath", "depthpath", "K", "Rtilt", "groundtruth3DBB")
DEPTH_FORMAT = "depth-png-sunrgbd"
# The release's own paths begin with /n/fs/sun3d/data/, copies with somebody's folder, which may itself end in SUNRGBD.
_INSIDE = re.compile(rf".*(?:^|/)(SUNRGBD/(?:{'|'.join(SENSORS)})/.+)")


def release_folder(root: Path) -> Path | None:
    """The folder that holds ``SUNRGBD/``: the data root itself or its OFFICIAL_SUNRGBD; None where neither does."""
    return next((base for base in (root, root / "OFFICIAL_SUNRGBD") if (base / "SUNRGBD").is_dir()), None)


def read_official(root: Path, base: Path, labels: str) -> Release:
    """All frames that the metadata names; without metadata, all that are there.

    Args:
        base: folder that holds ``SUNRGBD/``.
        labels: "v2" or "v1": which metadata file.
    """
    meta_files = {
        version: _find(root, base, ("", "SUNRGBDtoolbox/Metadata"), name) for version, name in METADATA.items()
    }
    meta_file = meta_files[labels]
    if meta_file is None and any(meta_files.values()):
        raise InputError(
            f"{base}: labels {labels!r} need {METADATA[labels]}, which is missing; it is on the data set's page"
        )
    split_file = _find(root, base, ("SUNRGBDtoolbox", ""), SPLIT_FILE)
    prefix = base.relative_to(root).as_posix() + "/" if base != root else ""
    recordings: dict[str, Recording] = {}
    found = (
        _from_metadata(meta_file, prefix)
        if meta_file
        else (_from_folder(base, f, prefix) for f in _frame_folders(base))
    )
    n_entries = 0
    for recording in found:
        n_entries += 1
        if recording is not None:
            recordings.setdefault(recording.name, recording)
    tables = {"metadata": meta_file, "splits": split_file}
    return Release(
        f"official release, calibrated by {METADATA[labels] if meta_file else 'extrinsics/*.txt'}",
        METADATA[labels] if meta_file else "annotation3Dfinal/index.json",
        dict(sorted(recordings.items())),
        _splits(split_file) if split_file else {},
        f"SUNRGBDtoolbox/{SPLIT_FILE} (in SUNRGBDtoolbox.zip of the release)",
        {name: path for name, path in tables.items() if path},
        n_entries - len(recordings),
    )


def inside_release(path: str) -> str:
    """The part of a metadata path from ``SUNRGBD/`` on, without doubled or trailing slashes; "" where it has none."""
    found = _INSIDE.match(re.sub("/+", "/", path.replace("\\", "/")).rstrip("/"))
    return found[1] if found else ""


def _find(root: Path, base: Path, folders: tuple[str, ...], name: str) -> Path | None:
    places = (place / folder / name for place in dict.fromkeys((base, root)) for folder in folders)
    return next((path for path in places if path.is_file()), None)


def _splits(path: Path) -> dict[str, list[str]]:
    tables = read_variables(path, "alltrain", "alltest", optional=("trainvalsplit",))
    cells = {"train": tables["alltrain"], "val": tables["alltest"]}
    halves = tables.get("trainvalsplit")
    if halves is not None and halves.dtype.names and halves.size:
        names = set(halves.dtype.names) & {"train", "val"}
        cells |= {f"trainval_{half}": halves.ravel()[0][half] for half in sorted(names)}
    paths = {split: [text(cell) for cell in np.ravel(names)] for split, names in cells.items()}
    return {split: [inside_release(path) or path for path in listed] for split, listed in paths.items()}


def _from_metadata(path: Path, prefix: str) -> Iterator[Recording | None]:
    """One recording an entry of the metadata, None for an entry that names no frame."""
    # As a struct array of records: 1.3 s for the 10,335 entries, and an empty field is an empty array.
    entries = read_variables(path, "SUNRGBDMeta")["SUNRGBDMeta"]
    if missing := set(ENTRY_FIELDS) - set(entries.dtype.names or ()):
        raise InputError(f"{path}: SUNRGBDMeta has no field {', '.join(sorted(missing))}; download it again")
    for entry in np.ravel(entries):
        image, depth = (inside_release(text(entry[field])) for field in ("rgbpath", "depthpath"))
        name = depth.rpartition("/")[0].rpartition("/")[0]  # as VoteNet's extract_split.m
        if not name or not image:
            yield None
            continue
        K, Rtilt, boxes = numbers(entry["K"], 9), numbers(entry["Rtilt"], 9), entry["groundtruth3DBB"]
        has_boxes = isinstance(boxes, np.ndarray) and boxes.dtype.names is not None
        yield Recording(
            name,
            prefix + image,
            prefix + depth,
            DEPTH_FORMAT,
            calibration(K, Rtilt),
            boxes.ravel() if has_boxes else None,
        )


def _frame_folders(base: Path) -> Iterator[Path]:
    for sensor in SENSORS:
        for folder, inner, files in os.walk(base / "SUNRGBD" / sensor):
            if "intrinsics.txt" in files or "image" in inner:
                inner.clear()
                yield Path(folder)


def _from_folder(base: Path, folder: Path, prefix: str) -> Recording:
    """As the toolbox's readframeSUNRGBD.m, which made the metadata; filled depth preferred, as the metadata has it."""
    name = folder.relative_to(base).as_posix()
    boxes = folder / "annotation3Dfinal" / "index.json"
    image = _first(folder, "image/*.jpg")
    depth = _first(folder, "depth_bfx/*.png") if (folder / "depth_bfx").is_dir() else _first(folder, "depth/*.png")
    return Recording(
        name,
        f"{prefix}{name}/{image}",
        f"{prefix}{name}/{depth}",
        DEPTH_FORMAT,
        _own_calibration(folder),
        boxes if boxes.is_file() else None,
    )


def _first(folder: Path, pattern: str) -> str:
    """The first match in a frame's folder; the pattern itself, which is no file, where there is none."""
    return next((path.relative_to(folder).as_posix() for path in sorted(folder.glob(pattern))), pattern)


def _own_calibration(folder: Path) -> Calibration | None:
    """From ``intrinsics.txt`` (nine numbers, row-major) and the last of ``extrinsics/*.txt`` (3×4, rotation first).

    The extrinsics turn the camera's axes (x right, y down, z forward) upright and keep their order; Rtilt does the same
    to the toolbox's depth axes, hence the change of basis on both sides.
    """
    K = read_numbers(folder / "intrinsics.txt")
    files = sorted(folder.glob("extrinsics/*.txt"))
    extrinsics = read_numbers(files[-1]) if files else None
    if K is None or K.size != 9 or extrinsics is None or extrinsics.size != 12:
        return None
    upright: NDArray[np.float64] = extrinsics.reshape(3, 4)[:, :3]
    return calibration(K, DEPTH_FROM_CAM @ upright @ DEPTH_FROM_CAM.T)
