"""KITTI's object benchmark: ``training/{label_2,calib,image_2,velodyne}/NNNNNN.*``, a frame for each picture.

A label stands in the frame of every picture that shows it. KITTI's boxes stand upright in the camera's frame: their
centres are exact, and so is their yaw, but a tilted camera's are drawn tilted. Clouds are turned by quarter turns, so
that each camera looks along +x, as KITTI's tools expect.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clip2.export.index import Entry, index_writer
from clip2.export.recordings import Recordings
from clip2.export.scans import LabelledScans, Sample, pose_of, size_of
from clip2.export.views import View, view_of
from clip2.geometry import rigid, yaw_rotation
from clip2.label.words import canonical

Frame = Mapping[str, Any]
Matrix = NDArray[np.float64]
CLASSES = ("Car", "Van", "Truck", "Pedestrian", "Person_sitting", "Cyclist", "Tram", "Misc")
"""KITTI's own names; another label keeps its own, underscores for spaces."""
UNKNOWN = 3
"""KITTI's word for an occlusion that nobody looked at."""
_OWN = {canonical(name): name for name in CLASSES}


def write(scans: LabelledScans, recordings: Recordings, out: Path) -> None:
    """Write all pictures' frames, numbered; ``index.csv`` says which is which."""
    number = 0
    for kind in ("label_2", "calib"):
        (out / "training" / kind).mkdir(parents=True)
    with index_writer(out) as index:
        for samples in scans.scenes():
            for sample in samples:
                shown: set[int] = set()
                for frame in sample.frames:
                    name, turns = f"{number:06d}", quarter_turns(frame["T_cam_from_points"])
                    number += 1
                    if not _recordings(recordings, frame, out / "training", name, turns):
                        continue
                    index.add(Entry(name, sample.scene, sample.name, frame["camera"], turns))
                    (out / "training" / "calib" / f"{name}.txt").write_text(calibration(frame, turns))
                    lines = dict(_lines(sample, frame))
                    shown |= lines.keys()
                    (out / "training" / "label_2" / f"{name}.txt").write_text("".join(lines.values()))
                scans.leave_out("in_no_picture", len(sample.labels) - len(shown))


def _recordings(recordings: Recordings, frame: Frame, training: Path, name: str, turns: int) -> bool:
    """Put a frame's cloud and picture; neither where one cannot be read."""
    cloud = training / "velodyne" / f"{name}.bin"
    if not recordings.put_cloud(frame, cloud, turned(turns), 4):
        return False
    if recordings.put_picture(frame, training / "image_2" / name, ".png") is None:
        cloud.unlink(missing_ok=True)
        return False
    return True


def _lines(sample: Sample, frame: Frame) -> list[tuple[int, str]]:
    """(number in the sample, line) of each label that a picture shows."""
    views = [(number, view_of(pose_of(row), row["size_lwh"], frame)) for number, row in enumerate(sample.labels)]
    return [(n, label_line(sample.labels[n], frame["T_cam_from_points"], view)) for n, view in views if view]


def label_line(row: Mapping[str, Any], T_cam_from_points: ArrayLike, view: View) -> str:
    """A label as a line of label_2: type, truncation, occlusion, alpha, 2D box, h w l, x y z, rotation_y, score."""
    T = np.reshape(T_cam_from_points, (4, 4)) @ pose_of(row)
    length, width, height = size_of(row)
    forward, centre = T[:3, 0], T[:3, 3]
    rotation_y = float(np.arctan2(-forward[2], forward[0]))
    alpha = _wrapped(rotation_y - float(np.arctan2(centre[0], centre[2])))
    x, y, z = centre + np.array([0.0, height / 2, 0.0])  # of the bottom, along the camera's y
    numbers = [*view.rectangle, height, width, length, x, y, z, rotation_y]
    name = _OWN.get(canonical(row["label"]), "_".join(row["label"].split()))
    return (f"{name} {1 - view.share:.2f} {UNKNOWN} {alpha:.6f} {' '.join(f'{value:.6f}' for value in numbers)} "
            f"{row['score']:.4f}\n")  # fmt: skip


def calibration(frame: Frame, turns: int) -> str:
    """A calib file: every camera of KITTI's is the frame's, already rectified."""
    P = np.column_stack([np.reshape(frame["K"], (3, 3)), np.zeros(3)])
    Tr = (np.reshape(frame["T_cam_from_points"], (4, 4)) @ turned(-turns))[:3]
    rows = {f"P{i}": P for i in range(4)}
    rows |= {"R0_rect": np.eye(3), "Tr_velo_to_cam": Tr, "Tr_imu_to_velo": np.eye(4)[:3]}
    return "".join(f"{key}: {' '.join(f'{value:.12e}' for value in np.ravel(rows[key]))}\n" for key in rows)


def quarter_turns(T_cam_from_points: ArrayLike) -> int:
    """Quarter turns counter-clockwise about z that bring a camera's view to within 45° of +x."""
    ahead = np.reshape(T_cam_from_points, (4, 4))[2, :2]  # the camera's z axis in the points' frame
    return int(-np.rint(np.arctan2(ahead[1], ahead[0]) / (np.pi / 2))) % 4


def turned(turns: int) -> Matrix:
    """(4, 4) of some quarter turns about z, in whole numbers."""
    return np.rint(rigid(yaw_rotation(turns * np.pi / 2), np.zeros(3)))


def _wrapped(angle: float) -> float:
    """An angle in [-π, π)."""
    return float((angle + np.pi) % (2 * np.pi) - np.pi)
