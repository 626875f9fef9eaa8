"""Stage `embed`: every triplet's image crop and every label, through the frozen teacher, as float16."""

import json
import logging
from pathlib import Path

import h5py
import numpy as np

from clip2.console import progress
from clip2.store.atomic import atomic_path
from clip2.store.provenance import provenance
from clip2.store.tables import iterate_rows, read_header, read_table
from clip2.teach.settings import TeachSettings
from clip2.teach.teacher import load_teacher

log = logging.getLogger(__name__)


def run(triplets: Path, out: Path, settings: TeachSettings, device: str = "auto", threads: int = 1) -> None:
    """Write the embeddings of one shard.

    HDF5: ``image`` float16 (n, D) in triplet order, ``text`` float16 (v, D), one row a distinct label in alphabetical
    order, ``label_index`` int32 (n,) into ``text``; attribute ``clip2`` is the JSON header.
    """
    labels = read_table(triplets, ["label"]).column("label").to_pylist()
    table = sorted(set(labels))
    index = {label: i for i, label in enumerate(table)}
    teacher = load_teacher(settings.model, settings.pretrained, device)
    text = teacher.encode_labels(table, settings.templates)
    pictures = (row["image"] for row in iterate_rows(triplets, ["image"]))
    image = np.empty((len(labels), teacher.dim), np.float16)
    done = 0
    for batch in teacher.encode_batches(progress(pictures, "crops", len(labels)), threads, settings.batch_size):
        image[done : done + len(batch)] = batch.numpy()
        done += len(batch)
    header = {
        "kind": "embeddings",
        "teacher": teacher.spec,
        "labels": table,
        "templates": list(settings.templates),
        "source_kind": read_header(triplets)["source_kind"],
        "provenance": provenance(
            "embed", settings.model_dump(mode="json"), {"triplets": triplets}, ("torch", "open_clip_torch", "pillow")
        ),
    }
    with atomic_path(out) as temporary, h5py.File(temporary, "w") as file:
        file["image"] = image
        file["text"] = text.cpu().numpy().astype(np.float16)
        file["label_index"] = np.array([index[label] for label in labels], np.int32)
        file.attrs["clip2"] = json.dumps(header, allow_nan=False)
    log.info("%d crops and %d labels embedded by %s", len(labels), len(table), teacher.model)
