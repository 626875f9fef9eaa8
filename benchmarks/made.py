"""Inputs made for measuring: pictures, words, networks with random weights, triplets."""

import json
from io import BytesIO
from itertools import islice, product
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file
from transformers import AutoProcessor, Owlv2Config, Owlv2ForObjectDetection

from clip2.detect.vocabulary import Vocabulary
from clip2.pretrain.pack import Shard
from clip2.store.ragged import ragged_writer
from clip2.store.schemas import FRAMES, TRIPLETS
from clip2.store.tables import table_writer, write_table

MODELS = Path(__file__).resolve().parents[1] / "resources" / "models"
TINY_OWL, TINY_CLIP = MODELS / "tiny_owl", MODELS / "tiny_clip"
DISTINCT = 8
"""Different pictures or crops; more than that repeat them."""
OWLV2_B16: dict[str, Any] = {
    "projection_dim": 512,
    "text_config": {"hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 12, "num_attention_heads": 8},
    "vision_config": {
        "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
        "image_size": 960, "patch_size": 16,
    },
}  # fmt: skip
"""Sizes of google/owlv2-base-patch16-ensemble."""


def picture(rng: np.random.Generator, width: int, height: int) -> NDArray[np.uint8]:
    """(H, W, 3) noise of all scales: as a JPEG of quality 90 about as large as a photograph of a street."""
    image = np.full((height, width, 3), 128, np.float32)
    for cells in (4, 16, 64, 256):
        small = rng.normal(0, 30 / cells**0.25, (cells, cells, 3)).astype(np.float32)
        image += cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(image.clip(0, 255), np.uint8)


def jpeg(image: NDArray[np.uint8], quality: int = 90) -> bytes:
    buffer = BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def write_frames(folder: Path, n: int, width: int = 1600, height: int = 900) -> Path:
    """A frames table of ``n`` pictures, of which :data:`DISTINCT` differ; its path. They lie beside it."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(min(n, DISTINCT)):
        (folder / f"{i}.jpg").write_bytes(jpeg(picture(rng, width, height)))
    same = {
        "scene": "s", "sample": "s", "camera": "front", "timestamp_us": 0, "width": width, "height": height,
        "K": np.eye(3).ravel().tolist(), "T_cam_from_points": np.eye(4).ravel().tolist(), "clouds": [], "lens": None,
    }  # fmt: skip
    rows = ({**same, "frame_id": str(i), "image_path": f"{i % DISTINCT}.jpg"} for i in range(n))
    write_table(folder / "frames.parquet", rows, FRAMES, {"kind": "frames", "sensor": "lidar"})
    return folder / "frames.parquet"


def words(n: int) -> Vocabulary:
    """``n`` different words of three letters: few tokens for any tokenizer."""
    names = tuple("".join(letters) for letters in islice(product("aeiouy", "bcdfghklmnprstvw", "aeiouysrtnlmxgd"), n))
    if len(names) < n:
        raise ValueError(f"{n} words asked for, {len(names)} can be made")
    return Vocabulary(names, names, tuple(range(n)))


def write_words(path: Path, n: int) -> Path:
    path.write_text("\n".join(words(n).names) + "\n", encoding="utf-8")
    return path


def write_owl(folder: Path, sizes: dict[str, Any]) -> Path:
    """A model folder of an OWLv2 with random weights; tokenizer and image processor are those of the tiny one."""
    torch.manual_seed(0)
    processor = AutoProcessor.from_pretrained(TINY_OWL)
    side = sizes["vision_config"]["image_size"]
    processor.image_processor.size = {"height": side, "width": side}
    Owlv2ForObjectDetection(owl_config(sizes)).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def owl_config(sizes: dict[str, Any]) -> Owlv2Config:
    """A network of these sizes for the tiny one's tokens."""
    tokens = json.loads((TINY_OWL / "config.json").read_text())["text_config"]
    text = {key: tokens[key] for key in ("vocab_size", "bos_token_id", "eos_token_id", "pad_token_id")}
    return Owlv2Config(**{**sizes, "text_config": {**sizes["text_config"], **text, "max_position_embeddings": 16}})


def write_clip(folder: Path, sizes: dict[str, Any]) -> Path:
    """A model folder of an open_clip network (its ``model_cfg``) with random weights."""
    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(dict(open_clip.CLIP(**sizes).state_dict()), folder / "open_clip_model.safetensors")
    config = {"model_cfg": sizes, "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def crop_jpegs(n: int) -> list[bytes]:
    """``n`` picture crops as the lift stage stores them: squares from 40 to 336 pixels, most of them small."""
    rng = np.random.default_rng(1)
    sides = np.geomspace(40, 336, DISTINCT).astype(int)
    distinct = [jpeg(picture(rng, side, side), 92) for side in sides]
    return [distinct[i % DISTINCT] for i in range(n)]


def shard_in(folder: Path) -> Shard:
    """The files that :func:`write_triplets` writes into a folder."""
    return Shard(folder / "t.parquet", folder / "t.h5", folder / "e.h5")


def write_triplets(folder: Path, n: int, dim: int = 128, points: int = 300, labels: int = 35) -> Shard:
    """A training shard of ``n`` triplets: boxes full of points, noise for embeddings. About ``points`` points each."""
    rng = np.random.default_rng(2)
    folder.mkdir(parents=True, exist_ok=True)
    shard = shard_in(folder)
    names, jpegs = words(labels).names, crop_jpegs(DISTINCT)
    label = rng.integers(0, labels, n)
    counts = rng.geometric(1 / points, n).clip(5, 4096)
    cloud = rng.uniform(-1, 1, (4096, 4)).astype(np.float32)
    header = {
        "kind": "triplets", "source": "made", "source_kind": "built-in world", "axes": {"points": "z up", "up": "z"},
    }  # fmt: skip
    same = {
        "frame_id": "f", "scene": "s", "sample": "s", "box": [0, 0, 9, 9], "score": 0.9, "range_m": 9.0,
        "extent": [2, 2, 2],
    }  # fmt: skip
    with ragged_writer(shard.points) as clouds, table_writer(shard.triplets, TRIPLETS) as table:
        table.header = header
        for i in range(n):
            clouds.append(cloud[: counts[i]] * rng.uniform(0.5, 2, 4).astype(np.float32))
            row = {"triplet_id": str(i), "label": names[label[i]], "n_points": int(counts[i])}
            table.append({**same, **row, "image": jpegs[i % DISTINCT]})
    spec = {"model": "random", "pretrained": None, "dim": dim}
    write_embeddings(shard.embeddings, [names[i] for i in label], spec)
    return shard


def write_embeddings(path: Path, labels: list[str], teacher: dict[str, Any]) -> None:
    """As `clip2.teach.stage` writes them, but noise.

    Args:
        labels: of the triplets, in order.
        teacher: its spec; ``dim`` says how wide vectors are.
    """
    rng = np.random.default_rng(3)
    names = sorted(set(labels))
    number = {name: i for i, name in enumerate(names)}
    with h5py.File(path, "w") as file:
        for key, rows in (("image", len(labels)), ("text", len(names))):
            vectors = rng.normal(size=(rows, teacher["dim"])).astype(np.float32)
            file[key] = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)
        file["label_index"] = np.array([number[label] for label in labels], np.int32)
        file.attrs["clip2"] = json.dumps({"labels": names, "teacher": teacher, "templates": ["{}"]})
