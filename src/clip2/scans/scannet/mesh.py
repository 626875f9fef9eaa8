"""A ScanNet scene's decimated mesh and the objects that people marked in it: read by evaluation only.

``ID_vh_clean_2.ply`` holds the vertices, ``ID_vh_clean_2.0.010000.segs.json`` a segment for each of them, and
``ID.aggregation.json`` which segments make up an object and what it is called.
"""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clip2.errors import InputError
from clip2.geometry import transform_points
from clip2.scans.scannet.files import axis_alignment, labels_file, scene_file
from clip2.scans.scannet.ply import read_ply_vertices

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


def read_classes(root: Path) -> dict[str, str | None]:
    """Raw category → class of the 17, or None, from ScanNet's table of labels."""
    path = labels_file(root)
    if not path.is_file():
        raise InputError(f"{path}: no such file; download scannetv2-labels.combined.tsv into the ScanNet data root")
    with path.open(encoding="utf-8-sig", newline="") as file:
        table = csv.DictReader(file, delimiter="\t")
        missing = {"raw_category", "nyu40id"} - set(table.fieldnames or ())
        if missing:
            raise InputError(f"{path}: has no column {', '.join(sorted(missing))}; download it again")
        return {row["raw_category"]: CLASS_OF_NYU40.get(_number(row["nyu40id"])) for row in table}


def _number(text: str | None) -> int:
    return int(text) if text and text.strip().isdigit() else 0


def _read_json(path: Path, key: str) -> Any:
    """The value of one key of a JSON object."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))[key]
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; download it, or check the data root") from None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not readable JSON with {key!r} ({error!r}); download it again") from None
    return value


def _read_segments(root: Path, scene: str, n_vertices: int) -> NDArray[np.int64]:
    """(V,) segment of each vertex."""
    path = scene_file(root, scene, SEGMENTS)
    segments = np.asarray(_read_json(path, "segIndices"), np.int64)
    if len(segments) != n_vertices:
        raise InputError(
            f"{path}: segments for {len(segments)} vertices, but {scene}{MESH} has {n_vertices}; the file of the "
            f"full-resolution mesh ({scene}_vh_clean.segs.json) was taken: copy {scene}{SEGMENTS} and "
            f"{scene}{AGGREGATION} there, which are for the decimated one"
        )
    return segments


def _read_groups(path: Path) -> list[tuple[int, str, tuple[int, ...]]]:
    """(object id, raw label, segments) of each object of an aggregation file, in its order."""
    groups: Sequence[dict[str, Any]] = _read_json(path, "segGroups")
    try:
        return [
            (int(group["objectId"]), str(group["label"]), tuple(sorted({int(i) for i in group["segments"]})))
            for group in groups
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: a group lacks objectId, label or segments ({error!r}); download it again") from None
