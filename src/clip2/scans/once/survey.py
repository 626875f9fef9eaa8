"""What of a ONCE data set is there (`clip2 check`)."""

from collections import Counter
from pathlib import Path

from clip2.runtime.errors import InputError
from clip2.scans.benchmark_classes import ONCE_CLASSES
from clip2.scans.box_sense import box_remarks, spread
from clip2.scans.clouds import own_cloud
from clip2.scans.marker import source_kind
from clip2.scans.once.annotations import sequence_boxes
from clip2.scans.once.files import (
    CLOUD_FORMAT,
    LIDAR,
    Sequence,
    cloud_path,
    json_path,
    named_sequences,
    read_sequence,
    stems,
)
from clip2.scans.once.settings import OnceSettings
from clip2.scans.shards import ROLES
from clip2.scans.survey import Item, Survey, count_files


class _Tally:
    """Files of one kind, sequence by sequence: how many there are, how many there should be."""

    def __init__(self) -> None:
        self.found = self.wanted = 0
        self.first_missing: str | None = None

    def add(self, folder: Path, wanted: list[str], there: set[str]) -> None:
        missing = [name for name in wanted if name not in there]
        self.wanted += len(wanted)
        self.found += len(wanted) - len(missing)
        if missing and self.first_missing is None:
            self.first_missing = str(folder / missing[0])


def survey(root: Path, settings: OnceSettings) -> Survey:
    """Look for everything that both roles need: reads the sequences' JSON, lists folders, opens a few point clouds."""
    items: list[Item] = []
    remarks: list[str] = []
    fatal: list[str] = []
    used: dict[str, int] = {}
    tallies: dict[str, _Tally] = {}
    for role in ROLES:
        try:
            named = named_sequences(root, getattr(settings, role))
        except InputError as error:
            fatal.append(str(error))
            continue
        paths = [json_path(root, name) for name in named]
        items.append(count_files(f"{role}: sequences", paths))
        sequences = _read(root, named, fatal)
        annotated_only = role == "val" and settings.annotated_only
        used[role] = sum(_sequence_frames(root, sequence, annotated_only, tallies) for sequence in sequences)
        if role == "val":
            try:
                remarks += _box_remarks(root, sequences)
            except InputError as error:
                fatal.append(str(error))
        if not used[role]:
            fatal.append(f"{role}: {getattr(settings, role)!r} gives no picture with a point cloud")
    items += [Item(name, tally.found, tally.wanted, tally.first_missing) for name, tally in sorted(tallies.items())]
    if absent := [name for name, tally in sorted(tallies.items()) if not tally.found]:
        remarks.append(
            f"nothing there of {', '.join(absent)}: ONCE is unpacked camera by camera; what is there is used"
        )
    return Survey("once", root, source_kind(root), items, used, remarks=remarks, fatal=fatal)


def _read(root: Path, named: list[str], fatal: list[str]) -> list[Sequence]:
    """The sequences that are there and can be read."""
    found = []
    for name in named:
        if not json_path(root, name).is_file():
            continue
        try:
            found.append(read_sequence(root, name))
        except InputError as error:
            fatal.append(str(error))
    return found


def _box_remarks(root: Path, sequences: list[Sequence]) -> list[str]:
    """What looks wrong with the boxes of the evaluation's sequences."""
    annotated = [f"{one.name}/{row.frame}" for one in sequences for row in one.recordings if row.annotated]
    counts: Counter[str] = Counter()
    return list(
        box_remarks(
            (box for sequence in sequences for box in sequence_boxes(root, sequence.name, counts)),
            counts,
            ONCE_CLASSES,
            spread(annotated),
            lambda sample: own_cloud(cloud_path(*sample.split("/")), CLOUD_FORMAT),
            root,
        )
    )


def _sequence_frames(root: Path, sequence: Sequence, annotated_only: bool, tallies: dict[str, _Tally]) -> int:
    """Frames that a sequence gives; adds what it should have to the tallies."""
    wanted = [row.frame for row in sequence.recordings if row.annotated or not annotated_only]
    folders = (LIDAR, *(camera.name for camera in sequence.cameras))
    there = {folder: stems(root, sequence.name, folder) for folder in folders}
    for folder in folders:
        tallies.setdefault(folder, _Tally()).add(root / "data" / sequence.name / folder, wanted, there[folder])
    return sum(frame in there[LIDAR] and frame in there[folder] for frame in wanted for folder in folders[1:])
