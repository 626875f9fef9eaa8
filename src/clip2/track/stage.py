"""Stage `track`: triplets of one shard → tracks, a scene at a time. Poses take out the sensor's own motion.

Views that share a place are joined (clip2.track.evidence, .contract), what moves is followed (.motion), and each track
gets a name (.names) and points (.things) from all its views. No human label is read.
"""

import logging
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from clip2.geometry import rigid
from clip2.runtime.console import progress
from clip2.store.provenance import provenance
from clip2.store.ragged import ragged_writer
from clip2.store.schemas import TRACK_MEMBERS, TRACKS
from clip2.store.tables import table_writer
from clip2.track.contract import contract
from clip2.track.evidence import evidence
from clip2.track.motion import follow
from clip2.track.names import left_open, names_of_tracks, names_of_views, teachers_names
from clip2.track.settings import TrackSettings
from clip2.track.shard import Scene, Shard
from clip2.track.sightings import sightings
from clip2.track.things import Thing, thing_of
from clip2.track.views import Floats, Ints, Views

log = logging.getLogger(__name__)

Row = dict[str, Any]
LEAST_PROBABILITY = 0.01
"""Of a name that a track keeps."""


def run(frames: Path, triplets: Path, embeddings: Path, out: Path, settings: TrackSettings) -> None:
    """Track the triplets of one shard.

    Args:
        frames, triplets, embeddings: the shard's files; the triplets' points are in the .h5 beside them.
        out: tracks (.parquet); their points go to .h5 and their members to .members.parquet beside it.

    Raises:
        InputError: the files are not of the same shard.
    """
    shard = Shard(frames, triplets, embeddings, settings.seconds_per_sample)
    if settings.teacher:
        teacher = teachers_names(shard.cosine, shard.label)
    else:
        teacher = left_open(shard.score, shard.cosine.shape[1])
    names = names_of_views(teacher, shard.label, shard.score)
    usual, track_of, rows = shard.usual_cosine(), np.full(len(shard.ids), -1), list[Row]()
    members_path = out.with_suffix(".members.parquet")
    with (
        ragged_writer(out.with_suffix(".h5")) as points,
        table_writer(members_path, TRACK_MEMBERS) as members,
        table_writer(out, TRACKS) as table,
    ):
        n_scenes = len(shard.scenes)
        for scene, views in progress(shard.views(names), "scenes", n_scenes):
            for track in tracks_of(views, usual, settings):
                thing = thing_of(views, track, settings.max_points)
                track_of[views.rows[track]] = len(rows)
                rows.append(_row(scene, views, track, thing))
                points.append(thing.points)
                for view in track:
                    members.append({"track_id": views.ids[track[0]], "triplet_id": views.ids[view]})
        by_all = names_of_tracks(teacher, shard.label, shard.score, shard.weight, track_of, len(rows), settings.teacher)
        best = _best_views(shard, teacher, track_of, by_all.argmax(1)) if rows else []
        for row, probabilities, view in zip(rows, by_all, best, strict=True):
            table.append(row | _named(shard.labels, probabilities, settings.max_names) | {"best_triplet_id": view})
        counts = Counter(triplets=len(shard.ids), tracks=len(rows), moving=sum(row["moving"] for row in rows))
        counts["scenes"] = n_scenes
        header = {
            "kind": "tracks",
            **{key: shard.header[key] for key in ("source", "source_kind", "split", "sensor", "units", "axes")},
            "counts": dict(sorted(counts.items())),
            "provenance": provenance(
                "track",
                settings.model_dump(mode="json"),
                {
                    "frames": frames,
                    "triplets": triplets,
                    "points": triplets.with_suffix(".h5"),
                    "embeddings": embeddings,
                },
                ("scipy",),
            ),
        }
        table.header = points.header = header
        members.header = header | {"kind": "track members"}
    log.info("%s: %d triplets in %d tracks", out.name, len(shard.ids), len(rows))


def tracks_of(views: Views, usual: float, settings: TrackSettings) -> list[Ints]:
    """The tracks of a scene: numbers of their views, ascending; tracks by their first view.

    Args:
        usual: cosine between the teacher's vectors of any two things.
    """
    edges = evidence(views)
    cluster = contract(len(views), edges.i, edges.j, edges.weight, settings.threshold)
    seen = sightings(views, cluster, usual)
    number = np.empty(len(seen), np.int64)
    for k, sightings_of_track in enumerate(follow(seen, settings)):
        number[sightings_of_track] = k
    track = number[seen.sighting_of]
    order = np.argsort(track, kind="stable")
    found = np.split(order, np.flatnonzero(np.diff(track[order])) + 1)
    return sorted(found, key=lambda members: int(members[0]))


def _row(scene: Scene, views: Views, track: Ints, thing: Thing) -> Row:
    """A row of store.schemas.TRACKS, but for its names."""
    path = [
        {
            "sample": scene.samples[sample],
            "timestamp_us": scene.timestamps_us[sample],
            "T_scene_from_thing": (rigid(np.eye(3), scene.origin) @ place).ravel().tolist(),
            "n_triplets": int(n_triplets),
            "n_points": int(n_points),
        }
        for sample, place, n_triplets, n_points in zip(
            thing.samples.tolist(), thing.T_scene_from_thing, thing.n_triplets, thing.n_points, strict=True
        )
    ]
    return {
        "track_id": views.ids[track[0]],
        "scene": scene.name,
        "n_triplets": len(track),
        "n_samples": len(path),
        "moving": thing.moving,
        "velocity": thing.velocity.tolist(),
        "path": path,
        "n_points": len(thing.points),
        "extent": np.ptp(thing.points[:, :3], axis=0).tolist(),
    }


def _named(labels: list[str], probabilities: Floats, most: int) -> Row:
    order = np.argsort(-probabilities, kind="stable")[:most]
    kept = [k for k in order if probabilities[k] >= LEAST_PROBABILITY] or [order[0]]
    names = [{"name": labels[k], "probability": float(probabilities[k])} for k in kept]
    return {"label": names[0]["name"], "score": names[0]["probability"], "names": names}


def _best_views(shard: Shard, teacher: Floats, track_of: Ints, label: Ints) -> list[str]:
    """Of each track, the triplet that says most for its label; of equals, the first by name."""
    own = label[track_of]
    says = shard.weight * (teacher[np.arange(len(own)), own] + np.where(shard.label == own, shard.score, 0))
    best: dict[int, tuple[float, str]] = {}
    for track, value, name in zip(track_of.tolist(), says.tolist(), shard.ids, strict=True):
        if track not in best or (-value, name) < best[track]:
            best[track] = (-value, name)
    return [best[number][1] for number in range(len(label))]
