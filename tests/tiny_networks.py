"""A teacher, a model and objects, all tiny and made here, for the tests of several stages of evaluation."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file

from clip2.pretrain.encoder import PointEncoder
from clip2.pretrain.presets import encoder_config
from clip2.pretrain.settings import PretrainSettings
from clip2.store.ragged import ragged_writer
from clip2.store.schemas import OBJECTS
from clip2.store.tables import write_table

CLIP = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
SHAPES = ("box", "pole", "ball")
COLOURS = {"box": (220, 30, 30), "pole": (30, 200, 30), "ball": (30, 30, 220)}


def write_networks(folder: Path) -> Path:
    """An open_clip teacher and a model folder as `clip2 pretrain` writes it, with random weights; the model folder."""
    torch.manual_seed(0)
    (folder / "teacher").mkdir(parents=True)
    (folder / "model").mkdir()
    save_file(dict(open_clip.CLIP(**CLIP).state_dict()), folder / "teacher" / "open_clip_model.safetensors")
    (folder / "teacher" / "open_clip_config.json").write_text(json.dumps({"model_cfg": CLIP, "preprocess_cfg": {}}))
    encoder = PointEncoder(encoder_config(PretrainSettings(encoder="pointnet2-tiny", n_points=32), 16))
    save_file(encoder.state_dict(), folder / "model" / "model.safetensors")
    config = {
        "format": 1,
        "encoder": encoder.config.to_json(),
        "teacher": {"model": str(folder / "teacher"), "pretrained": None, "dim": 16},
        "templates": ["a photo of a {}."],
        "logit_scale": 10.0,
        "source_kind": "built-in world",
        "settings": PretrainSettings(encoder="pointnet2-tiny", n_points=32, max_points=64).model_dump(mode="json"),
    }
    (folder / "model" / "config.json").write_text(json.dumps(config))
    return folder / "model"


def crop(shape: str, rng: np.random.Generator) -> NDArray[np.float32]:
    """Points of a thing somewhere in space: a 2 m box, a 3 m pole, a ball of 0.3 m."""
    n = int(rng.integers(20, 90))
    at = rng.uniform(-20, 20, 3)
    if shape == "ball":
        d = rng.normal(size=(n, 3))
        points = 0.3 * d / np.linalg.norm(d, axis=1, keepdims=True)
    else:
        points = rng.uniform(-0.5, 0.5, (n, 3)) * ([2, 2, 2] if shape == "box" else [0.1, 0.1, 3])
    return np.c_[points * rng.uniform(0.9, 1.1) + at, np.zeros(n)].astype(np.float32)


def picture(shape: str, rng: np.random.Generator) -> bytes:
    """JPEG of the shape's colour, noisy."""
    pixels = np.clip(np.array(COLOURS[shape]) + rng.integers(-25, 25, (40, 40, 3)), 0, 255).astype(np.uint8)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


def header(kind: str, split: str, **more: Any) -> dict[str, Any]:
    return {
        "kind": kind,
        "source": "made",
        "source_kind": "built-in world",
        "dataset": "made",
        "split": split,
        "sensor": "lidar",
        "units": "metres",
        "axes": {"points": "z up", "up": "z"},
        **more,
    }


def write_objects(path: Path, split: str, counts: dict[str, int], seed: int, unseen: int = 0) -> tuple[Path, Path]:
    """A shard of objects, shape by shape; the first ``unseen`` of each shape have no picture. Its two files.

    A "box" is a class of the benchmark, a "pole" too; a "ball" is outside it, and has a fine name.
    """
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    with ragged_writer(path.with_suffix(".h5")) as points:
        for shape, n in counts.items():
            for number in range(n):
                points.append(crop(shape, rng))
                image = picture(shape, rng)
                rows.append(
                    {
                        "object_id": f"{shape}-{number}",
                        "scene": "s",
                        "sample": f"s{number % 3}",
                        "category": f"thing.{shape}",
                        "class_name": shape,
                        "fine_name": None,
                        "n_points": 1,
                        "ego_distance_m": 5.0,
                        "size_lwh": [1.0, 1.0, 1.0],
                        "camera": None if number < unseen else "front",
                        "box": [0.0, 0.0, 1.0, 1.0],
                        "image": None if number < unseen else image,
                    }
                )
    head = header("objects", split, protocol={}, clouds_per_sample=1, counts={"objects": len(rows)}, skipped={"x": 1})
    write_table(path, rows, OBJECTS, head)
    return path, path.with_suffix(".h5")
