"""Stage `embed`: every triplet's image crop and every label, through the frozen teacher, as float16."""

import logging
from pathlib import Path

import numpy as np

from clip2.runtime.console import progress
from clip2.store.hdf5 import new_hdf5, write_header
from clip2.store.provenance import provenance
from clip2.store.ragged import write_array
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
    with new_hdf5(out) as file:
        write_array(file, "image", image, rows=1024)  # clip2.search maps them
        write_array(file, "text", text.cpu().numpy().astype(np.float16))
        write_array(file, "label_index", np.array([index[label] for label in labels], np.int32))
        write_header(file, header)
    log.info("%d crops and %d labels embedded by %s", len(labels), len(table), teacher.model)
