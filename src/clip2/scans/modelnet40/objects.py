"""Stage `objects` for ModelNet40: the files that ``{train,test}_files.txt`` list → objects."""

import re
from collections import Counter
from pathlib import Path, PureWindowsPath

from clip2.runtime.errors import InputError
from clip2.scans.modelnet40.settings import Modelnet40Settings
from clip2.scans.object_sets import ObjectSet, data_folder, write_objects
from clip2.scans.texts import read_names, read_text

FOLDER = "modelnet40_ply_hdf5_2048"
NAMES = "shape_names.txt"
"""The classes, one a line, in the order of the labels."""
_NAME = re.compile(r"[^\W\d]\w*(-\w+)*")
LISTS = {"train": "train_files.txt", "val": "test_files.txt"}
"""Role → list of its files; the paths in it begin with ``data/modelnet40_ply_hdf5_2048/``, wherever they really are."""


def object_set(root: Path) -> ObjectSet:
    """The files and classes of a data set.

    Raises:
        InputError: one of the three lists is missing or empty, or a class is no name, or there twice.
    """
    folder = data_folder(root, FOLDER, LISTS.values())
    files = {
        role: [folder / PureWindowsPath(line).name for line in _names(folder / name)] for role, name in LISTS.items()
    }
    return ObjectSet("modelnet40", _classes(folder / NAMES), files, "radii of the object: no metric size")


def _names(path: Path) -> list[str]:
    try:
        return [name.text for name in read_names(path)]
    except FileNotFoundError as error:
        raise InputError(f"{error}; it is part of {FOLDER}.zip, unpack that in the data root") from None


def _classes(path: Path) -> tuple[str, ...]:
    """The names of the labels 0, 1 …: one a line, or with commas between; one may hold blanks ("night stand")."""
    _names(path)  # there, and not empty
    lines = [line.partition("#")[0] for line in read_text(path).split("\n")]
    parts = [part.strip(" \t\"'") for line in lines for part in re.split("[,;]", line)]
    names = ["_".join(part.lower().split()) for part in parts if part]
    if wrong := [name for name in names if not _NAME.fullmatch(name)]:
        raise InputError(f"{path}: “{wrong[0]}” is no name of a class; write one a line, without numbers")
    if repeated := [name for name, number in Counter(names).items() if number > 1]:
        raise InputError(f"{path}: names {repeated[0]!r} more than once; a line is the name of one label")
    return tuple(names)


def run(root: Path, out: Path, source: str, settings: Modelnet40Settings) -> None:
    """Write ``out/{shard}.parquet`` and ``.h5`` for every shard of both roles."""
    write_objects(root, out, source, settings, object_set(root))
