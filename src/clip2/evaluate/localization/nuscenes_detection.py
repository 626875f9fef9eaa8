"""Detections through nuScenes' own evaluation: the devkit's DetectionEval on a submission file in its format."""

import contextlib
import io
import math
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from nuscenes.eval.detection.config import config_factory
from nuscenes.eval.detection.constants import DETECTION_NAMES
from nuscenes.eval.detection.evaluate import DetectionEval
from nuscenes.nuscenes import NuScenes
from nuscenes.utils.splits import create_splits_scenes
from pyquaternion import Quaternion

from clip2.evaluate.localization.naming import Detections
from clip2.evaluate.localization.proposals import Proposals
from clip2.evaluate.localization.result import Official
from clip2.evaluate.metrics import DIGITS
from clip2.geometry import rigid, yaw_rotation
from clip2.scans.nuscenes.tables import LIDAR, T_global_from_sensor, open_nuscenes
from clip2.store.atomic import write_json

CONFIG = "detection_cvpr_2019"
META = {f"use_{name}": name in ("camera", "lidar") for name in ("camera", "lidar", "radar", "map", "external")}


def reason_against(split: str, version: str, classes: tuple[str, ...]) -> str | None:
    """Why the devkit cannot evaluate, or None. It takes whole official splits of the version that they belong to."""
    if split not in create_splits_scenes():
        return f"split {split!r} is not one of nuScenes' own"
    kind = "mini" if split.startswith("mini_") else "test" if split == "test" else "trainval"
    if not version.endswith(kind):
        return f"split {split!r} does not belong to version {version!r}"
    unknown = sorted(set(classes) - set(DETECTION_NAMES))
    return f"classes {unknown} are not nuScenes'" if unknown else None


class OfficialEvaluation:
    """nuScenes' tables, opened once for all methods."""

    def __init__(self, data_root: Path, version: str, split: str) -> None:
        self._nusc: NuScenes = open_nuscenes(data_root, version)
        self._split = split
        scenes = set(create_splits_scenes()[split])
        self.samples: list[str] = [
            sample["token"]
            for sample in self._nusc.sample
            if self._nusc.get("scene", sample["scene_token"])["name"] in scenes
        ]
        """All of the split that the tables hold: the devkit wants an answer, if an empty one, for each."""

    def submission(self, proposals: Proposals, found: Detections, classes: tuple[str, ...]) -> dict[str, Any]:
        """Detections in the devkit's format: global frame, sizes w l h, velocity 0, no attribute."""
        of_sample: dict[str, list[int]] = defaultdict(list)
        for number, proposal in enumerate(found.proposal):
            of_sample[proposals.group[proposal]].append(number)
        results: dict[str, list[dict[str, Any]]] = {}
        for token in self.samples:
            results[token] = []
            mine = of_sample.get(token, [])
            T = self._T_global_from_points(token) if mine else np.eye(4)
            for number in mine:
                box = proposals.boxes[found.proposal[number]]
                placed = T @ rigid(yaw_rotation(box[6]), box[:3])
                results[token].append(
                    {
                        "sample_token": token,
                        "translation": placed[:3, 3].tolist(),
                        "size": [float(box[4]), float(box[3]), float(box[5])],
                        "rotation": Quaternion(matrix=placed[:3, :3], atol=1e-6).elements.tolist(),
                        "velocity": [0.0, 0.0],
                        "detection_name": classes[found.label[number]],
                        "detection_score": float(found.scores[number]),
                        "attribute_name": "",
                    }
                )
        return {"meta": META, "results": results}

    def _T_global_from_points(self, sample_token: str) -> np.ndarray:
        sample = self._nusc.get("sample", sample_token)
        return T_global_from_sensor(self._nusc, self._nusc.get("sample_data", sample["data"][LIDAR]))

    def evaluate(self, submission: dict[str, Any]) -> Official:
        """The devkit's figures. NaN, its word for what does not apply to a class, becomes None."""
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
            path = Path(folder) / "submission.json"
            write_json(path, submission)
            evaluation = DetectionEval(
                self._nusc, config_factory(CONFIG), str(path), self._split, folder, verbose=False
            )
            metrics = evaluation.evaluate()[0].serialize()
        return Official(
            mean_ap=_number(metrics["mean_ap"]) or 0.0,
            nd_score=_number(metrics["nd_score"]) or 0.0,
            tp_errors={name: _number(value) for name, value in metrics["tp_errors"].items()},
            label_aps={
                name: {f"{metres:g}": _number(value) or 0.0 for metres, value in values.items()}
                for name, values in metrics["label_aps"].items()
            },
            label_tp_errors={
                name: {error: _number(value) for error, value in values.items()}
                for name, values in metrics["label_tp_errors"].items()
            },
        )


def _number(value: float) -> float | None:
    return round(float(value), DIGITS) if math.isfinite(value) else None
