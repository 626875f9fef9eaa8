"""What things look like, in so few numbers that a page from disk can compare them all: an example as a query.

Each thing is the mean of the teacher's vectors of its views, turned onto the directions in which things differ most
(principal components of the things themselves) and rounded to bytes. The page compares by cosine.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
DIMENSIONS = 48
"""Of the built-in world's vectors they hold nearly all variance; of CLIP's most."""


class Likeness:
    """Collects the vectors of views, a shard at a time."""

    def __init__(self) -> None:
        self._sum: dict[str, NDArray[np.float16]] = {}

    def add(self, image: NDArray[np.floating], tracks: Sequence[str | None]) -> None:
        """Take over the teacher's unit vectors (n, D) of triplets, each with its track; None: not shown."""
        known = np.flatnonzero([track is not None for track in tracks])
        names, number = np.unique([str(tracks[k]) for k in known], return_inverse=True)
        sums = np.zeros((len(names), image.shape[1]), np.float32)
        np.add.at(sums, number, image[known].astype(np.float32))
        self._sum.update(zip(names.tolist(), _unit(sums).astype(np.float16), strict=True))

    def pack(self, things: Sequence[str]) -> tuple[int, bytes]:
        """How many numbers a thing has, and these as signed bytes, thing after thing; zeros where nothing is known.

        (0, b"") where nothing is known of any.
        """
        known = [number for number, thing in enumerate(things) if thing in self._sum]
        if not known:
            return 0, b""
        table = np.stack([self._sum[things[number]] for number in known]).astype(np.float32)
        table -= table.mean(0)
        _, directions = np.linalg.eigh(table.T @ table)
        turned = _unit(table @ directions[:, ::-1][:, :DIMENSIONS])
        packed = np.zeros((len(things), turned.shape[1]), np.int8)
        packed[known] = np.round(127 * turned)
        return turned.shape[1], packed.tobytes()


def _unit(vectors: Vectors) -> Vectors:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)
