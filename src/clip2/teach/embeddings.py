"""What the embed stage wrote of a shard."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clip2.runtime.errors import InputError
from clip2.store.hdf5 import open_hdf5

Array = NDArray[Any]


@dataclass(frozen=True)
class Embeddings:
    """One shard's embeddings: image (n, D), text (v, D), label_index (n,) and the header."""

    image: Array
    text: Array
    label_index: Array
    labels: list[str]
    header: dict[str, Any]

    def teachers_choice(self) -> Array:
        """(n,) index of the label that the teacher, shown the image crop, would have given."""
        if not len(self.image):
            return np.zeros(0, np.int64)
        return np.asarray((self.image.astype(np.float32) @ self.text.astype(np.float32).T).argmax(1))


def read_embeddings(path: Path) -> Embeddings:
    """Read and check one embeddings file."""
    try:
        with open_hdf5(path, "embeddings file", "delete it and run again") as file:
            header, index = file.header(), file["label_index"][:]
            try:
                found = Embeddings(file["image"][:], file["text"][:], index.astype(np.int64), header["labels"], header)
                header["teacher"]["model"], header["templates"]
                _check(found, index)
            except (KeyError, TypeError, ValueError) as error:
                raise file.error(str(error)) from None
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; make it with `snakemake {path}`") from None
    if len(found.labels) != len(found.text) or len(found.label_index) != len(found.image):
        raise InputError(f"{path}: its arrays do not belong together; delete it and run again")
    if not (np.isfinite(found.image).all() and np.isfinite(found.text).all()):
        raise InputError(f"{path}: has embeddings that are not finite numbers; delete it and run again")
    return found


def _check(found: Embeddings, index: Array) -> None:
    if not isinstance(found.labels, list) or not all(isinstance(label, str) for label in found.labels):
        raise ValueError("its labels are no words")
    vectors = (found.image, found.text)
    if not all(v.ndim == 2 and v.dtype.kind == "f" and v.shape[1] == found.text.shape[-1] for v in vectors):
        raise ValueError(f"its vectors are {found.image.shape} and {found.text.shape}")
    if (
        index.ndim != 1
        or index.dtype.kind not in "iu"
        or (len(index) and not 0 <= index.min() <= index.max() < len(found.labels))
    ):
        raise ValueError("its label_index does not lead to its labels")
