"""Command `import-labels`: boxes that people corrected in a tool become a folder's labels (docs/your_own_data.md)."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from clip2.export import read_kitti, read_nuscenes, read_sustechpoints
from clip2.export.formats import CORRECTED
from clip2.export.named_boxes import NamedBox, SampleBoxes
from clip2.geometry import transform_points
from clip2.runtime.errors import InputError
from clip2.scans.folder.annotations import LABELS
from clip2.scans.folder.calibration import METRES, upright_metres
from clip2.scans.folder.files import Scene, find_scenes
from clip2.store.atomic import write_json

log = logging.getLogger(__name__)

READERS: dict[str, Callable[[Path, Counter[str]], Iterator[SampleBoxes]]] = dict(
    zip(CORRECTED, (read_kitti.read, read_nuscenes.read, read_sustechpoints.read), strict=True)
)
"""Format → reader of its labels."""


def import_labels(format: str, source: Path, out: Path, replace: bool = False) -> tuple[int, int]:
    """Write ``labels/STEM.json`` of each sample that the tool's labels are of, an empty list where it has no box.

    What is left out is counted, and said in a line of the log.

    Args:
        format: a key of ``READERS``.
        source: folder of the tool's labels.
        out: folder of recordings, laid out as docs/your_own_data.md says.
        replace: whether labels that are there may go.

    Returns:
        How many boxes and samples were written.

    Raises:
        InputError: labels are broken, or of samples that the folder does not have, or already there.
    """
    stems = {scene.sample(stem): (scene, stem) for scene in find_scenes(out) for stem in scene.samples}
    found: dict[str, list[NamedBox]] = {}
    left_out: Counter[str] = Counter()
    for sample, boxes in _read(format, source, left_out):
        known = sample if sample in stems else sample.rpartition("/")[2]  # a root without sub-folders names no scene
        if known not in stems:
            raise InputError(f"{source}: has labels of sample {sample!r}, which {out} does not have; name its folder")
        if known in found:
            raise InputError(f"{source}: has two files of labels of sample {known!r}; keep one of them")
        once = {(box.name, *box.box.tolist()): box for box in boxes}
        left_out["that repeat another"] += len(boxes) - len(once)
        found[known] = list(once.values())
    if left_out.total():
        log.warning("%s: left out: %s", source, ", ".join(f"{n:,} {what}" for what, n in sorted(left_out.items()) if n))
    paths = {sample: _path(*stems[sample]) for sample in found}
    there = [path for path in paths.values() if path.exists()]
    if there and not replace:
        raise InputError(f"{there[0]}: is there, as {len(there) - 1} others; --replace writes over them")
    for sample, boxes in found.items():
        write_json(paths[sample], [_label(box, stems[sample][0]) for box in boxes])
    return sum(map(len, found.values())), len(found)


def _read(format: str, source: Path, left_out: Counter[str]) -> Iterator[SampleBoxes]:
    try:
        yield from READERS[format](source, left_out)
    except FileNotFoundError as error:  # a link that leads nowhere
        raise InputError(str(error)) from None


def _path(scene: Scene, stem: str) -> Path:
    return scene.folder / LABELS / f"{stem}.json"


def _label(box: NamedBox, scene: Scene) -> dict[str, object]:
    """A box in the folder's own axes and units."""
    centre = transform_points([box.box[:3]], np.linalg.inv(upright_metres(scene.calibration)))[0]
    size = box.box[3:6] / METRES[scene.calibration.units]
    return {"name": box.name, "center": centre.tolist(), "size_lwh": size.tolist(), "yaw": float(box.box[6])}
