"""COCO: 2D boxes, ``annotations/instances.json`` and ``images/``. A label stands in each picture that shows it.

Where the label's best view is, its box is the detector's; in other pictures it is the 3D box's outline. ``box_from``
says which.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from clip2.export.json_tables import json_tables
from clip2.export.recordings import Recordings
from clip2.export.scans import LabelledScans, Row, known, pose_of
from clip2.export.views import view_of

PARTS = ("images", "annotations", "categories")


def write(scans: LabelledScans, recordings: Recordings, out: Path) -> None:
    """Write all pictures and the boxes in them."""
    categories: dict[str, int] = {}
    n_images = n_boxes = 0
    parts = out / "parts"
    with json_tables(parts, PARTS) as tables:
        for samples in scans.scenes():
            for sample in samples:
                shown: set[int] = set()
                for frame in sample.frames:
                    n_images += 1
                    name = recordings.put_picture(frame, out / "images" / f"{n_images:012d}")
                    if name is None:
                        continue
                    tables.add("images", _image(frame, n_images, name))
                    for number, box, origin in _boxes(sample.labels, frame):
                        row, n_boxes = sample.labels[number], n_boxes + 1
                        shown.add(number)
                        ids = {"id": n_boxes, "image_id": n_images}
                        ids["category_id"] = categories.setdefault(row["label"], len(categories) + 1)
                        tables.add("annotations", ids | _annotation(row, box) | {"box_from": origin})
                scans.leave_out("in_no_picture", len(sample.labels) - len(shown))
        for label, number in categories.items():
            tables.add("categories", {"id": number, "name": label, "supercategory": ""})
    _join(parts, out / "annotations" / "instances.json", scans)


def _image(frame: Row, number: int, name: str) -> Row:
    own = ("width", "height", "frame_id", "scene", "sample", "camera", "image_path")
    return {"id": number, "file_name": name} | {key: frame[key] for key in own}


def _boxes(labels: list[Row], frame: Row) -> Iterator[tuple[int, list[float], str]]:
    """(number of the label, x0 y0 x1 y1, whose box it is) of each label that a picture shows."""
    for number, row in enumerate(labels):
        found = known(row["box"]) if row["frame_id"] == frame["frame_id"] else None
        if found is not None:
            size = (frame["width"], frame["height"]) * 2
            yield number, np.clip(found, 0, size).tolist(), "detector"
        elif view := view_of(pose_of(row), row["size_lwh"], frame):
            yield number, view.rectangle.tolist(), "outline"


def _annotation(row: Row, box: list[float]) -> Row:
    x0, y0, x1, y1 = box
    return {
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "area": (x1 - x0) * (y1 - y0),
        "iscrowd": 0,
        "segmentation": [],
        "score": row["score"],
        "track_id": row["track_id"],
    }


def _join(parts: Path, path: Path, scans: LabelledScans) -> None:
    """The tables as the values of one object; they are gone then."""
    path.parent.mkdir()
    info = {"description": f"labels of {scans.header['source']} by CLIP²: no human drew them"}
    with path.open("w", encoding="utf-8") as file:
        file.write(f'{{"info": {json.dumps(info)}, "licenses": []')
        for name in PARTS:
            file.write(f',\n"{name}": ')
            with (parts / f"{name}.json").open(encoding="utf-8") as part:
                shutil.copyfileobj(part, file)
        file.write("}\n")
    shutil.rmtree(parts)
