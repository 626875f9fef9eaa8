"""A PLY a scene: all its points, coloured by its pictures; ``label`` and ``track`` number whose box they are in.

Points of one small cube count once. Samples without poses cannot be put together: each is a file of its own.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from clip2.export.recordings import Recordings
from clip2.export.scans import LabelledScans, Sample, pose_of, size_of
from clip2.geometry import in_image, points_in_oriented_box, project_points, transform_points
from clip2.scans.clouds import Cloud

CUBE_M = {"lidar": 0.05, "rgbd": 0.02}
UNSEEN = 128
"""Grey, of points that no picture shows."""
VERTEX = np.dtype([("xyz", "<f4", 3), ("rgb", "u1", 3), ("label", "<u2"), ("track", "<i4")])
PROPERTIES = (
    *(f"float {axis}" for axis in "xyz"),
    *(f"uchar {channel}" for channel in ("red", "green", "blue")),
    *("ushort label", "int track"),
)


def write(scans: LabelledScans, recordings: Recordings, out: Path) -> None:
    """Write all scenes; comments in a file's header name its labels and tracks."""
    cube = CUBE_M[scans.header["sensor"]]
    for samples in scans.scenes():
        name = quote(samples[0].scene, safe="")
        if all(sample.frames[0]["T_scene_from_points"] is not None for sample in samples):
            _write_file(out / f"{name}.ply", samples, recordings, cube)
            continue
        for sample in samples:
            _write_file(out / name / f"{quote(sample.name, safe='')}.ply", [sample], recordings, cube)


def _write_file(path: Path, samples: Sequence[Sample], recordings: Recordings, cube: float) -> None:
    labels: dict[str, int] = {}
    tracks: dict[str, int] = {}
    path.parent.mkdir(exist_ok=True)
    rest, taken, n = path.with_suffix(".vertices"), np.empty(0, np.int64), 0
    with rest.open("wb") as file:
        for sample in samples:
            points = recordings.cloud(sample.frames[0])
            if points is None:
                continue
            vertices = _vertices(sample, points, recordings, labels, tracks)
            keys, first = np.unique(_cubes(vertices["xyz"], cube), return_index=True)
            new = ~np.isin(keys, taken, assume_unique=True)
            taken = np.union1d(taken, keys)
            n += int(new.sum())
            file.write(vertices[np.sort(first[new])].tobytes())
    with path.open("wb") as file:
        names = [f"label {number} {name}" for name, number in labels.items()]
        names += [f"track {number} {name}" for name, number in tracks.items()]
        header = ["ply", "format binary_little_endian 1.0", *(f"comment {line}" for line in names)]
        header += [f"element vertex {n}", *(f"property {line}" for line in PROPERTIES), "end_header"]
        file.write(("\n".join(header) + "\n").encode())
        with rest.open("rb") as vertices_file:
            shutil.copyfileobj(vertices_file, file)
    rest.unlink()


def _vertices(
    sample: Sample, points: Cloud, recordings: Recordings, labels: dict[str, int], tracks: dict[str, int]
) -> NDArray[np.void]:
    """A sample's points in the scene's frame; names that are new get the next number, 0 is no label."""
    found = np.zeros(len(points), VERTEX)
    found["xyz"], found["rgb"] = transform_points(points, sample.T_scene_from_points), UNSEEN
    for frame in sample.frames:
        uv, _ = project_points(points, np.reshape(frame["T_cam_from_points"], (4, 4)), np.reshape(frame["K"], (3, 3)))
        seen = np.flatnonzero(in_image(uv, (frame["width"], frame["height"])))
        image = recordings.picture(frame)
        if image is None:
            continue
        column, row = uv[seen].astype(np.int64).T
        found["rgb"][seen] = image[row, column]
    for row in reversed(sample.labels):  # the best last, so that it counts
        inside = points_in_oriented_box(points, pose_of(row), size_of(row))
        found["label"][inside] = labels.setdefault(row["label"], len(labels) + 1)
        found["track"][inside] = tracks.setdefault(row["track_id"], len(tracks) + 1)
    return found


def _cubes(xyz: NDArray[np.float32], side: float) -> NDArray[np.int64]:
    """A number for the cube that each point is in."""
    at = np.floor(xyz.astype(np.float64) / side).astype(np.int64) + (1 << 20)
    return (at[:, 0] << 42) | (at[:, 1] << 21) | at[:, 2]
