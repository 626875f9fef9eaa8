"""Triplets of boxes, balls and poles with made-up embeddings, for the tests of pretraining."""

import json
from pathlib import Path

import h5py
import numpy as np

from clip2.pretrain.pack import Shard
from clip2.store.ragged import ragged_writer
from clip2.store.schemas import TRIPLETS
from clip2.store.tables import write_table

DIM = 16
SHAPES = ("box", "ball", "pole")
TEMPLATES = ["a photo of a {}.", "a {}"]


def surface(shape: str, rng: np.random.Generator) -> np.ndarray:
    """5 to 80 points of a box, a ball or a pole, somewhere."""
    direction = rng.normal(size=(rng.integers(5, 80), 3))
    if shape == "box":
        points = direction / np.abs(direction).max(1, keepdims=True) * [2.0, 0.9, 0.8]
    elif shape == "ball":
        points = direction / np.linalg.norm(direction, axis=1, keepdims=True) * 0.6
    else:
        points = direction * [0.04, 0.04, 1.0]
    return np.column_stack([points + rng.uniform(-40, 40, 3), rng.uniform(0, 1, len(points))]).astype(np.float32)


def directions(n: int) -> np.ndarray:
    """n orthogonal unit vectors in D dimensions, the same ones always."""
    return np.linalg.qr(np.random.default_rng(9).normal(size=(DIM, DIM)))[0][:n].astype(np.float32)


def write_shard(folder: Path, name: str, labels: list[str], table: list[str], teacher: dict[str, object]) -> Shard:
    """One shard whose image embeddings are noisy copies of the text of the true shape."""
    rng = np.random.default_rng(len(labels))
    shard = Shard(folder / f"{name}.parquet", folder / f"{name}.h5", folder / f"{name}.embeddings.h5")
    row = dict.fromkeys(TRIPLETS.names) | {"scene": name}
    with ragged_writer(shard.points) as writer:
        crops = [surface(label, rng) for label in labels]
        for crop in crops:
            writer.append(crop)
    rows = [{**row, "label": x, "score": 0.1 + 0.8 * rng.random(), "n_points": len(c)} for x, c in zip(labels, crops)]
    write_table(shard.triplets, rows, TRIPLETS, {"source_kind": "built-in world", "axes": {"up": "z"}})
    vectors = directions(len(SHAPES))[[SHAPES.index(label) for label in labels]]
    image = vectors + rng.normal(0, 0.05, (len(labels), DIM))
    with h5py.File(shard.embeddings, "w") as file:
        file["image"] = (image / np.linalg.norm(image, axis=1, keepdims=True)).astype(np.float16)
        file["text"] = directions(len(SHAPES))[[SHAPES.index(label) for label in table]].astype(np.float16)
        file["label_index"] = np.array([table.index(label) for label in labels], np.int32)
        file.attrs["clip2"] = json.dumps({"teacher": teacher, "labels": table, "templates": TEMPLATES})
    return shard
