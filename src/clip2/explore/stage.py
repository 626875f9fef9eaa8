"""Stage `explorer`: labels and what they come from → a page that opens from disk.

One file a scene, read when it is looked at: the page opens as fast with 850 scenes as with ten. New files lie beside
old ones until all are written; then they take their place, the page itself last.
"""

import base64
import logging
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from clip2.explore.document import write_page
from clip2.explore.examples import Examples
from clip2.explore.likeness import Likeness
from clip2.explore.results import curves, funnel, results
from clip2.explore.scene import Row, Scene, Summary, by_sample, write_scene
from clip2.explore.scripts import write_script
from clip2.explore.settings import ExplorerSettings
from clip2.explore.words import Words
from clip2.runtime.console import progress
from clip2.runtime.errors import InputError
from clip2.runtime.guard import check_publishing
from clip2.runtime.prefetch import ahead
from clip2.store.bad_frames import BadFrames
from clip2.store.provenance import file_digest
from clip2.store.schemas import TRIPLETS
from clip2.store.tables import iterate_rows, read_header, read_table
from clip2.teach.embeddings import read_embeddings

log = logging.getLogger(__name__)

VIEW_COLUMNS = [name for name in TRIPLETS.names if name not in ("sample", "extent")]


@dataclass(frozen=True)
class Inputs:
    """Files that the page is made from; lists are by shard, in the same order.

    Attributes:
        labels: named boxes (.parquet).
        frames: frames.
        triplets: views that the labels come from; may be left out, the page then has no crops.
        tracks: tracks, with their ``.members.parquet`` beside them; without them, a thing has the views that its labels
            name.
        embeddings: what the teacher sees of the triplets: its name for each view, and search by any words.
        detections: 2D boxes, only counted.
        results: result files (.json).
        logs: training logs (``train_log.jsonl``) in their models' folders.
    """

    labels: Path
    frames: Sequence[Path]
    triplets: Sequence[Path] = ()
    tracks: Sequence[Path] = ()
    embeddings: Sequence[Path] = ()
    detections: Sequence[Path] = ()
    results: Sequence[Path] = ()
    logs: Sequence[Path] = ()


def run(inputs: Inputs, data_root: Path, out: Path, settings: ExplorerSettings, threads: int = 1) -> None:
    """Write the explorer.

    Args:
        data_root: folder that the frames' paths are relative to.
        out: the page (``index.html``); its data goes to ``data/`` beside it.

    Raises:
        InputError: files that do not belong together, or too many frames that cannot be read.
    """
    for name in ("triplets", "tracks", "embeddings"):
        if (given := getattr(inputs, name)) and len(given) != len(inputs.frames):
            raise InputError(
                f"{len(inputs.frames)} frame shards but {len(given)} of {name}; give the same shards of both"
            )
    if (inputs.tracks or inputs.embeddings) and not inputs.triplets:
        raise InputError("tracks and embeddings say nothing without their triplets; give those, too")
    labels = read_table(inputs.labels)
    names = _names(labels, inputs.triplets)
    numbers = {name: number for number, name in enumerate(names)}
    seen = _Seen(Words(), Likeness(), Examples())
    data = out.parent / ".data.part"
    shutil.rmtree(data, ignore_errors=True)
    (data / "scenes").mkdir(parents=True)

    most = settings.points_of(sum(len(pc.unique(read_table(path, ["sample"])["sample"])) for path in inputs.frames))

    def write(scene: Scene) -> Summary:
        return write_scene(scene, numbers, data_root, data, settings, most)

    bad, summaries = BadFrames(settings.max_bad_share), list[Summary]()
    total = sum(len(pc.unique(read_table(path, ["scene"])["scene"])) for path in inputs.frames)
    for _, done in progress(ahead(_scenes(inputs, labels, seen), write, threads, 2 * threads), "scenes", total):
        summaries.append(done.result())
        for frame_id, (reason, message) in summaries[-1].bad.items():
            bad.add(frame_id, reason, message)
    bad.check(sum(read_header(path)["counts"]["frames"] for path in inputs.frames))
    things = _things(summaries)
    if lost := len(pc.unique(labels["track_id"])) - len(set(things["id"])):
        raise InputError(f"{inputs.labels}: {lost} things are in no scene of the frames given; give the frames of all")
    stages = {"detections": inputs.detections, "triplets": inputs.triplets, "tracks": inputs.tracks}
    found = {
        "funnel": funnel(stages, len(things["id"])),
        "results": results(inputs.results),
        "curves": curves(inputs.logs),
        "examples": seen.examples.write(data, settings.picture_quality),
    }
    write_script(data / "things.js", "things", things)
    write_script(data / "results.js", "results", found)
    dimensions, packed = seen.likeness.pack(things["id"])
    write_script(data / "likeness.js", "likeness", {"dimensions": dimensions}, base64.b64encode(packed).decode())
    check_publishing()
    shutil.rmtree(out.parent / "data", ignore_errors=True)
    data.rename(out.parent / "data")
    header = read_header(inputs.frames[0])
    index = {
        **{key: header.get(key) for key in ("source", "source_kind", "dataset", "sensor")},
        "labels": file_digest(inputs.labels),
        "names": names,
        "near": seen.words.near(numbers),
        "likeness": dimensions > 0,
        "mined": [path.as_posix() for path in inputs.embeddings],
        "scenes": {key: [s.index[key] for s in summaries] for key in ("name", "samples", "things", "picture")},
    }
    write_page(out, index)
    log.info("%s: %d things in %d scenes", out, len(things["id"]), len(summaries))


def _names(labels: pa.Table, triplets: Sequence[Path]) -> list[str]:
    """All names that occur, those of most things first: the page gives colours by this order."""
    pairs = labels.group_by(["track_id", "label"]).aggregate([])
    count = Counter(pairs["label"].to_pylist())
    others = set(pc.unique(pc.struct_field(pc.list_flatten(labels["names"]), "name")).to_pylist())
    for path in triplets:
        others |= set(pc.unique(read_table(path, ["label"])["label"]).to_pylist())
    return sorted(count, key=lambda name: (-count[name], name)) + sorted(others - set(count))


class _Seen(NamedTuple):
    """What is collected while scenes go by."""

    words: Words
    likeness: Likeness
    examples: Examples


def _scenes(inputs: Inputs, labels: pa.Table, seen: _Seen) -> Iterator[Scene]:
    """Scenes in the order of the frames, with all their rows; one in memory at a time."""
    number, label_of, times = 0, _label_of(labels), Counter[str]()
    for shard, path in enumerate(inputs.frames):
        frames: dict[str, list[Row]] = defaultdict(list)
        for row in iterate_rows(path):
            frames[row["scene"]].append(row)
        views = _views(inputs, shard, labels, seen)
        waiting = next(views, None)
        for name, rows in frames.items():
            own: list[Row] = []
            if waiting is not None and waiting[0] == name:
                own, waiting = waiting[1], next(views, None)
            samples = by_sample(rows)
            sample_of = {row["frame_id"]: k for k, frames_ in enumerate(samples.values()) for row in frames_}
            seen.examples.add(number, own, label_of, sample_of)
            # A scene of which lists put parts into several shards is several here: no track goes from one into another.
            own_labels = labels.filter(pc.equal(labels["scene"], name)).to_pylist()
            own_labels = [row for row in own_labels if row["sample"] in samples]
            times[name] += 1
            shown = name if times[name] == 1 else f"{name} ({times[name]})"
            yield Scene(number, shown, rows, own_labels, own)
            number += 1
        if waiting is not None:
            there = inputs.triplets[shard]
            raise InputError(f"{there}: scene {waiting[0]!r} is not where it is in {path}; give the same shards")


def _views(inputs: Inputs, shard: int, labels: pa.Table, seen: _Seen) -> Iterator[tuple[str, list[Row]]]:
    """Scenes of a shard of triplets with the views of their labelled things, the best of each thing first."""
    if not inputs.triplets:
        return
    path = inputs.triplets[shard]
    label_of = _label_of(labels)
    track_of = _track_of(inputs.tracks[shard] if inputs.tracks else None, labels)
    found = [track_of.get(triplet) for triplet in read_table(path, ["triplet_id"])["triplet_id"].to_pylist()]
    tracks = [track if track in label_of else None for track in found]
    said: Sequence[str | None] = [None] * len(tracks)
    if inputs.embeddings:
        embedded = read_embeddings(inputs.embeddings[shard])
        said = seen.words.add(inputs.embeddings[shard], embedded, len(tracks))
        seen.likeness.add(embedded.image, tracks)
    known = zip(iterate_rows(path, VIEW_COLUMNS), tracks, said, strict=True)
    rows = (row | {"track_id": track, "teacher": name} for row, track, name in known)
    for scene, together in groupby(rows, key=lambda row: str(row["scene"])):
        own = [row for row in together if row["track_id"] is not None]
        yield scene, sorted(own, key=lambda row: (row["label"] != label_of[row["track_id"]], -row["score"]))


def _label_of(labels: pa.Table) -> dict[str, str]:
    """Track → its name."""
    return dict(zip(labels["track_id"].to_pylist(), labels["label"].to_pylist(), strict=True))


def _track_of(tracks: Path | None, labels: pa.Table) -> Mapping[str, str]:
    """Triplet → its track."""
    members = labels if tracks is None else read_table(tracks.with_suffix(".members.parquet"))
    return dict(zip(members["triplet_id"].to_pylist(), members["track_id"].to_pylist(), strict=True))


def _things(summaries: Sequence[Summary]) -> dict[str, list[Any]]:
    """The table of things, by column; ``names`` as [number, probability, …]."""
    rows = [thing | {"scene": number} for number, summary in enumerate(summaries) for thing in summary.things]
    keys = ("id", "scene", "label", "score", "range", "points", "samples", "views", "speed", "at", "tile")
    flat = [[value for pair in row["names"][:3] for value in pair] for row in rows]
    return {**{key: [row[key] for row in rows] for key in keys}, "names": flat}
