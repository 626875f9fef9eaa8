"""What of your own recordings is there, and whether what you declared can be true (`clip2 check`)."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from clip2.geometry import points_in_oriented_box
from clip2.runtime.errors import InputError
from clip2.scans.box_sense import spread
from clip2.scans.clouds import CloudError, load_points
from clip2.scans.folder.annotations import read_labels, sample_boxes
from clip2.scans.folder.calibration import METRES, read_pose
from clip2.scans.folder.files import LABELS, TIMES, Scene, find_scenes, listed, passed_over, samples_by_shard
from clip2.scans.folder.frames import sample_frames
from clip2.scans.folder.settings import FolderSettings
from clip2.scans.images import ImageError, read_frame_image
from clip2.scans.marker import source_kind
from clip2.scans.sanity import complaints, frame_facts
from clip2.scans.shards import ROLES
from clip2.scans.survey import Item, Survey


def survey(root: Path, settings: FolderSettings) -> Survey:
    """Count the files, and try some samples of each scene: can they be read, and can what is declared be right?"""
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
    remarks = [*passed_over(scenes), *_copies(scenes), *(remark for scene in scenes for remark in try_scene(scene))]
    return Survey("folder", root, kind, items, used, remarks=remarks, fatal=fatal)


def _items(scene: Scene) -> Iterator[Item]:
    """Clouds that pictures ask for, pictures that clouds ask for, and labels."""
    stems = set(scene.clouds).union(*scene.pictures.values())
    for name, there in (("clouds", scene.clouds), *scene.pictures.items()):
        missing = sorted(stems - there.keys())
        yield Item(f"{scene.name}: {name}", len(there), len(stems), missing[0] if missing else None)
    if scene.pose_folder is not None:
        lost = sorted(set(scene.samples) - {path.stem for path in listed(scene.pose_folder)})
        yield Item(f"{scene.name}: poses", len(scene.samples) - len(lost), len(scene.samples), next(iter(lost), None))
    labels = scene.files(LABELS, (".json",))
    if labels:
        strays = sorted(labels.keys() - set(scene.samples))
        first = strays[0] if strays else None
        yield Item(f"{scene.name}: labels with a sample", len(labels) - len(strays), len(labels), first)


def _copies(scenes: Sequence[Scene]) -> Iterator[str]:
    """Scenes whose first clouds are the same bytes: what is mined of one is known of the other."""
    seen: dict[bytes, Scene] = {}
    for scene in scenes:
        path = scene.root / next(iter(scene.clouds.values()), "")
        if not path.is_file():
            continue
        with path.open("rb") as file:
            other = seen.setdefault(hashlib.sha256(file.read(COMPARED)).digest(), scene)
        if other is not scene:
            yield f"{scene.folder}: begins with the same cloud as {other.folder.name}; keep one of two copies"


COMPARED = 1 << 20
"""Bytes of a cloud; no sensor measures the same twice."""
TRIED = 4
"""Samples of a scene that are looked at, spread over it: of labels, the first may be one without a box."""
COARSE = 0.02
"""Metres to which poses are rounded, from which on they harm."""
LONGEST = 100.0
"""Metres, longer than what people draw boxes around: most of them longer is another unit."""
APART_S = 60.0
"""Seconds between neighbouring samples above which their times are hardly in seconds."""


def try_scene(scene: Scene) -> Iterator[str]:
    """What looks wrong with a scene: with its first sample, its poses, its times, its labels.

    Raises:
        InputError: a pose, a label file or the times cannot be right.
    """
    if scene.samples:
        yield from _try_first(scene)
        yield from _try_poses(scene)
        yield from _try_times(scene)
        yield from _try_labels(scene)


def _try_first(scene: Scene) -> Iterator[str]:
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


def _try_labels(scene: Scene) -> Iterator[str]:
    """Reads all label files, and compares boxes of some samples with their points."""
    there, stems, repeated = scene.files(LABELS, (".json",)), [], 0
    for stem in (stem for stem in scene.samples if stem in there):
        labels = read_labels(scene.root / there[stem])
        repeated += len(labels) - len({label.what for label in labels})
        stems += [stem] if labels else []
    if repeated:
        yield f"{scene.folder}: {repeated} labelled boxes repeat one of their file; they will be left out"
    tried, total, empty, long = 0, 0, 0, 0
    for stem in spread(stems, TRIED):
        frame = next(sample_frames(scene, stem, Counter()), None)
        if frame is None:
            continue
        try:
            points = load_points(frame["clouds"], scene.root)
        except CloudError as error:
            yield str(error)
            continue
        tried += 1
        for box in sample_boxes(scene, stem, Counter()):
            T = np.reshape(box["T_points_from_box"], (4, 4))
            total += 1
            empty += not points_in_oriented_box(points, T, box["size_lwh"]).any()
            long += max(box["size_lwh"]) > LONGEST
    of = f"of {total} labelled boxes of {tried} samples"
    if empty > total / 2:
        yield f"{scene.folder}: {empty} {of} hold no point; check the labels' frame, units and yaw"
    if long > total / 2:
        yield f"{scene.folder}: {long} {of} are longer than {LONGEST:g} m; check the labels' units"


def _try_times(scene: Scene) -> Iterator[str]:
    times = [scene.times_us[stem] for stem in scene.samples if stem in scene.times_us]
    if len(times) < 2:
        return
    steps = np.diff(times) / 1e6
    if (apart := float(np.median(np.abs(steps)))) > APART_S:
        yield f"{scene.folder}: samples are {apart:g} s apart (median); check that {TIMES} is in seconds"
    if (steps < 0).mean() > 0.5:
        yield f"{scene.folder}: times fall from sample to sample; check that {TIMES} names the right ones"


def _try_poses(scene: Scene) -> Iterator[str]:
    """Poses in map coordinates that went through float32, which rounds them to half a metre."""
    folder = scene.pose_folder
    if folder is None:
        return
    unit, steps = METRES[scene.calibration.units], []
    for stem in spread(scene.samples, TRIED):
        try:
            place = read_pose(folder / f"{stem}.txt")[:3, 3]
        except (OSError, ValueError, IndexError, InputError):  # told elsewhere
            continue
        rounded = place.astype(np.float32)
        if not (rounded == place).all():
            return
        steps.append(float(np.spacing(np.abs(rounded)).max()) * unit)
    if len(steps) > 1 and min(steps) > COARSE:
        yield f"{folder}: poses are rounded to {min(steps):.2g} m, as by float32; write them as float64"
