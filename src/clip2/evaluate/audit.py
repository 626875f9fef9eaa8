"""Stage `audit`: how good the mined triplets are, by human boxes. For people, never for the mining itself.

A triplet belongs to the annotated box of its sample that holds most of its points. With P its points and B those of
that box which project into the triplet's image: precision |P∩B|/|P|, recall |P∩B|/|B|, IoU |P∩B|/|P∪B|.
"""

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clip2.evaluate.audit_summary import Tally, Thing, print_audit
from clip2.evaluate.boxes import BoxSearch, in_picture, shared_counts
from clip2.evaluate.settings import AuditSettings
from clip2.runtime.console import progress
from clip2.runtime.errors import InputError
from clip2.scans.clouds import CloudError, load_points
from clip2.store.atomic import write_sealed
from clip2.store.bad_frames import BadFrames
from clip2.store.crops import Shards
from clip2.store.provenance import git_state, provenance
from clip2.store.ragged import RaggedReader
from clip2.store.tables import iterate_rows, read_header

log = logging.getLogger(__name__)

Row = dict[str, Any]
TRIPLET_COLUMNS = ["frame_id", "sample", "label", "score"]


def run(
    frames: Sequence[Path],
    annotations: Sequence[Path],
    triplets: Shards,
    data_root: Path,
    out: Path,
    settings: AuditSettings,
) -> None:
    """Write the quality figures of a set of triplets as JSON and print them as a table.

    Args:
        frames, annotations, triplets: the same shards in the same order; a triplet shard is (Parquet, HDF5).
        data_root: folder that the frames' paths are relative to.
    """
    if not len(frames) == len(annotations) == len(triplets) > 0:
        raise InputError(
            f"{len(frames)} frame, {len(annotations)} annotation and {len(triplets)} triplet shards; "
            "give the same shards of each"
        )
    tally = Tally()
    bad = BadFrames(settings.max_bad_share)
    n_samples = 0
    shards = list(zip(frames, annotations, triplets, strict=True))
    for shard in progress(shards, "shards audited", len(shards)):
        for sample in _samples(*shard):
            n_samples += 1
            try:
                audit_sample(sample, data_root, settings, tally)
            except CloudError as error:
                bad.add(sample.name, error.reason, str(error))
    bad.check(n_samples)
    header = read_header(triplets[0][0])
    result = {
        "kind": "audit",
        **{key: header[key] for key in ("source", "source_kind", "split")},
        "mined_by": triplets[0][0].parent.name,  # detector.lifter, as the workflow names the folder
        "protocol": settings.model_dump(mode="json"),
        "samples": n_samples,
        "bad_samples": bad.header(),
        **tally.summary(settings.synonyms),
        "provenance": _provenance(frames, annotations, triplets, settings),
    }
    write_sealed(out, result)
    print_audit(result)


class Sample:
    """All that is known of one sample: its views, its human boxes, its triplets and their points."""

    def __init__(self, views: list[Row], boxes: list[Row], rows: list[Row], crops: list[NDArray[np.float32]]) -> None:
        self.name: str = views[0]["sample"]
        self.views, self.boxes, self.rows, self.crops = views, boxes, rows, crops


def _samples(frames: Path, annotations: Path, triplets: tuple[Path, Path]) -> Iterator[Sample]:
    """The samples of a shard, in frame order."""
    boxes: dict[str, list[Row]] = defaultdict(list)
    for row in iterate_rows(annotations):
        boxes[row["sample"]].append(row)
    where: dict[str, list[tuple[int, Row]]] = defaultdict(list)
    for number, row in enumerate(iterate_rows(triplets[0], TRIPLET_COLUMNS)):
        where[row["sample"]].append((number, row))
    with RaggedReader(triplets[1]) as points:
        if len(points) != sum(map(len, where.values())):
            raise InputError(
                f"{triplets[0]} and {triplets[1]}: not the same number of triplets; delete both, run again"
            )
        for name, group in groupby(iterate_rows(frames), key=lambda frame: frame["sample"]):
            mine = where.pop(name, [])
            yield Sample(list(group), boxes[name], [row for _, row in mine], [points[i] for i, _ in mine])
    if where:
        raise InputError(f"{triplets[0]}: {len(where)} samples in it are not in {frames}; give shards of the same name")


def audit_sample(sample: Sample, data_root: Path, settings: AuditSettings, tally: Tally) -> None:
    """Match one sample's triplets with its boxes and add both to the tally.

    Raises:
        CloudError: the sample's points cannot be read.
    """
    points = load_points(sample.views[0]["clouds"], data_root, settings.min_sweep_range)
    search = BoxSearch(points)
    members = [search.inside(box, settings.margin_m) for box in sample.boxes]
    visible = {view["frame_id"]: in_picture(points, view) for view in sample.views}
    things = [Thing(box["class_name"], box["fine_name"], box["category"]) for box in sample.boxes]
    shared = shared_counts(sample.boxes, sample.crops, settings.margin_m)
    owners: set[int] = set()
    for number, (row, crop) in enumerate(zip(sample.rows, sample.crops, strict=True)):
        owner = int(shared[:, number].argmax()) if len(shared) else -1
        both = int(shared[owner, number]) if owner >= 0 else 0
        if both == 0:
            tally.no_box += 1
            continue
        owners.add(owner)
        in_box = max(int(visible[row["frame_id"]][members[owner]].sum()), both)
        tally.add_triplet(
            row["label"], things[owner], both / len(crop), both / in_box, both / (len(crop) + in_box - both)
        )
    for number, thing in enumerate(things):
        if max(int(mask[members[number]].sum()) for mask in visible.values()) >= settings.min_points:
            tally.add_object(thing, number in owners)


def _provenance(
    frames: Sequence[Path], annotations: Sequence[Path], triplets: Shards, settings: AuditSettings
) -> dict[str, Any]:
    inputs = {f"frames/{path.name}": path for path in frames}
    inputs |= {f"annotations/{path.name}": path for path in annotations}
    inputs |= {f"triplets/{path.name}": path for pair in triplets for path in pair}
    return provenance("audit", settings.model_dump(mode="json"), inputs) | {"git": git_state()}
