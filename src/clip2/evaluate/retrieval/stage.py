"""Stage `retrieval`: search by name among all annotated objects, for things that no benchmark class covers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from clip2.evaluate.metrics import DIGITS
from clip2.evaluate.networks import load_networks, model_inputs
from clip2.evaluate.object_shards import common_header
from clip2.evaluate.retrieval.metrics import average_precision, chance_average_precision, recall_at
from clip2.evaluate.retrieval.names import choose_queries, own_names
from clip2.evaluate.retrieval.result import (
    QueryScore,
    RetrievalResult,
    RetrievalScore,
    print_retrieval,
    write_retrieval,
)
from clip2.evaluate.retrieval.settings import RetrievalSettings
from clip2.pretrain.model import Clip2Model
from clip2.runtime.console import progress
from clip2.runtime.errors import InputError
from clip2.store.crops import Shards, batches
from clip2.store.provenance import git_state, provenance
from clip2.store.tables import iterate_rows
from clip2.teach.pictures import picture_features
from clip2.teach.teacher import Teacher

Array = NDArray[Any]


def run(
    objects: Shards, model_dir: Path, out: Path, settings: RetrievalSettings, device: str = "auto", threads: int = 1
) -> None:
    """Rank all objects by each name; write ``out`` (retrieval_result.RetrievalResult) and print it.

    Args:
        objects: shards of the `objects` stage on the evaluation role, made with ``include_other``.
        model_dir: folder of a pretrained model.
    """
    torch.set_num_threads(max(1, threads))
    header = common_header(objects)
    names, in_benchmark = read_names(objects)
    queries = choose_queries(names, in_benchmark, settings.queries, settings.min_objects)
    if not queries:
        raise InputError(f"{objects[0][0]}: no object has a name to search for; make the objects with "
                         "`include_other`, or give `queries` that the annotations have")  # fmt: skip
    model, teacher = load_networks(model_dir, device)
    templates = settings.templates or tuple(model.config["templates"])
    words = [settings.names.get(query, query) for query in queries]
    text = teacher.encode_labels(words, templates).float().cpu().numpy()
    scores = _scores(objects, len(names), text, model, teacher, settings, threads)
    relevant = {query: np.array([query in mine for mine in names]) for query in queries}
    result = RetrievalResult(
        dataset=header["dataset"],
        split=header["split"],
        source_kind=header["source_kind"],
        protocol={
            **settings.model_dump(mode="json"),
            "words": dict(zip(queries, words, strict=True)),
            "templates": list(templates),
            "teacher": teacher.spec,
            "model": {"name": model_dir.name, "trained_on": model.config.get("source_kind")},
            "source": header["source"],
            "objects": header["protocol"],
            "ranked": "all annotated objects of the split, points inside the human 3D boxes",
            "relevant": "the name is the object's fine name or the last part of its category",
        },
        n_objects=len(names),
        queries={query: int(mask.sum()) for query, mask in relevant.items()},
        skipped=header["skipped"],
        methods={name: _measure(scores.get(name), relevant, settings.ks) for name in settings.methods},
        provenance=_provenance(objects, model_dir, settings),
    )
    write_retrieval(out, result)
    print_retrieval(result)


def read_names(objects: Shards) -> tuple[list[tuple[str, ...]], list[bool]]:
    """Of each object, in order: its own names, the finest first, and whether it is of a class of the benchmark."""
    columns = ["category", "class_name", "fine_name"]
    rows = [row for path, _ in objects for row in iterate_rows(path, columns)]
    return list(map(own_names, rows)), [row["class_name"] is not None for row in rows]


def _scores(
    objects: Shards,
    n: int,
    text: Array,
    model: Clip2Model,
    teacher: Teacher,
    settings: RetrievalSettings,
    threads: int,
) -> dict[str, Array]:
    """(n, Q) cosines of each method with every query; NaN rows where it cannot see the object."""
    with_pictures = "teacher_2d" in settings.methods
    parts: dict[str, list[Array]] = {method: [] for method in settings.methods if method != "chance"}
    columns = ["class_name"] + ["image"] * with_pictures
    n_batches = -(-n // settings.batch_size)
    for batch in progress(batches(objects, columns, settings.batch_size), "batches of objects", n_batches):
        if "clip2" in parts:
            parts["clip2"].append(model.encode_points(batch.crops) @ text.T)
        if with_pictures:
            parts["teacher_2d"].append(picture_features(teacher, batch.rows, threads) @ text.T)
    return {method: np.concatenate(values) for method, values in parts.items()}


def _measure(scores: Array | None, relevant: dict[str, Array], ks: Sequence[int]) -> RetrievalScore:
    """All numbers of one method; None is chance, whose numbers are expectations."""
    per_query = {}
    for number, (query, mask) in enumerate(relevant.items()):
        n, found = len(mask), int(mask.sum())
        if scores is None:
            ap, recall = chance_average_precision(n, found), [min(k / n, 1.0) for k in ks]
        else:
            seen = np.nan_to_num(scores[:, number], nan=-np.inf)
            ap, recall = average_precision(seen, mask), recall_at(seen, mask, ks)
        per_query[query] = QueryScore(n=found, ap=round(ap, DIGITS), recall=_by_k(ks, recall))
    means = np.mean([list(score.recall.values()) for score in per_query.values()], axis=0)
    return RetrievalScore(
        mean_ap=round(float(np.mean([score.ap for score in per_query.values()])), DIGITS),
        recall=_by_k(ks, means.tolist()),
        no_image=0 if scores is None else int(np.isnan(scores[:, 0]).sum()),
        per_query=per_query,
    )


def _by_k(ks: Sequence[int], values: Sequence[float]) -> dict[str, float]:
    return {str(k): round(value, DIGITS) for k, value in zip(ks, values, strict=True)}


def _provenance(objects: Shards, model_dir: Path, settings: RetrievalSettings) -> dict[str, Any]:
    inputs = {f"objects/{path.name}": path for pair in objects for path in pair}
    inputs |= model_inputs(model_dir)
    packages = ("torch", "open_clip_torch", "pillow")
    return provenance("retrieval", settings.model_dump(mode="json"), inputs, packages) | {"git": git_state()}
