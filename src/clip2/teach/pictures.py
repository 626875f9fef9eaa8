"""What the teacher sees of the pictures of objects and proposals."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clip2.teach.teacher import Teacher


def picture_features(teacher: Teacher, rows: Sequence[dict[str, Any]], threads: int) -> NDArray[np.float32]:
    """(n, D) unit vectors of the rows' ``image`` (JPEG bytes); NaN where there is none."""
    features = np.full((len(rows), teacher.dim), np.nan, np.float32)
    seen = [i for i, row in enumerate(rows) if row["image"] is not None]
    features[seen] = teacher.encode_images((rows[i]["image"] for i in seen), threads).numpy()
    return features
