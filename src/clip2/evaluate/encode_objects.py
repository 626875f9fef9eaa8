"""Stage `encode-objects`: a shard's objects through image towers, once for all models that `zeroshot` measures.

By the frozen teacher: their pictures, and the depth views of PointCLIP and PointCLIP V2, tuned or not. By towers of
their own: CLIP2Point's views. A new point encoder, other words for the classes or another adapter need none of it
again.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clip2.evaluate.encoded_objects import write_encoded
from clip2.evaluate.methods import TEACHER_2D, towers_by_name, view_encoders
from clip2.evaluate.object_shards import common_header
from clip2.evaluate.rivals.projections import UNTUNED
from clip2.evaluate.rivals.towers import read_tower
from clip2.runtime.console import progress
from clip2.store.crops import Batch, batches
from clip2.store.provenance import provenance
from clip2.teach.pictures import picture_features
from clip2.teach.settings import TeachSettings
from clip2.teach.teacher import load_teacher

log = logging.getLogger(__name__)

Encoder = Callable[[Batch], NDArray[Any]]
BATCH = 64
"""Objects in memory at a time."""


def run(
    objects: Path, out: Path, settings: TeachSettings, towers: Sequence[Path], device: str = "auto", threads: int = 1
) -> None:
    """Write the vectors of one shard (evaluate.encoded_objects).

    Args:
        objects: a shard that the `objects` stage wrote (.parquet, its points beside it).
        settings: of the teacher.
        towers: given any, the vectors are theirs and not the frozen teacher's; adapters among them are ignored.
    """
    torch.set_num_threads(max(1, threads))
    points = objects.with_suffix(".h5")
    n = common_header([(objects, points)])["n_objects"]
    own = towers_by_name([tower for tower in map(read_tower, towers) if tower.base not in UNTUNED])
    made_from = provenance(
        "encode-objects", settings.model_dump(mode="json", exclude={"templates"}),
        {"objects": objects, "points": points, **{f"towers/{tower.path.name}": tower.path for tower in own.values()}},
        ("torch", "torch-scatter", "open_clip_torch", "pillow"),
    )  # fmt: skip
    teacher = load_teacher(settings.model, settings.pretrained, device)
    encoders: dict[str, Encoder] = {}
    if not towers:
        encoders[TEACHER_2D] = lambda batch: picture_features(teacher, batch.rows, threads)
    views = view_encoders(own if towers else UNTUNED, teacher, own)
    encoders |= {name: _on_the_cpu(encode) for name, encode in views.items()}

    def vectors() -> Iterator[tuple[list[int], dict[str, NDArray[Any]]]]:
        first = 0
        columns = ["class_name"] + ["image"] * (TEACHER_2D in encoders)
        for batch in progress(batches([(objects, points)], columns, BATCH), "batches of objects", -(-n // BATCH)):
            asked = [i for i, row in enumerate(batch.rows) if row["class_name"] is not None]
            some = batch.take(asked)
            if asked:
                yield [first + i for i in asked], {name: encode(some) for name, encode in encoders.items()}
            first += len(batch.rows)

    digests = {name: made_from["inputs"][f"towers/{tower.path.name}"] for name, tower in own.items()}
    write_encoded(out, vectors(), n, {"teacher": teacher.spec, "towers": digests, "provenance": made_from})
    log.info("%d objects, those of the benchmark's classes encoded by %s", n, ", ".join(encoders))


def _on_the_cpu(encode: Callable[[Batch], Tensor]) -> Encoder:
    return lambda batch: np.asarray(encode(batch).cpu().numpy())
