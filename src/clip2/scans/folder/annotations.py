"""Stage `annotations` for your own recordings: 3D boxes, for evaluation only, in files that no mining stage reads."""

import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)

from clip2.geometry import rigid, transform_points, yaw_rotation
from clip2.runtime.errors import InputError
from clip2.scans.box_sense import in_radians
from clip2.scans.folder.calibration import METRES, upright_metres
from clip2.scans.folder.files import (
    CALIBRATION,
    LABELS,
    Record,
    Scene,
    facts_of,
    find_scenes,
    flat,
    role_samples,
    samples_by_shard,
)
from clip2.scans.folder.settings import FolderSettings
from clip2.scans.shards import ROLES
from clip2.scans.tables import write_shard
from clip2.scans.texts import read_json
from clip2.store.provenance import provenance

log = logging.getLogger(__name__)


def _as_text(track: Any) -> Any:
    """A whole number as text: tools count tracks, and spreadsheets write 5.0; -1 is none."""
    text = str(int(track)) if type(track) in (int, float) and track % 1 == 0 else track
    return None if text == "-1" else text


_Number = Annotated[float, Field(allow_inf_nan=False)]
_Three = Annotated[list[_Number], Field(min_length=3, max_length=3)]
_Size = Annotated[list[Annotated[float, Field(gt=0, allow_inf_nan=False)]], Field(min_length=3, max_length=3)]


class Label(BaseModel):
    """One box: centre in the frame of the points as declared, full length, width and height, in the declared units.

    ``yaw``: radians about up, counter-clockwise seen from above, from the first axis of the points' upright frame.
    ``track``: a name of the thing, the same in all samples of its scene, where people followed it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
    center: _Three
    size_lwh: _Size
    yaw: Annotated[_Number, AfterValidator(in_radians)] = 0.0
    track: Annotated[str | None, BeforeValidator(_as_text)] = Field(None, min_length=1)

    @property
    def what(self) -> tuple[str | float, ...]:
        """Class and place: what is equal only where one box stands twice."""
        return (class_name(self.name), *self.center, *self.size_lwh, self.yaw)


_LABELS = TypeAdapter(list[Label])


def run(root: Path, out: Path, source: str, settings: FolderSettings) -> None:
    """Write ``out/{shard}.parquet`` for every shard of both roles, boxes in the points' frame (z up, metres)."""
    scenes = find_scenes(root)
    made_by = provenance(
        "annotations",
        settings.model_dump(mode="json"),
        {f"{scene.name}/{CALIBRATION}": scene.folder / CALIBRATION for scene in scenes},
    )
    facts = facts_of(scenes, source, root) | {"classes": label_classes(scenes, settings)}
    for role in ROLES:
        split = {"split": getattr(settings, role)}
        for shard, samples in samples_by_shard(scenes, settings, role).items():
            counts = Counter(samples=len(samples), samples_annotated=0, boxes_repeated=0)
            rows = (row for scene, stem in samples for row in sample_boxes(scene, stem, counts))
            write_shard(out / f"{shard}.parquet", "annotations", rows, facts | split, made_by, counts)
            if counts["boxes_repeated"]:
                log.warning("%s: %d boxes repeat one of their label file: left out", root, counts["boxes_repeated"])


def label_classes(scenes: list[Scene], settings: FolderSettings) -> list[str]:
    """The classes of the labels of both roles, sorted: what the evaluation chooses from."""
    samples = dict.fromkeys(pair for role in ROLES for pair in role_samples(scenes, settings, role))
    paths = (scene.folder / LABELS / f"{stem}.json" for scene, stem in samples)
    return sorted({class_name(label.name) for path in paths if path.is_file() for label in read_labels(path)})


def class_name(name: str) -> str:
    """The class that a label's name means."""
    return "_".join(name.lower().split())


def read_labels(path: Path) -> list[Label]:
    """The boxes of a label file.

    Raises:
        InputError: not a JSON list of boxes, or one track is in two places.
    """
    try:
        labels = _LABELS.validate_python(read_json(path))
    except FileNotFoundError as error:
        raise InputError(str(error)) from None
    except ValidationError as error:
        first = error.errors()[0]
        where, message = ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")
        raise InputError(f"{path}: {where}: {message}") from None
    tracks: dict[str, Label] = {}
    for label in labels:
        if label.track is not None and tracks.setdefault(label.track, label).what != label.what:
            raise InputError(
                f"{path}: track {label.track!r} is in two places at a time; give each thing its own (car 1, bus 1)"
            )
    return labels


def sample_boxes(scene: Scene, stem: str, counts: Counter[str]) -> Iterator[Record]:
    """One row a box of a sample (store.schemas.ANNOTATIONS); nothing where it has no label file.

    A box that stands twice in the file counts once.
    """
    path = scene.folder / LABELS / f"{stem}.json"
    if not path.is_file():
        return
    counts["samples_annotated"] += 1
    scale = METRES[scene.calibration.units]
    seen = set[tuple[str | float, ...]]()
    for index, label in enumerate(read_labels(path)):
        if label.what in seen:
            counts["boxes_repeated"] += 1
            continue
        seen.add(label.what)
        centre = transform_points([label.center], upright_metres(scene.calibration))[0] - scene.shift
        yield {
            "annotation_id": f"{scene.sample(stem)}/{index}",
            "scene": scene.unit(stem),
            "sample": scene.sample(stem),
            "instance": None if label.track is None else f"{scene.unit(stem)}/{label.track}",
            "category": label.name,
            "class_name": class_name(label.name),
            "fine_name": None,
            "T_points_from_box": flat(rigid(yaw_rotation(label.yaw), centre)),
            "size_lwh": [scale * side for side in label.size_lwh],
            "num_lidar_pts": -1,
            "num_radar_pts": -1,
            "visibility": None,
            "ego_distance_m": float(np.hypot(centre[0], centre[1])),
            "in_bicycle_rack": False,
        }
