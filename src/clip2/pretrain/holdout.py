"""Scenes that are kept aside from training, so that something is left to measure on without any human label."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from clip2.store.tables import read_table


def scenes_held_out(triplets: Iterable[Path], share: float) -> frozenset[str]:
    """Scenes of some shards whose triplets are not trained on: this share of them, rounded down, by a stable hash.

    Of the same shards, a smaller share's scenes are among those of a larger one: what two trainings keep aside in
    common is what the smaller share names.
    """
    scenes = {scene for path in triplets for scene in read_table(path, ["scene"]).column("scene").unique().to_pylist()}
    in_order = sorted(scenes, key=lambda scene: hashlib.sha256(scene.encode()).digest())
    return frozenset(in_order[: int(share * len(scenes))])
