"""How a finished model looks at a crop: from both sides of a mirror."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MirrorMean(nn.Module):
    """An encoder's mean over a crop and its mirror image, which is the same thing: so a mirror changes no answer.

    Training shows one or the other (augment.py).
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, points: Tensor, count: Tensor) -> Tensor:
        """(B, N, 3) points in metres, z up, and (B,) numbers of distinct ones -> (B, D) unit vectors, float32."""
        x, y, z = points.unbind(2)
        mirrored = torch.stack([x, -y, z], dim=2)
        both = self.encoder(torch.cat([points, mirrored]), torch.cat([count, count]))
        return F.normalize(both.view(2, -1, both.shape[1]).sum(0), dim=1)
