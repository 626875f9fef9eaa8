"""What a baseline is tuned on: crops, the teacher's vectors of their pictures, and their labels."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clip2.evaluate.rivals.depth_views import thin
from clip2.pretrain.lost import check_any_triplets
from clip2.runtime.errors import InputError
from clip2.store.ragged import RaggedReader
from clip2.store.tables import iterate_rows, read_header, read_table
from clip2.teach.embeddings import Embeddings, read_embeddings
from clip2.teach.teacher import Teacher, same_teacher

TripletShards = Sequence[tuple[Path, Path]]
"""(Parquet, HDF5) of each shard."""
MAX_POINTS = 1024
"""Crops are kept with so many points."""


@dataclass(frozen=True)
class TuneData:
    """n triplets: crops (N_i, 3) metres, z up; image vectors (n, D) float32; labels (n,) into ``names``."""

    crops: list[NDArray[np.float32]]
    images: Tensor
    labels: Tensor
    names: list[str]
    counts: dict[str, int]
    source_kind: str


def load_tune_data(
    triplets: TripletShards,
    embeddings: Sequence[Path] | None,
    teacher: Teacher,
    max_triplets: int,
    min_points: int,
    agreement: str,
    threads: int,
    scene_wanted: Callable[[str], bool],
) -> TuneData:
    """Read, filter and thin triplets. Image vectors come from ``embeddings`` or else through the teacher, here.

    Args:
        scene_wanted: whether a scene's triplets are used.

    Raises:
        InputError: files that do not belong together, another teacher's embeddings, or fewer than two triplets left.
    """
    if embeddings is not None and len(embeddings) != len(triplets):
        raise InputError(f"{len(triplets)} triplet shards but {len(embeddings)} embedding shards; give them in pairs")
    if embeddings is None and agreement != "off":
        raise InputError("setting 'agreement': needs embeddings; give them, or set it to 'off'")
    check_any_triplets([path for path, _ in triplets])
    counts: Counter[str] = Counter()
    kept: list[NDArray[np.int64]] = []
    labels: list[list[str]] = []
    kinds = set()
    for number, (path, _) in enumerate(triplets):
        header = read_header(path)
        kinds.add(header["source_kind"])
        if header["axes"]["up"] != "z":
            raise InputError(f"{path}: its points' up direction is {header['axes']['up']!r}; turn them to 'z'")
        table = read_table(path, ["label", "scene", "n_points"])
        keep = np.array([scene_wanted(scene) for scene in table["scene"].to_pylist()], bool)
        counts["triplets"] += len(keep)
        counts["dropped_other_scenes"] += int((~keep).sum())
        enough = table["n_points"].to_numpy() >= min_points
        counts["dropped_few_points"] += int((keep & ~enough).sum())
        keep &= enough
        if embeddings is not None:
            found = _embeddings_of(path, embeddings[number], table.num_rows, teacher)
            if agreement == "drop":
                agree = found.teachers_choice() == found.label_index
                counts["dropped_teacher_disagrees"] += int((keep & ~agree).sum())
                keep &= agree
        kept.append(np.flatnonzero(keep))
        labels.append(table["label"].to_pylist())
    chosen = _thin_evenly(kept, max_triplets)
    n = sum(map(len, chosen))
    if n < 2:
        raise InputError(f"{n} of {counts['triplets']} triplets left ({dict(counts)}); loosen min_points or agreement")
    counts["used"] = n
    words = [label for own, rows in zip(labels, chosen, strict=True) for label in np.array(own, object)[rows]]
    names = sorted(set(words))
    index = {name: i for i, name in enumerate(names)}
    if embeddings is None:
        images = teacher.encode_images(_pictures(triplets, chosen), threads)
    else:
        parts = [read_embeddings(path).image[rows] for path, rows in zip(embeddings, chosen, strict=True)]
        images = torch.from_numpy(np.concatenate(parts).astype(np.float32))
    return TuneData(
        crops=[crop for shard, rows in zip(triplets, chosen, strict=True) for crop in _crops(*shard, rows)],
        images=torch.nn.functional.normalize(images.float(), dim=1),
        labels=torch.tensor([index[word] for word in words]),
        names=names,
        counts=dict(counts),
        source_kind="built-in world" if "built-in world" in kinds else "real",
    )


def _embeddings_of(triplets: Path, path: Path, n: int, teacher: Teacher) -> Embeddings:
    found = read_embeddings(path)
    said = found.header["teacher"]
    if not same_teacher(said, teacher.spec):
        raise InputError(f"{path}: embedded by {said['model']!r} ({said['pretrained']!r}), but the teacher is "
                         f"{teacher.model!r} ({teacher.pretrained!r}); embed with the same one")  # fmt: skip
    if len(found.image) != n:
        raise InputError(f"{path}: {len(found.image)} rows, but {triplets} has {n}; delete it and run again")
    return found


def _thin_evenly(kept: list[NDArray[np.int64]], most: int) -> list[NDArray[np.int64]]:
    """Kept rows of all shards in order, thinned evenly."""
    total = sum(map(len, kept))
    if not most or total <= most:
        return kept
    chosen = (np.arange(most) * 2 + 1) * total // (2 * most)
    starts = np.cumsum([0, *map(len, kept)])
    return [
        rows[chosen[(chosen >= low) & (chosen < low + len(rows))] - low]
        for rows, low in zip(kept, starts, strict=False)
    ]


def _crops(path: Path, points: Path, rows: NDArray[np.int64]) -> Iterator[NDArray[np.float32]]:
    with RaggedReader(points) as reader:
        if len(reader) != read_table(path, []).num_rows:
            raise InputError(f"{path} and {points}: not the same number of triplets; delete both and run again")
        first, position = 0, 0
        for xyz, offsets in reader.chunks():
            if not np.isfinite(xyz).all():
                raise InputError(f"{points}: has points that are not finite numbers; delete it and run again")
            stop = first + len(offsets) - 1
            while position < len(rows) and rows[position] < stop:
                at = rows[position] - first
                yield thin(xyz[offsets[at] : offsets[at + 1], :3], MAX_POINTS).copy()
                position += 1
            first = stop


def _pictures(triplets: TripletShards, chosen: list[NDArray[np.int64]]) -> Iterator[bytes]:
    for (path, _), rows in zip(triplets, chosen, strict=True):
        wanted = set(rows.tolist())
        for number, row in enumerate(iterate_rows(path, ["image"])):
            if number in wanted:
                yield row["image"]


def describe(data: TuneData) -> dict[str, Any]:
    """What a header says of the data."""
    return {"counts": data.counts, "labels": len(data.names), "source_kind": data.source_kind}
