"""Pretraining, and the networks of the other stages, give on a GPU what they give on a CPU. Skipped without one.

Real: all of it, with the shipped models. Half precision moves numbers, so what is held is that they are near. The
kernels alone are in test_pretrain_kernels.py.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image
from shape_triplets import SHAPES, write_shard
from test_detect import make_frames

import clip2
from clip2.detect.models import load_detector
from clip2.detect.runner import detect_on_cpu, detect_on_gpu
from clip2.detect.vocabulary import read_vocabulary
from clip2.evaluate.methods import view_encoders
from clip2.evaluate.rivals.projections import UNTUNED
from clip2.pretrain.settings import PretrainSettings
from clip2.pretrain.stage import run as pretrain
from clip2.store.bad_frames import BadFrames
from clip2.store.crops import Batch
from clip2.store.tables import read_table
from clip2.teach.teacher import Teacher, load_teacher

GPU = torch.device("cuda")
CPU = torch.device("cpu")
pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="NOT TESTED: no GPU here")

Vectors = np.ndarray


def cosines(a: Vectors, b: Vectors) -> Vectors:
    return (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)


def test_detection(repository: Path, tmp_path: Path) -> None:
    frames = read_table(make_frames(tmp_path, [(1600, 900), (640, 480), (480, 640)] * 3)).to_pylist()
    found = []
    for device, ways in ((CPU, detect_on_cpu), (GPU, detect_on_gpu)):
        detector, told = load_detector(str(repository / "resources/models/tiny_owl"), None, device)
        assert told["precision"] == ("float16" if device == GPU else "float32")
        detector.encode_vocabulary(read_vocabulary(repository / "resources/vocabularies/world.txt"), None)
        batch = (4,) if ways is detect_on_gpu else ()
        found.append(list(ways(frames, tmp_path, detector, *batch, 2, BadFrames(0))))
    for (frame, on_cpu), (same, on_gpu) in zip(*found, strict=True):
        assert frame == same
        np.testing.assert_allclose(on_gpu.scores, on_cpu.scores, atol=0.02)
        best = on_cpu.scores.argsort()[-50:]
        np.testing.assert_allclose(on_gpu.boxes[best], on_cpu.boxes[best], atol=0.01 * frame["width"])
        assert (on_gpu.labels[best] == on_cpu.labels[best]).mean() > 0.9


@pytest.fixture(scope="module")
def teachers(repository: Path) -> tuple[Teacher, Teacher]:
    folder = str(repository / "resources/models/tiny_clip")
    return load_teacher(folder, device="cpu"), load_teacher(folder, device=str(GPU))


def test_pictures_and_words(repository: Path, teachers: tuple[Teacher, Teacher]) -> None:
    sheet = Image.open(repository / "docs/images/triplets.png").convert("RGB")
    rng = np.random.default_rng(0)
    corners = rng.integers(0, (sheet.width - 300, sheet.height - 300), (70, 2)).tolist()
    sides = rng.integers(20, 300, (70, 2)).tolist()
    pictures = [sheet.crop((x, y, x + w, y + h)) for (x, y), (w, h) in zip(corners, sides, strict=True)]
    on_cpu, on_gpu = (teacher.encode_images(pictures, 2, 32).numpy() for teacher in teachers)
    assert cosines(on_cpu, on_gpu).min() > 0.99
    labels = ["car", "traffic cone", "plastic bag"]
    on_cpu, on_gpu = (teacher.encode_labels(labels).cpu().numpy() for teacher in teachers)
    assert cosines(on_cpu, on_gpu).min() > 0.999


def test_views_of_the_rivals(teachers: tuple[Teacher, Teacher]) -> None:
    rng = np.random.default_rng(0)
    crops = [rng.normal(size=(n, 4)).astype(np.float32) for n in (5, 80, 3000)]
    batch = Batch([{}] * 3, crops)
    on_cpu, on_gpu = (view_encoders(UNTUNED, teacher, {}) for teacher in teachers)
    for name in UNTUNED:
        a, b = (encoders[name](batch).cpu().numpy() for encoders in (on_cpu, on_gpu))
        assert cosines(a, b).min() > 0.98, name


def test_training_and_the_trained_model(tmp_path: Path) -> None:
    """The same draws and no augmentation: the losses stay together for some steps. The model is the same on both."""
    labels = [SHAPES[i] for i in np.random.default_rng(1).integers(0, 3, 128)]
    shard = write_shard(tmp_path, "0", labels, list(SHAPES), {"model": "none", "pretrained": None, "dim": 16})
    still = {"mirror": 0, "rotate_deg": 0, "scale_min": 1, "scale_max": 1, "jitter_m": 0, "dropout": 0, "occlusion": 0}
    small = {"encoder": "pointnet2-small", "n_points": 64, "max_points": 64, "batch_size": 64, "epochs": 8}
    settings = PretrainSettings(**small, **still, warmup=0.0, ema_decay=0.5)
    losses: list[list[float]] = []
    models: list[Callable[..., Vectors]] = []
    for device in (CPU, GPU):
        out = tmp_path / device.type
        pretrain([shard], out, settings, str(device), threads=os.cpu_count() or 1)
        lines = (out / "train_log.jsonl").read_text().splitlines()
        losses.append([json.loads(line)["loss"] for line in lines])
        models.append(clip2.load(out, str(device)).encode_points)
    on_cpu, on_gpu = np.array(losses)
    np.testing.assert_allclose(on_gpu[:2], on_cpu[:2], rtol=0.1)
    assert on_gpu[-4:].mean() < 0.5 * on_gpu[0]
    with h5py.File(shard.points) as file:
        crop = file["points"][: file["offsets"][1], :3]
    again = clip2.load(out, "cpu").encode_points(crop)
    assert cosines(models[1](crop), again) > 0.99
