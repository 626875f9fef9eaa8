"""Human boxes of the evaluation scenes: what there is to find."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clip2.evaluate.localization.settings import LocalizeSettings
from clip2.geometry import upright_boxes
from clip2.label.words import canonical
from clip2.runtime.errors import InputError
from clip2.store.tables import iterate_rows

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Truth:
    """What there is to find."""

    by_scene: bool  # boxes are annotated by scene, in one frame for all its samples; else by sample
    group: list[str]  # (n,) sample or scene
    label: NDArray[np.int64]  # (n,) class
    boxes: Floats  # (n, 7)
    skipped: dict[str, int]
    words: dict[str, int]  # names that annotations of a class have -> class


def read_truth(annotations: Sequence[Path], settings: LocalizeSettings) -> Truth:
    """Human boxes of the classes asked for, filtered as nuScenes does: by range, by sensor points, by bicycle rack.

    A box is taken as upright: of its rotation only the yaw is used.
    """
    index = {name: i for i, name in enumerate(settings.classes)}
    group, label, boxes = [], [], []
    skipped: Counter[str] = Counter()
    words: dict[str, int] = {}
    scenes = samples = 0
    for row in (row for path in annotations for row in iterate_rows(path)):
        samples += 1
        scenes += row["sample"] == row["scene"]
        number = index.get(row["class_name"])
        if number is not None:
            for word in (row["class_name"], row["fine_name"], row["category"].split(".")[-1]):
                if word:
                    words.setdefault(canonical(word), number)
        if reason := _reason_to_skip(row, number, settings):
            skipped[reason] += 1
            continue
        assert number is not None
        T = np.reshape(row["T_points_from_box"], (4, 4))
        group.append(row["sample"])
        label.append(number)
        boxes.append(upright_boxes(T, row["size_lwh"]))
    words |= {canonical(name): i for name, i in index.items()}
    for word, name in settings.synonyms.items():
        if name not in index:
            raise InputError(f"setting 'synonyms': {word!r} is to mean {name!r}, which is not in `classes`")
        words[canonical(word)] = index[name]
    return Truth(
        samples > 0 and scenes == samples,
        group,
        np.asarray(label, np.int64),
        np.asarray(boxes, np.float64).reshape(-1, 7),
        dict(sorted(skipped.items())),
        words,
    )


def _reason_to_skip(row: dict[str, Any], number: int | None, settings: LocalizeSettings) -> str | None:
    if number is None:
        return "class_not_asked"
    if row["ego_distance_m"] >= settings.class_range.get(row["class_name"], np.inf):
        return "beyond_class_range"
    if row["num_lidar_pts"] + row["num_radar_pts"] == 0:  # -1 each where the data set does not say
        return "no_sensor_points"
    if row["in_bicycle_rack"] and row["class_name"] in ("bicycle", "motorcycle"):
        return "in_bicycle_rack"
    return None
