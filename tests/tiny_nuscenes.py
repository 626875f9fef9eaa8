"""A data set in nuScenes' form, as small as can be: two scenes of two key frames, a LiDAR, a camera, two boxes."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

VERSION = "v1.0-mini"
SCENES = ("scene-0001", "scene-0002")
K = [[200.0, 0.0, 160.0], [0.0, 200.0, 120.0], [0.0, 0.0, 1.0]]
LOOK_AHEAD = [0.5, -0.5, 0.5, -0.5]
"""Camera axes (right, down, forward) in the ego frame (forward, left, up), as a quaternion w x y z."""
Tables = dict[str, list[dict[str, Any]]]


def make_tables() -> Tables:
    """Rows by table, with the keys that the data set has."""
    tables: Tables = {
        "attribute": [],
        "log": [{"token": "log", "logfile": "", "vehicle": "", "date_captured": "", "location": "here"}],
        "map": [{"token": "map", "log_tokens": ["log"], "category": "semantic_prior", "filename": "maps/here.png"}],
        "visibility": [{"token": "4", "level": "v80-100", "description": ""}],
        "category": [
            {"token": "cat-car", "name": "vehicle.car", "description": ""},
            {"token": "cat-cone", "name": "movable_object.trafficcone", "description": ""},
        ],
        "sensor": [
            {"token": "s-lidar", "channel": "LIDAR_TOP", "modality": "lidar"},
            {"token": "s-cam", "channel": "CAM_FRONT", "modality": "camera"},
        ],
        "calibrated_sensor": [
            {"token": "c-lidar", "sensor_token": "s-lidar", "translation": [0.0, 0.0, 1.8],
             "rotation": [1.0, 0.0, 0.0, 0.0], "camera_intrinsic": []},
            {"token": "c-cam", "sensor_token": "s-cam", "translation": [1.0, 0.0, 1.6], "rotation": LOOK_AHEAD,
             "camera_intrinsic": K},
        ],
        **{name: [] for name in ("scene", "sample", "sample_data", "ego_pose", "instance", "sample_annotation")},
    }  # fmt: skip
    for number, scene in enumerate(SCENES):
        samples = [f"{scene}-{i}" for i in range(2)]
        tables["scene"].append(
            {"token": f"t-{scene}", "name": scene, "log_token": "log", "nbr_samples": 2, "description": "",
             "first_sample_token": samples[0], "last_sample_token": samples[1]}
        )  # fmt: skip
        for i, sample in enumerate(samples):
            time = 1_500_000_000_000_000 + 500_000 * (2 * number + i)
            tables["sample"].append(
                {"token": sample, "scene_token": f"t-{scene}", "timestamp": time, "prev": samples[0] if i else "",
                 "next": "" if i else samples[1]}
            )  # fmt: skip
            for mount, folder, ending in (("c-lidar", "LIDAR_TOP", "pcd.bin"), ("c-cam", "CAM_FRONT", "jpg")):
                token = f"{sample}-{folder}"
                tables["sample_data"].append(
                    {"token": token, "sample_token": sample, "ego_pose_token": token, "calibrated_sensor_token": mount,
                     "timestamp": time, "fileformat": ending[:3], "is_key_frame": True,
                     "height": 240 if ending == "jpg" else 0, "width": 320 if ending == "jpg" else 0,
                     "filename": f"samples/{folder}/{sample}.{ending}", "prev": "", "next": ""}
                )  # fmt: skip
                tables["ego_pose"].append(
                    {"token": token, "timestamp": time, "translation": [100.0, 50.0, 0.0],
                     "rotation": [1.0, 0.0, 0.0, 0.0]}
                )  # fmt: skip
            for name, category in (("car", "cat-car"), ("cone", "cat-cone")):
                instance = f"{scene}-{name}"
                if not i:
                    tables["instance"].append({"token": instance, "category_token": category})
                tables["sample_annotation"].append(
                    {"token": f"{sample}-{name}", "sample_token": sample, "instance_token": instance,
                     "visibility_token": "4", "attribute_tokens": [], "translation": [110.0, 50.0, 0.8],
                     "size": [1.8, 4.0, 1.6], "rotation": [1.0, 0.0, 0.0, 0.0], "num_lidar_pts": 9,
                     "num_radar_pts": 0, "prev": "", "next": ""}
                )  # fmt: skip
    return tables


def write_tables(root: Path, tables: Tables) -> None:
    (root / VERSION).mkdir(parents=True, exist_ok=True)
    for name, rows in tables.items():
        (root / VERSION / f"{name}.json").write_text(json.dumps(rows))


def write_recordings(root: Path, tables: Tables) -> None:
    """A street's plane of points, and pictures of two greys, for all of sample_data."""
    rng = np.random.default_rng(0)
    points = np.column_stack(
        [rng.uniform(3, 40, 900), rng.uniform(-20, 20, 900), np.full(900, -1.8), rng.random(900), np.arange(900) % 32]
    )
    shown = np.full((240, 320, 3), 90, np.uint8)
    shown[:120] = 160
    picture = bytes(cv2.imencode(".jpg", shown)[1])
    for row in tables["sample_data"]:
        path = root / row["filename"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture if path.suffix == ".jpg" else points.astype("<f4").tobytes())
    (root / "maps").mkdir(exist_ok=True)
    (root / "maps" / "here.png").write_bytes(bytes(cv2.imencode(".png", np.zeros((4, 4), np.uint8))[1]))
