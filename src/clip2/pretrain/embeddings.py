"""What the embed stage wrote of a shard."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from clip2.errors import InputError

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
        with h5py.File(path, "r") as file:
            header = json.loads(file.attrs["clip2"])
            found = Embeddings(
                file["image"][:], file["text"][:], file["label_index"][:].astype(np.int64), header["labels"], header
            )
            header["teacher"]["model"], header["templates"]
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; make it with `snakemake {path}`") from None
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f"{path}: not a readable embeddings file ({error}); delete it and run again") from None
    if len(found.labels) != len(found.text) or len(found.label_index) != len(found.image):
        raise InputError(f"{path}: its arrays do not belong together; delete it and run again")
    if not (np.isfinite(found.image).all() and np.isfinite(found.text).all()):
        raise InputError(f"{path}: has embeddings that are not finite numbers; delete it and run again")
    return found
