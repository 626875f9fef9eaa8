"""Detections through nuScenes' own evaluation: the devkit's DetectionEval on a submission file in its format."""

import contextlib
import io
import json
import math
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from nuscenes.eval.detection.config import config_factory
from nuscenes.eval.detection.constants import DETECTION_NAMES, TP_METRICS
from nuscenes.eval.detection.data_classes import DetectionMetrics
from nuscenes.eval.detection.evaluate import DetectionEval
from nuscenes.nuscenes import NuScenes
from nuscenes.utils.splits import create_splits_scenes
from pyquaternion import Quaternion

from clip2.evaluate.localization.result import Official
from clip2.evaluate.metrics import DIGITS
from clip2.geometry import rigid, yaw_rotation
from clip2.label.naming import Detections
from clip2.label.proposals import Proposals
from clip2.scans.nuscenes.devkit import T_global_from_sensor, open_scenes
from clip2.scans.nuscenes.tables import LIDAR

CONFIG = "detection_cvpr_2019"
PART = 300_000
"""Detections that the devkit is given at a time: it takes 3 kB each."""
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
    """nuScenes' tables of one split, opened once for all methods."""

    def __init__(self, data_root: Path, version: str, split: str) -> None:
        self._nusc: NuScenes = open_scenes(data_root, version, set(create_splits_scenes()[split]))
        self._split = split
        self.samples: list[str] = [sample["token"] for sample in self._nusc.sample]
        """All of the split that the tables hold: the devkit wants an answer, if an empty one, for each."""

    def evaluate(self, proposals: Proposals, found: Detections, classes: tuple[str, ...]) -> Official:
        """The devkit's figures. NaN, its word for what does not apply to a class, becomes None.

        Its boxes are Python objects of kilobytes: as classes do not meet in its evaluation, it gets a few at a time.
        """
        config = config_factory(CONFIG)
        of_class: dict[str, DetectionMetrics] = {}
        for labels in _parts(np.bincount(found.label, minlength=len(classes)).tolist(), PART):
            metrics = self._metrics(proposals, found, classes, labels)
            part = {classes[label] for label in labels}
            of_class |= {name: metrics for name in config.class_names if name in part or name not in classes}
        together = DetectionMetrics(config)
        for name in config.class_names:
            for metres in config.dist_ths:
                together.add_label_ap(name, metres, of_class[name].get_label_ap(name, metres))
            for error in TP_METRICS:
                together.add_label_tp(name, error, of_class[name].get_label_tp(name, error))
        return Official(
            mean_ap=_number(together.mean_ap) or 0.0,
            nd_score=_number(together.nd_score) or 0.0,
            tp_errors={name: _number(value) for name, value in together.tp_errors.items()},
            label_aps={
                name: {f"{metres:g}": _number(together.get_label_ap(name, metres)) or 0.0 for metres in config.dist_ths}
                for name in config.class_names
            },
            label_tp_errors={
                name: {error: _number(together.get_label_tp(name, error)) for error in TP_METRICS}
                for name in config.class_names
            },
        )

    def _metrics(
        self, proposals: Proposals, found: Detections, classes: tuple[str, ...], labels: list[int]
    ) -> DetectionMetrics:
        """The devkit's metrics of the detections of some classes."""
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
            path = Path(folder) / "submission.json"
            self._write_submission(path, proposals, found, classes, labels)
            evaluation = DetectionEval(
                self._nusc, config_factory(CONFIG), str(path), self._split, folder, verbose=False
            )
            return evaluation.evaluate()[0]

    def _write_submission(
        self, path: Path, proposals: Proposals, found: Detections, classes: tuple[str, ...], labels: list[int]
    ) -> None:
        """Detections of some classes in the devkit's format, an answer for every sample."""
        of_sample: dict[str, list[int]] = defaultdict(list)
        for number in np.flatnonzero(np.isin(found.label, labels)).tolist():
            of_sample[proposals.group[found.proposal[number]]].append(number)
        with path.open("w", encoding="utf-8") as file:
            file.write(f'{{"meta": {json.dumps(META)}, "results": {{')
            for place, token in enumerate(self.samples):
                boxes = self._in_devkits_format(token, of_sample.get(token, []), proposals, found, classes)
                file.write(f"{',' if place else ''}\n{json.dumps(token)}: {json.dumps(boxes, allow_nan=False)}")
            file.write("}}")

    def _in_devkits_format(
        self, token: str, numbers: list[int], proposals: Proposals, found: Detections, classes: tuple[str, ...]
    ) -> list[dict[str, Any]]:
        """A sample's detections: global frame, sizes w l h, velocity 0, no attribute."""
        T = self._T_global_from_points(token) if numbers else np.eye(4)
        rows = []
        for number in numbers:
            box = proposals.boxes[found.proposal[number]]
            placed = T @ rigid(yaw_rotation(box[6]), box[:3])
            rows.append(
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
        return rows

    def _T_global_from_points(self, sample_token: str) -> np.ndarray:
        sample = self._nusc.get("sample", sample_token)
        return T_global_from_sensor(self._nusc, self._nusc.get("sample_data", sample["data"][LIDAR]))


def _parts(counts: list[int], most: int) -> list[list[int]]:
    """Classes with so many detections, in parts of about ``most``; a part has detections if there are any at all, as
    the devkit cannot do without."""
    parts: list[list[int]] = [[]]
    size = 0
    for label, count in enumerate(counts):
        if size and count and size + count > most:
            parts.append([])
            size = 0
        parts[-1].append(label)
        size += count
    return parts


def _number(value: float) -> float | None:
    return round(float(value), DIGITS) if math.isfinite(value) else None
