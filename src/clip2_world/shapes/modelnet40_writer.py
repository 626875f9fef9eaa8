"""Writes complete shapes as ModelNet40 has them: ``modelnet40_ply_hdf5_2048``."""

from collections.abc import Iterable
from pathlib import Path

import h5py
import numpy as np

from clip2.store.atomic import atomic_path, write_text
from clip2_world.marker import write_marker
from clip2_world.mesh import Floats, turn_z
from clip2_world.shapes.settings import ShapesSettings
from clip2_world.shapes.specimens import Y_UP_FROM_Z_UP, specimen, specimen_rng, surface_points

KINDS = {
    "bathtub": ("bathtub",),
    "bed": ("bed",),
    "bench": ("bench",),
    "bookshelf": ("bookshelf",),
    "car": ("car",),
    "chair": ("chair",),
    "cone": ("traffic cone",),
    "curtain": ("curtain",),
    "desk": ("desk",),
    "door": ("door",),
    "dresser": ("dresser",),
    "lamp": ("lamp",),
    "laptop": ("laptop",),
    "monitor": ("display",),
    "night_stand": ("night stand",),
    "person": ("pedestrian", "construction worker"),
    "plant": ("plant",),
    "sink": ("sink",),
    "sofa": ("sofa",),
    "stool": ("stool",),
    "table": ("table",),
    "toilet": ("toilet",),
}
"""ModelNet40's class → fine names, for the classes that the worlds have, in ModelNet40's (alphabetical) order."""
FOLDER = "modelnet40_ply_hdf5_2048"
LISTS = {"train": "train_files.txt", "val": "test_files.txt"}
NAMES = "shape_names.txt"
POINTS = 2048
WORDS = {"train": "train", "val": "test"}
"""Role → the data set's word."""
Class = tuple[str, dict[str, Floats]]


def make_class(name: str, settings: ShapesSettings) -> Class:
    """A class and role → (n, 2048, 3) points, y up, in the unit sphere."""
    wanted = {"train": settings.train_objects, "val": settings.val_objects}
    return name, {role: np.stack([_shape(name, role, i, settings) for i in range(n)]) for role, n in wanted.items()}


def _shape(name: str, role: str, number: int, settings: ShapesSettings) -> Floats:
    rng = specimen_rng(settings, f"modelnet40/{role}", name, number)
    kinds = KINDS[name]
    mesh = specimen(kinds[rng.integers(len(kinds))], rng)
    points = surface_points(mesh, POINTS, rng) @ turn_z(rng.integers(4) * np.pi / 2)  # its models face any wall
    points -= (points.max(0) + points.min(0)) / 2
    points /= np.linalg.norm(points, axis=1).max()
    return points @ Y_UP_FROM_Z_UP.T.astype(np.float32)


def write(root: Path, made: Iterable[Class]) -> None:
    """Write the data set; ``made`` gives the classes in the order of ``KINDS``."""
    folder = root / FOLDER
    write_marker(folder, "ModelNet40")  # as well as at the root: people point at either
    parts: dict[str, list[Floats]] = {role: [] for role in LISTS}
    for _, arrays in made:
        for role, points in arrays.items():
            parts[role].append(points)
    for role, listed in LISTS.items():
        file_name = f"ply_data_{WORDS[role]}0.h5"
        labels = np.repeat(np.arange(len(parts[role]), dtype=np.uint8), [len(part) for part in parts[role]])
        with atomic_path(folder / file_name) as temporary, h5py.File(temporary, "w") as file:
            file["data"], file["label"] = np.concatenate(parts[role]), labels[:, None]
        write_text(folder / listed, f"data/{FOLDER}/{file_name}\n")
    write_text(folder / NAMES, "".join(f"{name}\n" for name in KINDS))
