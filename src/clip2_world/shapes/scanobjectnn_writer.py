"""Writes scanned objects as ScanObjectNN has them: three variants of the same objects in ``h5_files``."""

from collections.abc import Iterable
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from clip2.geometry import yaw_rotation
from clip2.store.atomic import atomic_path
from clip2_world.catalog import Rng
from clip2_world.marker import write_marker
from clip2_world.mesh import Floats
from clip2_world.shapes.settings import ShapesSettings
from clip2_world.shapes.specimens import Y_UP_FROM_Z_UP, specimen, specimen_rng
from clip2_world.shapes.views import ObjectScan, scan

KINDS = {
    "bag": ("bag", "plastic bag"),
    "bin": ("trash bin",),
    "box": ("cardboard box",),
    "cabinet": ("cabinet",),
    "chair": ("chair",),
    "desk": ("desk",),
    "display": ("display",),
    "door": ("door",),
    "shelf": ("shelf", "bookshelf"),
    "table": ("table",),
    "bed": ("bed",),
    "pillow": ("pillow",),
    "sink": ("sink",),
    "sofa": ("sofa",),
    "toilet": ("toilet",),
}
"""ScanObjectNN's class → fine names, in the order of its labels."""
FOLDER = "h5_files"
FILES = {
    "OBJ_ONLY": "main_split_nobg/{}_objectdataset.h5",
    "OBJ_BG": "main_split/{}_objectdataset.h5",
    "PB_T50_RS": "main_split/{}_objectdataset_augmentedrot_scale75.h5",
}
WORDS = {"train": "training", "val": "test"}
"""Role → the data set's word."""
BACKGROUND = -1
POINTS = 2048
_LEAST = 200
"""Points of the thing itself that a cut must hold."""
_BOX_MARGIN = 0.04
"""Metres around a thing in which its surroundings are cut with it."""
Cut = tuple[Floats, NDArray[np.int32]]
"""Points (2048, 3), y up, metres, around their middle; mask (2048,), ``BACKGROUND`` or 0."""
Class = tuple[str, dict[tuple[str, str], list[Cut]]]


def make_class(name: str, settings: ShapesSettings) -> Class:
    """A class and (variant, role) → its objects."""
    cuts: dict[tuple[str, str], list[Cut]] = {(variant, role): [] for variant in FILES for role in WORDS}
    for role, wanted in (("train", settings.train_objects), ("val", settings.val_objects)):
        for number in range(wanted):
            for variant, cut in _object(name, role, number, settings).items():
                cuts[variant, role].append(cut)
    return name, cuts


def _object(name: str, role: str, number: int, settings: ShapesSettings) -> dict[str, Cut]:
    """One scan, cut in the ways of all variants."""
    rng = specimen_rng(settings, f"scanobjectnn/{role}", name, number)
    kinds = KINDS[name]
    mesh = specimen(kinds[rng.integers(len(kinds))], rng)
    scanned = scan(mesh, rng)
    while scanned.own.sum() < _LEAST:  # hidden by what stands in front of it
        scanned = scan(mesh, rng)
    return {
        "OBJ_ONLY": _cut(scanned, scanned.own, rng),
        "OBJ_BG": _cut(scanned, _in_box(scanned, np.zeros(3), 1.0), rng),
        "PB_T50_RS": _perturbed(scanned, rng),
    }


def _perturbed(scanned: ObjectScan, rng: Rng) -> Cut:
    """Cut with a box that is moved by up to half its size and scaled, and turned about the vertical."""
    while True:
        inside = _in_box(scanned, rng.uniform(-0.5, 0.5, 3) * scanned.size, rng.uniform(0.75, 1.25))
        if (inside & scanned.own).sum() >= _LEAST // 2:
            return _cut(scanned, inside, rng, yaw=rng.uniform(-np.pi, np.pi))


def _in_box(scanned: ObjectScan, shift: NDArray[np.float64], scale: float) -> NDArray[np.bool_]:
    """Which points lie in the thing's box, moved by ``shift`` (3,) metres along its axes and scaled."""
    local = scanned.points @ yaw_rotation(scanned.yaw) - (0, 0, scanned.size[2] / 2) - shift
    inside: NDArray[np.bool_] = (np.abs(local) <= scanned.size * (scale / 2) + _BOX_MARGIN).all(1)
    return inside


def _cut(scanned: ObjectScan, chosen: NDArray[np.bool_], rng: Rng, yaw: float = 0.0) -> Cut:
    among = np.flatnonzero(chosen)
    index = rng.choice(among, POINTS, replace=len(among) < POINTS)
    points = scanned.points[index] @ yaw_rotation(yaw).T
    points -= (points.max(0) + points.min(0)) / 2
    mask = np.where(scanned.own[index], 0, BACKGROUND).astype(np.int32)
    return (points @ Y_UP_FROM_Z_UP.T).astype(np.float32), mask


def write(root: Path, made: Iterable[Class]) -> None:
    """Write the data set; ``made`` gives the classes in the order of ``KINDS``."""
    folder = root / FOLDER
    write_marker(folder, "ScanObjectNN")  # as well as at the root: people point at either
    labels = list(KINDS)
    objects: dict[tuple[str, str], list[tuple[int, Cut]]] = {}
    for name, cuts in made:
        for file, some in cuts.items():
            objects.setdefault(file, []).extend((labels.index(name), cut) for cut in some)
    for (variant, role), labelled in objects.items():
        path = folder / FILES[variant].format(WORDS[role])
        with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
            file["data"] = np.stack([points for _, (points, _) in labelled])
            file["label"] = np.array([label for label, _ in labelled], np.int32)
            file["mask"] = np.stack([mask for _, (_, mask) in labelled])
