"""Stage `annotations` for your own recordings: 3D boxes, for evaluation only, in files that no mining stage reads."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from clip2.errors import InputError
from clip2.geometry import rigid, transform_points, yaw_rotation
from clip2.scans.folder.calibration import METRES, upright_metres
from clip2.scans.folder.files import CALIBRATION, Record, Scene, facts_of, find_scenes, flat, samples_by_shard
from clip2.scans.folder.settings import FolderSettings
from clip2.scans.shards import ROLES
from clip2.scans.tables import write_shard
from clip2.store.provenance import provenance

LABELS = "labels"
_Number = Annotated[float, Field(allow_inf_nan=False)]
_Three = Annotated[list[_Number], Field(min_length=3, max_length=3)]
_Size = Annotated[list[Annotated[float, Field(gt=0, allow_inf_nan=False)]], Field(min_length=3, max_length=3)]


class Label(BaseModel):
    """One box: centre in the frame of the points as declared, full length, width and height, in the declared units.

    ``yaw``: radians about up, counter-clockwise seen from above, from the first axis of the points' upright frame.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str = Field(min_length=1)
    center: _Three
    size_lwh: _Size
    yaw: _Number = 0.0


_LABELS = TypeAdapter(list[Label])


def run(root: Path, out: Path, source: str, settings: FolderSettings) -> None:
    """Write ``out/{shard}.parquet`` for every shard of both roles, boxes in the points' frame (z up, metres)."""
    scenes = find_scenes(root)
    made_by = provenance(
        "annotations",
        settings.model_dump(mode="json"),
        {f"{scene.name}/{CALIBRATION}": scene.folder / CALIBRATION for scene in scenes},
    )
    facts = facts_of(scenes, source, root)
    for role in ROLES:
        split = {"split": getattr(settings, role)}
        for shard, samples in samples_by_shard(scenes, settings, role).items():
            counts = Counter(samples=len(samples), samples_annotated=0)
            rows = (row for scene, stem in samples for row in sample_boxes(scene, stem, counts))
            write_shard(out / f"{shard}.parquet", "annotations", rows, facts | split, made_by, counts)


def read_labels(path: Path) -> list[Label]:
    """The boxes of a label file.

    Raises:
        InputError: not a JSON list of boxes.
    """
    try:
        return _LABELS.validate_python(json.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error})") from None


def sample_boxes(scene: Scene, stem: str, counts: Counter[str]) -> Iterator[Record]:
    """One row a box of a sample (store.schemas.ANNOTATIONS); nothing where it has no label file."""
    path = scene.folder / LABELS / f"{stem}.json"
    if not path.is_file():
        return
    counts["samples_annotated"] += 1
    scale = METRES[scene.calibration.units]
    for index, label in enumerate(read_labels(path)):
        centre = transform_points([label.center], upright_metres(scene.calibration))[0]
        yield {
            "annotation_id": f"{scene.sample(stem)}/{index}",
            "scene": scene.unit(stem),
            "sample": scene.sample(stem),
            "instance": None,
            "category": label.name,
            "class_name": "_".join(label.name.lower().split()),
            "fine_name": None,
            "T_points_from_box": flat(rigid(yaw_rotation(label.yaw), centre)),
            "size_lwh": [scale * side for side in label.size_lwh],
            "num_lidar_pts": -1,
            "num_radar_pts": -1,
            "visibility": None,
            "ego_distance_m": float(np.hypot(centre[0], centre[1])),
            "in_bicycle_rack": False,
        }
