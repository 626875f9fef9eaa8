"""SUSTechPOINTS' labels → named boxes of each sample."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
from scipy.spatial.transform import Rotation

from clip2.export.index import read_index
from clip2.export.named_boxes import NamedBox, SampleBoxes, is_box
from clip2.export.sustechpoints import TYPES
from clip2.runtime.errors import InputError
from clip2.scans.box_sense import in_radians
from clip2.scans.texts import read_json

WORDS = {kind: label for label, kind in TYPES.items()}
_JOINED = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def read(folder: Path, left_out: Counter[str]) -> Iterator[SampleBoxes]:
    """Boxes of each sample; without the index of an export, ``SCENE/label/STEM.json`` is the sample ``SCENE/STEM``.

    Args:
        left_out: what is no box with a name is counted there.

    Raises:
        InputError: there are no labels, or a file is broken.
    """
    root = folder / "data" if (folder / "data").is_dir() else folder
    index = read_index(folder)
    files = sorted(root.glob("*/label/*.json"))
    if not files:
        raise InputError(f"{root}: holds no SCENE/label/*.json; give the folder that the tool's scenes are in")
    for path in files:
        scene = path.parents[1].name
        entry = index.get(f"{scene}/{path.stem}")
        yield entry.sample if entry else f"{unquote(scene)}/{path.stem}", list(_boxes(path, left_out))


def _boxes(path: Path, left_out: Counter[str]) -> Iterator[NamedBox]:
    content = read_json(path)
    rows = content.get("objs") if isinstance(content, dict) else content  # newer releases write an object around it
    if not isinstance(rows, list):
        raise InputError(f"{path}: not a list of SUSTechPOINTS' boxes")
    for number, row in enumerate(rows):
        try:
            box = _box(row, left_out)
        except (KeyError, TypeError, OverflowError) as error:
            raise InputError(f"{path}: box {number} is not one of SUSTechPOINTS' ({error!r})") from None
        except ValueError as error:
            raise InputError(f"{path}: box {number}: {error}") from None
        if box is not None:
            yield box


def _box(row: dict[str, Any], left_out: Counter[str]) -> NamedBox | None:
    """A box; of one that is tilted, what is left is the direction of its length."""
    position, size, rotation = ([float(row["psr"][key][axis]) for axis in "xyz"]
                                for key in ("position", "scale", "rotation"))  # fmt: skip
    kind = str(row["obj_type"] or "")
    if not is_box(kind, [*position, *size, *rotation], left_out):
        return None
    ahead = Rotation.from_euler("XYZ", [in_radians(angle) for angle in rotation]).as_matrix()[:, 0]
    name = WORDS.get(kind) or _JOINED.sub(" ", kind).lower()
    return NamedBox(name, np.array([*position, *size, np.arctan2(ahead[1], ahead[0])]))
