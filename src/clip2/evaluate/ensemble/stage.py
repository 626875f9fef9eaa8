"""Stage `ensemble`: the weights of point, image and depth scores, fitted on mined triplets, without any human label.

The CLIP² paper describes an optional ensemble of these three, not its weights. Ours: each modality's scores of a class
vocabulary, centred and divided by their standard deviation, are added with two free weights (the third is the rest).
These are the best on a coarse grid at naming a sample of triplets as the detector did: of the scenes that were kept
aside from all training, whose triplets the point encoder and the tuned depth baseline have not seen. Where none were,
it is a sample of the training triplets, and the file says that the weights then lean towards those who know them.
"""

import itertools
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from clip2.evaluate.ensemble.fusion import MODALITIES, Fusion, centre, combine
from clip2.evaluate.ensemble.settings import EnsembleSettings
from clip2.evaluate.methods import Scorer, clip2_scorer, depth_scorers, towers_by_name
from clip2.evaluate.metrics import class_mean
from clip2.evaluate.networks import load_networks, model_inputs
from clip2.evaluate.rivals.towers import Tower, read_tower
from clip2.evaluate.rivals.tune_data import TripletShards, TuneData, describe, load_tune_data
from clip2.pretrain.holdout import scenes_held_out
from clip2.runtime.console import progress
from clip2.runtime.errors import InputError
from clip2.store.atomic import write_sealed
from clip2.store.crops import Batch
from clip2.store.provenance import provenance
from clip2.store.tables import read_table

log = logging.getLogger(__name__)

Array = NDArray[Any]
FALLBACK_DEPTH = "pointclip_v2"
"""The depth method where no tuned one is given: it needs no training."""
LEAST = 500
"""Triplets kept aside. Fewer are of one or two scenes, and weights that fit those fit no others."""
CAUTION = (
    "point encoder and tuned depth towers were trained on triplets of this sample: their weights are rather too high"
)


def run(
    triplets: TripletShards,
    embeddings: Sequence[Path],
    model_dir: Path,
    towers: Sequence[Path],
    out: Path,
    settings: EnsembleSettings,
    device: str = "auto",
    threads: int = 1,
) -> None:
    """Fit the weights; write ``out`` (evaluate.ensemble.fusion.Fusion).

    Args:
        triplets: (Parquet, HDF5) of training shards.
        embeddings: of the same shards, by the model's teacher.
        towers: tuned baselines; the best of them on the sample is the depth modality.
    """
    if not triplets:
        raise InputError("no training shards given; name at least one triplets file")
    torch.set_num_threads(max(1, threads))
    model, teacher = load_networks(model_dir, device)
    templates = tuple(model.config["templates"])
    tuned = towers_by_name([read_tower(path) for path in towers])
    aside = _kept_aside([path for path, _ in triplets], model.config, tuned.values())
    data = load_tune_data(
        triplets, embeddings, teacher, settings.max_triplets, settings.min_points, "off", threads,
        scene_wanted=lambda scene: not aside or scene in aside,
    )  # fmt: skip
    if len(data.names) < 2:
        raise InputError(f"{triplets[0][0]}: the sample has one label only; the ensemble has nothing to tell apart")
    depth = depth_scorers(list(tuned) or [FALLBACK_DEPTH], teacher, data.names, tuned)
    point = {"clip2": clip2_scorer(model.encode_points, teacher, data.names, templates)}
    scores = _score(data, point | depth, settings.batch_size)
    text = teacher.encode_labels(data.names, templates).cpu().numpy()
    scores["teacher_2d"] = data.images.numpy() @ text.T
    labels = data.labels.numpy()
    alone = {method: label_mean_top1(own, labels) for method, own in scores.items()}
    best_depth = max(depth, key=lambda method: alone[method])
    chosen = dict(zip(MODALITIES, ("clip2", "teacher_2d", best_depth), strict=True))
    scales = {name: float(max(centre(scores[method]).std(), 1e-6)) for name, method in chosen.items()}
    weights, reached = fit_weights({name: scores[method] for name, method in chosen.items()}, scales, labels, settings)
    fitted_on = {
        **describe(data),
        "min_points": settings.min_points,
        "grid_step": 1 / settings.grid,
        "criterion": "top-1 at the detector's labels, mean over the labels",
        "alone": {method: round(value, 6) for method, value in alone.items()},
        "together": round(reached, 6),
        **({"scenes_kept_aside": len(aside)} if aside else {"caution": CAUTION}),
    }
    members = {
        name: {"method": method, "weight": round(weights[name], 6), "scale": scales[name]}
        for name, method in chosen.items()
    }
    inputs = {f"triplets/{i}/{path.name}": path for i, pair in enumerate(triplets) for path in pair}
    inputs |= {f"embeddings/{i}/{path.name}": path for i, path in enumerate(embeddings)}
    inputs |= model_inputs(model_dir)
    inputs |= {f"towers/{path.name}": path for path in towers}
    made_by = provenance("ensemble", settings.model_dump(mode="json"), inputs, ("torch", "open_clip_torch"))
    fusion = {"kind": "ensemble", "members": members, "fitted_on": fitted_on, "provenance": made_by}
    write_sealed(out, Fusion.model_validate(fusion).model_dump(mode="json"))
    log.info("ensemble: weights %s, label-mean top-1 %.3f (alone: %s)", weights, reached, fitted_on["alone"])


def _kept_aside(triplets: Sequence[Path], model: Mapping[str, Any], towers: Iterable[Tower]) -> frozenset[str]:
    """Scenes that neither the model (its config.json) nor a tower was trained on; none where they are too few."""
    trained = [model, *(tower.header for tower in towers if tower.header.get("pre_trained_on") == "triplets")]
    share = min(header.get("settings", {}).get("holdout", 0.0) for header in trained)
    aside = scenes_held_out(triplets, share)
    found = sum(scene in aside for path in triplets for scene in read_table(path, ["scene"])["scene"].to_pylist())
    if found >= LEAST:
        return aside
    log.warning("%d triplets were kept aside from training: the weights are fitted on those trained on", found)
    return frozenset()


def _score(data: TuneData, scorers: Mapping[str, Scorer], batch_size: int) -> dict[str, Array]:
    parts: dict[str, list[Array]] = {method: [] for method in scorers}
    starts = range(0, len(data.crops), batch_size)
    for start in progress(starts, "batches of triplets", len(starts)):
        crops = data.crops[start : start + batch_size]
        batch = Batch([{"image": None}] * len(crops), crops)
        for method, scorer in scorers.items():
            parts[method].append(scorer(batch))
    return {method: np.concatenate(own) for method, own in parts.items()}


def label_mean_top1(scores: Array, labels: Array) -> float:
    """Top-1 at (n,) labels of (n, L) scores, averaged over the labels that occur."""
    n = scores.shape[1]
    right = scores.argmax(1) == labels
    return float(class_mean(np.bincount(labels, right, n), np.bincount(labels, minlength=n)))


def fit_weights(
    scores: Mapping[str, Array], scales: Mapping[str, float], labels: Array, settings: EnsembleSettings
) -> tuple[dict[str, float], float]:
    """Weights of the modalities that add up to 1, best on the grid, and the label-mean top-1 that they reach.

    Of equally good ones, the most even.
    """
    names, steps = list(scores), settings.grid
    points = [p for p in itertools.product(range(steps + 1), repeat=len(names)) if sum(p) == steps]
    points.sort(key=lambda p: (sum(w * w for w in p), p))
    best, best_value = points[0], -1.0
    for candidate in points:
        members = {name: (w / steps, scales[name]) for name, w in zip(names, candidate, strict=True)}
        value = label_mean_top1(combine(scores, members), labels)
        if value > best_value + 1e-9:
            best, best_value = candidate, value
    return {name: w / steps for name, w in zip(names, best, strict=True)}, best_value
