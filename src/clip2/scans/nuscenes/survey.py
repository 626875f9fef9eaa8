"""What of a nuScenes data set is there."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from nuscenes.eval.detection.constants import DETECTION_NAMES

from clip2.scans.box_sense import box_remarks, spread
from clip2.scans.clouds import own_cloud
from clip2.scans.files import absent
from clip2.scans.marker import source_kind
from clip2.scans.nuscenes.annotations import class_of, sample_boxes
from clip2.scans.nuscenes.boxes import Boxes
from clip2.scans.nuscenes.rows import rows
from clip2.scans.nuscenes.samples import Sample, samples_by_shard
from clip2.scans.nuscenes.settings import NuscenesSettings
from clip2.scans.nuscenes.tables import (
    CAMERAS,
    CLOUD_FORMAT,
    LIDAR,
    Recordings,
    no_pictures,
    read_scenes,
    table_folder,
)
from clip2.scans.shards import ROLES
from clip2.scans.survey import Survey, count_files


def survey(root: Path, settings: NuscenesSettings) -> Survey:
    """Count the recordings of the splits that the settings name; look at the boxes of some samples of ``val``.

    Raises:
        InputError: no tables, broken ones, or a split that names nothing.
    """
    folder = table_folder(root, settings.version)
    scenes = read_scenes(folder)
    chosen = {
        role: [sample for shard in samples_by_shard(folder, scenes, settings, role).values() for sample in shard]
        for role in ROLES
    }
    tokens = (sample.token for samples in chosen.values() for sample in samples)
    recordings = Recordings(folder, tokens, (*CAMERAS, LIDAR))
    clouds: dict[str, None] = {}
    images: dict[str, None] = {}
    used = dict.fromkeys(ROLES, 0)
    for role, samples in chosen.items():
        for sample in samples:
            recorded = recordings.of_sample(sample.token)
            if LIDAR in recorded:
                clouds[recorded[LIDAR].path] = None
                seen = [recorded[camera].path for camera in CAMERAS if camera in recorded]
                images.update(dict.fromkeys(seen))
                used[role] += len(seen)
    remarks = [*_category_remarks(folder, settings), *_box_remarks(root, recordings, chosen["val"], settings)]
    items = [
        count_files("key-frame clouds", [root / path for path in clouds]),
        count_files("images", [root / path for path in images]),
    ]
    missing = [
        f"no {item.name} at all ({absent(Path(item.first_missing))}); unpack them beside the tables"
        for item in items
        if item.first_missing and not item.found
    ]
    return Survey(
        dataset=f"nuScenes {settings.version}",
        root=root,
        source_kind=source_kind(root),
        items=items,
        used=used,
        remarks=remarks,
        fatal=[*(str(no_pictures(folder, getattr(settings, role))) for role in ROLES if not used[role]), *missing],
    )


def _category_remarks(folder: Path, settings: NuscenesSettings) -> Iterator[str]:
    """Categories that are none of nuScenes': their boxes are of no class."""
    names = [name for (name,) in rows(folder / "category.json", "name")]
    if unused := sorted(set(settings.categories) - set(names)):
        yield f"settings.categories names {', '.join(unused)}, which no category of these tables is called"
    if names and not any(class_of(name, settings.categories) for name in names):
        yield (
            f"none of the {len(names)} categories ({', '.join(names[:5])} …) is one of nuScenes': there will be no "
            "object to recognise; map them in settings.categories, e.g. {car: vehicle.car}"
        )


def _box_remarks(
    root: Path, recordings: Recordings, samples: Sequence[Sample], settings: NuscenesSettings
) -> Iterator[str]:
    """What looks wrong with the boxes of some samples."""
    folder = table_folder(root, settings.version)
    boxes = Boxes(folder, [sample.token for sample in samples])
    if boxes.n_elsewhere and not len(boxes):
        table = folder / "sample_annotation.json"
        yield f"none of the {boxes.n_elsewhere} rows of {table} is a box of split {settings.val!r}"
    recorded = [sample for sample in samples if LIDAR in recordings.of_sample(sample.token)]
    looked_at = spread([sample.token for sample in recorded])
    counts: Counter[str] = Counter()
    yield from box_remarks(
        (
            box
            for sample in recorded
            if sample.token in looked_at
            for box in sample_boxes(recordings, boxes, sample, settings.categories, counts)
        ),
        counts,
        DETECTION_NAMES,
        looked_at,
        lambda sample: own_cloud(recordings.of_sample(sample)[LIDAR].path, CLOUD_FORMAT),
        root,
    )
