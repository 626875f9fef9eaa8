"""Images → what a network takes: as the model's own image processor does it, on the network's device.

transformers' processors work on tensors on any device, so most families simply use theirs. OWLv2's blurs a float32
square of the full image, half of it padding, and waits for the GPU twice an image; :class:`SquarePixels` gives the same
numbers in a fraction of the time.
"""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from clip2.runtime.prefetch import to_device

Pixels = Callable[[Sequence[Tensor]], Tensor]


def owl_pixels(processor: Any, device: torch.device) -> Pixels:
    """Images (3, H, W) uint8 → (B, 3, S, S) float32 on ``device`` for an OWL-ViT or OWLv2 image processor."""
    if SquarePixels.serves(processor):
        return SquarePixels(processor, device)
    return lambda images: (
        processor([to_device(image, device) for image in images], device=device, return_tensors="pt").pixel_values
    )


@lru_cache(maxsize=64)
def _taps(length: int, side: int, size: int) -> tuple[Tensor, Tensor]:
    """Resize along one axis as a weighted sum of source pixels.

    The axis has ``length`` pixels, then zeros up to ``side``, and becomes ``size`` pixels: a Gaussian of
    sigma (side / size − 1) / 2, cut at 3 sigma, mirrored at the ends (only when shrinking), then linear interpolation
    with pixel centres at .5. What OWLv2's image processor does after skimage's ``resize``.

    Returns:
        (n, T) int64 source pixels and (n, T) float32 weights of the first n target pixels; the rest see only zeros.
    """
    factor = side / size
    sigma = max(0.0, (factor - 1) / 2)
    radius = math.ceil(3 * sigma - 1e-6)
    kernel = np.exp(-((np.arange(-radius, radius + 1) / max(sigma, 1e-9)) ** 2) / 2)
    kernel /= kernel.sum()
    position = np.maximum((np.arange(size) + 0.5) * factor - 0.5, 0)
    left = np.floor(position).astype(np.int64)
    lean = (position - left)[:, None]
    weights = (1 - lean) * np.append(kernel, 0) + lean * np.append(0, kernel)
    source = left[:, None] + np.arange(-radius, radius + 2)
    source = np.abs(source)  # mirrored at the start
    source = np.where(source > side - 1, 2 * (side - 1) - source if radius else side - 1, source)
    inside = source < length
    weights, source = np.where(inside, weights, 0), np.where(inside, source, 0)
    n = int(np.flatnonzero(weights.any(1)).max()) + 1
    return torch.from_numpy(source[:n].copy()), torch.from_numpy(weights[:n].astype(np.float32))


class SquarePixels:
    """OWLv2's preprocessing: pad to a square with black at the right and below, blur, resize, normalise.

    All of it is linear and separable: two sparse matrix products, in which the padding does not take part.
    """

    def __init__(self, processor: Any, device: torch.device) -> None:
        self.size: int = processor.size["height"]
        mean, std = (torch.tensor(v, device=device).view(3, 1, 1) for v in (processor.image_mean, processor.image_std))
        self.device, self._scale, self._shift = device, processor.rescale_factor / std, -mean / std
        self._tables: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}

    @staticmethod
    def serves(processor: Any) -> bool:
        """Whether this processor does just what this class does: others are used as they are."""
        on = ("do_resize", "do_pad", "do_rescale", "do_normalize")
        return (
            type(processor).__name__ == "Owlv2ImageProcessor"
            and all(getattr(processor, name, False) for name in on)
            and processor.size["height"] == processor.size["width"]
            and int(processor.resample) == 2  # bilinear
        )

    def _table(self, length: int, side: int) -> tuple[Tensor, Tensor]:
        if (length, side) not in self._tables:
            source, weights = _taps(length, side, self.size)
            self._tables[length, side] = source.to(self.device), weights.to(self.device)
        return self._tables[length, side]

    def __call__(self, images: Sequence[Tensor]) -> Tensor:
        pixels = self._shift.expand(len(images), 3, self.size, self.size).clone()
        for image, out in zip(images, pixels):
            height, width = image.shape[1:]
            rows, columns = (self._table(length, max(height, width)) for length in (height, width))
            n, m = len(rows[0]), len(columns[0])
            # (H, W·3) → (n, W·3) → (W, n·3) → (m, n·3)
            x = to_device(image, self.device).permute(1, 2, 0).reshape(height, width * 3).float()
            x = F.embedding_bag(rows[0], x, per_sample_weights=rows[1], mode="sum")
            x = x.view(n, width, 3).transpose(0, 1).reshape(width, n * 3)
            x = F.embedding_bag(columns[0], x, per_sample_weights=columns[1], mode="sum")
            torch.addcmul(self._shift, x.view(m, n, 3).permute(2, 1, 0), self._scale, out=out[:, :n, :m])
        return pixels
