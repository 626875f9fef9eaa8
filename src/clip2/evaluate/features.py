"""Vectors of objects and proposals: of their points by a pretrained model, of their pictures by its teacher."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clip2.pretrain.model import Clip2Model, load
from clip2.teach.teacher import Teacher, load_teacher

Floats = NDArray[np.float32]


def load_networks(model_dir: Path, device: str) -> tuple[Clip2Model, Teacher]:
    """A pretrained model and the teacher that its config.json names."""
    model = load(model_dir, device)
    spec = model.config["teacher"]
    return model, load_teacher(spec["model"], spec.get("pretrained"), device)


def picture_features(teacher: Teacher, rows: Sequence[dict[str, Any]], threads: int) -> Floats:
    """(n, D) unit vectors of the rows' ``image`` (JPEG bytes); NaN where there is none."""
    features = np.full((len(rows), teacher.dim), np.nan, np.float32)
    seen = [i for i, row in enumerate(rows) if row["image"] is not None]
    features[seen] = teacher.encode_images((rows[i]["image"] for i in seen), threads).numpy()
    return features


def model_inputs(model_dir: Path) -> dict[str, Path]:
    """A model folder's files, as inputs for a provenance."""
    return {f"model/{name}": model_dir / name for name in ("config.json", "model.safetensors")}
