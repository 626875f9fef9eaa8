"""What of a ScanNet data set is there."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from clip2.runtime.errors import InputError
from clip2.scans.marker import source_kind
from clip2.scans.scannet.files import axis_alignment, has_scene, labels_file, scene_file, split_scenes
from clip2.scans.scannet.mesh import AGGREGATION, MESH, SEGMENTS, is_marked, read_classes, read_labels
from clip2.scans.scannet.sens import read_header
from clip2.scans.scannet.settings import ScannetSettings
from clip2.scans.shards import ROLES
from clip2.scans.survey import Item, Survey, count_files


def survey(root: Path, settings: ScannetSettings) -> Survey:
    """Look for every file that the two splits need; frames are counted from the headers of the recordings alone."""
    fatal: list[str] = []
    remarks: list[str] = []
    scenes: dict[str, list[str]] = {}
    for role in ROLES:
        try:
            scenes[role] = split_scenes(root, getattr(settings, role))
            if not any(has_scene(root, scene) for scene in scenes[role]):
                fatal.append(f"{role}: none of the {len(scenes[role])} scenes of {getattr(settings, role)!r} is there")
        except InputError as error:
            scenes[role] = []
            fatal.append(str(error))
    used = {role: sum(_n_frames(root, scene, settings.frame_skip, fatal) for scene in scenes[role]) for role in ROLES}
    both = sorted({scene for role in ROLES for scene in scenes[role]})
    shared = sorted(set(scenes["train"]) & set(scenes["val"]))
    if shared:
        remarks.append(f"{len(shared)} scenes are both mined and evaluated on, the first {shared[0]}")
    there = [scene for scene in both if has_scene(root, scene)]
    not_aligned = [scene for scene in there if _alignment_missing(root, scene, fatal)]
    if not_aligned:
        remarks.append(
            f"{len(not_aligned)} scenes have no axisAlignment (the test scenes never do) and keep their own axes, "
            f"the first {not_aligned[0]}"
        )
    try:
        remarks += _label_remarks(root, [scene for scene in scenes["val"] if is_marked(root, scene)])
    except InputError as error:
        fatal.append(str(error))
    remarks.append(f"the frames to be used are every {settings.frame_skip}th; those whose tracking was lost drop out")
    return Survey(
        "scannet",
        root,
        source_kind(root),
        _items(root, both, scenes["val"]),
        used,
        "frames",
        remarks,
        list(dict.fromkeys(fatal)),
    )


def _items(root: Path, scenes: list[str], evaluated: list[str]) -> list[Item]:
    there = [has_scene(root, scene) for scene in scenes]
    missing = next((scene for scene, found in zip(scenes, there) if not found), None)

    def files(name: str, ending: str, of: list[str]) -> Item:
        return count_files(name, [scene_file(root, scene, ending) for scene in of if has_scene(root, scene)])

    return [
        Item("scenes", sum(there), len(scenes), missing),
        files("recordings (.sens)", ".sens", scenes),
        files("scene facts (.txt)", ".txt", scenes),
        files("meshes, evaluation", MESH, evaluated),
        files("segments, evaluation", SEGMENTS, evaluated),
        files("marked objects, evaluation", AGGREGATION, evaluated),
        count_files("label table, evaluation", [labels_file(root)]),
    ]


def _label_remarks(root: Path, scenes: list[str]) -> Iterator[str]:
    """What looks wrong with the names of marked objects."""
    if not labels_file(root).is_file():  # told as missing
        return
    classes = read_classes(root)
    labels = Counter(label for scene in scenes for label in read_labels(root, scene))
    unknown = {label: number for label, number in labels.items() if label not in classes}
    if unknown:
        yield (
            f"{sum(unknown.values())} of {labels.total()} marked objects have a label that {labels_file(root).name} "
            f"lacks, and are of no class: {', '.join(sorted(unknown)[:5])}"
        )
    elif labels and not any(classes[label] for label in labels):
        yield f"none of the {labels.total()} marked objects is of a class: there will be no object to recognise"


def _n_frames(root: Path, scene: str, skip: int, fatal: list[str]) -> int:
    path = scene_file(root, scene, ".sens")
    if not path.is_file():
        return 0
    try:
        return len(range(0, read_header(path).n_frames, skip))
    except InputError as error:
        fatal.append(str(error))
        return 0


def _alignment_missing(root: Path, scene: str, fatal: list[str]) -> bool:
    try:
        return axis_alignment(root, scene) is None
    except InputError as error:
        fatal.append(str(error))
        return False
