"""The files of a model folder: model.safetensors, config.json, README.md, train_log.jsonl."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from clip2.errors import InputError
from clip2.pretrain.encoder import EncoderConfig, PointEncoder
from clip2.pretrain.settings import PretrainSettings
from clip2.store.atomic import atomic_path, read_json, write_json, write_text

FORMAT = 1
WEIGHTS, CONFIG, CARD, LOG = "model.safetensors", "config.json", "README.md", "train_log.jsonl"


def write_model(
    folder: Path,
    encoder: PointEncoder,
    logit_scale: float,
    settings: PretrainSettings,
    data: dict[str, Any],
    made_from: dict[str, Any],
    train_log: Path,
) -> None:
    """Write a model folder; each file is there whole or not at all, config.json last.

    Args:
        encoder: with the weights to save.
        logit_scale: 1 / temperature for probabilities over texts.
        data: the packed data's header (labels, teacher, templates, counts, source_kinds).
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
        "last_step": {key: last[key] for key in ("step", "loss", "loss_text", "loss_image")},
        "settings": settings.model_dump(mode="json"),
        "provenance": made_from,
    }
    with atomic_path(folder / WEIGHTS) as temporary:
        save_file({name: value.cpu().contiguous() for name, value in encoder.state_dict().items()}, temporary)
    write_text(folder / LOG, lines)
    write_text(folder / CARD, model_card(folder.name, config))
    write_json(folder / CONFIG, config)


def read_model(folder: Path) -> tuple[PointEncoder, dict[str, Any]]:
    """The encoder, in evaluation mode on the CPU, and config.json."""
    for name in (WEIGHTS, CONFIG):
        if not (folder / name).is_file():
            raise InputError(
                f"{folder / name}: no such file, so this is no model folder; make one with `clip2 pretrain`"
            )
    try:
        config = read_json(folder / CONFIG)
        if config["format"] != FORMAT:
            raise InputError(
                f"{folder / CONFIG}: format {config['format']}, this version reads {FORMAT}; train it anew"
            )
        encoder = PointEncoder(EncoderConfig.from_json(config["encoder"]))
        encoder.load_state_dict(load_file(folder / WEIGHTS))
    except (KeyError, TypeError, ValueError, RuntimeError, OSError, SafetensorError) as error:
        raise InputError(f"{folder}: not a readable model ({str(error).splitlines()[0]}); train it anew") from error
    return encoder.eval(), config


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
    filters = "\n".join(f"| {key.replace('_', ' ')} | {value:,} |" for key, value in counts.items())
    return f"""# {name}

A point encoder in the space of a frozen vision-language model, trained without 3D labels by the `clip2` workflow
(after CLIP², Zeng et al., CVPR 2023; the losses' exact form is this project's own).

{limits}

```python
import clip2
model = clip2.load("{name}")                    # this folder
model.encode_points(points)                     # (N, 3) metres, z up -> ({encoder["dim"]},) unit vector
model.classify(points, ["car", "bicycle"])      # -> probabilities
```

Texts go through the teacher, `{teacher["model"]}` (weights: `{teacher.get("pretrained")}`), which has to be there.

| triplets | |
|---|---|
{filters}

Labels: {len(config["labels"])}. Points a crop: at most {encoder["n_points"]}. Metric size as input: {
        encoder["size_input"]
    }.
Last step: {json.dumps(config["last_step"])}. Steps one by one: `{LOG}`. Settings and digests of all inputs: `{CONFIG}`.
"""
