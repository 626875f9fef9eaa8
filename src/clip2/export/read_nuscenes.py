"""nuScenes' tables → named boxes of each sample."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from clip2.export.named_boxes import NamedBox, SampleBoxes, is_box
from clip2.export.nuscenes_names import CATEGORIES
from clip2.export.scans import yaw_of
from clip2.geometry import invert
from clip2.runtime.errors import InputError
from clip2.scans.nuscenes.boxes import Boxes
from clip2.scans.nuscenes.rows import rows
from clip2.scans.nuscenes.tables import LIDAR, Recordings, pose_matrix

WORDS = {category: label for label, category in CATEGORIES.items()}


def read(folder: Path, left_out: Counter[str]) -> Iterator[SampleBoxes]:
    """Boxes of each sample, in the frame of its LiDAR key frame. A sample's token is its name.

    Args:
        left_out: what is no box with a name is counted there.

    Raises:
        InputError: there are no tables, of several versions, or they are broken.
    """
    versions = sorted(path.parent for path in folder.glob("*/sample_annotation.json"))
    if len(versions) != 1:
        raise InputError(f"{folder}: holds {len(versions)} versions of nuScenes' tables; give a folder that holds one")
    (version,) = versions
    samples = [token for (token,) in rows(version / "sample.json", "token")]
    boxes, recordings = Boxes(version, samples), Recordings(version, samples, (LIDAR,))
    for sample in samples:
        recorded = recordings.of_sample(sample)
        if LIDAR not in recorded:
            raise InputError(f"{version}: sample {sample} has no {LIDAR}, whose frame its boxes would go to")
        T_points_from_global = invert(recordings.T_global_from_sensor(recorded[LIDAR]))
        found = []
        for box in boxes.of_sample(sample):
            T = T_points_from_global @ pose_matrix(box.rotation, box.translation)
            width, length, height = box.size_wlh
            name = WORDS.get(box.instance.category, box.instance.category).replace("_", " ")
            numbers = [*T[:3, 3].tolist(), length, width, height, yaw_of(T)]
            try:
                found += [NamedBox(name, np.array(numbers))] if is_box(name, numbers, left_out) else []
            except ValueError as error:
                raise InputError(f"{version}: sample_annotation {box.token}: {error}") from None
        yield sample, found
