"""Boxes of KITTI's raw data: ``tracklet_labels.xml``, things followed through a drive (readme.txt of the kit)."""

import math
import re
from collections import defaultdict
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from clip2.runtime.errors import InputError

Box = dict[str, Any]


def read_tracklets(path: Path) -> dict[int, list[Box]]:
    """Number of a frame → its boxes, as a folder's labels (docs/your_own_data.md), in the velodyne's frame.

    A tracklet's pose is the middle of its box's floor; ``rz`` turns its length from +x.

    Raises:
        InputError: not such a file.
    """
    try:
        root = ElementTree.parse(path).getroot()
        things = root.findall("./tracklets/item")
        found: dict[int, list[Box]] = defaultdict(list)
        for number, thing in enumerate(things):
            name = re.sub(r"[()]", "", _text(thing, "objectType")).strip()
            height, width, length = (_number(thing, key) for key in "hwl")
            first = round(_number(thing, "first_frame"))
            for step, pose in enumerate(thing.findall("./poses/item")):
                x, y, z = (_number(pose, key) for key in ("tx", "ty", "tz"))
                found[first + step].append({
                    "name": name,
                    "center": [x, y, z + height / 2],
                    "size_lwh": [length, width, height],
                    "yaw": _number(pose, "rz"),
                    "track": str(number),
                })  # fmt: skip
    except (ElementTree.ParseError, ValueError) as error:
        raise InputError(f"{path}: not a file of tracklets ({error}); unpack it again") from None
    if root.tag != "boost_serialization":
        raise InputError(f"{path}: not a file of tracklets (it begins with <{root.tag}>); unpack it again")
    return found


def _text(parent: ElementTree.Element, key: str) -> str:
    text = parent.findtext(key)
    if not text:
        raise ValueError(f"an item without {key}")
    return text


def _number(parent: ElementTree.Element, key: str) -> float:
    value = float(_text(parent, key))
    if not math.isfinite(value):
        raise ValueError(f"{key} is {value}")
    return value
