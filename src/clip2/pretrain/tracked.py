"""What tracks add to the triplets of a shard: names by all views, and which views are of one thing."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clip2.runtime.errors import InputError
from clip2.store.tables import read_table

Array = NDArray[Any]


@dataclass(frozen=True)
class Tracked:
    """Of each triplet of a shard: (n,) the number of its track, and of its track's name."""

    track: Array
    label: Array


def read_tracked(tracks: Path, triplets: Path, labels: list[str]) -> Tracked:
    """Read the tracks of a shard, and their members beside them.

    Args:
        triplets: of the same shard.
        labels: what its names are numbered by.

    Raises:
        InputError: the tracks are not of these triplets.
    """
    path = tracks.with_suffix(".members.parquet")
    members = read_table(path, ["track_id", "triplet_id"])
    track_of = dict(zip(members["triplet_id"].to_pylist(), members["track_id"].to_pylist(), strict=True))
    table = read_table(tracks, ["track_id", "label"])
    ids = read_table(triplets, ["triplet_id"])["triplet_id"].to_pylist()
    number = {track: row for row, track in enumerate(table["track_id"].to_pylist())}
    name = {label: row for row, label in enumerate(labels)}
    try:
        of_track = np.array([name[label] for label in table["label"].to_pylist()], np.int64)
        track = np.array([number[track_of[triplet]] for triplet in ids], np.int64)
    except KeyError as error:
        raise InputError(f"{path}: {error.args[0]!r} is not in the files that it belongs to; delete the tracks and run "
                         "again") from None  # fmt: skip
    return Tracked(track, of_track[track])
