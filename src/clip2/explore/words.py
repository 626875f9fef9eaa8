"""What the teacher says: of names, which are near to one another; of views, what it would have called them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clip2.runtime.errors import InputError
from clip2.teach.embeddings import Embeddings
from clip2.teach.teacher import same_teacher

Vectors = NDArray[np.float32]
NEAR = 5
"""Names that a name is near to, at most."""
LEAST_LIKENESS = 0.4


class Words:
    """Collects, a shard at a time, what the teacher says."""

    def __init__(self) -> None:
        self._text: dict[str, Vectors] = {}
        self._teacher: dict[str, Any] | None = None

    def add(self, path: Path, shard: Embeddings, n_triplets: int) -> list[str]:
        """Take over the embeddings of a shard, read from ``path``; gives the name that the teacher would have given
        each triplet.

        Raises:
            InputError: embeddings of another shard, or of another teacher than those before.
        """
        if len(shard.image) != n_triplets:
            raise InputError(f"{path}: {len(shard.image)} embeddings of {n_triplets} triplets; give the same shards")
        if self._teacher is not None and not same_teacher(self._teacher, shard.header["teacher"]):
            raise InputError(f"{path}: embedded by another teacher than the shards before; give the embeddings of one")
        self._teacher = shard.header["teacher"]
        self._text.update(zip(shard.labels, np.asarray(shard.text, np.float32), strict=True))
        return [shard.labels[k] for k in shard.teachers_choice()]

    def near(self, numbers: Mapping[str, int]) -> dict[int, list[tuple[int, float]]]:
        """Number of a name → numbers of the names that mean nearly the same, with their likeness up to 1, best first.

        Likeness is the cosine of the teacher's text vectors, scaled so that what any two names have in common is 0.
        """
        names = [name for name in self._text if name in numbers]
        if len(names) < 2:
            return {}
        table = _unit(np.stack([self._text[name] for name in names]))
        cosine = table @ table.T
        usual = np.median(cosine, axis=1, keepdims=True)
        likeness = (cosine - usual) / np.maximum(1 - usual, 1e-6)
        np.fill_diagonal(likeness, -1)
        return {
            numbers[name]: [
                (numbers[names[k]], round(float(row[k]), 3))
                for k in np.argsort(-row)[:NEAR]
                if row[k] >= LEAST_LIKENESS
            ]
            for name, row in zip(names, likeness, strict=True)
        }


def _unit(vectors: NDArray[Any]) -> Vectors:
    vectors = np.asarray(vectors, np.float32)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
