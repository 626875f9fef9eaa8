"""The files of a model folder: model.safetensors, config.json, README.md, train_log.jsonl."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from clip2.pretrain.encoder import EncoderConfig, PointEncoder
from clip2.pretrain.settings import PretrainSettings
from clip2.runtime.errors import InputError
from clip2.store.atomic import atomic_path, read_json, write_sealed, write_text
from clip2.store.provenance import file_digest

FORMAT = 1
WEIGHTS, CONFIG, CARD, LOG = "model.safetensors", "config.json", "README.md", "train_log.jsonl"
FILES = (CARD, LOG, WEIGHTS, CONFIG)
"""All of a model folder that are the model's own, in the order in which they are written."""


def write_model(
    folder: Path,
    encoder: PointEncoder,
    logit_scale: float,
    settings: PretrainSettings,
    data: dict[str, Any],
    texts: Tensor,
    made_from: dict[str, Any],
    train_log: Path,
) -> None:
    """Write a model folder; each file is there whole or not at all, config.json last.

    Args:
        encoder: with the weights to save.
        logit_scale: 1 / temperature for probabilities over texts.
        data: the packed data's header (labels, teacher, templates, counts, source_kinds).
        texts: (L, D) the teacher's unit vectors of the labels.
        made_from: the provenance block.
    """
    lines = train_log.read_text(encoding="utf-8")
    last = json.loads(lines.splitlines()[-1])
    config = {
        "format": FORMAT,
        "encoder": encoder.config.to_json(),
        "points": {"units": "m", "up": "z", "columns": "x y z"},
        "teacher": data["teacher"],
        "templates": data["templates"],
        "logit_scale": logit_scale,
        "source_kind": "built-in world" if "built-in world" in data["source_kinds"] else "real",
        "counts": data["counts"],
        "labels": data["labels"],
        "label_cosines": label_cosines(texts),
        "last_step": {key: last[key] for key in ("step", "loss", "loss_text", "loss_image")},
        "settings": settings.model_dump(mode="json"),
        "provenance": made_from,
    }
    with atomic_path(folder / WEIGHTS) as temporary:
        save_file({name: value.cpu().contiguous() for name, value in encoder.state_dict().items()}, temporary)
    config["weights_sha256"] = file_digest(folder / WEIGHTS)
    write_text(folder / LOG, lines)
    write_text(folder / CARD, model_card(folder.name, config))
    write_sealed(folder / CONFIG, config)


COMPARED = 32
"""Labels by which one teacher is told from another."""


def label_cosines(texts: Tensor) -> list[float]:
    """Of a teacher's unit vectors of the labels (L, D): the first one's cosines with those after it.

    They tell another model from the one that was trained with, which may have vectors of the same length.
    """
    texts = texts[:COMPARED].float().cpu()
    return [round(value, 4) for value in (texts[1:] @ texts[:1].T).flatten().tolist()]


def read_model(folder: Path) -> tuple[PointEncoder, dict[str, Any]]:
    """The encoder, in evaluation mode on the CPU, and config.json."""
    for name in (WEIGHTS, CONFIG):
        if not (folder / name).is_file():
            raise InputError(
                f"{folder / name}: no such file, so this is no model folder; make one with `clip2 pretrain`"
            )
    config = _read_config(folder / CONFIG)
    try:
        if config.get("weights_sha256", digest := file_digest(folder / WEIGHTS)) != digest:
            raise InputError(f"{folder / WEIGHTS}: not the weights that {CONFIG} beside it was written for; "
                             "they are damaged or another model's, train it anew")  # fmt: skip
        encoder = PointEncoder(EncoderConfig.from_json(config["encoder"]))
        weights = load_file(folder / WEIGHTS)
        encoder.load_state_dict(weights)
    except (RuntimeError, OSError, ValueError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{folder}: not a readable model ({reason}); train it anew") from error
    if not all(bool(value.isfinite().all()) for value in weights.values()):
        raise InputError(f"{folder / WEIGHTS}: has weights that are not finite numbers; train it anew")
    return encoder.eval(), config


_Width = Annotated[int, Field(strict=True, ge=1, le=4096)]


class _Level(BaseModel):
    model_config = ConfigDict(extra="forbid")
    centroids: _Width
    neighbours: Annotated[int, Field(strict=True, ge=1, le=512)]
    radius: Annotated[float, Field(gt=0, le=100)]
    widths: tuple[_Width, _Width]


class _Encoder(BaseModel):
    """Sizes that an encoder can have: those of a damaged file would fill the memory before the weights are compared."""

    model_config = ConfigDict(extra="forbid")
    dim: Annotated[int, Field(strict=True, ge=1, le=16384)]
    n_points: Annotated[int, Field(strict=True, ge=1, le=65536)]
    levels: Annotated[list[_Level], Field(min_length=1, max_length=8)]
    global_widths: tuple[_Width, _Width]
    head_width: _Width
    size_input: Annotated[bool, Field(strict=True)] = True
    centroids: Literal["farthest", "strided"] = "strided"

    @model_validator(mode="after")
    def _groups_of_what_is_there(self) -> Self:
        points = self.n_points
        for level in self.levels:
            if level.centroids > points or level.neighbours > points:
                raise ValueError(f"{level.centroids} groups of {level.neighbours} among {points} points")
            points = level.centroids
        return self


class _Teacher(BaseModel):
    model: str
    pretrained: str | None = None


class _Config(BaseModel):
    """What loading relies on; the rest of config.json is for people."""

    format: int
    encoder: _Encoder
    teacher: _Teacher
    templates: Annotated[list[Annotated[str, Field(pattern=r"\{\}")]], Field(min_length=1)]
    logit_scale: Annotated[float, Field(gt=0, le=10000)]
    labels: list[str] = []
    label_cosines: list[Annotated[float, Field(ge=-1.1, le=1.1)]] = []

    @model_validator(mode="after")
    def _cosines_of_labels(self) -> Self:
        if len(self.label_cosines) >= max(1, len(self.labels)):
            raise ValueError(f"{len(self.label_cosines)} cosines of {len(self.labels)} labels with the first one")
        return self


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = read_json(path)
        if isinstance(config, dict) and config.get("format", FORMAT) != FORMAT:
            raise InputError(f"{path}: format {config['format']}, this version reads {FORMAT}; train it anew")
        _Config.model_validate(config)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"{path}: not a readable model ({where}: {first['msg']}); train it anew") from None
    except (ValueError, RecursionError, OSError) as error:
        raise InputError(f"{path}: not a readable model ({error}); train it anew") from None
    return config


def model_card(name: str, config: dict[str, Any]) -> str:
    """README.md of a model folder."""
    counts, encoder, teacher = config["counts"], config["encoder"], config["teacher"]
    if config["source_kind"] == "real":
        limits = (
            "Its labels were made by a 2D detector and never checked by a person: it inherits the mistakes and the "
            "habits of its detector and its teacher, and knows only sensors like those it was trained on."
        )
    else:
        limits = (
            "**This is a demo.** It was trained on the built-in world, which is computer-generated. It is of no use on "
            "real scans, and its scores say nothing about real data sets."
        )
    where = f"`{teacher['model']}`" + (f" (weights: `{teacher['pretrained']}`)" if teacher.get("pretrained") else "")
    filters = "\n".join(f"| {key.replace('_', ' ')} | {value:,} |" for key, value in counts.items())
    return f"""---
library_name: clip2
tags: [point-cloud, 3d, zero-shot, clip{"" if config["source_kind"] == "real" else ", synthetic"}]
---

# {name}

A point encoder in the space of a frozen vision-language model, trained without 3D labels by the `clip2` workflow
(after CLIP², Zeng et al., CVPR 2023; the losses' exact form is this project's own).

{limits}

```python
import clip2
model = clip2.load("{name}")                    # this folder, or its id on the hub
model.encode_points(points)                     # (N, 3) metres, z up -> ({encoder["dim"]},) unit vector
model.classify(points, ["car", "bicycle"])      # -> probabilities
```

Texts go through the teacher, {where}. If that is a folder which is not on your machine, say where
you have the same model: `clip2.load("{name}", teacher="FOLDER")`. Points need no teacher.

| triplets | |
|---|---|
{filters}

Labels: {len(config["labels"])}. Points a crop: at most {encoder["n_points"]}. Metric size as input: {
        encoder["size_input"]
    }.
Last step: {json.dumps(config["last_step"])}. Steps one by one: `{LOG}`. Settings and digests of all inputs: `{CONFIG}`.
"""
