"""The methods of the few-shot stage: what they see of the objects, computed once, and how each learns and answers."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from clip2.evaluate.fewshot.finetune import Crops, finetune, tuned_scores
from clip2.evaluate.fewshot.settings import FewshotSettings
from clip2.pretrain.model import Clip2Model
from clip2.pretrain.modelfiles import read_model
from clip2.pretrain.settings import PretrainSettings
from clip2.runtime.console import progress
from clip2.runtime.errors import InputError
from clip2.store.crops import Batch, Shards, batches
from clip2.teach.pictures import picture_features
from clip2.teach.teacher import Teacher

Array = NDArray[Any]


@dataclass(frozen=True)
class Known:
    """What the methods see of n objects, each thing computed once and None where no method asks for it."""

    labels: Array  # (n,)
    points: Array | None  # (n, D) unit vectors by the model
    pictures: Array | None  # (n, D) unit vectors by the teacher, NaN where there is no picture
    crops: Crops | None


Answer = Callable[[Array, int], Array]
"""Numbers of the training objects to learn from and a seed → (n_val, C) scores; NaN rows: not answered."""


def know(
    batch: Batch, labels: Array, model: Clip2Model, teacher: Teacher, settings: FewshotSettings, threads: int
) -> Known:
    asked = settings.methods
    with_points = "zeroshot" in asked or "clip2_linear" in asked
    return Known(
        labels,
        model.encode_points(batch.crops) if with_points else None,
        picture_features(teacher, batch.rows, threads) if "teacher_2d_linear" in asked else None,
        Crops.pack(batch.crops, _augmentation(model).max_points, model.device) if "clip2_finetune" in asked else None,
    )


def know_all(
    shards: Shards,
    n_objects: int,
    columns: list[str],
    model: Clip2Model,
    teacher: Teacher,
    settings: FewshotSettings,
    threads: int,
) -> Known:
    """All objects of the classes asked for. Memory: their vectors and, for fine-tuning, their thinned points."""
    index = {name: i for i, name in enumerate(settings.classes)}
    parts = []
    n_batches = -(-n_objects // settings.batch_size)
    for whole in progress(batches(shards, columns, settings.batch_size), "batches of objects", n_batches):
        kept = [i for i, row in enumerate(whole.rows) if row["class_name"] in index]
        if kept:
            batch = whole.take(kept)
            labels = np.array([index[row["class_name"]] for row in batch.rows], np.int64)
            parts.append(know(batch, labels, model, teacher, settings, threads))
    if not parts:
        raise InputError(f"{shards[0][0]}: not one object of the classes asked for, in {len(shards)} shards; "
                         "check `classes` and the annotations' split")  # fmt: skip

    def joined(name: str) -> Any:
        values = [getattr(part, name) for part in parts]
        if values[0] is None:
            return None
        return Crops.join(values) if name == "crops" else np.concatenate(values)

    return Known(*(joined(name) for name in ("labels", "points", "pictures", "crops")))


def _augmentation(model: Clip2Model) -> PretrainSettings:
    """The settings that the model was pretrained with."""
    return PretrainSettings.model_validate(model.config.get("settings", {}))


def all_answers(
    train: Known, val: Known, text: torch.Tensor, model: Clip2Model, model_dir: Path, settings: FewshotSettings
) -> dict[str, Answer]:
    """What answers for each method."""
    n_classes = len(settings.classes)
    answers: dict[str, Answer] = {}
    if "zeroshot" in settings.methods:
        assert val.points is not None
        scores = val.points @ text.cpu().numpy().T
        answers["zeroshot"] = lambda chosen, seed: scores
    for name, before, after in (
        ("clip2_linear", train.points, val.points),
        ("teacher_2d_linear", train.pictures, val.pictures),
    ):
        if name in settings.methods:
            assert before is not None
            assert after is not None
            answers[name] = _linear_answer(before, train.labels, after, n_classes, settings.linear_c)
    if "clip2_finetune" in settings.methods:
        answers["clip2_finetune"] = _finetune_answer(train, val, text, model, model_dir, settings)
    return answers


def _linear_answer(before: Array, labels: Array, after: Array, n_classes: int, c: float) -> Answer:
    def answer(chosen: Array, seed: int) -> Array:
        return linear_scores(before[chosen], labels[chosen], after, n_classes, c)

    return answer


def linear_scores(train: Array, labels: Array, val: Array, n_classes: int, c: float) -> Array:
    """Logistic regression (L2, L-BFGS) on frozen vectors, moved and scaled so that those learnt from have mean 0 and
    a root mean square length of 1: one strength of the penalty then means the same for every encoder.

    Args:
        train: (m, D), NaN rows are left out; labels: (m,).
        val: (n, D), NaN rows are not answered.
        c: scikit-learn's C: the loss is ½‖W‖² + C Σ cross entropy.

    Returns:
        (n, n_classes) logits, NaN where not answered; -inf for classes without a training object.
    """
    usable, asked = ~np.isnan(train[:, 0]), ~np.isnan(val[:, 0])
    scores = np.full((len(val), n_classes), np.nan)
    present = np.unique(labels[usable])
    if len(present) < 2:
        return scores
    middle = train[usable].mean(0)
    spread = max(float(np.sqrt(((train[usable] - middle) ** 2).sum(1).mean())), 1e-6)
    probe = LogisticRegression(C=c, max_iter=1000).fit((train[usable] - middle) / spread, labels[usable])
    asked_for = (val[asked] - middle) / spread
    found = probe.decision_function(asked_for) if asked.any() else np.empty((0, len(present)))
    logits = np.stack([-found, found], 1) if found.ndim == 1 else found
    answered = np.full((int(asked.sum()), n_classes), -np.inf)
    answered[:, present] = logits
    scores[asked] = answered
    return scores


def _finetune_answer(
    train: Known, val: Known, text: torch.Tensor, model: Clip2Model, model_dir: Path, settings: FewshotSettings
) -> Answer:
    assert train.crops is not None
    assert val.crops is not None
    encoder = read_model(model_dir)[0].to(model.device)
    augmentation = _augmentation(model)
    before, after = train.crops, val.crops
    begin = text.to(model.device).clone()

    def answer(chosen: Array, seed: int) -> Array:
        items = torch.from_numpy(chosen).to(model.device)
        shots = Crops(before.points, before.starts[items], before.lengths[items])
        labels = torch.from_numpy(train.labels[chosen]).to(model.device)
        scale = float(model.config["logit_scale"])
        tuned, head = finetune(encoder, begin, scale, shots, labels, settings, augmentation, seed)
        return tuned_scores(tuned, head, after, settings.batch_size)

    return answer
