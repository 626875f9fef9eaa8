"""What of your own recordings is there, and whether what you declared can be true (`clip2 check`)."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from clip2.geometry import points_in_oriented_box
from clip2.runtime.errors import InputError
from clip2.scans.clouds import CloudError, load_points
from clip2.scans.folder.annotations import sample_boxes
from clip2.scans.folder.files import LABELS, Scene, find_scenes, samples_by_shard
from clip2.scans.folder.frames import sample_frames
from clip2.scans.folder.settings import FolderSettings
from clip2.scans.images import ImageError, read_frame_image
from clip2.scans.marker import source_kind
from clip2.scans.sanity import complaints, frame_facts
from clip2.scans.shards import ROLES
from clip2.scans.survey import Item, Survey


def survey(root: Path, settings: FolderSettings) -> Survey:
    """Count the files, and try one sample of each scene: can it be read, and can what is declared be right?"""
    kind = source_kind(root)
    try:
        scenes = find_scenes(root)
        items = [item for scene in scenes for item in _items(scene)]
    except InputError as error:
        return Survey("folder", root, kind, [], {}, fatal=[str(error)])
    used: dict[str, int] = {}
    fatal: list[str] = []
    for role in ROLES:
        try:
            chosen = [pair for shard in samples_by_shard(scenes, settings, role).values() for pair in shard]
            used[role] = sum(stem in pictures for scene, stem in chosen for pictures in scene.pictures.values())
        except InputError as error:
            fatal.append(str(error))
    remarks = [remark for scene in scenes for remark in try_one(scene)]
    return Survey("folder", root, kind, items, used, remarks=remarks, fatal=fatal)


def _items(scene: Scene) -> Iterator[Item]:
    """Clouds that pictures ask for, pictures that clouds ask for, and labels."""
    stems = set(scene.clouds).union(*scene.pictures.values())
    for name, there in (("clouds", scene.clouds), *scene.pictures.items()):
        missing = sorted(stems - there.keys())
        yield Item(f"{scene.name}: {name}", len(there), len(stems), missing[0] if missing else None)
    labels = scene.files(LABELS, (".json",))
    if labels:
        strays = sorted(labels.keys() - set(scene.samples))
        first = strays[0] if strays else None
        yield Item(f"{scene.name}: labels with a sample", len(labels) - len(strays), len(labels), first)


def try_one(scene: Scene) -> Iterator[str]:
    """What looks wrong with the first sample of a scene."""
    if not scene.samples:
        return
    stem = scene.samples[0]
    where = f"{scene.folder}: sample {stem}"
    frames = list(sample_frames(scene, stem, Counter()))
    if not frames:
        yield f"{where}: has no usable pose"
        return
    try:
        points = load_points(frames[0]["clouds"], scene.root)
        for frame in frames:
            read_frame_image(scene.root, frame)
    except (CloudError, ImageError) as error:
        yield str(error)
        return
    facts = [frame_facts(frame, points) for frame in frames]
    yield from (f"{where}: {found}" for found in complaints(facts, scene.calibration.sensor))
    boxes = list(sample_boxes(scene, stem, Counter()))
    empty = sum(
        not points_in_oriented_box(points, np.reshape(box["T_points_from_box"], (4, 4)), box["size_lwh"]).any()
        for box in boxes
    )
    if empty > len(boxes) / 2:
        yield f"{where}: {empty} of {len(boxes)} labelled boxes hold no point; check the labels' frame, units and yaw"
