"""The methods that answer "which class is this?": each takes a batch of objects and scores every class."""

import io
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from clip2.evaluate import pointclip
from clip2.evaluate.queries import Batch
from clip2.teach.teacher import Teacher

Scorer = Callable[[Batch], NDArray[np.float32]]
"""n objects → (n, C) scores, higher is better; a row of NaN where the method cannot answer."""


PointEncoder = Callable[[list[NDArray[np.float32]]], NDArray[np.float32]]
"""n crops → (n, D) unit vectors: ``Clip2Model.encode_points``."""


def clip2_scorer(
    encode_points: PointEncoder, teacher: Teacher, names: Sequence[str], templates: Sequence[str]
) -> Scorer:
    """Cosine of the point encoder's vectors with the teacher's text vectors."""
    text = teacher.encode_labels(names, templates).cpu().numpy()

    def score(batch: Batch) -> NDArray[np.float32]:
        return np.asarray(encode_points(batch.crops) @ text.T, np.float32)

    return score


def pointclip_scorer(teacher: Teacher, names: Sequence[str]) -> Scorer:
    """PointCLIP zero-shot, see :mod:`clip2.evaluate.pointclip`."""
    text = pointclip.encode_text(teacher, names)

    def score(batch: Batch) -> NDArray[np.float32]:
        return np.asarray(pointclip.scores(teacher, text, batch.crops).cpu().numpy(), np.float32)

    return score


def teacher_2d_scorer(teacher: Teacher, names: Sequence[str], templates: Sequence[str], threads: int) -> Scorer:
    """The teacher itself on the object's picture: how well the pictures alone can be named."""
    text = teacher.encode_labels(names, templates)

    def score(batch: Batch) -> NDArray[np.float32]:
        scores = np.full((len(batch.rows), len(text)), np.nan, np.float32)
        seen = [i for i, row in enumerate(batch.rows) if row["image"] is not None]
        pictures = (Image.open(io.BytesIO(batch.rows[i]["image"])).convert("RGB") for i in seen)
        scores[seen] = (teacher.encode_images(pictures, threads) @ text.T).cpu().numpy()
        return scores

    return score
