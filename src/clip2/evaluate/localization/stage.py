"""Stage `localization`: things found in 3D by name, with boxes nobody annotated and names nobody trained on."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from clip2.evaluate.classes import choose_classes, class_words
from clip2.evaluate.localization.labels import as_detections, read_labels, trust
from clip2.evaluate.localization.nuscenes_detection import CONFIG, OfficialEvaluation, reason_against
from clip2.evaluate.localization.result import LocalizationResult, print_localization, write_localization
from clip2.evaluate.localization.scoring import score_detections, score_without_names
from clip2.evaluate.localization.settings import LocalizeSettings
from clip2.evaluate.localization.truth import Truth, read_truth
from clip2.evaluate.networks import load_networks, model_inputs
from clip2.label.naming import detections, label_probabilities, text_probabilities
from clip2.label.proposals import Proposals, read_proposals
from clip2.pretrain.model import Clip2Model
from clip2.runtime.errors import InputError
from clip2.store.crops import Shards
from clip2.store.provenance import git_state, provenance
from clip2.store.tables import iterate_rows, read_header
from clip2.teach.teacher import Teacher

log = logging.getLogger(__name__)

Floats = NDArray[np.float64]


def run(
    frames: Sequence[Path],
    annotations: Sequence[Path],
    triplets: Shards,
    data_root: Path,
    model_dir: Path,
    out: Path,
    settings: LocalizeSettings,
    device: str = "auto",
    threads: int = 1,
    labels: Path | None = None,
) -> None:
    """Box, name and score the proposals; write ``out`` (localization.result.LocalizationResult) and print it.

    Args:
        frames, annotations, triplets: the same shards of the evaluation role; a triplet shard is (Parquet, HDF5).
        data_root: the data set's folder; read only for nuScenes' own evaluation.
        model_dir: folder of a pretrained model.
        labels: file of the stage `label` for the same source, which is measured beside the proposals.
    """
    torch.set_num_threads(max(1, threads))
    header = _header(frames, annotations, triplets)
    settings = settings.model_copy(update={"classes": choose_classes(settings.classes, read_header(annotations[0]))})
    truth = read_truth(annotations, settings)
    if not truth.group:
        raise InputError(f"{annotations[0]}: not one box of the classes asked for, in {len(annotations)} shards "
                         f"({truth.skipped}); check `classes` and the split")  # fmt: skip
    names = {row["scene" if truth.by_scene else "sample"] for path in frames
             for row in iterate_rows(path, ["scene", "sample"])}  # fmt: skip
    model, teacher = load_networks(model_dir, device)
    with_pictures = teacher if "teacher_2d" in settings.methods else None
    proposals = read_proposals(triplets, truth.by_scene, model, with_pictures, settings, threads)
    if strange := set(proposals.group) - names:
        raise InputError(f"{triplets[0][0]}: {len(strange)} samples in it are not in {frames[0]}; "
                         "give shards of the same name")  # fmt: skip
    official, note = _official(header, data_root, settings)
    by_metres = header["sensor"] == "lidar"
    methods = {}
    for method, probabilities in _probabilities(proposals, truth, model, teacher, settings).items():
        found = detections(proposals, probabilities, settings)
        score = score_detections(proposals, found, truth, settings.classes, by_metres)
        if official is not None:
            score.nuscenes = official.evaluate(proposals, found, settings.classes)
        methods[method] = score
    if labels is not None:
        rows = read_labels(labels, header, names, truth.by_scene)
        places, found = as_detections(rows, truth, settings)
        score = score_detections(places, found, truth, settings.classes, by_metres)
        score.calibration, score.placement = trust(rows, annotations, truth)
        if official is not None:
            score.nuscenes = official.evaluate(places, found, settings.classes)
        methods = {"labels": score} | methods
    result = LocalizationResult(
        dataset=header["dataset"],
        split=header["split"],
        source_kind=header["source_kind"],
        protocol=_protocol(header, settings, truth, model, teacher, model_dir) | {"nuscenes_evaluation": note},
        n_groups=len(names),
        n_proposals=len(proposals.group),
        n_boxes=len(truth.group),
        skipped=truth.skipped,
        class_agnostic=score_without_names(proposals, truth, by_metres, settings),
        methods=methods,
        provenance=_provenance(frames, annotations, triplets, model_dir, labels, settings),
    )
    write_localization(out, result)
    print_localization(result)


def _header(frames: Sequence[Path], annotations: Sequence[Path], triplets: Shards) -> dict[str, Any]:
    """The frames' header, after a check that all shards belong together."""
    if not len(frames) == len(annotations) == len(triplets) > 0:
        raise InputError(
            f"{len(frames)} frame, {len(annotations)} annotation and {len(triplets)} triplet shards; "
            "give the same shards of each"
        )
    first = read_header(frames[0])
    for path in (*frames, *annotations, *(pair[0] for pair in triplets)):
        header = read_header(path)
        for key in ("source", "source_kind", "split"):
            if header[key] != first[key]:
                raise InputError(f"{path}: {key} is {header[key]!r}, but {first[key]!r} in {frames[0]}; "
                                 "give shards of one source and role")  # fmt: skip
    if first["axes"]["up"] != "z":
        raise InputError(f"{frames[0]}: the points' up direction is {first['axes']['up']!r}; z is expected")
    return first


def _official(
    header: dict[str, Any], data_root: Path, settings: LocalizeSettings
) -> tuple[OfficialEvaluation | None, str]:
    """The devkit's evaluation where it applies, and what the result says about it."""
    if header["dataset"] != "nuscenes" or not settings.official:
        return None, "not asked for" if header["dataset"] == "nuscenes" else "not nuScenes"
    if reason := reason_against(header["split"], settings.version, settings.classes):
        log.warning("nuScenes' own evaluation is left out: %s", reason)
        return None, f"left out: {reason}"
    return OfficialEvaluation(data_root, settings.version, header["split"]), CONFIG


def _probabilities(
    proposals: Proposals, truth: Truth, model: Clip2Model, teacher: Teacher, settings: LocalizeSettings
) -> dict[str, Floats]:
    """(n, C) of each method."""
    n_classes = len(settings.classes)
    words = [*class_words(settings.classes, settings.names), *settings.other_names]
    templates = settings.templates or tuple(model.config["templates"])
    text = teacher.encode_labels(words, templates).float().cpu().numpy()
    found: dict[str, Floats] = {}
    for method in settings.methods:
        if method == "clip2":
            found[method] = text_probabilities(proposals.points, text, model.config["logit_scale"], n_classes)
        elif method == "teacher_2d":
            assert proposals.pictures is not None
            found[method] = text_probabilities(proposals.pictures, text, teacher.logit_scale, n_classes)
        elif method == "detector":
            found[method] = label_probabilities(proposals.labels, truth.words, n_classes)
        else:
            found[method] = np.full((len(proposals.group), n_classes), 1 / len(words))
    return found


def _protocol(
    header: dict[str, Any],
    settings: LocalizeSettings,
    truth: Truth,
    model: Clip2Model,
    teacher: Teacher,
    model_dir: Path,
) -> dict[str, Any]:
    """Every choice that moves the numbers."""
    words = class_words(settings.classes, settings.names)
    return {
        **settings.model_dump(mode="json"),
        "names": dict(zip(settings.classes, words, strict=True)),
        "templates": list(settings.templates or model.config["templates"]),
        "teacher": teacher.spec,
        "model": {"name": model_dir.name, "trained_on": model.config.get("source_kind")},
        "source": header["source"],
        "sensor": header["sensor"],
        "groups": "scene" if truth.by_scene else "sample",
        "boxes": "fitted to the points seen; no class sizes",
        "score": "detector's score x probability of the class; every proposal under every class",
        "labels": "as they stand in the file: a box under each of its names, with the name's probability",
    }


def _provenance(
    frames: Sequence[Path],
    annotations: Sequence[Path],
    triplets: Shards,
    model_dir: Path,
    labels: Path | None,
    settings: LocalizeSettings,
) -> dict[str, Any]:
    inputs = {} if labels is None else {"labels": labels}
    inputs |= {f"frames/{path.name}": path for path in frames}
    inputs |= {f"annotations/{path.name}": path for path in annotations}
    inputs |= {f"triplets/{path.name}": path for pair in triplets for path in pair}
    inputs |= model_inputs(model_dir)
    packages = ("torch", "open_clip_torch", "nuscenes-devkit", "pillow")
    return provenance("localization", settings.model_dump(mode="json"), inputs, packages) | {"git": git_state()}
