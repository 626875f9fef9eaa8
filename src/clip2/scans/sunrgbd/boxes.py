"""Human 3D boxes of one SUN RGB-D frame, from any of their three forms on disk, in the upright depth frame."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clip2.geometry import rigid, yaw_rotation
from clip2.runtime.errors import InputError
from clip2.scans.sunrgbd.matlab import numbers, text
from clip2.scans.texts import read_text

SHELL = ("wall", "floor", "ceiling")
"""What the toolbox leaves out of ``annotation3Dfinal``."""
FIELDS = ("basis", "coeffs", "centroid", "classname", "orientation")
MIN_COSINE = 0.9
"""Between a box's width axis and the normal of its other two; below, its axes are not those of a box."""


_NUMBER_AT_END = re.compile(r"(^|\s)[-+.\d][-+.\deE]*$")


@dataclass(frozen=True)
class Box:
    """One box. ``fine_name`` is a field that only the built-in world writes: a name finer than the category."""

    category: str
    T_points_from_box: NDArray[np.float64]
    size_lwh: NDArray[np.float64]
    fine_name: str | None = None


def read_boxes(labels: NDArray | Path | None) -> list[Box | None]:
    """The boxes of a recording's ``labels``, in the order of the file; None for each that cannot be one."""
    if labels is None:
        return []
    if isinstance(labels, Path):
        return _from_polygons(labels) if labels.suffix == ".json" else _from_lines(labels)
    if not set(FIELDS) <= set(labels.dtype.names or ()):
        return [None] * len(labels)
    return [_from_struct(entry) for entry in labels]


def box_from_axes(
    category: str, centre: ArrayLike, basis: ArrayLike, half: ArrayLike, forward: ArrayLike
) -> Box | None:
    """A box from the toolbox's terms.

    The toolbox's axes may be left-handed and in any order. Here z is the most upright of them; x (length) is the other
    that is most nearly parallel to ``forward``, turned towards it; y = z × x. In the data set that makes length the
    second axis, as VoteNet takes it.

    Args:
        centre: (3,) metres.
        basis: (3, 3), one axis a row.
        half: (3,) half sizes along them, metres; signs do not matter.
        forward: (3,) where the object faces; zeros where nobody says.

    Returns:
        None where the axes or sizes are not those of a box.
    """
    axes = np.array(basis, np.float64).reshape(3, 3)
    sizes: NDArray[np.float64] = 2.0 * np.abs(np.asarray(half, np.float64))
    lengths = np.linalg.norm(axes, axis=1)
    if lengths.min() < 1e-6 or sizes.min() <= 0:
        return None
    axes /= lengths[:, None]
    up = int(np.abs(axes[:, 2]).argmax())
    first, second = (i for i in range(3) if i != up)
    along = axes @ np.asarray(forward, np.float64)
    length, width = (first, second) if abs(along[first]) > abs(along[second]) else (second, first)
    z = axes[up] * np.sign(axes[up, 2] or 1.0)
    x = axes[length] * np.sign(along[length] or 1.0)
    x = x - (x @ z) * z
    x_length = float(np.linalg.norm(x))
    if x_length < MIN_COSINE:
        return None
    x /= x_length
    y = z[[1, 2, 0]] * x[[2, 0, 1]] - z[[2, 0, 1]] * x[[1, 2, 0]]  # z × x; np.cross takes ten times as long
    if abs(y @ axes[width]) < MIN_COSINE:
        return None
    return Box(category, rigid(np.stack([x, y, z], axis=1), centre), sizes[[length, width, up]])


def _from_struct(entry: Any) -> Box | None:
    """One element of ``groundtruth3DBB``."""
    category = text(entry["classname"])
    centre, half, forward = (numbers(entry[field], 3) for field in ("centroid", "coeffs", "orientation"))
    basis = numbers(entry["basis"], 9)
    if not category or centre is None or half is None or basis is None:
        return None
    box = box_from_axes(category, centre, basis, half, np.zeros(3) if forward is None else forward)
    fine_name = text(entry["fine_name"]) if "fine_name" in entry.dtype.names else ""
    return box and Box(box.category, box.T_points_from_box, box.size_lwh, fine_name or None)


def _from_lines(path: Path) -> list[Box | None]:
    """VoteNet's label file: class, 2D x y w h, centre, half w l h, facing direction x y."""
    try:
        lines = read_text(path).splitlines()
    except (InputError, FileNotFoundError):
        return [None]
    return [_from_line(line) for line in lines if line.strip()]


def _from_line(line: str) -> Box | None:
    category, *words = line.rsplit(maxsplit=12)
    try:
        values = np.array(words, np.float64)
    except ValueError:
        return None
    if _NUMBER_AT_END.search(category):  # thirteen numbers, or more: which are the box's?
        return None
    if len(values) != 12 or not np.isfinite(values).all() or not values[7:10].all():
        return None
    heading = np.arctan2(values[11], values[10])
    size_lwh: NDArray[np.float64] = 2.0 * np.abs(values[[8, 7, 9]])  # the file has w l h
    return Box(category, rigid(yaw_rotation(heading), values[4:7]), size_lwh)


def _from_polygons(path: Path) -> list[Box | None]:
    """The release's own ``annotation3Dfinal/index.json``, read as the toolbox's readframeSUNRGBD.m does."""
    try:
        objects = json.loads(path.read_bytes())["objects"]
    except (ValueError, KeyError, TypeError):
        return [None]
    # Deleted objects are null; where MATLAB wrote the file, one object alone is not a list.
    entries = [entry for entry in (objects if isinstance(objects, list) else [objects]) if entry]
    boxes = [(_category(entry), entry) for entry in entries]
    return [_from_polygon(category, entry) for category, entry in boxes if category not in SHELL]


def _category(entry: Any) -> str:
    """The name without what follows a colon ("chair_:occluded")."""
    name = entry.get("name") if isinstance(entry, dict) else None
    return name.partition(":")[0].rstrip("_ ") if isinstance(name, str) else ""


def _from_polygon(category: str, entry: Any) -> Box | None:
    """A rectangle of four corners (X, Z) on the floor, and its heights, which point down (Ymin > Ymax is usual)."""
    try:
        polygon = entry["polygon"][0]
        corners = np.array([polygon["X"], polygon["Z"]], np.float64).T
        ends = np.array([polygon["Ymin"], polygon["Ymax"]], np.float64)
    except (KeyError, IndexError, TypeError, ValueError):
        return None
    if not category or corners.shape != (4, 2) or not np.isfinite(corners).all() or not np.isfinite(ends).all():
        return None
    middle = (corners[0] + corners[2]) / 2
    first, second = corners[1] - corners[0], corners[2] - corners[1]
    basis = [[*first, 0.0], [*second, 0.0], [0.0, 0.0, 1.0]]
    half = [np.linalg.norm(first) / 2, np.linalg.norm(second) / 2, np.ptp(ends) / 2]
    facing = (corners[0] + corners[1]) / 2 - middle
    return box_from_axes(category, [*middle, -ends.mean()], basis, half, [*facing, 0.0])
