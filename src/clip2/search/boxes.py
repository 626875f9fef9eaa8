"""The 3D box of a thing where one view saw it: of the labels, or fitted to its own points."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from clip2.geometry import invert, upright_boxes
from clip2.label.box_fit import fit_box
from clip2.search.mined import MinedShard
from clip2.store.ragged import RaggedReader
from clip2.store.tables import read_rows, read_table

Floats = NDArray[np.float64]


def boxes_of_labels(labels: Path, track_ids: Sequence[str]) -> dict[tuple[str, str], Floats]:
    """Boxes (7,) x y z l w h yaw of some things, by track and sample, in the frame of the sample's points."""
    rows = np.flatnonzero(pc.is_in(read_table(labels, ["track_id"])["track_id"], pa.array(track_ids, pa.string())))
    found = {}
    for row in read_rows(labels, rows.tolist(), ["track_id", "sample", "T_points_from_box", "size_lwh"]):
        T = np.reshape(row["T_points_from_box"], (4, 4))
        found[row["track_id"], row["sample"]] = upright_boxes(T, row["size_lwh"])
    return found


def numbers_of(path: Path, column: str, values: Sequence[str]) -> list[int]:
    """The rows of a table where a column has each of the values; -1 where none has."""
    table = read_table(path, [column])[column].combine_chunks()
    found: list[int] = pc.fill_null(pc.index_in(pa.array(values, pa.string()), table), -1).to_pylist()
    return found


def boxes_from_points(
    shard: MinedShard, views: Sequence[tuple[str, dict[str, Any], NDArray[np.float32]]]
) -> Iterator[Floats]:
    """Boxes (7,) of the points that all views of a track saw, or of the crop of one view where there are no tracks.

    Args:
        views: of each the track's id, the row of its frame with ``sample`` and ``T_scene_from_points``, and its (N, 4)
            points.
    """
    if not shard.has_tracks or not views:
        yield from (fit_box(crop) for _, _, crop in views)
        return
    numbers = numbers_of(shard.files.tracks, "track_id", [track_id for track_id, _, _ in views])
    tracks = read_rows(shard.files.tracks, numbers, ["path"])
    with RaggedReader(shard.files.tracks.with_suffix(".h5")) as points:
        for number, track, (_, frame, _) in zip(numbers, tracks, views, strict=True):
            box = fit_box(points[number])
            place = next(place for place in track["path"] if place["sample"] == frame["sample"])
            T = np.reshape(place["T_scene_from_thing"], (4, 4))
            if frame["T_scene_from_points"] is not None:
                T = invert(np.reshape(frame["T_scene_from_points"], (4, 4))) @ T
            center = T[:3, :3] @ box[:3] + T[:3, 3]
            yield np.array([*center, *box[3:6], box[6] + np.arctan2(T[1, 0], T[0, 0])])
