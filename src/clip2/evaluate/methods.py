"""The methods that answer "which class is this?": each takes a batch of objects and scores every class."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from clip2.evaluate.rivals.depth_views import OncePerBatch, Projection, draw, encode_maps
from clip2.evaluate.rivals.projections import PROJECTIONS, UNTUNED
from clip2.evaluate.rivals.towers import Tower, build_adapter, build_visual, check_teacher
from clip2.runtime.errors import InputError
from clip2.store.crops import Batch
from clip2.teach.pictures import picture_features
from clip2.teach.teacher import Teacher

TEACHER_2D = "teacher_2d"
Scorer = Callable[[Batch], NDArray[np.float32]]
"""n objects → (n, C) scores, higher is better; a row of NaN where the method cannot answer."""


PointEncoder = Callable[[list[NDArray[np.float32]]], NDArray[np.float32]]
"""n crops → (n, D) unit vectors: ``Clip2Model.encode_points``."""


def clip2_scorer(
    encode_points: PointEncoder, teacher: Teacher, names: Sequence[str], templates: Sequence[str]
) -> Scorer:
    """Cosine of the point encoder's vectors with the teacher's text vectors."""
    text = teacher.encode_labels(names, templates).cpu().numpy()

    def score(batch: Batch) -> NDArray[np.float32]:
        return np.asarray(encode_points(batch.crops) @ text.T, np.float32)

    return score


def teacher_2d_scorer(teacher: Teacher, names: Sequence[str], templates: Sequence[str], threads: int) -> Scorer:
    """The teacher itself on the object's picture: how well the pictures alone can be named."""
    text = teacher.encode_labels(names, templates).cpu().numpy()

    def score(batch: Batch) -> NDArray[np.float32]:
        stored = batch.vectors.get(TEACHER_2D)
        pictures = picture_features(teacher, batch.rows, threads) if stored is None else stored
        return np.asarray(pictures @ text.T, np.float32)

    return score


def encoder_of(method: str) -> str:
    """What encodes what a method sees: itself, but adapters stand on the frozen teacher's views."""
    base = method.removesuffix("_tp")
    return base if base in UNTUNED else method


def view_encoders(
    encoders: Iterable[str], teacher: Teacher, towers: Mapping[str, Tower]
) -> dict[str, Callable[[Batch], Tensor]]:
    """By name, what gives (n, V, D) unit vectors of the depth views of a batch's objects.

    CLIP2Point and its variant share their pictures. What is given is kept until the next batch.

    Args:
        encoders: names as :func:`encoder_of` gives them.
        towers: image towers by method name.

    Raises:
        InputError: a tower of another teacher.
    """
    found: dict[str, Callable[[Batch], Tensor]] = {}
    for projection in PROJECTIONS.values():
        maps = OncePerBatch[Batch](_drawer(projection, teacher))
        for name in (projection.name, f"{projection.name}_tp"):
            if name in encoders:
                tower = None if name in UNTUNED else towers[name]
                found[name] = OncePerBatch[Batch](_encoder(projection, teacher, maps, tower))
    return found


def depth_scorers(
    methods: Sequence[str], teacher: Teacher, names: Sequence[str], towers: Mapping[str, Tower]
) -> dict[str, Scorer]:
    """Those of ``methods`` that see points as depth pictures: mean over the views of their cosine with the text.

    Vectors of the views that a batch brings along (``Batch.vectors``) are not computed again.

    Args:
        towers: tuned weights by method name.

    Raises:
        InputError: a tower of another teacher.
    """
    asked = [method for method in methods if method.removesuffix("_tp") in PROJECTIONS]
    encoders = view_encoders({encoder_of(method) for method in asked}, teacher, towers)
    scorers: dict[str, Scorer] = {}
    for method in asked:
        base, encoder = method.removesuffix("_tp"), encoder_of(method)
        adapter = None
        if encoder != method:
            check_teacher(towers[method], teacher)
            adapter = build_adapter(towers[method], PROJECTIONS[base].n_views, teacher)
        text = teacher.encode_labels(names, depth_templates(method, towers))
        scorers[method] = _mean_cosine(encoder, encoders[encoder], adapter, text)
    return scorers


def depth_templates(method: str, towers: Mapping[str, Tower]) -> tuple[str, ...]:
    """Prompt templates of a depth method: those that it was tuned with, else its own."""
    return towers[method].templates if method in towers else (PROJECTIONS[method].template,)


def _drawer(projection: Projection, teacher: Teacher) -> Callable[[Batch], Tensor]:
    return lambda batch: draw(projection, batch.crops, teacher)


def _encoder(
    projection: Projection, teacher: Teacher, maps: Callable[[Batch], Tensor], tower: Tower | None
) -> Callable[[Batch], Tensor]:
    if tower is not None:
        check_teacher(tower, teacher)

    @cache
    def visual() -> nn.Module | None:  # as large as the teacher, and not needed where all vectors are stored
        return None if tower is None else build_visual(tower, teacher)

    return lambda batch: encode_maps(projection, maps(batch), teacher, visual())


def _mean_cosine(encoder: str, encode: Callable[[Batch], Tensor], adapter: nn.Module | None, text: Tensor) -> Scorer:
    def score(batch: Batch) -> NDArray[np.float32]:
        stored = batch.vectors.get(encoder)
        views = encode(batch) if stored is None else torch.from_numpy(stored).to(text.device)
        if adapter is not None:
            views = adapter(views)
        return np.asarray((views.mean(1) @ text.T).cpu().numpy(), np.float32)

    return score


def towers_by_name(towers: Sequence[Tower]) -> dict[str, Tower]:
    """Towers by the method that they make.

    Raises:
        InputError: two make the same.
    """
    named: dict[str, Tower] = {}
    for tower in towers:
        if tower.name in named:
            raise InputError(f"{tower.path}: is {tower.name}, but so is {named[tower.name].path}; give one of them")
        named[tower.name] = tower
    return named


def depth_protocol(methods: Sequence[str], towers: Mapping[str, Tower]) -> dict[str, Any]:
    """What decides the depth methods' numbers, by method."""
    said: dict[str, Any] = {}
    for method in methods:
        projection = PROJECTIONS.get(method.removesuffix("_tp"))
        if projection is None:
            continue
        said[method] = {
            "templates": list(depth_templates(method, towers)),
            "views": projection.n_views,
            "view_weights": "equal",
            "most_points": projection.max_points or None,
        }
        if method in towers:
            header = towers[method].header
            known = ("pre_trained_on", "source_kind", "counts", "settings", "weights_from")
            said[method]["tuned"] = {key: header[key] for key in known if key in header}
    return said
