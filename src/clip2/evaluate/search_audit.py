"""Stage `audit-search`: search by name among the mined things, held against human boxes. For people, never for mining.

What ``clip2 search`` ranks is ranked here, by the same function. A triplet belongs to the annotated box of its sample
that holds most of its points, a thing to the object of most of its triplets, both as in the audit of tracks. As in
detection, an object is found once: of several things that are of it, the first one is right, and those that follow are
wrong. A thing of an object that no picture saw well enough is neither.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import torch

from clip2.evaluate.boxes import BoxSearch, in_picture
from clip2.evaluate.owners import Row, owners
from clip2.evaluate.retrieval.names import choose_queries, own_names
from clip2.evaluate.search_audit_summary import KIND, Sought, print_search_audit, summary
from clip2.evaluate.settings import SearchAuditSettings
from clip2.evaluate.track_audit_summary import majorities
from clip2.runtime.console import progress
from clip2.runtime.errors import InputError
from clip2.scans.clouds import CloudError, load_points
from clip2.search.mined import Mined, MinedShard
from clip2.search.query import make_query
from clip2.search.stage import background_of, search
from clip2.store.atomic import write_sealed
from clip2.store.bad_frames import BadFrames
from clip2.store.provenance import git_state, provenance
from clip2.store.tables import iterate_rows, read_table
from clip2.teach.teacher import load_teacher

BOX_COLUMNS = ["annotation_id", "sample", "instance", "T_points_from_box", "size_lwh"]


def run(
    annotations: Sequence[Path],
    embeddings: Sequence[Path],
    data_root: Path,
    out: Path,
    settings: SearchAuditSettings,
    device: str = "auto",
    threads: int = 1,
) -> None:
    """Write how well things are found by their names as JSON, and print it as tables.

    Args:
        annotations, embeddings: the same shards in the same order. Frames, triplets and tracks lie where the workflow
            puts them; without tracks, each triplet is a thing.
        data_root: folder that the frames' paths are relative to.

    Raises:
        InputError: the shards are not the same, nothing has a name to search for, or people did not follow objects.
    """
    if not len(annotations) == len(embeddings) > 0:
        raise InputError(
            f"{len(annotations)} annotation and {len(embeddings)} embedding shards; give the same shards of each"
        )
    torch.set_num_threads(max(1, threads))
    mined = Mined(embeddings, threads)
    objects = _objects(annotations, mined)
    asked = set(_queries(objects, objects, settings.queries))
    rare = {instance for instance, one in objects.items() if asked & set(one.names)}
    seen, thing_of = _match(annotations, mined, rare, data_root, settings, bad := BadFrames(settings.max_bad_share))
    queries = _queries(objects, seen, settings.queries, settings.min_objects)
    if not queries:
        raise InputError(f"{annotations[0]}: no object that a picture sees has a name to search for; annotations need "
                         "names outside the benchmark's classes, or set `queries` to names that they have")  # fmt: skip
    teacher = load_teacher(mined.teacher["model"], mined.teacher["pretrained"], device)
    sought = []
    for name in progress(queries, "names searched for", len(queries)):
        query = make_query([settings.names.get(name, name)])
        things, _, _ = search(mined, query, teacher, background_of(mined, query, teacher), max(settings.ks))
        named = {instance for instance, one in objects.items() if name in one.names}
        sought.append(Sought(name, [thing_of.get(int(thing)) for thing in things], named & seen, named - seen))
    header = mined.shards[0].triplets_header
    result = {
        "kind": KIND,
        **{key: header[key] for key in ("source", "source_kind", "split")},
        "mined_by": mined.shards[0].files.triplets.parent.name,
        "protocol": {
            **settings.model_dump(mode="json"),
            "teacher": mined.teacher,
            "ranked": "mined things of the split, by the function of `clip2 search`",
            "relevant": "the name is the object's fine name or the last part of its category",
            "repeated": "of the things of one object the first is right, all others are wrong",
        },
        "triplets": len(mined.thing),
        "things": mined.n_things,
        "no_box": mined.n_things - len(thing_of),
        "not_seen": len(rare - seen),
        "bad_samples": bad.header(),
        **summary(sought, [thing_of.get(thing) for thing in range(mined.n_things)], settings),
        "provenance": _provenance(annotations, mined, settings),
    }
    write_sealed(out, result)
    print_search_audit(result)


class Named(NamedTuple):
    """An object: its own names, the finest first, and whether it is of a class of the benchmark."""

    names: tuple[str, ...]
    in_benchmark: bool


def _objects(annotations: Sequence[Path], mined: Mined) -> dict[str, Named]:
    """All annotated objects.

    Raises:
        InputError: people did not follow objects over samples, and things are of several.
    """
    objects: dict[str, Named] = {}
    alone: bool | None = None
    for path in annotations:
        for row in iterate_rows(path, ["annotation_id", "instance", "category", "class_name", "fine_name"]):
            if row["instance"] is None and alone is None:
                alone = all(map(_of_one_sample, mined.shards))
            if row["instance"] is None and not alone:
                raise InputError(
                    f"{path}: annotation {row['annotation_id']} has no instance, and things were mined over several "
                    "samples, so what is of one object cannot be told; this audit needs people to have followed objects"
                )
            objects[_object_of(row)] = Named(own_names(row), row["class_name"] is not None)
    return objects


def _object_of(box: Row) -> str:
    """The object of a box; where people did not follow it over samples, the box itself."""
    found: str = box["annotation_id"] if box["instance"] is None else box["instance"]
    return found


def _of_one_sample(shard: MinedShard) -> bool:
    samples = read_table(shard.files.triplets, ["sample"])["sample"].to_pylist()
    return len(set(zip(shard.thing.tolist(), samples, strict=True))) == len(shard.names)


def _queries(
    objects: Mapping[str, Named], among: Iterable[str], asked: Sequence[str], min_objects: int = 1
) -> list[str]:
    chosen = [objects[instance] for instance in among]
    return choose_queries([one.names for one in chosen], [one.in_benchmark for one in chosen], asked, min_objects)


def _match(
    annotations: Sequence[Path],
    mined: Mined,
    rare: set[str],
    data_root: Path,
    settings: SearchAuditSettings,
    bad: BadFrames,
) -> tuple[set[str], dict[int, str]]:
    """Which rare objects a picture sees, and the number of each thing that hits a box → its object."""
    seen: set[str] = set()
    owned: list[tuple[int, str]] = []
    n_samples = 0
    shards = list(zip(annotations, mined.shards, mined.first_thing, strict=False))
    for path, shard, first in progress(shards, "shards held against boxes", len(shards)):
        boxes = list(iterate_rows(path, BOX_COLUMNS))
        triplets = (shard.files.triplets, shard.files.triplets.with_suffix(".h5"))
        of_triplets = owners(boxes, triplets, settings.margin_m)
        for thing, box in zip((shard.thing + first).tolist(), of_triplets, strict=True):
            if box is not None:
                owned.append((thing, _object_of(box)))
        for views, wanted in _samples(shard, [box for box in boxes if _object_of(box) in rare]):
            n_samples += 1
            try:
                seen |= {_object_of(box) for box in _seen(views, wanted, data_root, settings)}
            except CloudError as error:
                bad.add(views[0]["sample"], error.reason, str(error))
    bad.check(n_samples)
    return seen, majorities(owned)


def _seen(views: list[Row], boxes: list[Row], data_root: Path, settings: SearchAuditSettings) -> list[Row]:
    """The boxes of a sample with enough points in some picture, as the audit of triplets counts them.

    Raises:
        CloudError: the sample's points cannot be read.
    """
    points = load_points(views[0]["clouds"], data_root, settings.min_sweep_range)
    near = BoxSearch(points)
    visible = [in_picture(points, view) for view in views]
    inside = [near.inside(box, settings.margin_m) for box in boxes]
    return [
        box
        for box, members in zip(boxes, inside, strict=True)
        if max(int(mask[members].sum()) for mask in visible) >= settings.min_points
    ]


def _samples(shard: MinedShard, boxes: Sequence[Row]) -> Iterator[tuple[list[Row], list[Row]]]:
    """The frames and the boxes of each sample that has boxes."""
    of_sample: dict[str, list[Row]] = defaultdict(list)
    for box in boxes:
        of_sample[box["sample"]].append(box)
    for sample, group in groupby(iterate_rows(shard.files.frames), key=lambda frame: frame["sample"]):
        if sample in of_sample:
            yield list(group), of_sample.pop(sample)
    if of_sample:
        raise InputError(f"{shard.files.frames}: has not sample {next(iter(of_sample))} of the annotations; "
                         "give shards of the same name")  # fmt: skip


def _provenance(annotations: Sequence[Path], mined: Mined, settings: SearchAuditSettings) -> dict[str, Any]:
    inputs = {f"annotations/{path.name}": path for path in annotations}
    for shard in mined.shards:
        files = shard.files
        of_tracks = [files.tracks, files.members] if shard.has_tracks else []
        kinds = {"frames": [files.frames], "triplets": [files.triplets, files.triplets.with_suffix(".h5")]}
        kinds |= {"embeddings": [files.embeddings], "tracks": of_tracks}
        inputs |= {f"{kind}/{path.name}": path for kind, paths in kinds.items() for path in paths}
    packages = ("torch", "open_clip_torch")
    return provenance("audit-search", settings.model_dump(mode="json"), inputs, packages) | {"git": git_state()}
