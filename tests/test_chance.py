"""What must not be learnt is not: shuffled triplets and shuffled answers give chance. And what changes nothing."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from shape_triplets import DIM, SHAPES, directions, surface, write_shard
from test_pretrain_stage import QUICK, SPEC, TEACHER

import clip2
from clip2.pretrain.model import Clip2Model
from clip2.pretrain.pack import Shard
from clip2.pretrain.stage import run
from clip2.store.ragged import RaggedReader, ragged_writer

N = 300
Crop = NDArray[np.float32]


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Shard:
    folder = tmp_path_factory.mktemp("chance")
    torch.manual_seed(0)
    (folder / "teacher").mkdir()
    save_file(dict(open_clip.CLIP(**TEACHER).state_dict()), folder / "teacher" / "open_clip_model.safetensors")
    (folder / "teacher" / "open_clip_config.json").write_text(json.dumps({"model_cfg": TEACHER, "preprocess_cfg": {}}))
    labels = [SHAPES[i % 3] for i in range(240)]
    return write_shard(folder, "0", labels, list(SHAPES), {"model": str(folder / "teacher"), **SPEC})


def train(shard: Shard, folder: Path) -> Clip2Model:
    run([shard], folder, QUICK.model_copy(update={"epochs": 12, "balance": 0.0}), "cpu")
    return clip2.load(folder, device="cpu")


@pytest.fixture(scope="module")
def model(shard: Shard, tmp_path_factory: pytest.TempPathFactory) -> Clip2Model:
    return train(shard, tmp_path_factory.mktemp("true") / "model")


@pytest.fixture(scope="module")
def crops() -> list[Crop]:
    rng = np.random.default_rng(7)
    return [surface(SHAPES[i % 3], rng)[:, :3] for i in range(N)]


def answers(model: Clip2Model, crops: list[Crop]) -> NDArray[np.int64]:
    return np.argmax(model.encode_points(crops) @ directions(len(SHAPES)).T, axis=1)


def class_mean(found: NDArray[np.int64], truth: NDArray[np.int64]) -> float:
    return float(np.mean([(found[truth == k] == k).mean() for k in range(len(SHAPES))]))


TRUTH = np.arange(N) % 3


def test_shuffled_answers_give_chance(model: Clip2Model, crops: list[Crop]) -> None:
    found = answers(model, crops)
    assert class_mean(found, TRUTH) > 0.9
    rng = np.random.default_rng(0)
    assert np.mean([class_mean(found, rng.permutation(TRUTH)) for _ in range(50)]) == pytest.approx(1 / 3, abs=0.02)


def margin(model: Clip2Model, crops: list[Crop]) -> float:
    """Mean cosine to the true direction, above the mean of the others. How often a model that knows nothing is right
    says little: it answers all crops of a shape alike, so that one coin is thrown a shape."""
    cosines = model.encode_points(crops) @ directions(len(SHAPES)).T
    true = cosines[np.arange(N), TRUTH]
    return float(np.mean(true - (cosines.sum(axis=1) - true) / (len(SHAPES) - 1)))


@pytest.mark.slow
def test_a_model_of_shuffled_triplets_gives_chance(
    shard: Shard, model: Clip2Model, crops: list[Crop], tmp_path: Path
) -> None:
    assert margin(model, crops) > 0.8
    for seed in range(3):
        other = Shard(shard.triplets, tmp_path / f"{seed}.h5", shard.embeddings)
        with RaggedReader(shard.points) as reader, ragged_writer(other.points) as writer:
            for row in np.random.default_rng(seed).permutation(len(reader)):
                writer.append(reader[int(row)])
        assert abs(margin(train(other, tmp_path / f"model{seed}"), crops)) < 0.05


def turned(crop: Crop) -> Crop:
    c, s = np.cos(1.1), np.sin(1.1)
    return crop @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]], np.float32)


CHANGES: dict[str, tuple[Callable[[Crop], Crop], float]] = {
    "permuted": (lambda crop: np.random.default_rng(0).permutation(crop), 1e-6),
    "doubled": (lambda crop: np.concatenate([crop, crop]), 1e-6),
    "one point a thousand times": (lambda crop: np.concatenate([crop, np.repeat(crop[:1], 1000, 0)]), 1e-6),
    "mirrored": (lambda crop: crop * np.array([1, -1, 1], np.float32), 1e-5),
    "turned": (turned, 0.1),
    "elsewhere": (lambda crop: crop + np.array([20, -30, 1], np.float32), 1e-2),
}
"""Change → how far the mean vector may move (1 − cosine), and the share of other answers."""


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_the_same_thing_has_the_same_answer(model: Clip2Model, crops: list[Crop], change: str) -> None:
    alter, tolerance = CHANGES[change]
    before, after = model.encode_points(crops), model.encode_points([alter(crop) for crop in crops])
    assert 1 - (before * after).sum(1).mean() <= tolerance
    assert (answers(model, crops) != answers(model, [alter(crop) for crop in crops])).mean() <= tolerance
    assert before.shape == (N, DIM)


def test_units_matter(model: Clip2Model, crops: list[Crop]) -> None:
    """Size is information: crops in millimetres are other things, and have to be told apart before (docs: units)."""
    assert class_mean(answers(model, [1000 * crop for crop in crops]), TRUTH) < 0.7
