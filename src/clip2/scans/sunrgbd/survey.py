"""What of SUN RGB-D is there, for ``clip2 check``: seconds for its 10,335 frames, since no picture is decoded."""

from collections.abc import Iterator
from pathlib import Path

from clip2.runtime.errors import InputError
from clip2.scans.benchmark_classes import SUNRGBD_CLASSES
from clip2.scans.marker import REAL, source_kind
from clip2.scans.shards import ROLES
from clip2.scans.sunrgbd.boxes import read_boxes
from clip2.scans.sunrgbd.files import names_in_split, open_release
from clip2.scans.sunrgbd.recordings import Release
from clip2.scans.sunrgbd.settings import SunrgbdSettings
from clip2.scans.survey import Item, Survey, count_files

N_FRAMES = 10335
SPLIT_SIZES = {"train": 5285, "val": 5050}
"""Of the real data set, whole."""


def survey(root: Path, settings: SunrgbdSettings) -> Survey:
    """Count what is there; what cannot work is told in ``fatal``, never raised."""
    kind = source_kind(root)
    try:
        release = open_release(root, settings)
    except InputError as error:
        return Survey("SUN RGB-D", root, kind, [], {}, fatal=[str(error)])
    recordings = list(release.recordings.values())
    images, clouds = [root / r.image_path for r in recordings], [root / r.cloud_path for r in recordings]
    uncalibrated = [r.name for r in recordings if r.calibration is None]
    items = [
        count_files("colour images", images),
        count_files("depth images or point files", clouds),
        Item("calibrations", len(recordings) - len(uncalibrated), len(recordings), next(iter(uncalibrated), None)),
    ]
    usable = {
        r.name
        for r, image, cloud in zip(recordings, images, clouds)
        if r.calibration and image.exists() and cloud.exists()
    }
    used, fatal = {}, []
    names: dict[str, list[str]] = {}
    for role in ROLES:
        try:
            names[role] = names_in_split(release, getattr(settings, role))
        except InputError as error:
            fatal.append(f"{role}: {error}")
            continue
        missing = [name for name in names[role] if name not in usable]
        items.append(
            Item(f"frames of {role}", len(names[role]) - len(missing), len(names[role]), next(iter(missing), None))
        )
        used[role] = len(names[role]) - len(missing)
        if len(missing) > settings.max_bad_share * len(names[role]):
            fatal.append(
                f"{role}: {len(missing)} of {len(names[role])} frames cannot be used; "
                f"complete them, or allow a larger max_bad_share than {settings.max_bad_share:g}"
            )
    remarks = [release.layout, *_box_remarks(release)]
    if both := set(names.get("train", ())) & set(names.get("val", ())):
        remarks.append(f"{len(both)} frames are in train and in val: what is mined there is evaluated there")
    if kind == REAL:
        remarks += _size_remarks(release)
    return Survey("SUN RGB-D", root, kind, items, used, remarks=remarks, fatal=fatal)


def _box_remarks(release: Release) -> Iterator[str]:
    boxes = {name: read_boxes(recording.labels) for name, recording in release.recordings.items()}
    good = [box for each in boxes.values() for box in each if box is not None]
    without = [name for name, each in boxes.items() if not each]
    known = sum(box.category in SUNRGBD_CLASSES for box in good)
    first = f" (the first without: {without[0]})" if without else ""
    annotated = f"{len(boxes) - len(without)} of {len(boxes)} frames are annotated{first}"
    yield f"{annotated}: {len(good)} boxes, {known} of the ten classes (from {release.boxes_from})"
    if malformed := sum(each.count(None) for each in boxes.values()):
        yield f"{malformed} boxes are malformed and will be left out"
    if release.unnamed:
        yield f"{release.unnamed} entries of the metadata are empty or repeat a frame"


def _size_remarks(release: Release) -> Iterator[str]:
    if len(release.recordings) != N_FRAMES:
        yield f"the data set has {N_FRAMES} frames, this folder names {len(release.recordings)}"
    sizes = {split: len(set(release.splits[split])) for split in SPLIT_SIZES if split in release.splits}
    if sizes == {"train": SPLIT_SIZES["val"], "val": SPLIT_SIZES["train"]}:
        yield f"the two splits seem to be swapped: {sizes}; get {release.split_file} again"
    elif len(sizes) == 2 and sizes != SPLIT_SIZES:
        yield f"the official splits have {SPLIT_SIZES} frames, these {sizes}"
