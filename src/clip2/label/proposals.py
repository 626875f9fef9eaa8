"""Proposals: lifted crops as boxes and vectors, with what the detector called them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clip2.label.box_fit import fit_box
from clip2.label.settings import BoxSettings
from clip2.pretrain.model import Clip2Model
from clip2.runtime.console import progress
from clip2.store.crops import Shards, batches
from clip2.store.tables import read_header
from clip2.teach.pictures import picture_features
from clip2.teach.teacher import Teacher

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Proposals:
    """n lifted crops."""

    group: list[str]
    boxes: Floats  # (n, 7)
    scores: Floats  # (n,) the detector's
    labels: list[str]  # the detector's
    points: NDArray[np.float32]  # (n, D) vectors of the points
    pictures: NDArray[np.float32] | None  # (n, D) vectors of the image crops


def read_proposals(
    triplets: Shards,
    by_scene: bool,
    model: Clip2Model,
    teacher: Teacher | None,
    settings: BoxSettings,
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
