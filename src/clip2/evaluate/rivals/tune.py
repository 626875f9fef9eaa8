"""Stage `tune`: train a baseline on our mined triplets (its "w/ TP." variant), or CLIP2Point on pairs."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from clip2.evaluate.rivals.projections import PROJECTIONS
from clip2.evaluate.rivals.towers import write_tower
from clip2.evaluate.rivals.tune_adapter import tune_adapter
from clip2.evaluate.rivals.tune_data import TripletShards, describe, load_tune_data
from clip2.evaluate.rivals.tune_settings import TuneSettings
from clip2.evaluate.rivals.tune_tower import tune_tower
from clip2.pretrain.checkpoint import digest_of
from clip2.pretrain.holdout import scenes_held_out
from clip2.runtime.device import resolve_device
from clip2.runtime.errors import InputError
from clip2.store.provenance import provenance
from clip2.teach.teacher import load_teacher

log = logging.getLogger(__name__)

PACKAGES = ("torch", "torch-scatter", "open_clip_torch", "pillow")
OPERATIONAL = {"forward_batch"}
"""Settings that change nothing about the outcome."""


def tower_name(settings: TuneSettings) -> str:
    """The tuned method's name in results."""
    return settings.method + ("_tp" if settings.pre_trained_on == "triplets" else "")


def run(
    triplets: TripletShards,
    embeddings: Sequence[Path] | None,
    out: Path,
    settings: TuneSettings,
    device: str = "auto",
    threads: int = 1,
    checkpoint: Path | None = None,
) -> None:
    """Tune a baseline; write ``out``, one safetensors file with a header (evaluate.rivals.towers).

    Args:
        triplets: (Parquet, HDF5) of the training shards only, or shape pairs in the same form.
        embeddings: of the same shards; None (or none): their pictures go through the teacher here.
        checkpoint: file from which a stopped training of a tower resumes; default: a hidden one beside ``out``.
    """
    embeddings = embeddings or None
    checkpoint = checkpoint or out.with_name(f".{out.name}.checkpoint")
    if settings.pre_trained_on == "pairs" and settings.method != "clip2point":
        raise InputError("setting 'pre_trained_on': only clip2point is trained on pairs; use 'triplets'")
    if not triplets:
        raise InputError("no training shards given; name at least one triplets file")
    torch.set_num_threads(max(1, threads))
    resolve_device(device)
    made_from = _provenance(triplets, embeddings, settings)
    teacher = load_teacher(settings.model, settings.pretrained, device)
    share = settings.holdout if settings.pre_trained_on == "triplets" else 0.0
    aside = scenes_held_out([path for path, _ in triplets], share)
    data = load_tune_data(
        triplets, embeddings, teacher, settings.max_triplets, settings.min_points, settings.agreement, threads,
        scene_wanted=lambda scene: scene not in aside,
    )  # fmt: skip
    projection = PROJECTIONS[settings.method]
    templates = settings.templates or (projection.template,)
    texts = teacher.encode_labels(data.names, templates)
    header: dict[str, Any] = {
        "name": tower_name(settings),
        "base": settings.method,
        "pre_trained_on": settings.pre_trained_on,
        "teacher": teacher.spec,
        "templates": list(templates),
        **describe(data),
        "settings": settings.model_dump(mode="json"),
    }
    if settings.method == "clip2point":
        module, epochs = tune_tower(data, texts, teacher, settings, checkpoint, digest_of(made_from))
    else:
        module, header["logit_scale"], epochs = tune_adapter(projection, data, texts, teacher, settings)
    write_tower(out, module.state_dict(), header | {"log": epochs, "provenance": made_from})
    if settings.method == "clip2point":
        checkpoint.unlink(missing_ok=True)
    log.info("%s tuned on %d of %d triplets: %s", header["name"], data.counts["used"], data.counts["triplets"], out)


def _provenance(triplets: TripletShards, embeddings: Sequence[Path] | None, settings: TuneSettings) -> dict[str, Any]:
    inputs = {f"triplets/{i}/{path.name}": path for i, pair in enumerate(triplets) for path in pair}
    inputs |= {f"embeddings/{i}/{path.name}": path for i, path in enumerate(embeddings or ())}
    kept = {key: value for key, value in settings.model_dump(mode="json").items() if key not in OPERATIONAL}
    return provenance("tune", kept, inputs, PACKAGES, settings.seed)
