"""Point cloud files and depth images → (N, 4) x y z intensity, metres, in the frame of the points."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from clip2.scans.argoverse2.points import feather_rows
from clip2.scans.depth import Cloud, CloudError, depth_cloud
from clip2.scans.files import HEAD, SURE, read_bytes, what_is
from clip2.scans.point_files import Rows, las_rows, npy_rows, pcd_rows, ply_rows
from clip2.scans.records import COLUMNS, record_complaint
from clip2.scans.sunrgbd.points import votenet_rows
from clip2.scans.told import tell_once

FINE = 2**14
"""Steps of float32 that a cloud has to extend over: 80 m in steps of 5 mm. Map coordinates in float32 have fewer."""
NEAR = 1e4
"""Units (metres or millimetres) from the origin up to which float32 is precise enough in either."""
FAR = 2.0**16
"""Metres from the origin of the points' frame, from which on float32 moves points by more than 4 mm."""
COARSE = 0.12
"""Metres between neighbouring values of a coordinate, above which things lose their form; float32 rounds to 0.125 m."""
SAMPLED, LEAST_VALUES = 2000, 8
"""Points whose values are looked at, and how many values say that it is no wall along an axis."""
BEYOND = 1e12
"""No coordinate in any unit; more is a number of another type."""
ODD = 0.1
"""Share of such points, from which on all of the file is of another type."""


def _raw_float32(data: bytes, columns: int) -> Rows:
    """A headerless file of little-endian float32 rows, x y z intensity first."""
    kind = what_is(data, SURE)
    complaint = f"is {kind}, and no rows of numbers" if kind else record_complaint(data, columns)
    if complaint:
        raise ValueError(complaint)
    rows = np.frombuffer(data, "<f4").reshape(-1, columns)
    return rows[:, :4] if columns > 3 else np.column_stack([rows, np.zeros(len(rows), np.float32)])


RAW = {
    "nuscenes-pcd-bin": 5,  # x y z intensity ring
    **{f"float32x{columns}": columns for columns in COLUMNS},  # x y z intensity …; four columns: KITTI, ONCE
}
"""Format of headerless rows → numbers of a row."""
READERS: dict[str, Callable[[bytes], Rows]] = {
    **{format: partial(_raw_float32, columns=columns) for format, columns in RAW.items()},
    "npy": npy_rows,
    "pcd": pcd_rows,
    "ply": ply_rows,
    "las": las_rows,
    "argoverse2-feather": feather_rows,
    "votenet-mat": votenet_rows,  # x y z r g b, made by VoteNet's scripts for SUN RGB-D
}
"""Format name in a frame's ``clouds`` → reader of a file's bytes, which raises ValueError with the reason; depth
images: ``clip2.scans.depth.READERS``."""


OWN_WORD = {
    "npy": "NumPy",
    "pcd": "PCD",
    "ply": "PLY",
    "las": "LAS",
    "argoverse2-feather": "Arrow",
    "votenet-mat": "MATLAB",
}
"""Format → a word of what :func:`clip2.scans.files.what_is` says of its files."""


def read_cloud(path: Path, format: str, depth: Mapping[str, Any] | None = None) -> Rows:
    """Read one cloud file or depth image, as precisely as it is stored (float32 or float64).

    Points whose place is not finite, or 0, 0, 0 (how drivers write that nothing came back), are left out; an intensity
    that is not finite is 0.

    Args:
        depth: for a depth image, its calibration (store.schemas.DEPTH); the cloud is in the depth camera's frame then.

    Raises:
        CloudError: missing, damaged, of another form, or empty.
    """
    try:
        if depth is not None:
            return depth_cloud(path, format, depth)
        data = read_bytes(path)
    except FileNotFoundError as error:
        raise CloudError("cloud_missing", f"{error}; check the data root") from None
    except OSError as error:
        raise CloudError("cloud_unreadable", f"{path}: cannot be read ({error})") from None
    try:
        rows = READERS[format](data)
    except ValueError as error:
        kind = what_is(data)
        own = kind is None or OWN_WORD.get(format, "-") in kind
        told = str(error) if own else f"is {kind} (declared as {format})"
        truncated = not data or "cut short" in told or "not a whole number" in told
        raise CloudError("cloud_truncated" if truncated else "cloud_unreadable", f"{path}: {told}") from None
    rows = _measured(path, rows)
    if (rounded := _rounded(rows)) is not None:
        raise CloudError("cloud_rounded", f"{path}: {rounded}")
    return rows


def cloud_complaint(path: Path, format: str) -> str | None:
    """What speaks against a cloud file: by its first bytes and its size alone."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    columns = RAW.get(format)
    kind = what_is(head) if columns is None or len(head) < HEAD else what_is(head, SURE)
    if kind and OWN_WORD.get(format, "-") not in kind:
        return f"{path}: is {kind}"
    if columns and (size := path.stat().st_size) % (4 * columns):
        return f"{path}: {size:,} bytes is not a whole number of {columns}×float32 points"
    return None


def _measured(path: Path, rows: Rows) -> Rows:
    """The points of a file that something measured.

    Raises:
        CloudError: there is none, or they cannot be points.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # numbers of another type are told below
        total = rows.sum(dtype=np.float64)
        if not abs(total) < BEYOND:  # else nearly every number is a number
            finite = np.isfinite(rows[:, :3]).all(1)
            sane = (np.abs(rows[:, :3]) < BEYOND).all(1)
            if finite.any() and sane.sum() < (1 - ODD) * finite.sum():
                reason = f"{finite.sum() - sane.sum()} of {len(rows)} points are beyond all measure"
                raise CloudError("cloud_unreadable", f"{path}: {reason}: its numbers are of another type or byte order")
            rows = rows[sane]
            rows[:, 3] = np.nan_to_num(rows[:, 3], posinf=0, neginf=0)
    if not len(rows):
        raise CloudError("cloud_empty", f"{path}: holds no finite point; copy it again")
    if (zero := rows[:, 0] == 0).any() and (zero := zero & ~rows[:, 1:3].any(1)).any():
        if zero.all():
            raise CloudError("cloud_empty", f"{path}: all of its {len(rows)} points are 0, 0, 0; record it again")
        told = f"clouds hold points at 0, 0, 0, where nothing came back: left out; the first {path} ({zero.mean():.1%})"
        tell_once("zeros", told)
        rows = rows[~zero]
    if len(rows) > 1 and all((rows[place, :3] == rows[0, :3]).all() for place in (-1, slice(None))):
        raise CloudError("cloud_empty", f"{path}: all of its {len(rows)} points lie at one place; record it again")
    return rows


def _rounded(rows: Rows) -> str | None:
    """What to say of coordinates that float32 has rounded to a grid as coarse as the things in the cloud."""
    if rows.dtype != np.float32 or max(-float(rows.min()), float(rows.max())) < NEAR:
        return None
    low, high = rows[:, :3].min(0).astype(np.float64), rows[:, :3].max(0).astype(np.float64)
    reach = np.maximum(-low, high)
    step, extent = np.spacing(reach.max().astype(np.float32)), (high - low).max()
    if reach.max() < NEAR or extent > FINE * step:
        return None
    return (
        f"coordinates reach {reach.max():.0f}, where float32 only has steps of {step:g}; store them as float64, or "
        "relative to the sensor"
    )


def own_cloud(path: str, cloud_format: str) -> dict[str, Any]:
    """A cloud (store.schemas.CLOUD) that lies in its sample's frame."""
    return {
        "path": path,
        "format": cloud_format,
        "T_points_from_cloud": np.eye(4).ravel().tolist(),
        "time_lag_s": 0.0,
        "depth": None,
    }


def _coarse(rows: Rows, metres: float) -> float | None:
    """Metres of the steps that points (in units of so many metres) have been rounded to, where these are too coarse.

    What rounded them is long past: float32 saved as float64 again, six digits of a text, the scale of a LAS file.
    """
    chosen = rows[np.linspace(0, len(rows) - 1, min(len(rows), SAMPLED)).astype(int), :3]
    for axis in np.sort(chosen, axis=0).T.astype(np.float64):
        steps = np.diff(axis)
        steps = steps[steps > 0]
        if len(steps) < LEAST_VALUES or (step := float(steps.min())) * metres <= COARSE:
            continue
        # Of n points that are not rounded, the nearest two are about extent / n² apart.
        if step * len(axis) ** 2 > 100 * (axis[-1] - axis[0]):
            return step * metres
    return None


def load_points(clouds: list[Mapping[str, Any]], data_root: Path, min_range: float = 0.0) -> Cloud:
    """All clouds of a frame in the frame of its points.

    Args:
        clouds: a frame's ``clouds`` (store.schemas.CLOUD): the key frame's own and any earlier sweeps.
        min_range: metres; of *earlier* sweeps, points nearer to their sensor than this (horizontally, in both x and y)
            are left out: they are the recording car itself, which would smear along its path. nuScenes' devkit uses 1.

    Returns:
        (N, 4) float32, the key frame's own points first.
    """
    parts: list[Cloud] = []
    for cloud in clouds:
        rows = read_cloud(data_root / cloud["path"], cloud["format"], cloud.get("depth"))
        T = np.asarray(cloud["T_points_from_cloud"], np.float64).reshape(4, 4)
        if cloud.get("depth") is None and (step := _coarse(rows, float(np.linalg.norm(T[:3, 0])))):
            raise CloudError(
                "cloud_rounded",
                f"{data_root / cloud['path']}: its coordinates are rounded to steps of {step:g} m; store them more "
                "precisely (map coordinates as float64, or relative to the sensor)",
            )
        if not np.array_equal(T, np.eye(4)):
            if parts and cloud.get("depth") is None:
                rows = rows[~(np.abs(rows[:, :2]) < min_range).all(1)]
            # In float64: map coordinates lose their millimetres in float32.
            moved = rows[:, :3].astype(np.float64) @ T[:3, :3].T + T[:3, 3]
            rows = np.column_stack([moved, rows[:, 3]])
        if len(rows) and (away := float(np.median(np.abs(rows[:, :3]).max(1)))) > FAR:
            raise CloudError("cloud_far", f"{cloud['path']}: is {away:.0f} m away from where its calibration has it")
        parts.append(rows.astype(np.float32))
    return np.concatenate(parts)


__all__ = ["Cloud", "CloudError", "load_points", "read_cloud"]
