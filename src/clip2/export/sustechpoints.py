"""SUSTechPOINTS, where people correct boxes: a folder a scene in ``data``, as the tool calls it.

``SCENE/{lidar/N.pcd, camera/NAME/N.jpg, calib/camera/NAME/N.json, label/N.json}``; boxes are in the points' frame.
"""

from pathlib import Path
from urllib.parse import quote

import numpy as np

from clip2.export.index import Entry, index_writer
from clip2.export.recordings import Recordings
from clip2.export.scans import LabelledScans, Row, Sample, pose_of, size_of, yaw_of
from clip2.label.words import canonical
from clip2.store.atomic import write_json

TYPES = {
    "car": "Car",
    "van": "Van",
    "bus": "Bus",
    "truck": "Truck",
    "tram": "Tram",
    "pedestrian": "Pedestrian",
    "child": "Child",
    "bicycle": "Bicycle",
    "motorcycle": "Motorcycle",
    "scooter": "Scooter",
    "animal": "Animal",
    "traffic cone": "Cone",
    "traffic barrier": "TrafficBarrier",
    "road barrel": "RoadBarrel",
    "fire hydrant": "FireHydrant",
    "trash can": "TrashCan",
    "excavator": "Excavator",
    "crane": "Crane",
}
"""Label → the tool's own type, which it has a colour for; it takes any other as it is."""


def write(scans: LabelledScans, recordings: Recordings, out: Path) -> None:
    """Write all scenes; ``index.csv`` says which sample a numbered frame is."""
    with index_writer(out) as index:
        for samples in scans.scenes():
            folder = out / "data" / quote(samples[0].scene, safe="")
            (folder / "label").mkdir(parents=True)
            ending = ".jpg" if len(samples) < 2 else None  # what the tool takes of a scene with one frame
            for number, sample in enumerate(samples):
                name = f"{number:06d}"
                if not recordings.put_pcd(sample.frames[0], folder / "lidar" / f"{name}.pcd"):
                    scans.leave_out("of_samples_without_a_cloud", len(sample.labels))
                    continue
                index.add(Entry(f"{folder.name}/{name}", sample.scene, sample.name))
                ending = _pictures(recordings, folder, name, sample, ending)
                write_json(folder / "label" / f"{name}.json", [_box(row) for row in sample.labels])


def _pictures(recordings: Recordings, folder: Path, name: str, sample: Sample, ending: str | None) -> str | None:
    """Put a sample's pictures and calibrations; all of a scene have one ending, the first one's: returned."""
    for frame in sample.frames:
        camera = quote(frame["camera"], safe="")
        picture = recordings.put_picture(frame, folder / "camera" / camera / name, ending)
        if picture is None:
            continue
        ending = Path(picture).suffix
        calibration = _calibration(frame)
        write_json(folder / "calib" / "camera" / camera / f"{name}.json", calibration)
        of_scene = folder / "calib" / "camera" / f"{camera}.json"  # of frames without their own
        if not of_scene.exists():
            write_json(of_scene, calibration)
    return ending


def _calibration(frame: Row) -> Row:
    """Points to camera, row by row, under the names of the tool's older and newer releases; intrinsics."""
    T, K = (np.asarray(frame[key], np.float64).tolist() for key in ("T_cam_from_points", "K"))
    return {"extrinsic": T, "lidar_to_camera": T, "intrinsic": K}


def _box(row: Row) -> Row:
    T = pose_of(row)
    axes = ("x", "y", "z")
    place = {
        "position": dict(zip(axes, T[:3, 3].tolist(), strict=True)),
        "scale": dict(zip(axes, size_of(row), strict=True)),
        "rotation": dict(zip(axes, (0.0, 0.0, yaw_of(T)), strict=True)),
    }
    name = TYPES.get(canonical(row["label"]), row["label"])
    return {"psr": place, "obj_type": name, "obj_id": row["track_id"], "obj_attr": "", "score": row["score"]}
