"""SUSTechPOINTS' labels → named boxes of each sample."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
from scipy.spatial.transform import Rotation

from clip2.export.index import read_index
from clip2.export.named_boxes import NamedBox, SampleBoxes
from clip2.export.sustechpoints import TYPES
from clip2.runtime.errors import InputError

WORDS = {kind: label for label, kind in TYPES.items()}
_JOINED = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def read(folder: Path) -> Iterator[SampleBoxes]:
    """Boxes of each sample; without the index of an export, ``SCENE/label/STEM.json`` is the sample ``SCENE/STEM``.

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
        yield entry.sample if entry else f"{unquote(scene)}/{path.stem}", _boxes(path)


def _boxes(path: Path) -> list[NamedBox]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        # Newer releases write an object around the list.
        return [_box(row) for row in (content["objs"] if isinstance(content, dict) else content)]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not a list of SUSTechPOINTS' boxes ({error!r})") from None


def _box(row: dict[str, Any]) -> NamedBox:
    """A box; of one that is tilted, what is left is the direction of its length."""
    position, size, rotation = ([float(row["psr"][key][axis]) for axis in "xyz"]
                                for key in ("position", "scale", "rotation"))  # fmt: skip
    ahead = Rotation.from_euler("XYZ", rotation).as_matrix()[:, 0]
    kind = str(row["obj_type"])
    name = WORDS.get(kind) or _JOINED.sub(" ", kind).lower()
    return NamedBox(name, np.array([*position, *size, np.arctan2(ahead[1], ahead[0])]))
