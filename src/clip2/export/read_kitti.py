"""KITTI's label_2 and calib → named boxes of each sample. A thing that several cameras' files hold counts once."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clip2.export.index import Entry, read_index
from clip2.export.kitti import turned
from clip2.export.named_boxes import NamedBox, SampleBoxes, is_box
from clip2.geometry import invert, is_rigid, rigid, transform_points
from clip2.label.box_iou import iou_3d
from clip2.runtime.errors import InputError
from clip2.scans.box_sense import in_radians
from clip2.scans.sanity import UP, UPRIGHT
from clip2.scans.texts import read_text

Matrix = NDArray[np.float64]
SAME_IOU, SAME_IOU_BY_NAME = 0.5, 0.3
"""Overlap from which boxes in two cameras' files are one thing, whatever they are called, or if called the same."""
NOTHING = "dontcare"


class _Seen(NamedTuple):
    """A box in one picture's file; ``truncated`` is the share of it that the picture does not show."""

    box: NamedBox
    truncated: float
    picture: str


def read(folder: Path, left_out: Counter[str]) -> Iterator[SampleBoxes]:
    """Boxes of each sample; without the index of an export, a file's stem is its sample.

    Args:
        left_out: what is no box with a name is counted there.

    Raises:
        InputError: there are no labels, or a file is missing or broken.
    """
    root = folder / "training" if (folder / "training").is_dir() else folder
    index = read_index(folder)
    files = sorted((root / "label_2").glob("*.txt"))
    if not files:
        raise InputError(f"{root / 'label_2'}: holds no label file; give the folder that `label_2` and `calib` are in")
    of_sample: dict[str, list[tuple[Path, int]]] = {}
    for path in files:
        entry = index.get(path.stem, Entry(path.stem, "", path.stem))
        of_sample.setdefault(entry.sample, []).append((path, entry.turns))
    for sample, pictures in of_sample.items():
        seen = [box for path, turns in pictures for box in _boxes(path, turned(-turns), left_out)]
        yield sample, _each_once(seen)


def _boxes(path: Path, T_points_from_velo: Matrix, left_out: Counter[str]) -> list[_Seen]:
    """Boxes of one picture's file."""
    T_rect_from_points = _calibration(path.parents[1] / "calib" / path.name) @ invert(T_points_from_velo)
    found = []
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        name, *values = line.split()
        try:
            numbers = [float(value) for value in values]
            truncated, (h, w, l, x, y, z, rotation_y) = numbers[0], numbers[7:14]
        except (ValueError, IndexError):
            raise InputError(f"{path}: line {number} is not 15 or 16 fields of KITTI's label format") from None
        words = name.replace("_", " ").lower()
        if words == NOTHING:
            left_out["DontCare"] += 1
            continue
        try:
            if not is_box(words, (x, y, z, l, w, h, rotation_y), left_out):  # -1 -1 -1: seen in the picture only
                continue
            in_radians(rotation_y)
        except ValueError as error:
            raise InputError(f"{path}: line {number}: {error}") from None
        centre = transform_points([[x, y - h / 2, z]], np.linalg.inv(T_rect_from_points))[0]
        yaw = _yaw(rotation_y, T_rect_from_points[:3, :3])
        found.append(_Seen(NamedBox(words, np.array([*centre, l, w, h, yaw])), truncated, path.stem))
    if found and -T_rect_from_points[1, :3] @ UP < UPRIGHT:
        raise InputError(
            f"{path.parents[1] / 'calib' / path.name}: the camera's up is far from the points' up (z), so that "
            "`rotation_y` says no yaw; correct R0_rect and Tr_velo_to_cam, or leave this camera's labels out"
        )
    return found


def _yaw(rotation_y: float, R: Matrix) -> float:
    """Yaw about the points' z of a box whose length, seen from above the camera, points along ``rotation_y``.

    Exact for tilted cameras, too: the horizontal direction whose image has this angle.
    """
    across = np.sin(rotation_y) * R[0, :2] + np.cos(rotation_y) * R[2, :2]
    along = np.array([-across[1], across[0]])
    if np.cos(rotation_y) * (R[0, :2] @ along) < np.sin(rotation_y) * (R[2, :2] @ along):
        along = -along
    return float(np.arctan2(along[1], along[0]))


def _calibration(path: Path) -> Matrix:
    """(4, 4) from the velodyne's points to the rectified camera of a calib file."""
    try:
        lines = [line.partition(":") for line in read_text(path).split("\n")]
        rows = {key: np.array(values.split(), np.float64) for key, _, values in lines}
        R, T = rows["R0_rect"].reshape(3, 3), rows["Tr_velo_to_cam"].reshape(3, 4)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; each label file needs its calibration") from None
    except (KeyError, ValueError) as error:
        raise InputError(f"{path}: not a calibration of KITTI's object benchmark ({error})") from None
    parts = {"R0_rect": rigid(R, np.zeros(3)), "Tr_velo_to_cam": rigid(T[:, :3], T[:, 3])}
    for key, part in parts.items():
        if not is_rigid(part):
            raise InputError(f"{path}: {key} is no rotation (with a shift); take the file from the data set again")
    return parts["R0_rect"] @ parts["Tr_velo_to_cam"]


def _each_once(seen: list[_Seen]) -> list[NamedBox]:
    """Of boxes of one thing in several pictures' files, the one in the picture that shows most of it."""
    if not seen:
        return []
    boxes = np.array([one.box.box for one in seen])
    overlap = iou_3d(boxes, boxes)
    kept: list[int] = []
    for number in np.argsort([one.truncated for one in seen], kind="stable").tolist():
        if not any(_same(seen[number], seen[other], overlap[number, other]) for other in kept):
            kept.append(number)
    return [seen[number].box for number in sorted(kept)]


def _same(one: _Seen, other: _Seen, overlap: float) -> bool:
    """Whether boxes of two pictures are of one thing."""
    least = SAME_IOU_BY_NAME if one.box.name == other.box.name else SAME_IOU
    return one.picture != other.picture and overlap > least
