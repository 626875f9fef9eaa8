"""Made crops for the tests of the encoder's kernels and of their twins."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from clip2.pretrain.neighbours import gather_points


def crops(seed: int, n: int, kind: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Five crops of n points and counts from 1 to n; "grid" has many equal distances, "twice" many equal points."""
    generator = torch.Generator().manual_seed(seed)
    xyz = torch.randn(5, n, 3, generator=generator) * 0.4
    if kind == "grid":
        xyz = torch.randint(-2, 3, (5, n, 3), generator=generator) / 4
    if kind == "twice":
        xyz = xyz[:, torch.arange(n) // 2]
    count = torch.randint(1, n + 1, (5,), generator=generator)
    count[0], count[1] = n, 1
    count = torch.stack([count, count], 1)[:, 0]  # not contiguous: a kernel must not take it to be
    return gather_points(xyz, torch.arange(n)[None] % count[:, None]), count


shapes = given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 70),
    m=st.integers(1, 20),
    kind=st.sampled_from(["any", "grid", "twice"]),
)
