"""A data set in nuScenes' form, tables and recordings, with our labels for annotations: its devkit opens and draws it.

Any source becomes one. The car's frame is that of the points, as if the LiDAR were mounted at its origin. Labels
that are no category of nuScenes become categories of their own; ``colormap.json`` has a colour for each.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from nuscenes.utils.color_map import get_colormap

from clip2.export.global_frame import GlobalFrame
from clip2.export.json_tables import JsonTables, json_tables
from clip2.export.nuscenes import box_of, velocity_of
from clip2.export.nuscenes_names import ATTRIBUTES, attribute, category, colour, detection_class
from clip2.export.quaternions import quaternion_wxyz
from clip2.export.recordings import Recordings
from clip2.export.scans import LabelledScans, Row, Sample
from clip2.geometry import invert
from clip2.scans.nuscenes.tables import LIDAR
from clip2.store.atomic import write_json

Matrix = NDArray[np.float64]
VERSION = "v1.0-trainval"
"""Of sources that are not nuScenes themselves."""
TABLES = ("attribute", "calibrated_sensor", "category", "ego_pose", "instance", "log", "map", "sample",
          "sample_annotation", "sample_data", "scene", "sensor", "visibility")  # fmt: skip
MAP = "maps/blank.png"
SEEN = {"0": "unknown", "1": "v0-40", "2": "v40-60", "3": "v60-80", "4": "v80-100"}


def write(scans: LabelledScans, recordings: Recordings, out: Path) -> None:
    """Write the tables, the recordings that they name, an empty map and a colour for each category."""
    frame = GlobalFrame(scans)
    labels: set[str] = set()
    channels = {LIDAR: "lidar"}
    with json_tables(out / scans.made_by["settings"].get("version", VERSION), TABLES) as tables:
        for number, samples in enumerate(scans.scenes()):
            kept, data = [], defaultdict(list)
            for place, sample in enumerate(samples):
                rows = _recorded(sample, f"{number:04d}-{place:06d}", recordings, out)
                if not rows:
                    scans.leave_out("of_samples_without_a_cloud", len(sample.labels))
                    continue
                kept.append(sample)
                T = frame.T_global_from_points(sample)
                tables.add("ego_pose", {"token": sample.name, "timestamp": sample.time_us, **_placed(T)})
                for row, T_points_from_sensor, K in rows:
                    data[row["channel"]].append(row)
                    mounted = {"token": row["token"], "sensor_token": row["channel"], "camera_intrinsic": K}
                    tables.add("calibrated_sensor", mounted | _placed(T_points_from_sensor))
            for channel, chain in data.items():
                channels.setdefault(channel, "camera")
                tables.add_chain("sample_data", chain)
            if kept:
                _add_scene(tables, kept)
                _add_annotations(tables, kept, frame)
            labels.update(row["label"] for sample in kept for row in sample.labels)
        _add_shared(tables, sorted(labels), channels)
    (out / MAP).parent.mkdir()
    cv2.imwrite(str(out / MAP), np.zeros((8, 8), np.uint8))
    write_json(out / "colormap.json", get_colormap() | {name: colour(name) for name in map(category, sorted(labels))})


def _recorded(
    sample: Sample, stem: str, recordings: Recordings, out: Path
) -> list[tuple[Row, Matrix, list[list[float]]]]:
    """Rows of sample_data, each with its sensor's pose in the points' frame and intrinsics; empty without a cloud."""
    path = f"samples/{LIDAR}/{stem}.pcd.bin"
    if not recordings.put_cloud(sample.frames[0], out / path, np.eye(4), 5):
        return []
    token = f"{sample.name}/{LIDAR}"
    shared = {"sample_token": sample.name, "ego_pose_token": sample.name, "is_key_frame": True}
    lidar = {"token": token, "channel": LIDAR, "timestamp": sample.time_us, "filename": path, "fileformat": "pcd",
             "width": 0, "height": 0}  # fmt: skip
    found: list[tuple[Row, Matrix, list[list[float]]]] = [
        (shared | lidar | {"calibrated_sensor_token": token}, np.eye(4), [])
    ]
    for frame in sample.frames:
        folder = f"samples/{frame['camera']}"
        name = recordings.put_picture(frame, out / folder / stem)
        if name is None:
            continue
        time = sample.time_us if frame["timestamp_us"] is None else frame["timestamp_us"]
        row = {"token": frame["frame_id"], "channel": frame["camera"], "timestamp": time,
               "filename": f"{folder}/{name}", "fileformat": Path(name).suffix[1:], "width": frame["width"],
               "height": frame["height"], "calibrated_sensor_token": frame["frame_id"]}  # fmt: skip
        K = np.reshape(frame["K"], (3, 3)).tolist()
        found.append((shared | row, invert(np.reshape(frame["T_cam_from_points"], (4, 4))), K))
    return found


def _placed(T: Matrix) -> Row:
    """Translation and rotation of a row."""
    return {"translation": T[:3, 3].tolist(), "rotation": quaternion_wxyz(T[:3, :3])}


def _add_scene(tables: JsonTables, samples: Sequence[Sample]) -> None:
    first, last = samples[0], samples[-1]
    ends = {"first_sample_token": first.name, "last_sample_token": last.name, "nbr_samples": len(samples)}
    tables.add("scene", {"token": first.scene, "name": first.scene, "log_token": "log", "description": "", **ends})
    rows = [{"token": s.name, "timestamp": s.time_us, "scene_token": s.scene} for s in samples]
    tables.add_chain("sample", rows)


def _add_annotations(tables: JsonTables, samples: Sequence[Sample], frame: GlobalFrame) -> None:
    """Boxes and, for each track, the instance that they are of."""
    tracks: dict[str, list[Row]] = defaultdict(list)
    names = {}
    for sample in samples:
        T = frame.T_global_from_points(sample)
        for number, row in enumerate(sample.labels):
            instance = f"{sample.scene}/{row['track_id']}"
            moving = attribute(detection_class(row["label"]), velocity_of(row, T))
            names[instance] = category(row["label"])
            tracks[instance].append(
                {
                    "token": f"{sample.name}/{number}",
                    "sample_token": sample.name,
                    "instance_token": instance,
                    "visibility_token": "0",
                    "attribute_tokens": [moving] if moving else [],
                    **box_of(row, T),
                    "num_lidar_pts": row["n_points"],
                    "num_radar_pts": 0,
                }
            )
    for instance, rows in tracks.items():
        ends = {"first_annotation_token": rows[0]["token"], "last_annotation_token": rows[-1]["token"]}
        tables.add(
            "instance", {"token": instance, "category_token": names[instance], "nbr_annotations": len(rows), **ends}
        )
        tables.add_chain("sample_annotation", rows)


def _add_shared(tables: JsonTables, labels: Sequence[str], channels: Mapping[str, str]) -> None:
    """What belongs to no scene."""
    for name in sorted(set(map(category, labels))):
        tables.add("category", {"token": name, "name": name, "description": ""})
    for channel, modality in channels.items():
        tables.add("sensor", {"token": channel, "channel": channel, "modality": modality})
    for token, level in SEEN.items():
        tables.add("visibility", {"token": token, "level": level, "description": "how much of it pictures show"})
    for name in sorted({name for pair in ATTRIBUTES.values() for name in pair}):
        tables.add("attribute", {"token": name, "name": name, "description": ""})
    tables.add("log", {"token": "log", "logfile": "", "vehicle": "", "date_captured": "", "location": ""})
    tables.add("map", {"token": "map", "category": "semantic_prior", "filename": MAP, "log_tokens": ["log"]})
