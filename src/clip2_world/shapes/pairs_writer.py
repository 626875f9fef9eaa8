"""Writes pairs of a picture and a complete shape, what CLIP2Point is pre-trained on, in the form of triplets."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from clip2.store.bad_frames import BadFrames
from clip2.store.provenance import provenance
from clip2.store.ragged import ragged_writer
from clip2.store.schemas import TRIPLETS
from clip2.store.tables import table_writer
from clip2_world.mesh import Floats
from clip2_world.shapes.settings import ShapesSettings
from clip2_world.shapes.specimens import SHAPES, specimen, specimen_rng, surface_points
from clip2_world.shapes.views import portrait

KINDS = SHAPES
POINTS = 1024
"""As many as CLIP2Point takes of a shape."""
SHARD = "train-000of001"
QUALITY = 92
"""Of the JPEGs."""
Pair = tuple[dict[str, Any], Floats]
"""A row of store.schemas.TRIPLETS and points (1024, 3), z up, metres."""
Class = tuple[str, list[Pair]]


def make_class(name: str, settings: ShapesSettings) -> Class:
    """A fine name and its pairs."""
    return name, [_pair(name, number, settings) for number in range(settings.pairs)]


def _pair(name: str, number: int, settings: ShapesSettings) -> Pair:
    rng = specimen_rng(settings, "pairs", name, number)
    mesh = specimen(name, rng)
    image, box = portrait(mesh, rng)
    points = surface_points(mesh, POINTS, rng)
    done, jpeg = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), (cv2.IMWRITE_JPEG_QUALITY, QUALITY))
    if not done:
        raise RuntimeError(f"could not encode a {image.shape} picture")
    this = f"{name.replace(' ', '_')}-{number:05d}"
    row = {
        **dict.fromkeys(("triplet_id", "frame_id", "scene", "sample"), this),
        "box": box.tolist(),
        "label": name,
        "score": 1.0,
        "n_points": len(points),
        "range_m": float(np.median(np.linalg.norm(points, axis=1))),
        "extent": np.ptp(points, axis=0).tolist(),
        "image": bytes(jpeg),
    }
    return row, points


def write(root: Path, made: Iterable[Class], settings: ShapesSettings) -> None:
    """Write ``root/train-000of001.parquet`` and ``.h5``; ``made`` gives the fine names in the order of ``KINDS``."""
    with (
        ragged_writer(root / f"{SHARD}.h5") as points_writer,
        table_writer(root / f"{SHARD}.parquet", TRIPLETS) as table,
    ):
        for _, pairs in made:
            for row, points in pairs:
                table.append(row)
                points_writer.append(points)
        table.header = points_writer.header = {
            "kind": "triplets",
            "source": "shapes",
            "source_kind": "built-in world",
            "split": "train",
            "sensor": "objects",
            "units": "metres",
            "axes": {"points": "x forward, y left, z up", "up": "z"},
            "counts": {"frames": table.n_rows, "boxes": table.n_rows, "triplets": table.n_rows},
            "bad_frames": BadFrames(0).header(),
            "provenance": provenance(
                "shapes", settings.model_dump(mode="json"), {}, ("embreex", "opencv-python-headless")
            ),
        }
