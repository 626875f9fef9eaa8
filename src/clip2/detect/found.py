"""What a detector gives; without torch, which boxes on disk do not need and which takes seconds to import."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Found:
    """Every box that a detector proposed in one image, not yet filtered."""

    boxes: NDArray[np.float32]  # (B, 4) xyxy, pixels, may reach beyond the image
    scores: NDArray[np.float32]  # (B,) in [0, 1]
    labels: NDArray[np.int64]  # (B,) index into the vocabulary's names
