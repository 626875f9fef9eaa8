"""PointCLIP's inter-view adapter: what is trained on triplets of its "w/ TP." variant, on top of frozen views.

From a description of its few-shot module: a global feature is made of all views' features by a perceptron, goes back to
each view by another, and is added with a residual ratio. Widths, activations and initialisation are ours.
"""

from torch import Tensor, nn
from torch.nn import functional

RATIO = 0.6
"""Share of the adapted features; the frozen ones have the rest."""


class ViewAdapter(nn.Module):
    """(n, V, D) frozen unit vectors of views → the same, adapted. As made, it changes nothing."""

    def __init__(self, n_views: int, dim: int) -> None:
        super().__init__()
        self.fuse = nn.Linear(n_views * dim, dim)
        self.hidden = nn.Linear(dim, dim)
        self.spread = nn.Linear(dim, n_views * dim)
        nn.init.zeros_(self.spread.weight)
        nn.init.zeros_(self.spread.bias)

    def forward(self, views: Tensor) -> Tensor:
        whole = functional.relu(self.fuse(views.flatten(1)))
        change = self.spread(functional.relu(self.hidden(whole))).view_as(views)
        return functional.normalize(RATIO * change + (1 - RATIO) * views, dim=-1)


def mean_view(views: Tensor) -> Tensor:
    """(n, V, D) → (n, D) unit vectors, whose cosine with a text is a multiple of the views' mean cosine."""
    return functional.normalize(views.mean(1), dim=-1)
