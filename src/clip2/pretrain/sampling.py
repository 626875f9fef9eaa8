"""From crops end to end (CSR) to batches of fixed size: which of a crop's points go into its row."""

import torch
from torch import Tensor


def sample_rows(
    starts: Tensor, lengths: Tensor, n: int, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Indices of ``n`` points for each of B crops that lie at ``starts`` (B,) with ``lengths`` (B,) ≥ 1.

    A crop with more than ``n`` points is cut into n equal stretches and gives one point of each. Points come by place
    (store.crops.points_by_place) or in scan order, so these are spread over the object. It is the point at the same
    place in each stretch: a random one with a ``generator``, else the middle. A crop with fewer points gives all of
    them first, in order, and then repeats.

    Returns: (B, n) int64 indices, and (B,) the number of distinct points at the beginning of each row.
    """
    j = torch.arange(n, device=starts.device)[None]
    if generator is None:
        within = torch.full((1, 1), 0.5, dtype=torch.float64, device=starts.device)
    else:
        within = torch.rand(len(starts), 1, generator=generator, device=starts.device, dtype=torch.float64)
    spread = ((j + within) * (lengths[:, None] / n).to(torch.float64)).long().minimum(lengths[:, None] - 1)
    index = torch.where(lengths[:, None] > n, spread, j % lengths[:, None])
    return starts[:, None] + index, lengths.clamp(max=n)
