"""A tiny model, trained as in a checkout: its teacher in ``resources``, its triplets and itself in ``results``."""

import io
import json
import os
from pathlib import Path

import numpy as np
import open_clip
import torch
from PIL import Image
from safetensors.torch import save_file
from shape_triplets import DIM, SHAPES, surface

from clip2.pretrain.settings import PretrainSettings
from clip2.pretrain.stage import Shard, run
from clip2.store.ragged import ragged_writer
from clip2.store.schemas import TRIPLETS
from clip2.store.tables import write_table
from clip2.teach.settings import TeachSettings
from clip2.teach.stage import run as embed

TEACHER = {
    "embed_dim": DIM,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
QUICK = PretrainSettings(
    encoder="pointnet2-tiny", n_points=32, max_points=48, epochs=2, batch_size=32, ema_decay=0.9, holdout=0, seed=3
)


def write_teacher(folder: Path, seed: int = 0) -> Path:
    """A CLIP of random weights."""
    torch.manual_seed(seed)
    folder.mkdir(parents=True)
    save_file(dict(open_clip.CLIP(**TEACHER).state_dict()), folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": TEACHER, "preprocess_cfg": {}}))
    return folder


def write_triplets(folder: Path, name: str, n: int) -> Path:
    """A shard of boxes, balls and poles, with pictures of one colour each."""
    rng = np.random.default_rng(n)
    path, rows = folder / f"{name}.parquet", []
    with ragged_writer(path.with_suffix(".h5")) as points:
        for i in range(n):
            shape = SHAPES[i % 3]
            crop = surface(shape, rng)
            points.append(crop)
            picture = io.BytesIO()
            colour = tuple(int(v) for v in 60 * np.eye(3)[i % 3] + rng.integers(60, 90, 3))
            Image.new("RGB", (32, 32), colour).save(picture, "JPEG")
            rows.append(
                {
                    "triplet_id": f"{name}-{i}", "frame_id": f"f{i}", "scene": name, "sample": f"{i}", "label": shape,
                    "box": [1, 2, 30, 31 + i % 7], "score": rng.uniform(0.1, 1), "n_points": len(crop), "range_m": 9,
                    "extent": np.ptp(crop[:, :3], axis=0).tolist(), "image": picture.getvalue(),
                }
            )  # fmt: skip
    header = {"kind": "triplets", "source": "made", "source_kind": "built-in world", "axes": {"up": "z"}}
    write_table(path, rows, TRIPLETS, header | {"counts": {"triplets": n}})
    return path


def train_tiny(checkout: Path, settings: PretrainSettings = QUICK) -> Path:
    """Triplets of two scenes, embedded by a random teacher; the model is ``results/models/shapes``. The folder."""
    write_teacher(checkout / "resources/teacher")
    before = Path.cwd()
    os.chdir(checkout)  # a run names its teacher relative to the checkout
    try:
        shards = []
        for name, n in (("train-000of002", 60), ("train-001of002", 40)):
            triplets = write_triplets(Path("results/made/triplets/hand.none"), name, n)
            embeddings = Path(f"results/made/embeddings/hand.none.teacher/{name}.h5")
            embed(triplets, embeddings, TeachSettings(model="resources/teacher"), "cpu")
            shards.append(Shard(triplets, triplets.with_suffix(".h5"), embeddings))
        run(shards, Path("results/models/shapes"), settings, "cpu")
    finally:
        os.chdir(before)
    return checkout
