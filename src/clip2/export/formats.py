"""The formats of `clip2 export`, and the modules that write them: named here, imported when they run."""

from pathlib import Path
from typing import Literal, NamedTuple

LABELS = Path("results/labels/labels.parquet")
"""Where the stage `labels` writes."""


TRIPLETS = Path("results/triplets")
"""Where exported triplets go."""
CORRECTED = ("kitti", "nuscenes-tables", "sustechpoints")
"""Formats that corrected labels come back in (clip2.export.corrected)."""


class Format(NamedTuple):
    """One format.

    Attributes:
        module: with a function ``write``.
        takes: what is exported: labels (``write(scans, recordings, out)``), triplets (``write(triplets, out)``) or a
            model (``write(model, out, names)``; ``out`` is a file).
        summary: what is written.
    """

    module: str
    takes: Literal["labels", "triplets", "model"]
    summary: str


FORMATS = {
    "kitti": Format("clip2.export.kitti", "labels", "label_2 and calib of KITTI's object benchmark, a frame a picture"),
    "nuscenes": Format("clip2.export.nuscenes", "labels", "nuScenes' detection results, as its devkit evaluates them"),
    "nuscenes-tables": Format("clip2.export.nuscenes_tables", "labels", "a data set in nuScenes' form with our labels"),
    "coco": Format("clip2.export.coco", "labels", "2D boxes in pictures, in COCO's form"),
    "sustechpoints": Format("clip2.export.sustechpoints", "labels", "scenes to correct by hand in SUSTechPOINTS"),
    "mcap": Format("clip2.export.mcap", "labels", "a recording a scene for Foxglove: clouds, pictures, boxes"),
    "ply": Format("clip2.export.ply", "labels", "a point cloud a scene, coloured by its pictures, labels as numbers"),
    "huggingface": Format("clip2.export.huggingface", "triplets", "a data set folder for Hugging Face's `datasets`"),
    "webdataset": Format("clip2.export.webdataset", "triplets", "tar shards of triplets for WebDataset"),
    "onnx": Format(
        "clip2.export.onnx", "model", "the point encoder for onnxruntime, and vectors of names, without PyTorch"
    ),
}


def default_folder(name: str) -> Path:
    """Where an export of labels or triplets goes if nobody says where."""
    return LABELS.parent / name if FORMATS[name].takes == "labels" else TRIPLETS / name
