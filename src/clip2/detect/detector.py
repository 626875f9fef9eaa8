"""What a detector is."""

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clip2.detect.found import Found
from clip2.detect.vocabulary import Vocabulary

Precision = Literal["auto", "float32", "float16", "bfloat16"]


class Detector(Protocol):
    """One family of zero-shot detectors."""

    def encode_vocabulary(self, vocabulary: Vocabulary, prompt: str | None) -> None:
        """Prepare the texts, once a run; ``prompt`` is a template with one {} or None for the family's own."""

    def __call__(self, images: Sequence[Tensor]) -> Callable[[], list[Found]]:
        """Start on a batch of images (3, H, W) uint8 RGB on the CPU; the function returned waits for the boxes.

        On a GPU the caller can so write down one batch while the next is under way.
        """


def resolve_precision(precision: Precision, device: torch.device) -> torch.dtype:
    """ "auto" is float16 on a GPU (three more bits than bfloat16, and boxes need them), float32 on a CPU."""
    if precision == "auto":
        return torch.float16 if device.type == "cuda" else torch.float32
    dtype: torch.dtype = getattr(torch, precision)
    return dtype


def corners(boxes: Tensor) -> Tensor:
    """(..., 4) centre x, centre y, width, height → (..., 4) xyxy."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat([centre - half, centre + half], -1)


def found_in_pixels(
    extents: NDArray[np.float32], boxes: NDArray[np.float32], scores: NDArray[np.float32], labels: NDArray[np.int64]
) -> list[Found]:
    """What was found in each image of a batch.

    The last product is the CPU's, because an upload of the sizes would make it wait for the GPU.

    Args:
        extents: (B, 4) pixels that a coordinate of 1 stands for.
        boxes: (B, N, 4) xyxy in those units.
    """
    return [Found(*found) for found in zip(boxes * extents[:, None], scores, labels)]
