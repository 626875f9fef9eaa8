"""Triplets as WebDataset shards: tar files of ``KEY.jpg`` (picture), ``.txt`` (name), ``.npy`` (points), ``.json``."""

import io
import json
import tarfile
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from clip2.export.data_card import data_card
from clip2.export.mined import MinedTriplets
from clip2.export.scans import Row
from clip2.store.atomic import write_text

ROWS = 10_000
"""Of a tar file: some hundred megabytes."""
IN_JSON = ("triplet_id", "source", "scene", "sample", "frame_id", "label", "score", "box", "range_m", "n_points")
OPENED_BY = """import webdataset

triplets = webdataset.WebDataset("data/train-{000000..LAST}.tar", shardshuffle=False)
for picture, name, points in triplets.decode("rgb8").to_tuple("jpg", "txt", "npy"):
    ..."""


def write(triplets: MinedTriplets, out: Path) -> None:
    """Write the shards, and the card."""
    (out / "data").mkdir()
    rows = (item for _, shard in triplets.shards() for item in shard)
    tar = 0
    for tar, group in groupby(enumerate(rows), key=lambda numbered: numbered[0] // ROWS):
        with tarfile.open(out / "data" / f"train-{tar:06d}.tar", "w") as file:
            for number, (row, points) in group:
                for ending, content in _files(row, points).items():
                    entry = tarfile.TarInfo(f"{number:09d}.{ending}")  # without a time: the same again is the same file
                    entry.size = len(content)
                    file.addfile(entry, io.BytesIO(content))
    write_text(out / "README.md", data_card(triplets, "data/*.tar", OPENED_BY.replace("LAST", f"{tar:06d}")))


def _files(row: Row, points: Any) -> dict[str, bytes]:
    """Ending → content of a triplet's files."""
    array = io.BytesIO()
    np.save(array, points)
    return {
        "jpg": row["image"],
        "txt": row["label"].encode(),
        "npy": array.getvalue(),
        "json": json.dumps({key: row[key] for key in IN_JSON}, ensure_ascii=False).encode(),
    }
