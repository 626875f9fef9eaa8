"""Stage `label`: tracks → named, scored, upright 3D boxes, a row a thing and sample. No human label is read."""

import logging
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from clip2.geometry import invert, rigid, yaw_rotation
from clip2.label.box_iou import iou_3d, suppress
from clip2.label.extent import Extent, extent_of, whole_box
from clip2.label.settings import LabelSettings
from clip2.label.surroundings import Surroundings
from clip2.label.usual import usual_sizes
from clip2.label.words import canonical
from clip2.pretrain.model import Clip2Model, load
from clip2.pretrain.modelfiles import CONFIG, WEIGHTS
from clip2.runtime.console import progress
from clip2.runtime.errors import InputError
from clip2.runtime.workers import each
from clip2.store.provenance import provenance
from clip2.store.ragged import RaggedReader
from clip2.store.schemas import LABELS
from clip2.store.tables import iterate_rows, read_header, read_table, table_writer

log = logging.getLogger(__name__)

Row = dict[str, Any]
Floats = NDArray[np.float64]
MOST_NAMES = 5
UNSAID = 0.002
"""Probability of a name that a track does not list."""


@dataclass(frozen=True)
class Shard:
    """Files of one shard. Members and points of the tracks lie beside them."""

    frames: Path
    triplets: Path
    tracks: Path

    @property
    def members(self) -> Path:
        return self.tracks.with_suffix(".members.parquet")

    @property
    def points(self) -> Path:
        return self.tracks.with_suffix(".h5")


def run(
    shards: Sequence[Shard],
    data_root: Path,
    model_dir: Path,
    out: Path,
    settings: LabelSettings,
    device: str = "auto",
    threads: int = 1,
) -> None:
    """Name the tracks of some shards of one source and box them; write ``out`` (store.schemas.LABELS).

    Args:
        data_root: folder that the frames' paths are relative to; read where ``settings.surroundings`` is set.
        model_dir: folder of a pretrained model; it may have been trained elsewhere.
        threads: shards that are worked on at a time, each in a process of its own.

    Raises:
        InputError: the shards are not of one source, or there is no track in them.
    """
    headers = [read_header(shard.tracks) for shard in shards]
    for shard, header in zip(shards, headers, strict=True):
        for key in ("source", "source_kind", "sensor", "axes"):
            if header[key] != headers[0][key]:
                raise InputError(f"{shard.tracks}: {key} is {header[key]!r}, but {headers[0][key]!r} in "
                                 f"{shards[0].tracks}; label one source at a time")  # fmt: skip
    counts: Counter[str] = Counter()
    said, samples = set[str](), list[set[str]]()
    for shard in shards:
        samples.append(set())
        for row in iterate_rows(shard.tracks, ["names", "path"]):
            counts["tracks"] += 1
            said.update(name["name"] for name in row["names"])
            samples[-1].update(place["sample"] for place in row["path"])
    if not counts["tracks"]:
        raise InputError(f"{shards[0].tracks}: not one track in {len(shards)} shards; look at `clip2 audit` and the "
                         "detections: was anything found?")  # fmt: skip
    vocabulary = _vocabulary(said, settings)
    text = load(model_dir, device).encode_text(vocabulary).astype(np.float64)
    workers = min(max(1, threads), len(shards))
    name = partial(
        _of_shard, data_root=data_root, model_dir=model_dir, device=device, text=text, vocabulary=vocabulary,
        settings=settings, threads=max(1, threads // workers),
    )  # fmt: skip
    work = [(shard, set[str]().union(*samples[:number])) for number, shard in enumerate(shards)]
    things = []
    for things_of_shard, lost in progress(each(name, work, workers), "shards", len(work)):
        things.append(things_of_shard)
        counts.update(lost)
    counts["lost_of_samples_done_before"] = counts["tracks"] - sum(map(len, things))
    usual = usual_sizes(
        [thing.label for of_shard in things for thing in of_shard],
        [thing.extent for of_shard in things for thing in of_shard],
        settings.well_seen_points,
        settings.usual_size,
    )
    with table_writer(out, LABELS) as table:
        for shard, of_shard in zip(shards, things, strict=True):
            kept = [thing for thing in of_shard if _keep(thing, vocabulary, settings, counts)]
            for row in _labels(shard, kept, usual, settings, counts):
                table.append(row)
        inputs = {f"{kind}/{path.name}": path for shard in shards
                  for kind, path in (("frames", shard.frames), ("triplets", shard.triplets), ("tracks", shard.tracks),
                                     ("members", shard.members), ("points", shard.points))}  # fmt: skip
        inputs |= {f"model/{name}": model_dir / name for name in (WEIGHTS, CONFIG)}
        table.header = {
            "kind": "labels",
            **{key: headers[0][key] for key in ("source", "source_kind", "sensor", "units", "axes")},
            "split": "+".join(dict.fromkeys(header["split"] for header in headers)),
            "names": list(settings.names) or vocabulary,
            "usual_sizes_lwh": {name: size.round(3).tolist() for name, size in sorted(usual.items())},
            "counts": {**dict(sorted(counts.items())), "labels": table.n_rows},
            "provenance": provenance("label", settings.model_dump(mode="json"), inputs, ("torch", "scipy")),
        }
    log.info("%s: %s", out, table.header["counts"])


@dataclass(frozen=True)
class _Thing:
    """A track with its name: ``probability`` (V,) over the vocabulary."""

    track: Row
    extent: Extent
    probability: Floats
    vocabulary: Sequence[str]

    @property
    def best(self) -> int:
        return int(self.probability.argmax())

    @property
    def label(self) -> str:
        return self.vocabulary[self.best]


def _vocabulary(said: set[str], settings: LabelSettings) -> list[str]:
    """The names asked for, and after them all others that tracks have, which compete; each word once."""
    words = {canonical(name): name for name in (*sorted(said), *settings.names)}
    first = [words.pop(canonical(name)) for name in settings.names if canonical(name) in words]
    return [*first, *sorted(words.values())]


def _of_shard(
    work: tuple[Shard, set[str]],
    data_root: Path,
    model_dir: Path,
    device: str,
    text: Floats,
    vocabulary: list[str],
    settings: LabelSettings,
    threads: int,
) -> tuple[list[_Thing], Counter[str]]:
    """The things of a shard, but for those of samples that are done in one before it, as what both roles have is
    labelled once; and how many of its clouds could not be read."""
    shard, done = work
    torch.set_num_threads(threads)
    around = Surroundings(shard.frames, data_root, settings)
    rows, model = list(iterate_rows(shard.tracks)), load(model_dir, device)
    with threadpool_limits(threads):
        return list(_things(shard, rows, model, text, vocabulary, around, done, settings)), around.counts


def _things(
    shard: Shard,
    rows: list[Row],
    model: Clip2Model,
    text: Floats,
    vocabulary: list[str],
    around: Surroundings,
    done: set[str],
    settings: LabelSettings,
) -> Iterator[_Thing]:
    """The things of a shard, but for those of samples that are done already."""
    number = {canonical(name): i for i, name in enumerate(vocabulary)}
    T_scene_from_points = _poses(shard.frames)
    with RaggedReader(shard.points) as reader:
        if len(reader) != len(rows):
            raise InputError(f"{shard.points}: {len(reader)} things, but {shard.tracks} has {len(rows)} tracks; "
                             "delete both and run again")  # fmt: skip
        new = [i for i, row in enumerate(rows) if not done.issuperset(place["sample"] for place in row["path"])]
        for _, of_scene in groupby(new, key=lambda i: rows[i]["scene"]):
            numbers = list(of_scene)
            scene, crops = [rows[i] for i in numbers], reader.crops(numbers)
            probabilities = _probabilities(scene, crops, model, text, number, settings)
            whole = around.complete(scene, crops, T_scene_from_points)
            extents = [
                extent_of(
                    points.astype(np.float64), _sensors(row, T_scene_from_points), row["moving"], settings.trim, ground
                )
                for row, points, ground in zip(scene, whole.points, whole.ground, strict=True)
            ]
            rooms = around.room(scene, extents, T_scene_from_points)
            for row, extent, room, odds in zip(scene, extents, rooms, probabilities, strict=True):
                yield _Thing(row, replace(extent, room=room), odds, vocabulary)


def _probabilities(
    rows: list[Row],
    crops: list[NDArray[np.float32]],
    model: Clip2Model,
    text: Floats,
    number: dict[str, int],
    settings: LabelSettings,
) -> Iterator[Floats]:
    """(V,) of each thing: what its track's views say times what its points say."""
    for first in range(0, len(rows), settings.batch_size):
        batch = crops[first : first + settings.batch_size]
        logits = model.config["logit_scale"] * model.encode_points(batch) @ text.T
        for row, by_points in zip(rows[first:], logits.astype(np.float64)):
            said = np.full(len(number), UNSAID)
            for name in row["names"]:
                said[number[canonical(name["name"])]] = name["probability"]
            odds = np.log(said) + settings.points_weight * (by_points - by_points.max())
            odds = np.exp(odds - odds.max())
            yield odds / odds.sum()


def _poses(frames: Path) -> dict[str, Floats]:
    """Sample → ``T_scene_from_points`` (4, 4); where there is none, a sample is a scene."""
    rows = iterate_rows(frames, ["sample", "T_scene_from_points"])
    return {
        row["sample"]: np.eye(4) if (T := row["T_scene_from_points"]) is None else np.reshape(T, (4, 4)) for row in rows
    }


def _sensors(track: Row, T_scene_from_points: dict[str, Floats]) -> Floats:
    """(m, 3) the points' origin, which is at the sensor, in the thing's frame at each sample that saw it."""
    return np.array(
        [
            (invert(np.reshape(place["T_scene_from_thing"], (4, 4))) @ T_scene_from_points[place["sample"]])[:3, 3]
            for place in track["path"]
        ]
    )


def _keep(thing: _Thing, vocabulary: list[str], settings: LabelSettings, counts: Counter[str]) -> bool:
    """Whether a thing is one of the names asked for, and surely enough."""
    if settings.names and thing.best >= len(settings.names):
        counts["lost_none_of_the_names"] += 1
        return False
    if thing.probability[thing.best] < settings.min_score:
        counts["lost_unsure"] += 1
        return False
    return True


def _labels(
    shard: Shard, things: list[_Thing], usual: dict[str, Floats], settings: LabelSettings, counts: Counter[str]
) -> Iterator[Row]:
    """Rows sample by sample; of things that lie in one place, the most probable."""
    T_scene_from_points = _poses(shard.frames)
    views = _best_views(shard)
    of_sample: dict[str, list[tuple[Row, Floats]]] = defaultdict(list)
    for thing in things:
        box, grown = whole_box(thing.extent, thing.label, usual)
        T_thing_from_box = rigid(yaw_rotation(box[6]), box[:3])
        common = {
            "scene": thing.track["scene"],
            "track_id": thing.track["track_id"],
            "label": thing.label,
            "score": float(thing.probability[thing.best]),
            "names": [
                {"name": thing.vocabulary[k], "probability": float(thing.probability[k])}
                for k in np.argsort(-thing.probability, kind="stable")[:MOST_NAMES]
            ],
            "size_lwh": box[3:6].tolist(),
            "size_from": "word" if grown else "measured",
        }
        for place in thing.track["path"]:
            T = invert(T_scene_from_points[place["sample"]]) @ np.reshape(place["T_scene_from_thing"], (4, 4))
            T_points_from_box = T @ T_thing_from_box
            yaw = float(np.arctan2(T_points_from_box[1, 0], T_points_from_box[0, 0]))
            upright = rigid(yaw_rotation(yaw), T_points_from_box[:3, 3])
            velocity = invert(T_scene_from_points[place["sample"]])[:3, :3] @ np.array(thing.track["velocity"])
            seen = views.get((thing.track["track_id"], place["sample"]), {})
            row = common | {
                "sample": place["sample"],
                "timestamp_us": place["timestamp_us"],
                "T_points_from_box": upright.ravel().tolist(),
                "velocity": velocity.tolist() if thing.track["n_samples"] > 1 else None,
                "n_points": place["n_points"],
                "range_m": float(np.hypot(*upright[:2, 3])),
                **{key: seen.get(key) for key in ("triplet_id", "frame_id", "box")},
            }
            of_sample[place["sample"]].append((row, np.array([*upright[:3, 3], *box[3:6], yaw])))
    for sample in T_scene_from_points:
        rows = of_sample.get(sample, [])
        if rows:
            boxes = np.array([box for _, box in rows])
            kept = suppress(iou_3d(boxes, boxes), np.array([row["score"] for row, _ in rows]), settings.same_iou)
            counts["lost_in_the_place_of_another"] += len(rows) - len(kept)
            yield from (rows[int(k)][0] for k in np.sort(kept))


def _best_views(shard: Shard) -> dict[tuple[str, str], Row]:
    """(Track, sample) → the surest triplet of the track there."""
    table = read_table(shard.members, ["track_id", "triplet_id"])
    track_of = dict(zip(table["triplet_id"].to_pylist(), table["track_id"].to_pylist(), strict=True))
    best: dict[tuple[str, str], Row] = {}
    for row in iterate_rows(shard.triplets, ["triplet_id", "frame_id", "sample", "box", "score"]):
        key = track_of[row["triplet_id"]], row["sample"]
        if key not in best or row["score"] > best[key]["score"]:
            best[key] = row
    return best
