"""The two contrastive losses: text-point and image-point InfoNCE, each with its own learnable temperature.

The exact form of CLIP²'s losses is not known to us; this one is ours.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Losses(NamedTuple):
    """Scalars: the weighted sum, and the two terms before weighting."""

    total: Tensor
    text: Tensor
    image: Tensor


def info_nce(queries: Tensor, keys: Tensor, scale: Tensor, excluded: Tensor, weights: Tensor) -> Tensor:
    """Symmetric InfoNCE in which some pairs are not negatives and some rows count less.

    With s = ``scale`` and unit vectors q, k, the loss of row i in one direction is

        l_i = -log( exp(s q_i·k_i) / ( exp(s q_i·k_i) + Σ_{j≠i, not excluded_ij} exp(s q_i·k_j) ) )

    and the result is Σ w_i l_i / Σ w_i, averaged with the same for keys against queries.

    Args:
        queries, keys: (B, D) unit vectors; row i of one belongs to row i of the other.
        scale: scalar, 1 / temperature.
        excluded: (B, B) bool, symmetric; its diagonal is ignored.
        weights: (B,) from 0 on; all zero gives a loss of 0. Rows of weight 0 are nobody's negatives either.
    """
    own = torch.eye(len(queries), dtype=torch.bool, device=queries.device)
    logits = (scale * queries @ keys.T).masked_fill(
        (excluded | (weights == 0)[None] | (weights == 0)[:, None]) & ~own, -torch.inf
    )
    target = torch.arange(len(queries), device=queries.device)
    rows = F.cross_entropy(logits, target, reduction="none") + F.cross_entropy(logits.T, target, reduction="none")
    return (weights * rows).sum() / (2 * weights.sum()).clamp(min=1e-6)


class ContrastiveLoss(nn.Module):
    """α · text-point + β · image-point; holds the two temperatures as learnable logarithms of their inverses."""

    def __init__(self, text_weight: float, image_weight: float, temperature: float, max_scale: float) -> None:
        super().__init__()
        self.weights, self._max = (text_weight, image_weight), math.log(max_scale)
        start = math.log(1 / temperature)
        self.log_scale_text = nn.Parameter(torch.tensor(start))
        self.log_scale_image = nn.Parameter(torch.tensor(start))

    def scales(self) -> tuple[Tensor, Tensor]:
        """1 / temperature of the text and of the image term, clamped."""
        return self.log_scale_text.clamp(0, self._max).exp(), self.log_scale_image.clamp(0, self._max).exp()

    def forward(
        self,
        points: Tensor,
        images: Tensor,
        texts: Tensor,
        labels: Tensor,
        text_weights: Tensor,
        things: Tensor,
    ) -> Losses:
        """Losses of a batch: the whole one, of all processes.

        Args:
            points, images, texts: (B, D) unit vectors.
            labels: (B,) which text; items with the same text are not each other's negatives in the text term.
            text_weights: (B,) 0 for an item whose text is not to be trusted: it stays out of the text term.
            things: (B,) which thing a triplet shows; views of one thing are not each other's negatives in the image
                term.
        """
        scale_text, scale_image = self.scales()
        text = info_nce(points, texts, scale_text, labels[:, None] == labels[None], text_weights)
        image = info_nce(points, images, scale_image, things[:, None] == things[None], torch.ones_like(text_weights))
        return Losses(self.weights[0] * text + self.weights[1] * image, text, image)
