"""A ScanNet scene's decimated mesh and the objects that people marked in it: read by evaluation only.

``ID_vh_clean_2.ply`` holds the vertices, ``ID_vh_clean_2.0.010000.segs.json`` a segment for each of them, and
``ID.aggregation.json`` which segments make up an object and what it is called.
"""

import csv
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from clip2.geometry import transform_points
from clip2.runtime.errors import InputError
from clip2.scans.scannet.files import axis_alignment, labels_file, scene_file
from clip2.scans.scannet.ply import read_ply_vertices
from clip2.scans.texts import read_json, read_text

_ID = re.compile(r"(\d{1,9})(?:\.0*)?")
MESH, SEGMENTS, AGGREGATION = "_vh_clean_2.ply", "_vh_clean_2.0.010000.segs.json", ".aggregation.json"
CLASS_OF_NYU40 = {
    3: "cabinet",
    4: "bed",
    5: "chair",
    6: "sofa",
    7: "table",
    8: "door",
    9: "window",
    10: "bookshelf",
    11: "picture",
    12: "counter",
    14: "desk",
    16: "curtain",
    24: "refrigerator",
    28: "shower_curtain",
    33: "toilet",
    34: "sink",
    36: "bathtub",
}
"""NYU40 id → class: ScanNet's 18 instance classes without otherfurniture (39), the 17 of CLIP²'s protocol."""


@dataclass(frozen=True)
class Instance:
    """One object that people marked.

    Attributes:
        object_id: unique within the scene.
        label: ScanNet's raw category.
        class_name: of the 17, None where the label is none of them.
        vertices: (n,) numbers of its vertices, ascending.
    """

    object_id: int
    label: str
    class_name: str | None
    vertices: NDArray[np.int64]


@dataclass(frozen=True)
class MarkedScene:
    """The vertices of a scene (V, 3) float32, metres, axis-aligned, and the objects in it.

    Attributes:
        n_repeated: groups left out because they repeat another one, segment for segment (scene0217_00 has such).
    """

    vertices: NDArray[np.float32]
    instances: list[Instance]
    n_repeated: int


def is_marked(root: Path, scene: str) -> bool:
    """Whether people's marks are there; the test scenes have none."""
    return scene_file(root, scene, AGGREGATION).is_file()


def read_marked_scene(root: Path, scene: str, class_of_label: dict[str, str | None]) -> MarkedScene:
    """Vertices and objects of a scene, axis-aligned where ID.txt says how.

    Args:
        class_of_label: from :func:`read_classes`.

    Raises:
        InputError: a file is missing, damaged, or belongs to another mesh than the others.
    """
    vertices = read_ply_vertices(scene_file(root, scene, MESH))
    T = axis_alignment(root, scene)
    if T is not None:
        vertices = transform_points(vertices, T).astype(np.float32)
    segments = _read_segments(root, scene, len(vertices))
    order = np.argsort(segments, kind="stable")
    sorted_segments = segments[order]
    path = scene_file(root, scene, AGGREGATION)
    instances: list[Instance] = []
    seen: set[tuple[str, tuple[int, ...]]] = set()
    groups = _read_groups(path)
    for object_id, label, ids in groups:
        if (label, ids) in seen:
            continue
        seen.add((label, ids))
        low, high = np.searchsorted(sorted_segments, ids, "left"), np.searchsorted(sorted_segments, ids, "right")
        if (low == high).any():
            raise InputError(
                f"{path}: object {object_id} has segment {ids[int((low == high).argmax())]}, which "
                f"{scene_file(root, scene, SEGMENTS).name} has not; take {scene}{AGGREGATION} for the decimated mesh, "
                f"not {scene}_vh_clean{AGGREGATION}"
            )
        parts = [order[a:b] for a, b in zip(low, high)]
        members = np.sort(np.concatenate(parts)) if parts else np.empty(0, np.int64)
        instances.append(Instance(object_id, label, class_of_label.get(label), members))
    return MarkedScene(vertices, instances, len(groups) - len(instances))


def read_labels(root: Path, scene: str) -> list[str]:
    """The raw categories of the objects that people marked in a scene.

    Raises:
        InputError: the file is missing or damaged.
    """
    return [label for _, label, _ in _read_groups(scene_file(root, scene, AGGREGATION))]


def read_classes(root: Path) -> dict[str, str | None]:
    """Raw category → class of the 17, or None, from ScanNet's table of labels."""
    path = labels_file(root)
    if not path.is_file():
        raise InputError(f"{path}: no such file; download scannetv2-labels.combined.tsv into the ScanNet data root")
    # Nothing in it is quoted, and a category may hold a quotation mark (`"bar`); what pandas saved may be quoted.
    table = csv.DictReader(read_text(path).splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
    missing = {"raw_category", "nyu40id"} - set(table.fieldnames or ())
    if missing:
        raise InputError(f"{path}: has no column {', '.join(sorted(missing))}; download it again")
    classes = {_unquoted(row["raw_category"]).strip(): CLASS_OF_NYU40.get(_number(row["nyu40id"])) for row in table}
    if not any(classes.values()):
        raise InputError(f"{path}: no nyu40id in it is one of the {len(CLASS_OF_NYU40)} classes; download it again")
    return classes


def _number(text: str | None) -> int:
    """An id, also one that pandas saved as ``5.0``; 0 where there is none."""
    found = _ID.fullmatch(text.strip()) if text else None
    return int(found[1]) if found else 0


def _unquoted(text: str | None) -> str:
    text = text or ""
    return text[1:-1].replace('""', '"') if len(text) > 1 and text[0] == text[-1] == '"' else text


def _read_key(path: Path, key: str) -> Any:
    """The value of one key of a JSON object."""
    try:
        content = read_json(path)
    except FileNotFoundError as error:
        raise InputError(f"{error}; download it, or check the data root") from None
    if not isinstance(content, dict) or key not in content:
        raise InputError(f"{path}: is not an object with {key!r}; download it again")
    return content[key]


def _read_segments(root: Path, scene: str, n_vertices: int) -> NDArray[np.int64]:
    """(V,) segment of each vertex."""
    path = scene_file(root, scene, SEGMENTS)
    try:
        segments = np.asarray(_read_key(path, "segIndices"))
    except (ValueError, OverflowError):  # lists of different lengths
        segments = np.empty(0, object)
    # ids that went through pandas are 5.0
    if segments.ndim != 1 or segments.dtype.kind not in "if" or not (segments == np.floor(segments)).all():
        raise InputError(f"{path}: `segIndices` is not one whole number a vertex; download it again")
    if np.abs(segments).max(initial=0) >= 2**53:
        raise InputError(f"{path}: `segIndices` has numbers that are no segments; download it again")
    segments = segments.astype(np.int64)
    if len(segments) != n_vertices:
        raise InputError(
            f"{path}: segments for {len(segments)} vertices, but {scene}{MESH} has {n_vertices}; the file of the "
            f"full-resolution mesh ({scene}_vh_clean.segs.json) was taken: copy {scene}{SEGMENTS} and "
            f"{scene}{AGGREGATION} there, which are for the decimated one"
        )
    return segments


class _Group(BaseModel):
    """An object of an aggregation file."""

    objectId: Annotated[int, Field(ge=0, lt=2**31)]
    label: str
    segments: list[Annotated[int, Field(ge=-(2**53), le=2**53)]]


_GROUPS = TypeAdapter(list[_Group])


def _read_groups(path: Path) -> list[tuple[int, str, tuple[int, ...]]]:
    """(object id, raw label, segments) of each object of an aggregation file, in its order."""
    try:
        groups = _GROUPS.validate_python(_read_key(path, "segGroups"))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"{path}: segGroups.{where}: {first['msg']}; download it again") from None
    return [(group.objectId, group.label.strip(), tuple(sorted(set(group.segments)))) for group in groups]
