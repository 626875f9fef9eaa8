"""Labels and tracks as the later stages write them, made from human boxes: for tests of what reads them."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from clip2.geometry import oriented_box_corners, project_box, transform_points
from clip2.store.schemas import LABELS
from clip2.store.tables import iterate_rows, read_header, write_table

MEMBERS = pa.schema([("track_id", pa.string()), ("triplet_id", pa.string())])
TRACKS = pa.schema([("track_id", pa.string())])
LEAST_OVERLAP = 0.5


def make_labels(
    annotations: Sequence[Path], frames: Sequence[Path], triplets: Sequence[Path], labels: Path, tracks: Path
) -> None:
    """Write labels, and in ``tracks`` a file of members a shard: a triplet belongs to the box that it overlaps most.

    A thing has the name that most of its views give it, and their shares as probabilities.
    """
    rows: list[dict[str, Any]] = []
    for path, frame_path, triplet_path in zip(annotations, frames, triplets, strict=True):
        members, own = _of_shard(path, frame_path, triplet_path)
        ids = [{"track_id": track} for track in dict.fromkeys(member["track_id"] for member in members)]
        counts = {"triplets": read_header(triplet_path)["counts"]["triplets"], "tracks": len(ids)}
        write_table(tracks / f"{triplet_path.stem}.members.parquet", members, MEMBERS, {"kind": "track members"})
        write_table(tracks / triplet_path.name, ids, TRACKS, {"kind": "tracks", "counts": counts})
        rows += own
    header = read_header(frames[0])
    kept = {key: header[key] for key in ("source", "source_kind", "sensor", "units", "axes")}
    write_table(labels, rows, LABELS, {"kind": "labels", **kept, "counts": {"labels": len(rows)}})


def _of_shard(annotations: Path, frames: Path, triplets: Path) -> tuple[list[dict[str, str]], list[dict[str, Any]]]:
    by_sample: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in iterate_rows(annotations):
        by_sample[row["sample"]].append(row)
    frame_of = {row["frame_id"]: row for row in iterate_rows(frames)}
    views: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    all_triplets: list[str] = []
    for frame_id, triplets_there in groupby(iterate_rows(triplets), key=lambda row: str(row["frame_id"])):
        frame = frame_of[frame_id]
        seen = [(as_seen(box, frame), box["instance"]) for box in by_sample[frame["sample"]]]
        for triplet in triplets_there:
            all_triplets.append(triplet["triplet_id"])
            found = [(_overlap(own, np.asarray(triplet["box"])), track) for own, track in seen if own is not None]
            overlap, instance = max(found, default=(0.0, ""))
            if overlap > LEAST_OVERLAP:
                views[instance].append(triplet)
    track_of = {view["triplet_id"]: track for track, own in views.items() for view in own}
    # One that is of no human box is a track of its own, without a label.
    members = [{"track_id": track_of.get(triplet, triplet), "triplet_id": triplet} for triplet in all_triplets]
    time_of = {frame["sample"]: frame["timestamp_us"] for frame in frame_of.values()}
    pose_of = {frame["sample"]: frame["T_scene_from_points"] for frame in frame_of.values()}
    speeds = _velocities(by_sample, pose_of, time_of)
    rows = []
    for sample, boxes in by_sample.items():
        for box in boxes:
            if own := views.get(box["instance"]):
                rows.append(_label(box, own, time_of[sample], speeds.get(box["instance"])))
    return members, rows


def as_seen(box: Mapping[str, Any], frame: Mapping[str, Any]) -> NDArray[np.float64] | None:
    """The 2D box (4,) of a human box in a picture, None where it is not in it."""
    corners = oriented_box_corners(np.reshape(box["T_points_from_box"], (4, 4)), box["size_lwh"])
    T, K = np.reshape(frame["T_cam_from_points"], (4, 4)), np.reshape(frame["K"], (3, 3))
    seen = project_box(corners, T, K, (frame["width"], frame["height"]))
    return None if seen is None else seen[0]


def _overlap(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Intersection over union of two 2D boxes (4,)."""
    shared = np.prod(np.maximum(np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2]), 0))
    return float(shared / (np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2]) - shared))


def _velocities(
    by_sample: Mapping[str, Sequence[Mapping[str, Any]]], pose_of: Mapping[str, Any], time_of: Mapping[str, int]
) -> dict[str, list[float]]:
    """Mean velocity of each instance in the scene's frame, where there are poses."""
    places: dict[str, list[tuple[int, Any]]] = defaultdict(list)
    for sample, boxes in by_sample.items():
        for box in boxes if pose_of[sample] is not None else ():
            centre = np.reshape(box["T_points_from_box"], (4, 4))[:3, 3]
            place = transform_points(centre[None], np.reshape(pose_of[sample], (4, 4)))[0]
            places[box["instance"]].append((time_of[sample], place))
    result = {}
    for instance, own in places.items():
        (start, first), *_, (end, last) = sorted(own, key=lambda item: item[0])[:1] * 2 + sorted(
            own, key=lambda i: i[0]
        )
        if end > start:
            result[instance] = ((last - first) / ((end - start) / 1e6)).tolist()
    return result


def _label(
    box: Mapping[str, Any], views: Sequence[Mapping[str, Any]], time_us: int, velocity: list[float] | None
) -> dict[str, Any]:
    votes = Counter[str]()
    for view in views:
        votes[view["label"]] += view["score"]
    names = [
        {"name": name, "probability": votes[name] / votes.total()} for name in sorted(votes, key=lambda n: -votes[n])
    ]
    here = [view for view in views if view["sample"] == box["sample"]]
    best = max(here, key=lambda view: view["score"], default=None)
    T = np.reshape(box["T_points_from_box"], (4, 4))
    return {
        "scene": box["scene"],
        "sample": box["sample"],
        "timestamp_us": time_us,
        "track_id": box["instance"],
        "label": names[0]["name"],
        "score": names[0]["probability"],
        "names": names,
        "T_points_from_box": box["T_points_from_box"],
        "size_lwh": box["size_lwh"],
        "size_from": "measured",
        "velocity": velocity or [np.nan] * 3,
        "n_points": box["num_lidar_pts"],
        "range_m": float(np.linalg.norm(T[:2, 3])),
        "triplet_id": best and best["triplet_id"],
        "frame_id": best and best["frame_id"],
        "box": best["box"] if best else [np.nan] * 4,
    }
