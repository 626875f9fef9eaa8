"""Proposals: the lifted crops of the evaluation scenes as boxes and vectors. What the detector called them is kept, but
used by the `detector` baseline only."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clip2.console import progress
from clip2.errors import InputError
from clip2.evaluate.audit_summary import canonical
from clip2.evaluate.localization.box_fit import fit_box
from clip2.evaluate.localization.settings import LocalizeSettings
from clip2.evaluate.pictures import picture_features
from clip2.evaluate.queries import Shards, batches
from clip2.pretrain.model import Clip2Model
from clip2.store.tables import iterate_rows, read_header
from clip2.teach.teacher import Teacher

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


@dataclass(frozen=True)
class Proposals:
    """n lifted crops."""

    group: list[str]
    boxes: Floats  # (n, 7)
    scores: Floats  # (n,) the detector's
    labels: list[str]  # the detector's
    points: NDArray[np.float32]  # (n, D) vectors of the points
    pictures: NDArray[np.float32] | None  # (n, D) vectors of the image crops


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
        boxes.append([*T[:3, 3], *row["size_lwh"], np.arctan2(T[1, 0], T[0, 0])])
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


def read_proposals(
    triplets: Shards,
    by_scene: bool,
    model: Clip2Model,
    teacher: Teacher | None,
    settings: LocalizeSettings,
    threads: int,
) -> Proposals:
    """All proposals, each with a box fitted to its points and its vectors.

    Args:
        by_scene: group them by scene, not by sample.
        teacher: embeds the image crops; None leaves that out.
    """
    total = sum(read_header(path)["counts"]["triplets"] for path, _ in triplets)
    columns = ["scene", "sample", "label", "score"] + ["image"] * (teacher is not None)
    group: list[str] = []
    labels: list[str] = []
    scores: list[float] = []
    # Filled and not joined: at the end, parts and whole would be there twice.
    boxes = np.empty((total, 7))
    points = np.empty((total, model.dim), np.float32)
    pictures = np.empty((total, model.dim), np.float32) if teacher is not None else None
    aligned = settings.box_fit == "axis-aligned"
    n_batches = -(-total // settings.batch_size)
    for batch in progress(batches(triplets, columns, settings.batch_size), "batches of proposals", n_batches):
        here = slice(len(group), len(group) + len(batch.rows))
        group += [row["scene" if by_scene else "sample"] for row in batch.rows]
        labels += [row["label"] for row in batch.rows]
        scores += [row["score"] for row in batch.rows]
        boxes[here] = [fit_box(crop, aligned, settings.trim, settings.min_size_m) for crop in batch.crops]
        points[here] = model.encode_points(batch.crops)
        if teacher is not None and pictures is not None:
            pictures[here] = picture_features(teacher, batch.rows, threads)
    return Proposals(group, boxes, np.asarray(scores, np.float64), labels, points, pictures)
