"""nuScenes' detection results: one ``results_nusc.json``, which the devkit's DetectionEval reads.

Only labels of its ten classes; at most 500 in a sample, the best. Attributes follow from the velocity.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clip2.export.global_frame import GlobalFrame
from clip2.export.nuscenes_names import attribute, detection_class
from clip2.export.quaternions import quaternion_wxyz
from clip2.export.recordings import Recordings
from clip2.export.scans import LabelledScans, Sample, known, pose_of, size_of

Matrix = NDArray[np.float64]
RESULTS = "results_nusc.json"
META = {f"use_{name}": name in ("camera", "lidar") for name in ("camera", "lidar", "radar", "map", "external")}
MOST_BOXES = 500
"""In a sample; the devkit refuses more."""


def write(scans: LabelledScans, recordings: Recordings, out: Path) -> None:
    """Write the results, an answer for every sample."""
    frame = GlobalFrame(scans)
    with (out / RESULTS).open("w", encoding="utf-8") as file:
        file.write(f'{{"meta": {json.dumps(META)}, "results": {{')
        first = True
        for samples in scans.scenes():
            for sample in samples:
                boxes = _detections(scans, sample, frame.T_global_from_points(sample))
                answer = f"{json.dumps(sample.name)}: {json.dumps(boxes, allow_nan=False)}"
                file.write(("\n" if first else ",\n") + answer)
                first = False
        file.write("\n}}\n")


def _detections(scans: LabelledScans, sample: Sample, T_global_from_points: Matrix) -> list[dict[str, Any]]:
    """A sample's boxes in the devkit's form."""
    own = [(name, row) for row in sample.labels if (name := detection_class(row["label"]))]
    scans.leave_out("of_no_class_of_nuscenes", len(sample.labels) - len(own))
    scans.leave_out("beyond_500_a_sample", max(0, len(own) - MOST_BOXES))
    found = []
    for name, row in own[:MOST_BOXES]:
        velocity = velocity_of(row, T_global_from_points)
        found.append(
            {
                "sample_token": sample.name,
                **box_of(row, T_global_from_points),
                "velocity": velocity or [0.0, 0.0],
                "detection_name": name,
                "detection_score": float(row["score"]),
                "attribute_name": attribute(name, velocity),
            }
        )
    return found


def box_of(row: Mapping[str, Any], T_global_from_points: Matrix) -> dict[str, list[float]]:
    """Translation, size (w l h) and rotation (quaternion w x y z) of a label, as nuScenes' tables give them."""
    T = T_global_from_points @ pose_of(row)
    length, width, height = size_of(row)
    size = [width, length, height]
    return {"translation": T[:3, 3].tolist(), "size": size, "rotation": quaternion_wxyz(T[:3, :3])}


def velocity_of(row: Mapping[str, Any], T_global_from_points: Matrix) -> list[float] | None:
    """Metres a second along the global x and y; None where it is not known."""
    velocity = known(row["velocity"])
    return None if velocity is None else (T_global_from_points[:3, :3] @ velocity)[:2].tolist()
