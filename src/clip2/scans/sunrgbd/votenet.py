"""The layout that VoteNet's MATLAB scripts make: ``sunrgbd_trainval/{depth,image,calib,label}/NNNNNN.*``."""

import re
from pathlib import Path

import numpy as np

from clip2.runtime.errors import InputError
from clip2.scans.sunrgbd.recordings import Calibration, Recording, Release, calibration, read_numbers
from clip2.scans.texts import plain, read_names

FOLDER = "sunrgbd_trainval"
INDEX_FILES = {"train": "train_data_idx.txt", "val": "val_data_idx.txt"}
LABELS = {"v2": "label", "v1": "label_v1"}
CLOUD_FORMAT = "votenet-mat"
_NUMBER = re.compile(r"\d{6}")


def read_votenet(root: Path, labels: str) -> Release:
    """All frames that have any file, or that an index file names.

    Args:
        labels: "v2" or "v1": which folder of labels.
    """
    folder = root / FOLDER
    tables = {split: folder / name for split, name in INDEX_FILES.items() if (folder / name).is_file()}
    splits = {split: read_index(path) for split, path in tables.items()}
    kinds = {kind: {path.stem for path in folder.glob(f"{kind}/*.*")} for kind in ("calib", "image", "depth")}
    names = sorted(name for name in set().union(*kinds.values(), *splits.values()) if _NUMBER.fullmatch(name))
    label_folder = folder / LABELS[labels]
    return Release(
        f"VoteNet's {FOLDER}",
        f"{FOLDER}/{LABELS[labels]}/*.txt",
        {name: _recording(folder, label_folder, name) for name in names},
        splits,
        f"{FOLDER}/{INDEX_FILES['train']} and {INDEX_FILES['val']} (made by VoteNet's extract_split.m)",
        tables,
    )


def read_index(path: Path) -> list[str]:
    """Names of the frames that an index file lists.

    Raises:
        InputError: it holds something else than numbers.
    """
    names = read_names(path)
    wrong = next((name for name in names if not plain(name.text).isdecimal()), None)
    if wrong:
        raise InputError(f"{path}, line {wrong.line}: {wrong.text!r} is no number; it has to hold one a line")
    return [f"{int(plain(name.text)):06d}" for name in names]


def _recording(folder: Path, label_folder: Path, name: str) -> Recording:
    label = label_folder / f"{name}.txt"
    return Recording(
        name,
        f"{FOLDER}/image/{name}.jpg",
        f"{FOLDER}/depth/{name}.mat",
        CLOUD_FORMAT,
        _calibration(folder / "calib" / f"{name}.txt"),
        label if label.is_file() else None,
    )


def _calibration(path: Path) -> Calibration | None:
    """Rtilt and K, nine numbers each, as MATLAB stores them: column by column."""
    values = read_numbers(path)
    if values is None or values.size != 18:
        return None
    Rtilt, K = (np.reshape(part, (3, 3), order="F") for part in (values[:9], values[9:]))
    return calibration(K, Rtilt)
