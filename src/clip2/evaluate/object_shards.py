"""What the shards of objects to recognise have in common."""

from collections import Counter
from typing import Any

from clip2.runtime.errors import InputError
from clip2.store.crops import Shards
from clip2.store.tables import read_header

AGREED = ("source", "source_kind", "dataset", "split", "sensor", "units", "axes", "protocol")
"""Header keys that must be the same in all shards. The sensor is "lidar", "rgbd", or "objects" for object sets."""
AGREED_IF_THERE = ("classes", "queries", "variant")
"""Of object sets and folders: their classes, in the order of the labels."""


def common_header(shards: Shards) -> dict[str, Any]:
    """One header for all shards: the common keys, summed ``n_objects`` and ``skipped``, the most ``clouds_per_sample``.

    Raises:
        InputError: the shards were not made alike, or their up direction is not z.
    """
    if not shards:
        raise InputError("no object shards; give at least one")
    headers = [(path, read_header(path)) for path, _ in shards]
    first_path, first = headers[0]
    skipped: Counter[str] = Counter()
    for path, header in headers:
        if header.get("kind") != "objects":
            raise InputError(f"{path}: holds {header.get('kind')}, not objects; give what `clip2 objects` wrote")
        for key in (*AGREED, *AGREED_IF_THERE):
            if header.get(key) != first.get(key):
                raise InputError(
                    f"{path}: {key} is {header.get(key)!r}, but {first.get(key)!r} in {first_path}; "
                    "evaluate shards of one source, made with one setting"
                )
        skipped.update(header.get("skipped", {}))
    if first["axes"]["up"] != "z":
        raise InputError(f"{first_path}: the points' up direction is {first['axes']['up']!r}; the methods expect z")
    return {
        **{key: first[key] for key in AGREED},
        **{key: first[key] for key in AGREED_IF_THERE if key in first},
        "n_objects": sum(header["counts"]["objects"] for _, header in headers),
        "clouds_per_sample": max(header.get("clouds_per_sample", 1) for _, header in headers),
        "skipped": dict(sorted(skipped.items())),
    }
