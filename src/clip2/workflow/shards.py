"""Into how many files, and jobs a stage, the frames of a source are dealt out where its settings do not say."""

import math

FRAMES_A_SHARD = 10_000
"""A minute's work for a fast GPU, and as much as a killed job loses."""
FEWEST_FRAMES = 50
"""Fewer are not worth a job of their own: it takes seconds to start."""
AT_FIRST = {"train": 8, "val": 4}
"""So many jobs a stage, for machines without a GPU, before a shard gets FRAMES_A_SHARD."""
MOST = 64
"""A stage of more jobs would keep the scheduler busier than the machine."""


def number_of_shards(role: str, n_scenes: int, n_frames: int) -> int:
    """How many shards a role has: one for a few pictures, never more than scenes."""
    few = min(math.ceil(n_frames / FEWEST_FRAMES), AT_FIRST[role])
    return max(1, min(max(few, round(n_frames / FRAMES_A_SHARD)), n_scenes, MOST))
