"""Stage `zeroshot`: every method on the same objects, side by side, and one result file."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from clip2.evaluate.classes import choose_classes, class_words
from clip2.evaluate.encoded_objects import open_encoded
from clip2.evaluate.ensemble.fusion import Fusion, fused, read_fusion
from clip2.evaluate.metamorphic import changed_scorers, compared
from clip2.evaluate.methods import (
    Scorer,
    clip2_scorer,
    depth_protocol,
    depth_scorers,
    encoder_of,
    teacher_2d_scorer,
    towers_by_name,
)
from clip2.evaluate.metrics import DIGITS, chance_metrics, class_mean, confusion_counts, recognition_metrics
from clip2.evaluate.networks import model_inputs
from clip2.evaluate.object_shards import common_header
from clip2.evaluate.result import write_result
from clip2.evaluate.rivals.projections import TUNED
from clip2.evaluate.rivals.towers import Tower, read_tower
from clip2.evaluate.settings import ZeroshotSettings
from clip2.pretrain.model import load
from clip2.runtime.console import progress
from clip2.runtime.errors import InputError
from clip2.store.atomic import read_json
from clip2.store.crops import Shards, batches
from clip2.store.provenance import git_state, provenance
from clip2.teach.teacher import Teacher, load_teacher

log = logging.getLogger(__name__)

POINT_SUBSETS = (5, 20, 100)
"""Results are also given on objects with at least so many points."""
Array = NDArray[Any]


def run(
    objects: Shards,
    model_dir: Path,
    out: Path,
    settings: ZeroshotSettings,
    device: str = "auto",
    threads: int = 1,
    *,
    encoded: Sequence[Path] = (),
    towers: Sequence[Path] = (),
    ensemble: Path | None = None,
) -> None:
    """Evaluate a model and the baselines; write ``out`` (evaluate.result.Result).

    Args:
        objects: (Parquet, HDF5) of every shard that the `objects` stage wrote.
        model_dir: folder of a pretrained model; its config.json names the teacher that all methods share.
        encoded: what `clip2 encode-objects` wrote of these objects; what is not there is computed here.
        towers: tuned baselines (`clip2 tune`) or CLIP2Point's checkpoint.
        ensemble: what `clip2 ensemble` wrote.
    """
    torch.set_num_threads(max(1, threads))
    header = common_header(objects)
    config = _model_config(model_dir)
    classes = choose_classes(settings.classes, header)
    tuned = towers_by_name([read_tower(path) for path in towers])
    fusion = read_fusion(ensemble) if ensemble is not None and "ensemble" in settings.methods else None
    methods = _line_up(settings, tuned, fusion)
    teacher = load_teacher(config["teacher"]["model"], config["teacher"]["pretrained"], device)
    names = class_words(classes, settings.names)
    templates = settings.templates or tuple(config["templates"])
    asked = _with_members(methods, fusion)
    scorers = _scorers(asked, names, templates, model_dir, teacher, tuned, device, threads)
    others = changed_scorers(scorers["clip2"]) if "clip2" in methods else {}
    made_from = _provenance(objects, model_dir, settings, encoded, towers, ensemble)
    digests = made_from["inputs"]
    of_towers = {name: digests[f"towers/{tower.path.name}"] for name, tower in tuned.items()}
    with open_encoded(encoded, teacher.spec, of_towers) as seen:
        scores, facts, n_other = _score_all(
            objects, scorers | others, classes, settings.batch_size, header["n_objects"],
            lambda path: seen.of(digests[f"objects/{path.name}"], {encoder_of(method) for method in asked}),
        )  # fmt: skip
    labels = facts["label"]
    if not len(labels):
        raise InputError(f"{objects[0][0]}: not one object of the classes asked for, in {len(objects)} shards; "
                         "check `classes` and the annotations' split")  # fmt: skip
    if fusion is not None:
        scores["ensemble"] = fused(scores, fusion)
    measured: dict[str, dict[str, Any]] = {}
    for method in methods:
        if method == "chance":
            measured[method] = chance_metrics(labels, classes)
        elif (answered := ~np.isnan(scores[method][:, 0])).any():
            measured[method] = _measure(scores[method], answered, facts, classes, settings)
        else:
            log.warning("%s could not answer for any object and is left out of the result", method)
    if "clip2" in measured:
        changed = {name: scores[name].argmax(1) for name in others}
        measured["clip2"]["changed"] = compared(scores["clip2"].argmax(1), changed, labels, len(classes))
    skipped = header["skipped"] | ({"class_not_asked": n_other} if n_other else {})
    choices = {"names": dict(zip(classes, names, strict=True)), "templates": list(templates), "teacher": teacher.spec}
    write_result(
        out,
        {
            "dataset": header["dataset"],
            "split": header["split"],
            "source_kind": header["source_kind"],
            "protocol": _protocol(header, settings, classes, choices)
            | {"model": {"name": model_dir.name, "trained_on": config.get("source_kind")}}
            | {"depth_methods": depth_protocol(asked, tuned)}
            | ({"ensemble": fusion.model_dump(exclude={"kind", "provenance"})} if fusion is not None else {}),
            "n_objects": len(labels),
            "skipped": skipped,
            "methods": measured,
            "provenance": made_from,
        },
    )
    for name, figures in measured.items():
        log.info("%s: class-mean top-1 %.3f on %d objects", name, figures["class_mean_top1"], figures["n"])


def _line_up(settings: ZeroshotSettings, towers: dict[str, Tower], fusion: Fusion | None) -> list[str]:
    """The methods asked for, without those whose weights were not given."""
    missing = [m for m in settings.methods if m in TUNED and m not in towers]
    if fusion is None and "ensemble" in settings.methods:
        missing.append("ensemble")
    if missing:
        log.info("not evaluated, since no weights were given: %s", ", ".join(missing))
    return [method for method in settings.methods if method not in missing]


def _with_members(methods: Sequence[str], fusion: Fusion | None) -> list[str]:
    """The methods to ask: those of the result, and those that the ensemble in it is made of."""
    members = [member.method for member in fusion.members.values()] if fusion is not None else []
    return list(dict.fromkeys([*methods, *members]))


def _model_config(model_dir: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = read_json(model_dir / "config.json")
        config["teacher"]["model"], config["teacher"]["pretrained"], config["templates"]
    except FileNotFoundError:
        raise InputError(
            f"{model_dir}: has no config.json, so it is not a model; give what `clip2 pretrain` wrote"
        ) from None
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{model_dir / 'config.json'}: names no teacher; give what `clip2 pretrain` wrote") from None
    return config


def _scorers(
    methods: Sequence[str],
    names: Sequence[str],
    templates: Sequence[str],
    model_dir: Path,
    teacher: Teacher,
    towers: dict[str, Tower],
    device: str,
    threads: int,
) -> dict[str, Scorer]:
    """What answers for each method that has to look at the objects."""
    if missing := [method for method in methods if method in TUNED and method not in towers]:
        raise InputError(f"the ensemble is made of {', '.join(missing)}; give its tower too, or fit the ensemble anew")
    scorers: dict[str, Scorer] = {}
    if "clip2" in methods:
        scorers["clip2"] = clip2_scorer(load(model_dir, device).encode_points, teacher, names, templates)
    scorers |= depth_scorers(methods, teacher, names, towers)
    if "teacher_2d" in methods:
        scorers["teacher_2d"] = teacher_2d_scorer(teacher, names, templates, threads)
    return scorers


def _score_all(
    objects: Shards,
    scorers: dict[str, Scorer],
    classes: Sequence[str],
    batch_size: int,
    n_objects: int,
    stored: Callable[[Path], Mapping[str, Any]],
) -> tuple[dict[str, Array], dict[str, Array], int]:
    """Scores (n, C) of each method, facts (n,) of the objects, and how many objects are of no class asked for."""
    index = {name: i for i, name in enumerate(classes)}
    scores: dict[str, list[Array]] = {method: [np.empty((0, len(index)), np.float32)] for method in scorers}
    facts: dict[str, list[Any]] = {"label": [], "scene": [], "n_points": [], "in_camera": []}
    n_other = 0
    with_pictures = "teacher_2d" in scorers and not all("teacher_2d" in stored(path) for path, _ in objects)
    columns = ["scene", "class_name", "n_points", "camera"] + ["image"] * with_pictures
    n_batches = -(-n_objects // batch_size)
    for whole in progress(batches(objects, columns, batch_size, stored), "batches of objects", n_batches):
        kept = [i for i, row in enumerate(whole.rows) if row["class_name"] in index]
        n_other += len(whole.rows) - len(kept)
        batch = whole.take(kept)
        if not kept:
            continue
        for method, scorer in scorers.items():
            scores[method].append(scorer(batch))
        for row in batch.rows:
            facts["label"].append(index[row["class_name"]])
            facts["scene"].append(row["scene"])
            facts["n_points"].append(row["n_points"])
            facts["in_camera"].append(row["camera"] is not None)
    return (
        {method: np.concatenate(parts) for method, parts in scores.items()},
        {name: np.asarray(values) for name, values in facts.items()},
        n_other,
    )


def _measure(
    scores: Array, answered: Array, facts: dict[str, Array], classes: Sequence[str], settings: ZeroshotSettings
) -> dict[str, Any]:
    """All numbers of one method, over the objects that it answered for."""
    scores, facts = scores[answered], {name: values[answered] for name, values in facts.items()}
    labels, predictions = facts["label"], scores.argmax(1)
    measured = recognition_metrics(scores, labels, classes, facts["scene"].tolist(), settings.bootstrap, settings.seed)
    subsets = {f"min_points_{n}": facts["n_points"] >= n for n in POINT_SUBSETS} | {"in_camera": facts["in_camera"]}
    measured["subsets"] = {name: _subset(labels[chosen], predictions[chosen]) for name, chosen in subsets.items()}
    if not answered.all():
        measured["skipped"] = {"no_image": int((~answered).sum())}
    return measured


def _subset(labels: Array, predictions: Array) -> dict[str, Any]:
    if not len(labels):
        return {"n": 0, "top1": None, "class_mean_top1": None}
    confusion = confusion_counts(labels, predictions, int(max(labels.max(), predictions.max())) + 1)
    return {
        "n": len(labels),
        "top1": round(float((labels == predictions).mean()), DIGITS),
        "class_mean_top1": round(float(class_mean(confusion.diagonal(), confusion.sum(1))), DIGITS),
    }


def _protocol(
    header: dict[str, Any], settings: ZeroshotSettings, classes: Sequence[str], choices: dict[str, Any]
) -> dict[str, Any]:
    """Every choice that moves the numbers of all methods."""
    return {
        "classes": list(classes),
        **choices,
        "source": header["source"],
        "sensor": header["sensor"],
        "clouds_per_sample": header["clouds_per_sample"],
        "objects": header["protocol"],
        "queries": header.get("queries", "points inside the human 3D boxes"),
        **({"variant": header["variant"]} if "variant" in header else {}),
        **({"shared_scenes": settings.shared_scenes} if settings.shared_scenes is not None else {}),
        "class_mean_top1": "unweighted mean over the classes that occur",
        "ties": "the class that comes first",
        "ci95": {
            "draws": "scenes (objects where there is only one)",
            "resamples": settings.bootstrap,
            "seed": settings.seed,
        },
    }


def _provenance(
    objects: Shards,
    model_dir: Path,
    settings: ZeroshotSettings,
    encoded: Sequence[Path],
    towers: Sequence[Path],
    ensemble: Path | None,
) -> dict[str, Any]:
    inputs = {f"objects/{path.name}": path for pair in objects for path in pair}
    inputs |= model_inputs(model_dir)
    inputs |= {f"encoded/{i}/{path.name}": path for i, path in enumerate(encoded)}
    inputs |= {f"towers/{path.name}": path for path in towers}
    if ensemble is not None:
        inputs["ensemble"] = ensemble
    packages = ("torch", "torch-scatter", "open_clip_torch", "pillow")
    made_by = provenance("zeroshot", settings.model_dump(mode="json"), inputs, packages, settings.seed)
    return made_by | {"git": git_state()}
