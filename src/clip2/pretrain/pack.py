"""All training shards in one packed folder: streamed in, filtered and thinned; small enough for a GPU's memory.

points.f16   (ΣN, 3) x y z, metres, z up, around the middle of each crop's bounding box
image.f16    (n, D) teacher's embeddings of the image crops
table.npz    offsets (n+1,), label (n,) into text, trusted (n,), thing (n,) numbers, text (V, D)
pack.json    written last: labels, teacher, templates, counts by reason
"""

import logging
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray

from clip2.pretrain.holdout import scenes_held_out
from clip2.pretrain.lost import check_any_triplets
from clip2.pretrain.sampling import sample_rows
from clip2.pretrain.settings import PretrainSettings
from clip2.pretrain.tracked import Tracked, read_tracked
from clip2.runtime.errors import InputError
from clip2.store.atomic import write_json
from clip2.store.crops import points_by_place
from clip2.store.ragged import RaggedReader
from clip2.store.tables import read_header, read_table
from clip2.teach.embeddings import Embeddings, read_embeddings

log = logging.getLogger(__name__)

Array = NDArray[Any]


@dataclass(frozen=True)
class Shard:
    """The files of one training shard."""

    triplets: Path
    points: Path
    embeddings: Path
    tracks: Path | None = None


@dataclass
class _Pack:
    """What grows while shards are added."""

    held_out: frozenset[str]  # scenes
    text_index: dict[str, int] = field(default_factory=dict)
    texts: list[Array] = field(default_factory=list)
    lengths: list[Array] = field(default_factory=list)
    labels: list[Array] = field(default_factory=list)
    trusted: list[Array] = field(default_factory=list)
    things: list[Array] = field(default_factory=list)
    n_things: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    header: dict[str, Any] = field(default_factory=dict)


def build_pack(shards: list[Shard], folder: Path, settings: PretrainSettings) -> None:
    """Write the packed folder. Memory: one shard's embeddings and a few thousand crops at a time."""
    check_any_triplets([shard.triplets for shard in shards])
    folder.mkdir(parents=True, exist_ok=True)
    pack = _Pack(scenes_held_out([shard.triplets for shard in shards], settings.holdout))
    with (folder / "points.f16").open("wb") as points, (folder / "image.f16").open("wb") as image:
        for shard in shards:
            _add_shard(shard, settings, pack, points, image)
    offsets = np.concatenate(
        [np.zeros(1, np.int64), np.cumsum(np.concatenate([np.zeros(0, np.int64), *pack.lengths]), dtype=np.int64)]
    )
    n = len(offsets) - 1
    if n < 2:
        raise InputError(f"{n} of {pack.counts['triplets']} triplets left to train on ({dict(pack.counts)}); "
                         "loosen pretrain.min_points, min_score or agreement")  # fmt: skip
    np.savez(
        folder / "table.npz",
        offsets=offsets,
        label=np.concatenate(pack.labels),
        trusted=np.concatenate(pack.trusted),
        thing=np.concatenate(pack.things),
        text=np.stack(pack.texts),
    )
    counts = {**dict(sorted(pack.counts.items())), "trained_on": n}
    write_json(folder / "pack.json", {"labels": list(pack.text_index), "counts": counts, **pack.header})
    log.info("%d of %d triplets packed: %s", n, pack.counts["triplets"], counts)


def _add_shard(shard: Shard, settings: PretrainSettings, pack: _Pack, points: BinaryIO, image: BinaryIO) -> None:
    embeddings = read_embeddings(shard.embeddings)
    table = read_table(shard.triplets, ["scene", "score", "n_points"])
    _same_world(shard, embeddings, table.num_rows, pack)
    tracked = None
    if settings.names_from == "tracks":
        if shard.tracks is None:
            raise InputError(
                f"{shard.triplets}: names are to come from tracks, but no tracks are given for this shard (--tracks)"
            )
        tracked = read_tracked(shard.tracks, shard.triplets, embeddings.labels)
    aside = np.array([scene in pack.held_out for scene in table["scene"].to_pylist()], bool)
    label, trusted, keep = choose(
        embeddings, aside, table["n_points"].to_numpy(), table["score"].to_numpy(), settings, pack.counts, tracked
    )
    things = np.arange(table.num_rows) if tracked is None else tracked.track
    pack.things.append(pack.n_things + things[keep])
    pack.n_things += int(things.max(initial=-1)) + 1
    renumber = np.array(
        [_text_id(pack, text, embeddings.text[i]) for i, text in enumerate(embeddings.labels)], np.int64
    )
    pack.labels.append(renumber[label[keep]] if len(label) else label)
    pack.trusted.append(trusted[keep])
    image.write(embeddings.image[keep].astype(np.float16).tobytes())
    with RaggedReader(shard.points) as reader:
        if len(reader) != table.num_rows:
            raise InputError(f"{shard.points}: {len(reader)} crops, but {shard.triplets} has {table.num_rows}; "
                             "delete both and run again")  # fmt: skip
        first = 0
        for xyz, offsets in reader.chunks():
            if not np.isfinite(xyz).all():
                raise InputError(f"{shard.points}: has points that are not finite numbers; delete it and run again")
            chosen = np.flatnonzero(keep[first : first + len(offsets) - 1])
            crops, lengths = thin(*points_by_place(xyz[:, :3], offsets), chosen, settings.max_points)
            points.write(crops.tobytes())
            pack.lengths.append(lengths)
            first += len(offsets) - 1


def choose(
    embeddings: Embeddings,
    aside: Array,
    n_points: Array,
    score: Array,
    settings: PretrainSettings,
    counts: Counter[str],
    tracked: Tracked | None = None,
) -> tuple[Array, Array, Array]:
    """Apply the filters to one shard's triplets, counting what each takes: label (n,), trusted (n,), keep (n,).

    Args:
        aside: (n,) of a scene that is kept aside.
    """
    label, n = embeddings.label_index, len(embeddings.label_index)
    keep = np.ones(n, bool)
    trusted = np.ones(n, bool)
    if tracked is not None:
        label = tracked.label
    counts["triplets"] += n

    def drop(reason: str, bad: Array) -> None:
        counts[reason] += int((keep & bad).sum())
        keep[bad] = False

    drop("dropped_held_out", aside)
    drop("dropped_few_points", n_points < settings.min_points)
    drop("dropped_low_score", score < settings.min_score)
    teachers = embeddings.teachers_choice()
    disagree = teachers != label
    counts["teacher_disagrees"] += int((keep & disagree).sum())
    if settings.agreement == "drop":
        drop("dropped_teacher_disagrees", disagree)
    elif settings.agreement == "drop-text":
        trusted = ~disagree
    elif settings.agreement == "relabel":
        label = teachers
    return label, trusted, keep


def thin(xyz: Array, offsets: Array, chosen: Array, max_points: int) -> tuple[Array, Array]:
    """The ``chosen`` crops, each with at most ``max_points`` points around its middle: float16 (ΣN, 3) and lengths."""
    starts, lengths = torch.from_numpy(offsets[chosen]), torch.from_numpy(np.diff(offsets)[chosen])
    parts: list[Array] = [np.empty((0, 3), np.float16)]
    for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
        crop = xyz[start : start + length]
        middle = (crop.min(0) + crop.max(0)) / 2
        if length > max_points:
            rows, _ = sample_rows(torch.tensor([start]), torch.tensor([length]), max_points)
            crop = xyz[rows[0].numpy()]
        parts.append((crop - middle).astype(np.float16))
    return np.concatenate(parts), lengths.clamp(max=max_points).numpy()


def _text_id(pack: _Pack, text: str, vector: Array) -> int:
    if text not in pack.text_index:
        pack.text_index[text] = len(pack.texts)
        pack.texts.append(vector)
    return pack.text_index[text]


def _same_world(shard: Shard, embeddings: Embeddings, n_triplets: int, pack: _Pack) -> None:
    """All shards must come from one teacher; remember what their headers say."""
    if len(embeddings.image) != n_triplets:
        raise InputError(f"{shard.embeddings}: {len(embeddings.image)} rows, but {shard.triplets} has {n_triplets}; "
                         "delete the embeddings and run again")  # fmt: skip
    said = {key: embeddings.header[key] for key in ("teacher", "templates")}
    for key, value in said.items():
        if pack.header.setdefault(key, value) != value:
            raise InputError(f"{shard.embeddings}: made with {key} {value}, but the first shard with "
                             f"{pack.header[key]}; delete it and run again")  # fmt: skip
    kinds = pack.header.setdefault("source_kinds", [])
    header = read_header(shard.triplets)
    if header["axes"]["up"] != "z":
        raise InputError(f"{shard.triplets}: its points' up direction is {header['axes']['up']!r}; turn them to 'z'")
    if header["source_kind"] not in kinds:
        kinds.append(header["source_kind"])
