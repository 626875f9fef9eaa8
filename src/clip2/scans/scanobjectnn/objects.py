"""Stage `objects` for ScanObjectNN: ``h5_files/main_split*/*.h5`` → objects."""

from pathlib import Path

from clip2.scans.benchmark_classes import SCANOBJECTNN_CLASSES
from clip2.scans.object_sets import ObjectSet, data_folder, write_objects
from clip2.scans.scanobjectnn.settings import ScanobjectnnSettings

VARIANTS = {
    "OBJ_ONLY": ("main_split_nobg", ""),
    "OBJ_BG": ("main_split", ""),
    "PB_T50_RS": ("main_split", "_augmentedrot_scale75"),
}
"""Variant → folder and suffix of its two files."""
SPLITS = {"train": "training", "val": "test"}
"""Role → the data set's word."""
FOLDER = "h5_files"


def variant_path(folder: Path, variant: str, role: str) -> Path:
    """The file of a variant and a role, below ``h5_files``."""
    split, suffix = VARIANTS[variant]
    return folder / split / f"{SPLITS[role]}_objectdataset{suffix}.h5"


def object_set(root: Path, settings: ScanobjectnnSettings) -> ObjectSet:
    """The files and classes of a data set; they need not exist."""
    folder = data_folder(root, FOLDER, (split for split, _ in VARIANTS.values()))
    files = {role: [variant_path(folder, settings.variant, role)] for role in SPLITS}
    return ObjectSet(
        "scanobjectnn", SCANOBJECTNN_CLASSES, files, "as in the set's files", settings.drop_background, settings.variant
    )


def run(root: Path, out: Path, source: str, settings: ScanobjectnnSettings) -> None:
    """Write ``out/{shard}.parquet`` and ``.h5`` for every shard of both roles."""
    write_objects(root, out, source, settings, object_set(root, settings))
