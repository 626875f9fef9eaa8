"""Stage `search`: free text, or an example, → things of all that was mined, best first. No human label is read.

Over all views goes one matrix product with the phrases; the things that come out best are then weighed against all
other words at hand (clip2.search.ranking), view by view.
"""

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clip2.label.words import canonical
from clip2.runtime.errors import InputError
from clip2.search.boxes import boxes_from_points, boxes_of_labels, numbers_of
from clip2.search.mined import Mined, MinedShard
from clip2.search.query import Query
from clip2.search.ranking import best_things, thing_scores, word_scores
from clip2.search.result import Hit, SearchResult
from clip2.search.vectors import Floats, Ints
from clip2.store.atomic import write_sealed
from clip2.store.hdf5 import try_together
from clip2.store.provenance import provenance
from clip2.store.ragged import RaggedReader
from clip2.store.tables import read_rows
from clip2.teach.teacher import Teacher, load_teacher

log = logging.getLogger(__name__)

Row = dict[str, Any]
Boxes = Mapping[tuple[str, str], NDArray[np.float64]]
WEIGHED = 2000
"""Things that are weighed against other words, beside as many for each hit that is wanted."""
WEIGHED_A_HIT = 20
ANYTHING = "thing"
"""What a thing may be instead where the detector has but the word that is searched for."""
TRIPLET_COLUMNS = ["triplet_id", "frame_id", "scene", "sample", "box", "label", "n_points", "image"]


@dataclass(frozen=True)
class Found:
    """A hit with what its best view shows: the JPEG and the points (N, 4)."""

    hit: Hit
    image: bytes
    points: NDArray[np.float32]


def run(
    embeddings: Sequence[Path],
    query: Query,
    out: Path,
    n_hits: int = 50,
    labels: Path | None = None,
    device: str = "auto",
    threads: int = 1,
) -> tuple[SearchResult, list[Found]]:
    """Search; write ``out`` (search.result.SearchResult) and return it with the hits' pictures.

    Args:
        embeddings: files to search in; frames, triplets and tracks lie where the workflow puts them.
        labels: named boxes (.parquet) to take centers and sizes from.

    Raises:
        InputError: files missing or of two teachers, or an example that is not there.
    """
    mined = Mined(embeddings, threads)
    teacher = load_teacher(mined.teacher["model"], mined.teacher["pretrained"], device)
    background = {} if query.like else background_of(mined, query, teacher)
    things, scores, best = (
        like(mined, query, teacher, threads) if query.like else search(mined, query, teacher, background, n_hits)
    )
    things, scores, best = things[:n_hits], scores[:n_hits], best[:n_hits]
    boxes = boxes_of_labels(labels, [mined.name(int(thing)) for thing in things]) if labels else {}
    found = _found(mined, things, best, scores, boxes, threads)
    first = mined.shards[0]
    result = SearchResult(
        query=query.text,
        phrases=list(query.phrases),
        negatives=list(query.negatives),
        like=list(query.like),
        source="+".join(dict.fromkeys(shard.files.source for shard in mined.shards)),
        source_kind=first.triplets_header["source_kind"],
        mined_by=first.files.triplets.parent.name,
        teacher=mined.teacher,
        background=sorted(background),
        boxes_from="labels" if labels else "points",
        counts={"shards": len(mined.shards), "triplets": len(mined.thing), "things": mined.n_things},
        hits=[one.hit for one in found],
        provenance=_provenance(mined, query, n_hits, labels),
    )
    write_sealed(out, result.model_dump(mode="json"))
    log.info("%s: best %d of %d things", query.text, len(found), mined.n_things)
    return result, found


def background_of(mined: Mined, query: Query, teacher: Teacher) -> dict[str, Floats]:
    """Words that a thing may be instead, with vectors: all that the detector found here, less what is asked about."""
    asked = {canonical(word) for word in (*query.phrases, *query.negatives)}
    words = {word: vector for word, vector in mined.words().items() if canonical(word) not in asked}
    return words or {ANYTHING: _encode(teacher, mined, [ANYTHING])[0]}


def search(
    mined: Mined, query: Query, teacher: Teacher, background: dict[str, Floats], n_hits: int = 50
) -> tuple[Ints, Floats, Ints]:
    """The things that are weighed, best first, their scores, and the number of each one's best view."""
    phrases = _encode(teacher, mined, query.phrases)
    near = mined.cosines(phrases).max(1, initial=-1)
    chosen = best_things(near, mined.thing, mined.n_things, WEIGHED + WEIGHED_A_HIT * n_hits)
    number = np.full(mined.n_things, -1)
    number[chosen] = np.arange(len(chosen))
    views = np.flatnonzero(number[mined.thing] >= 0)
    images, words, sure = mined.of_views(views)
    negatives = _encode(teacher, mined, query.negatives)
    others = np.stack(list(background.values()))
    distinct, number_of_word = np.unique(words, return_inverse=True)
    spelt = np.array([canonical(word) for word in distinct.tolist()], dtype=str)[number_of_word]

    def how_much(texts: Sequence[str], vectors: Floats, against: Floats) -> Floats:
        said = np.stack([sure * (spelt == canonical(text)) for text in texts], 1)
        return word_scores(teacher.logit_scale, images @ vectors.T, images @ against.T, said)

    scores = how_much(query.phrases, phrases, np.concatenate([others, negatives]))
    if query.negatives:
        scores = scores * (1 - how_much(query.negatives, negatives, np.concatenate([others, phrases])))
    of_things, best = thing_scores(scores, number[mined.thing[views]], len(chosen))
    return _best_first(chosen, of_things, views[best])


def like(mined: Mined, query: Query, teacher: Teacher, threads: int) -> tuple[Ints, Floats, Ints]:
    """All things by their likeness to the nearest example, which itself is left out; as :func:`search`."""
    vectors, known = [], []
    for example in query.like:
        if (thing := mined.thing_named(example)) is not None:
            known.append(thing)
            mean = mined.of_views(np.flatnonzero(mined.thing == thing))[0].mean(0)
            vectors.append(mean / np.linalg.norm(mean))
        elif Path(example).is_file():
            vectors.append(_encode_picture(teacher, Path(example), threads))
        else:
            raise InputError(f"--like {example}: no such picture, and no such track or triplet was mined")
    scores, best = thing_scores(mined.cosines(np.stack(vectors)).max(1), mined.thing, mined.n_things)
    others = np.setdiff1d(np.arange(mined.n_things), known)
    return _best_first(others, scores[others], best[others])


def _best_first(things: Ints, scores: Floats, views: Ints) -> tuple[Ints, Floats, Ints]:
    order = np.argsort(-scores, kind="stable")
    return things[order], scores[order], views[order]


def _encode(teacher: Teacher, mined: Mined, texts: Sequence[str]) -> Floats:
    vectors: Floats = teacher.encode_labels(texts, mined.shards[0].header["templates"]).float().cpu().numpy()
    return vectors


def _encode_picture(teacher: Teacher, path: Path, threads: int) -> Floats:
    try:
        vector: Floats = teacher.encode_images([path.read_bytes()], threads).numpy()[0]
    except OSError as error:  # Pillow's for what is no picture, too
        raise InputError(f"--like {path}: not a readable picture ({error})") from None
    return vector


def _found(mined: Mined, things: Ints, views: Ints, scores: Floats, boxes: Boxes, threads: int) -> list[Found]:
    """The things, best first, as their best views saw them. Each shard's files are opened once."""
    order = np.argsort(views)
    parts = [(s, rows) for s, rows in zip(mined.shards, mined.by_shard(views[order]), strict=True) if len(rows)]
    try_together([path for shard, _ in parts for path in shard.points_files], "point file", "delete it and run again")
    names = [mined.name(int(thing)) for thing in things[order]]
    n_views = np.bincount(mined.thing, minlength=mined.n_things)[things[order]]
    bounds = np.cumsum([0, *(len(rows) for _, rows in parts)])
    with ThreadPoolExecutor(max(1, threads)) as pool:
        seen = [
            pool.submit(_seen, shard, rows, names[low:high], boxes)
            for (shard, rows), low, high in zip(parts, bounds[:-1], bounds[1:], strict=True)
        ]
        found = [one for future in seen for one in future.result()]
    result = []
    for rank, k in enumerate(np.argsort(order), 1):
        row, points = found[k]
        hit = Hit(rank=rank, score=round(float(scores[rank - 1]), 6), n_views=int(n_views[k]), **row["hit"])
        result.append(Found(hit, row["image"], points))
    return result


def _seen(shard: MinedShard, numbers: Ints, names: list[str], boxes: Boxes) -> list[tuple[Row, NDArray[np.float32]]]:
    """Of some views of a shard, ascending, and the things they are of: what is told of each hit, and its points."""
    rows = read_rows(shard.files.triplets, numbers.tolist(), TRIPLET_COLUMNS)
    with RaggedReader(shard.files.triplets.with_suffix(".h5")) as reader:
        crops = [reader[int(number)] for number in numbers]
    frames = _frames(shard, [row["frame_id"] for row in rows])
    things = boxes_from_points(
        shard,
        [
            (name, frame, crop)
            for name, frame, row, crop in zip(names, frames, rows, crops, strict=True)
            if (name, row["sample"]) not in boxes
        ],
    )
    labels = _labels(shard, names) if shard.has_tracks else [row["label"] for row in rows]
    found = []
    for name, row, frame, crop, label in zip(names, rows, frames, crops, labels, strict=True):
        box = boxes[name, row["sample"]] if (name, row["sample"]) in boxes else next(things)
        hit = {
            "track_id": name,
            "triplet_id": row["triplet_id"],
            "source": shard.files.source,
            "scene": row["scene"],
            "sample": row["sample"],
            "timestamp_us": frame["timestamp_us"],
            "label": label,
            "center": np.round(box[:3], 4).tolist(),
            "size_lwh": np.round(box[3:6], 4).tolist(),
            "yaw": round(float(np.arctan2(np.sin(box[6]), np.cos(box[6]))), 5),
            "n_points": row["n_points"],
            "frame_id": row["frame_id"],
            "box": row["box"],
        }
        found.append(({"hit": hit, "image": row["image"]}, crop))
    return found


def _frames(shard: MinedShard, frame_ids: list[str]) -> list[Row]:
    numbers = numbers_of(shard.files.frames, "frame_id", frame_ids)
    if -1 in numbers:
        missing = frame_ids[numbers.index(-1)]
        raise InputError(f"{shard.files.triplets}: frame {missing} is not in {shard.files.frames}; make both again")
    return read_rows(shard.files.frames, numbers, ["sample", "timestamp_us", "T_scene_from_points"])


def _labels(shard: MinedShard, track_ids: list[str]) -> list[str]:
    numbers = numbers_of(shard.files.tracks, "track_id", track_ids)
    return [row["label"] for row in read_rows(shard.files.tracks, numbers, ["label"])]


def _provenance(mined: Mined, query: Query, n_hits: int, labels: Path | None) -> dict[str, Any]:
    settings = {"query": query.text, "hits": n_hits}
    found = provenance("search", settings, {"labels": labels} if labels else {}, ("torch", "open_clip_torch"))
    # To read all vectors for a digest would take longer than the search: what they were made from names them.
    found["made_from"] = {
        f"{shard.files.source}/{shard.files.embeddings.name}": shard.header["provenance"] for shard in mined.shards
    }
    return found
