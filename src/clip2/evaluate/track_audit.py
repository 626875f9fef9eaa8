"""Stage `audit-tracks`: are tracks things? Held against human boxes, for people; no mining stage reads it.

As in the audit of triplets, a triplet belongs to the annotated box of its sample that holds most of its points.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from clip2.evaluate.audit_summary import Thing
from clip2.evaluate.owners import owners
from clip2.evaluate.settings import AuditSettings
from clip2.evaluate.track_audit_summary import KIND, Owned, print_track_audit, summary
from clip2.runtime.console import progress
from clip2.runtime.errors import InputError
from clip2.store.atomic import write_sealed
from clip2.store.crops import Shards
from clip2.store.provenance import git_state, provenance
from clip2.store.tables import iterate_rows, read_header

TRIPLET_COLUMNS = ["triplet_id", "label"]
ANNOTATION_COLUMNS = [
    *("annotation_id", "sample", "instance", "category", "class_name", "fine_name"),
    *("T_points_from_box", "size_lwh"),
]


def run(
    annotations: Sequence[Path], triplets: Shards, tracks: Sequence[Path], out: Path, settings: AuditSettings
) -> None:
    """Write the quality figures of tracks as JSON and print them as a table.

    Args:
        annotations, triplets, tracks: the same shards in the same order; a triplet shard is (Parquet, HDF5). A track
            shard's members are in the ``.members.parquet`` beside it.

    Raises:
        InputError: the shards are not the same.
    """
    if not len(annotations) == len(triplets) == len(tracks) > 0:
        raise InputError(
            f"{len(annotations)} annotation, {len(triplets)} triplet and {len(tracks)} track shards; "
            "give the same shards of each"
        )
    owned: list[Owned] = []
    n_triplets = n_tracks = 0
    shards = list(zip(annotations, triplets, tracks, strict=True))
    for boxes, mined, joined in progress(shards, "shards audited", len(shards)):
        header = read_header(joined)
        n_triplets += header["counts"]["triplets"]
        n_tracks += header["counts"]["tracks"]
        owned += _owned(boxes, mined, joined, settings.margin_m)
    header = read_header(tracks[0])
    inputs = {f"annotations/{path.name}": path for path in annotations}
    inputs |= {f"triplets/{path.name}": path for pair in triplets for path in pair}
    inputs |= {f"tracks/{path.name}": path for own in tracks for path in (own, members_of(own))}
    result = {
        "kind": KIND,
        **{key: header[key] for key in ("source", "source_kind", "split")},
        "protocol": settings.model_dump(mode="json", include={"margin_m", "synonyms"}),
        "tracks": n_tracks,
        **summary(owned, n_triplets - len(owned), settings.synonyms),
        "provenance": provenance("audit-tracks", settings.model_dump(mode="json"), inputs) | {"git": git_state()},
    }
    write_sealed(out, result)
    print_track_audit(result)


def members_of(tracks: Path) -> Path:
    """The file of a track shard's members."""
    return tracks.with_suffix(".members.parquet")


def _owned(annotations: Path, triplets: tuple[Path, Path], tracks: Path, margin: float) -> Iterator[Owned]:
    """The triplets of a shard that an annotated object owns."""
    track_of = {row["triplet_id"]: row["track_id"] for row in iterate_rows(members_of(tracks), batch_size=4096)}
    named = {row["track_id"]: row for row in iterate_rows(tracks, ["track_id", "label", "score", "n_samples"])}
    alone = all(row["n_samples"] == 1 for row in named.values())  # then each annotation is an object by itself
    boxes = owners(list(iterate_rows(annotations, ANNOTATION_COLUMNS)), triplets, margin)
    for row, box in zip(iterate_rows(triplets[0], TRIPLET_COLUMNS), boxes, strict=True):
        if row["triplet_id"] not in track_of:
            raise InputError(f"{members_of(tracks)}: triplet {row['triplet_id']} of {triplets[0]} is in no track; "
                             "delete the tracks and run again")  # fmt: skip
        if box is None:
            continue
        track = named[track_of[row["triplet_id"]]]
        yield Owned(
            track=track["track_id"],
            label=row["label"],
            track_label=track["label"],
            score=track["score"],
            thing=Thing(box["class_name"], box["fine_name"], box["category"]),
            instance=box["annotation_id"] if box["instance"] is None and alone else box["instance"],
        )
