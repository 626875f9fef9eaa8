"""Scenes are dealt out to a fixed number of shards by a stable hash, so that the whole DAG is known beforehand."""

import hashlib
from collections.abc import Mapping

ROLES = ("train", "val")
"""Mining and evaluation; every shard belongs to one of them."""


def shard_names(role: str, n_shards: int) -> list[str]:
    """Names of a role's shards; the number is part of the name, so that another number never mixes with old files."""
    return [f"{role}-{index:03d}of{n_shards:03d}" for index in range(n_shards)]


def shard_of(scene: str, role: str, n_shards: Mapping[str, int]) -> str:
    """The shard that a scene belongs to: independent of all other scenes and of Python's own hash."""
    index = int.from_bytes(hashlib.sha256(scene.encode()).digest()[:8], "big") % n_shards[role]
    return shard_names(role, n_shards[role])[index]
