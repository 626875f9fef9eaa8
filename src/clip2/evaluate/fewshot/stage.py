"""Stage `fewshot`: recognition with one to sixteen annotated objects of each class to learn from."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from clip2.evaluate.classes import choose_classes, class_words
from clip2.evaluate.fewshot.draw import draw_order, read_labels, read_objects
from clip2.evaluate.fewshot.methods import Answer, all_answers, know, know_all
from clip2.evaluate.fewshot.result import (
    FewshotMethodScore,
    FewshotResult,
    ShotScore,
    Spread,
    print_fewshot,
    write_fewshot,
)
from clip2.evaluate.fewshot.settings import FewshotSettings
from clip2.evaluate.metrics import class_mean, confusion_counts
from clip2.evaluate.networks import load_networks, model_inputs
from clip2.evaluate.object_shards import common_header
from clip2.pretrain.model import Clip2Model
from clip2.runtime.console import progress
from clip2.runtime.errors import InputError
from clip2.store.crops import Shards
from clip2.store.provenance import git_state, provenance
from clip2.teach.teacher import Teacher

log = logging.getLogger(__name__)

Array = NDArray[Any]


def run(
    train_objects: Shards,
    val_objects: Shards,
    model_dir: Path,
    out: Path,
    settings: FewshotSettings,
    device: str = "auto",
    threads: int = 1,
) -> None:
    """Evaluate with every number of shots and every draw; write ``out`` (fewshot_result.FewshotResult) and print it.

    Args:
        train_objects: shards of the `objects` stage on the mining role, where the shots are drawn.
        val_objects: the same of the evaluation role: all of them are queries.
        model_dir: folder of a pretrained model.
    """
    torch.set_num_threads(max(1, threads))
    train_header, header = common_header(train_objects), common_header(val_objects)
    for key in ("source", "dataset", "source_kind"):
        if train_header[key] != header[key]:
            raise InputError(f"{train_objects[0][0]}: {key} is {train_header[key]!r}, but {header[key]!r} in "
                             f"{val_objects[0][0]}; draw the shots from the same source")  # fmt: skip
    settings = settings.model_copy(update={"classes": choose_classes(settings.classes, header)})
    labels = read_labels(train_objects, settings.classes)
    available = np.bincount(labels[labels >= 0], minlength=len(settings.classes))
    if (available > 0).sum() < 2:
        raise InputError(f"{train_objects[0][0]}: objects of {int((available > 0).sum())} classes in "
                         f"{len(train_objects)} shards, at least two are needed; check `classes`")  # fmt: skip
    largest = settings.shots[-1]
    seeds = [settings.seed + i for i in range(settings.n_seeds)]
    draws = {seed: draw_order(labels, len(settings.classes), largest, seed) for seed in seeds}
    used = np.unique(np.concatenate([part for draw in draws.values() for part in draw]))

    model, teacher = load_networks(model_dir, device)
    words = class_words(settings.classes, settings.names)
    templates = settings.templates or tuple(model.config["templates"])
    columns = ["class_name", "image"] if "teacher_2d_linear" in settings.methods else ["class_name"]
    drawn = read_objects(train_objects, used, columns)
    train = know(drawn, labels[used], model, teacher, settings, threads)
    val = know_all(val_objects, header["n_objects"], columns, model, teacher, settings, threads)
    text = teacher.encode_labels(words, templates).float()
    answers = all_answers(train, val, text, model, model_dir, settings)

    methods = {}
    for name in settings.methods:
        shots = (0,) if name == "zeroshot" else settings.shots
        chosen = {k: [_first(draws[seed], k, used) for seed in seeds[: None if k else 1]] for k in shots}
        methods[name] = _score(name, answers[name], chosen, seeds, val.labels, len(settings.classes), settings)
    result = FewshotResult(
        dataset=header["dataset"],
        split=header["split"],
        source_kind=header["source_kind"],
        protocol=_protocol(train_header, header, settings, words, templates, teacher, model, model_dir),
        n_train=int(available.sum()),
        n_val=len(val.labels),
        fewer={name: int(n) for name, n in zip(settings.classes, available, strict=True) if n < largest},
        skipped=header["skipped"],
        methods={name: score for name, score in methods.items() if score is not None},
        provenance=_provenance(train_objects, val_objects, model_dir, settings),
    )
    write_fewshot(out, result)
    print_fewshot(result)


def _first(draw: list[Array], k: int, used: Array) -> Array:
    """The k-shot part of a draw, as places in ``used``."""
    return np.searchsorted(used, np.concatenate([part[:k] for part in draw]))


def _score(
    name: str,
    answer: Answer,
    chosen: dict[int, list[Array]],
    seeds: list[int],
    labels: Array,
    n_classes: int,
    settings: FewshotSettings,
) -> FewshotMethodScore | None:
    """All numbers of one method; None where it never answered."""
    shots: dict[str, ShotScore] = {}
    n, hits, counts = 0, np.empty((0, n_classes)), np.empty(n_classes)
    for k, draws in progress(chosen.items(), f"numbers of shots, {name}", len(chosen)):
        confusions, sizes = [], []
        for seed, draw in zip(seeds, draws, strict=False):
            scores = answer(draw, seed)
            answered = ~np.isnan(scores[:, 0])
            if answered.any():
                confusions.append(confusion_counts(labels[answered], scores[answered].argmax(1), n_classes))
                sizes.append(len(draw) if k else 0)
        if not confusions:
            continue
        counts, n = confusions[0].sum(1), int(confusions[0].sum())
        hits = np.stack([confusion.diagonal() for confusion in confusions])
        shots[str(k)] = ShotScore(
            class_mean_top1=Spread.of(class_mean(hits, np.broadcast_to(counts, hits.shape)).tolist()),
            top1=Spread.of((hits.sum(1) / n).tolist()),
            n_train=sizes,
        )
    if not shots:
        log.warning("%s could not answer for any object and is left out of the result", name)
        return None
    per_class = {
        label: Spread.of((hits[:, i] / counts[i]).tolist()) if counts[i] else None
        for i, label in enumerate(settings.classes)
    }
    return FewshotMethodScore(n=n, shots=shots, per_class=per_class)


def _protocol(
    train: dict[str, Any],
    val: dict[str, Any],
    settings: FewshotSettings,
    words: list[str],
    templates: tuple[str, ...],
    teacher: Teacher,
    model: Clip2Model,
    model_dir: Path,
) -> dict[str, Any]:
    """Every choice that moves the numbers."""
    return {
        **settings.model_dump(mode="json"),
        "names": dict(zip(settings.classes, words, strict=True)),
        "templates": list(templates),
        "teacher": teacher.spec,
        "model": {"name": model_dir.name, "trained_on": model.config.get("source_kind")},
        "source": val["source"],
        "train_split": train["split"],
        "train_objects": train["protocol"],
        "objects": val["protocol"],
        "queries": val.get("queries", "points inside the human 3D boxes"),
        "draws": "uniform over a class's annotated training objects; more shots contain the fewer",
        "augmentation": "the pretraining's",
        "tuned_on_val": "nothing",
    }


def _provenance(train: Shards, val: Shards, model_dir: Path, settings: FewshotSettings) -> dict[str, Any]:
    inputs = {f"train/{path.name}": path for pair in train for path in pair}
    inputs |= {f"val/{path.name}": path for pair in val for path in pair}
    inputs |= model_inputs(model_dir)
    packages = ("torch", "open_clip_torch", "scikit-learn", "pillow")
    made_by = provenance("fewshot", settings.model_dump(mode="json"), inputs, packages, settings.seed)
    return made_by | {"git": git_state()}
