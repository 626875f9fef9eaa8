"""Exact labels of a small built-in world, its human boxes: so that each export can be checked by numbers."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from clip2.geometry import oriented_box_corners, project_box
from clip2.scans.clouds import load_points
from clip2.scans.folder import annotations as folder_annotations
from clip2.scans.folder import frames as folder_frames
from clip2.scans.folder.calibration import METRES, UP
from clip2.scans.folder.settings import FolderSettings
from clip2.scans.nuscenes import annotations, frames
from clip2.scans.nuscenes.settings import NuscenesSettings
from clip2.scans.shards import shard_names
from clip2.store.schemas import LABELS
from clip2.store.tables import iterate_rows, read_header, write_table
from clip2_world.streets import nuscenes_stage
from clip2_world.streets.nuscenes_settings import WorldSettings

WORLD = WorldSettings(train_scenes=1, val_scenes=1, key_frames=3, image_width=320, sweeps_per_key_frame=1)
SETTINGS = NuscenesSettings(
    version=WORLD.version, train="train", val="val", train_shards=1, val_shards=1, n_sweeps=2
)  # fmt: skip
CAMERAS = ("CAM_FRONT", "CAM_FRONT_RIGHT")
"""Of the folder."""
Row = dict[str, Any]


class Labelled(NamedTuple):
    """A source's files, and labels of its evaluation frames."""

    root: Path
    frames: Path
    annotations: Path
    labels: Path

    @property
    def rows(self) -> list[Row]:
        """Its labels."""
        return list(iterate_rows(self.labels))

    @property
    def pictures(self) -> list[Row]:
        """Its frames."""
        return list(iterate_rows(self.frames))


def nuscenes_world(folder: Path) -> Labelled:
    """A street in nuScenes' form with three key frames to label, and one to leave alone."""
    root, val = folder / "raw", f"{shard_names('val', 1)[0]}.parquet"
    nuscenes_stage.run(root, WORLD)
    frames.run(root, folder / "frames", "world", SETTINGS)
    annotations.run(root, folder / "annotations", "world", SETTINGS)
    made = Labelled(root, folder / "frames" / val, folder / "annotations" / val, folder / "labels.parquet")
    write_labels(made)
    return made


def world_as_folder(made: Labelled, folder: Path, up: str = "z", units: str = "m") -> Labelled:
    """The street as a folder of recordings with poses, two cameras and labels, in axes and units of one's own."""
    root, scene = folder / "recordings", folder / "recordings" / "street"
    scale, turn = 1 / METRES[units], np.eye(4)
    turn[:3, :3] = np.transpose(UP[up])  # the folder's axes from those of the points

    def declared(T: np.ndarray, left: np.ndarray) -> list[list[float]]:
        T = left @ T @ turn.T
        T[:3, 3] *= scale
        return T.tolist()

    first: dict[str, Row] = {}
    stems: dict[str, str] = {}
    for row in made.pictures:
        if row["camera"] not in CAMERAS:
            continue
        stem = stems.setdefault(row["sample"], f"{len(stems):04d}")
        first.setdefault(row["camera"], row)
        points = load_points(row["clouds"][:1], made.root)
        stored = np.column_stack([scale * points[:, :3] @ turn[:3, :3].T, points[:, 3]]).astype("<f4")
        pose = declared(np.reshape(row["T_scene_from_points"], (4, 4)), turn)
        _put(scene / "clouds" / f"{stem}.bin", stored.tobytes())
        _put(scene / "poses" / f"{stem}.txt", "\n".join(" ".join(map(repr, line)) for line in pose).encode())
        _put(scene / row["camera"] / f"{stem}.jpg", (made.root / row["image_path"]).read_bytes())
    labels: dict[str, list[Row]] = {stem: [] for stem in stems.values()}
    for row in made.rows:
        T = np.reshape(row["T_points_from_box"], (4, 4))
        centre, size = (turn @ T)[:3, 3] * scale, np.multiply(row["size_lwh"], scale)
        yaw = float(np.arctan2(T[1, 0], T[0, 0]))
        name = row["label"].replace("_", " ")
        box = {"name": name, "center": centre.tolist(), "size_lwh": size.tolist(), "yaw": yaw}
        labels[stems[row["sample"]]].append(box)
    for stem, boxes in labels.items():
        _put(scene / "labels" / f"{stem}.json", json.dumps(boxes).encode())
    calibration = {
        "sensor": "lidar",
        "up": up,
        "units": units,
        "clouds": {"format": "float32x4", "pose_folder": "poses"},
        "cameras": {
            name: {
                "image_folder": name,
                "width": row["width"],
                "height": row["height"],
                "K": np.reshape(row["K"], (3, 3)).tolist(),
                "T_cam_from_points": declared(np.reshape(row["T_cam_from_points"], (4, 4)), np.eye(4)),
            }
            for name, row in first.items()
        },
    }
    _put(scene / "calibration.json", json.dumps(calibration).encode())
    return folder_labels(root, folder)


def folder_labels(root: Path, out: Path) -> Labelled:
    """A folder's own labels as a labels file."""
    settings = FolderSettings(train="all", val="all", train_shards=1, val_shards=1)
    folder_frames.run(root, out / "frames", "mine", settings)
    folder_annotations.run(root, out / "annotations", "mine", settings)
    val = f"{shard_names('val', 1)[0]}.parquet"
    made = Labelled(root, out / "frames" / val, out / "annotations" / val, out / "labels.parquet")
    write_labels(made)
    return made


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def write_labels(made: Labelled, score: float = 1.0) -> None:
    """Human boxes as labels: instances are tracks; the best view's 2D box is the middle of the projected one."""
    of_sample: dict[str, list[Row]] = defaultdict(list)
    for frame in made.pictures:
        of_sample[frame["sample"]].append(frame)
    boxes = list(iterate_rows(made.annotations))
    velocities = _velocities(boxes, of_sample)
    header = read_header(made.frames)
    keys = ("source", "source_kind", "split", "sensor", "units", "axes")
    rows = [
        _label(row, of_sample[row["sample"]], velocities[row["annotation_id"]], score)
        for row in boxes
        if row["sample"] in of_sample
    ]
    write_table(made.labels, rows, LABELS, {"kind": "labels", **{key: header[key] for key in keys}})


def _label(row: Row, frames: list[Row], velocity: np.ndarray, score: float) -> Row:
    T = np.reshape(row["T_points_from_box"], (4, 4))
    name = row["class_name"] or row["category"].split(".")[-1]
    view = None
    for frame in frames:
        found = project_box(oriented_box_corners(T, row["size_lwh"]), np.reshape(frame["T_cam_from_points"], (4, 4)),
                            np.reshape(frame["K"], (3, 3)), (frame["width"], frame["height"]))  # fmt: skip
        if found is not None and view is None:
            x0, y0, x1, y1 = found[0]
            view = frame["frame_id"], [x0 + (x1 - x0) / 8, y0, x1 - (x1 - x0) / 8, y1]
    return {
        "scene": row["scene"],
        "sample": row["sample"],
        "timestamp_us": frames[0]["timestamp_us"],
        "track_id": _track(row),
        "label": name,
        "score": score,
        "names": [{"name": name, "probability": score}],
        "T_points_from_box": row["T_points_from_box"],
        "size_lwh": row["size_lwh"],
        "size_from": "measured",
        "velocity": velocity.tolist(),
        "n_points": row["num_lidar_pts"],
        "range_m": float(np.hypot(*T[:2, 3])),
        "triplet_id": f"{view[0]}-000" if view else None,
        "frame_id": view[0] if view else None,
        "box": view[1] if view else [np.nan] * 4,
    }


def _track(row: Row) -> str:
    """A folder's labels have no instances: each is of its own."""
    return str(row["instance"] or row["annotation_id"])


def _velocities(boxes: list[Row], frames: dict[str, list[Row]]) -> dict[str, np.ndarray]:
    """annotation_id → metres a second along the points' axes, from the neighbouring samples; NaN if seen once."""
    tracks: dict[str, list[tuple[int, np.ndarray, Row]]] = defaultdict(list)
    for row in boxes:
        frame = frames[row["sample"]][0]
        T = frame["T_scene_from_points"]
        T = np.eye(4) if T is None else np.reshape(T, (4, 4))
        centre = T @ np.reshape(row["T_points_from_box"], (4, 4))[:, 3]
        tracks[_track(row)].append((frame["timestamp_us"] or 0, centre[:3], {**row, "T": T}))
    found = {}
    for track in tracks.values():
        track.sort(key=lambda seen: seen[0])
        for i, (_, _, row) in enumerate(track):
            (t0, p0, _), (t1, p1, _) = track[max(i - 1, 0)], track[min(i + 1, len(track) - 1)]
            speed = (p1 - p0) / (1e-6 * (t1 - t0)) if t1 > t0 else np.full(3, np.nan)
            found[row["annotation_id"]] = row["T"][:3, :3].T @ speed
    return found
