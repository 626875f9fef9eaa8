"""Triplets as a data set folder for Hugging Face: Parquet files under ``data/``, and a data card ``README.md``."""

import json
from pathlib import Path

import pyarrow as pa

from clip2.export.data_card import data_card
from clip2.export.mined import MinedTriplets
from clip2.store.atomic import write_text
from clip2.store.schemas import BOX2D
from clip2.store.tables import table_writer

SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("triplet_id", "source", "scene", "sample", "frame_id", "label")),
        ("score", pa.float32()),
        ("box", BOX2D),
        ("range_m", pa.float32()),
        ("n_points", pa.int32()),
        ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        ("points", pa.list_(pa.list_(pa.float32(), 4))),
    ]
)
VALUES = {pa.string(): "string", pa.float32(): "float32", pa.int32(): "int32"}
ROWS = 256
"""Of a row group: some 10 MB, as viewers load them."""
OPENED_BY = 'from datasets import load_dataset\n\ntriplets = load_dataset("path/to/this/folder", split="train")'


def write(triplets: MinedTriplets, out: Path) -> None:
    """Write one Parquet file a shard, and the card."""
    schema = SCHEMA.with_metadata({"huggingface": json.dumps({"info": {"features": features()}})})
    total = len(triplets.paths)
    for number, rows in triplets.shards():
        with table_writer(out / "data" / f"train-{number:05d}-of-{total:05d}.parquet", schema, ROWS) as table:
            for row, points in rows:
                image = {"bytes": row["image"], "path": None}
                own = {key: row[key] for key in SCHEMA.names[:-2]}
                table.append({**own, "image": image, "points": points.tolist()})
            table.header = triplets.headers[number]
    write_text(out / "README.md", data_card(triplets, "data/*.parquet", OPENED_BY))


def features() -> dict[str, object]:
    """The columns in the words of `datasets`, which shows pictures as such only where it is told."""
    known = {
        "image": {"_type": "Image"},
        "box": _sequence(_value("float32"), 4),
        "points": _sequence(_sequence(_value("float32"), 4)),
    }
    return {field.name: known.get(field.name) or _value(VALUES[field.type]) for field in SCHEMA}


def _value(dtype: str) -> dict[str, object]:
    return {"dtype": dtype, "_type": "Value"}


def _sequence(of: dict[str, object], length: int = -1) -> dict[str, object]:
    return {"feature": of, "length": length, "_type": "Sequence"}
