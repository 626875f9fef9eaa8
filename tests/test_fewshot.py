"""Few-shot recognition: draws, probes and fine-tuning by their definitions, and the stage on made shapes with a small
random teacher and model. All data are made here."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from tiny_networks import SHAPES, crop, write_networks, write_objects

from clip2.evaluate.fewshot.draw import draw_order, read_labels, read_objects
from clip2.evaluate.fewshot.finetune import Crops, finetune, tuned_scores
from clip2.evaluate.fewshot.methods import linear_scores
from clip2.evaluate.fewshot.result import FewshotResult, Spread, read_fewshot
from clip2.evaluate.fewshot.settings import FewshotSettings
from clip2.evaluate.fewshot.stage import run
from clip2.pretrain.model import load
from clip2.pretrain.modelfiles import read_model
from clip2.pretrain.settings import PretrainSettings
from clip2.report.fewshot_figure import fewshot_figure
from clip2.runtime.errors import InputError
from clip2.store.crops import batches
from clip2.teach.teacher import load_teacher

SETTINGS = FewshotSettings(classes=SHAPES, shots=(1, 8), n_seeds=2, finetune_steps=20, finetune_lr=1e-3)


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_networks(tmp_path_factory.mktemp("networks"))


# --- Drawing


def test_more_shots_contain_the_fewer_and_classes_are_drawn_apart() -> None:
    labels = np.array([0] * 30 + [1] * 3 + [-1] * 5 + [0] * 10 + [2] * 20)
    draw = draw_order(labels, 3, 16, seed=7)
    assert [len(part) for part in draw] == [16, 3, 16]
    for number, part in enumerate(draw):
        assert (labels[part] == number).all()
        assert len(set(part.tolist())) == len(part)
    fewer = draw_order(labels, 3, 4, seed=7)
    for small, large in zip(fewer, draw, strict=True):
        np.testing.assert_array_equal(small, large[:4])
    assert not np.array_equal(draw_order(labels, 3, 16, seed=8)[0], draw[0])
    relabelled = np.where(labels == 1, -1, labels)  # other classes' objects do not matter
    np.testing.assert_array_equal(draw_order(relabelled, 3, 16, seed=7)[2], draw[2])


def test_every_object_is_drawn_equally_often() -> None:
    counts = np.zeros(10)
    for seed in range(600):
        counts[draw_order(np.zeros(10, np.int64), 1, 3, seed)[0]] += 1
    assert counts.sum() == 1800
    assert (np.abs(counts - 180) < 5 * np.sqrt(180 * 0.7)).all()


def test_only_the_chosen_objects_are_read_across_shards(tmp_path: Path) -> None:
    shards = [write_objects(tmp_path / f"{i}.parquet", "train", {"box": 4, "ball": 3}, i) for i in range(2)]
    np.testing.assert_array_equal(read_labels(shards, ("ball", "box")), [1, 1, 1, 1, 0, 0, 0] * 2)
    everything = [pair for b in batches(shards, ["object_id"], 3) for pair in zip(b.rows, b.crops, strict=True)]
    chosen = np.array([0, 6, 7, 12])
    found = read_objects(shards, chosen, ["object_id"])
    assert [row["object_id"] for row in found.rows] == ["box-0", "ball-2", "box-0", "ball-1"]
    for got, i in zip(found.crops, chosen, strict=True):
        np.testing.assert_array_equal(got, everything[i][1])


# --- Learning


def test_linear_probe_of_separable_vectors_and_what_it_cannot_answer() -> None:
    rng = np.random.default_rng(0)
    centres = np.eye(4)[:3]
    labels = np.repeat([0, 2], 6)  # class 1 is never seen
    train = centres[labels] + rng.normal(0, 0.05, (12, 4))
    train[3] = np.nan  # no picture
    val = np.vstack([centres[[0, 2, 2]], np.full((1, 4), np.nan)])
    scores = linear_scores(train, labels, val, 3, 10.0)
    np.testing.assert_array_equal(scores[:3].argmax(1), [0, 2, 2])
    assert (scores[:3, 1] == -np.inf).all()
    assert np.isnan(scores[3]).all()
    assert np.isnan(linear_scores(train[:6], labels[:6], val, 3, 10.0)).all()  # one class: nothing to tell apart


def test_linear_probe_is_at_the_minimum_of_its_loss() -> None:
    """For three classes: ½‖W‖² + C Σ cross entropy, by gradient descent in plain torch."""
    rng = np.random.default_rng(1)
    train, labels = rng.normal(size=(15, 3)), np.arange(15) % 3
    scores = linear_scores(train, labels, train, 3, 2.0)
    centred = train - train.mean(0)
    x = torch.from_numpy(centred / np.sqrt((centred**2).sum(1).mean()))
    y = torch.from_numpy(labels)
    W, b = torch.zeros(3, 3, dtype=torch.float64, requires_grad=True), torch.zeros(3, dtype=torch.float64)
    b.requires_grad_(True)
    optimiser = torch.optim.LBFGS([W, b], max_iter=500, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        value = W.square().sum() / 2 + 2 * torch.nn.functional.cross_entropy(x @ W.T + b, y, reduction="sum")
        value.backward()
        return value

    optimiser.step(loss)
    expected = torch.softmax(x @ W.T + b, 1).detach().numpy()
    np.testing.assert_allclose(torch.softmax(torch.from_numpy(scores), 1).numpy(), expected, atol=2e-3)


def test_fine_tuning_begins_as_zero_shot_and_learns(model_dir: Path) -> None:
    rng = np.random.default_rng(0)
    device = torch.device("cpu")
    crops = Crops.pack([crop(SHAPES[i % 3], rng) for i in range(24)], 64, device)
    labels = torch.arange(24) % 3
    encoder, _ = read_model(model_dir)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    text = torch.nn.functional.normalize(torch.randn(3, 16, generator=torch.Generator().manual_seed(0)), dim=1)
    augmentation = PretrainSettings()

    def tune(**change: float) -> np.ndarray:
        settings = SETTINGS.model_copy(update={"finetune_batch": 12, **change})
        tuned, head = finetune(encoder, text, 10.0, crops, labels, settings, augmentation, 3)
        for name, value in tuned.state_dict().items():
            if "running" in name:
                assert torch.equal(value, before[name])
        return tuned_scores(tuned, head, crops, 7)

    zero_shot = tuned_scores(encoder, text, crops, 100)
    np.testing.assert_allclose(tune(finetune_steps=1, finetune_lr=1e-9), zero_shot, atol=1e-5)
    learnt = tune(finetune_steps=40)
    assert (learnt.argmax(1) == labels.numpy()).mean() > 0.9 > (zero_shot.argmax(1) == labels.numpy()).mean()
    np.testing.assert_array_equal(tune(finetune_steps=40), learnt)  # the seed decides everything
    for name, value in encoder.state_dict().items():
        assert torch.equal(value, before[name]), name


# --- The stage


@pytest.fixture(scope="module")
def outcome(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, FewshotResult]:
    folder = tmp_path_factory.mktemp("fewshot")
    train = [write_objects(folder / f"train{i}.parquet", "train", {"box": 9, "pole": 5, "ball": 9}, i) for i in (0, 1)]
    train[1] = write_objects(folder / "train1.parquet", "train", {"box": 9, "ball": 9}, 5)
    val = [write_objects(folder / "val.parquet", "val", {"box": 12, "pole": 20, "ball": 8}, 9, unseen=2)]
    run(train, val, model_dir, folder / "a.json", SETTINGS, "cpu")
    return folder, read_fewshot(folder / "a.json")


def test_the_stage_counts_what_it_learns_from_and_asks(outcome: tuple[Path, FewshotResult]) -> None:
    _, result = outcome
    assert (result.dataset, result.split, result.source_kind) == ("made", "val", "built-in world")
    assert (result.n_train, result.n_val) == (41, 40)
    assert result.fewer == {"pole": 5}
    assert list(result.methods) == ["zeroshot", "clip2_linear", "clip2_finetune", "teacher_2d_linear"]
    for name, method in result.methods.items():
        assert method.n == (34 if name == "teacher_2d_linear" else 40)
        assert list(method.shots) == (["0"] if name == "zeroshot" else ["1", "8"])
        for k, score in method.shots.items():
            assert len(score.top1.seeds) == len(score.n_train) == (1 if k == "0" else 2)
            assert set(score.n_train) == {{"0": 0, "1": 3, "8": 8 + 5 + 8}[k]}
        values = [score.mean for score in method.per_class.values() if score]
        last = list(method.shots.values())[-1]
        assert np.mean(values) == pytest.approx(last.class_mean_top1.mean, abs=1e-5)


def test_shapes_of_different_size_are_learnt(outcome: tuple[Path, FewshotResult]) -> None:
    _, result = outcome
    for name in ("clip2_linear", "teacher_2d_linear", "clip2_finetune"):
        assert result.methods[name].shots["8"].class_mean_top1.mean > 0.9, name


def test_zero_shot_is_the_cosine_with_the_text(outcome: tuple[Path, FewshotResult], model_dir: Path) -> None:
    folder, result = outcome
    model = load(model_dir, "cpu")
    teacher = load_teacher(model.config["teacher"]["model"], device="cpu")
    text = teacher.encode_labels(SHAPES, model.config["templates"]).numpy()
    (batch,) = batches([(folder / "val.parquet", folder / "val.h5")], ["class_name"], 100)
    predicted = (model.encode_points(batch.crops) @ text.T).argmax(1)
    right = [SHAPES[i] == row["class_name"] for i, row in zip(predicted, batch.rows, strict=True)]
    assert result.methods["zeroshot"].shots["0"].top1.mean == pytest.approx(np.mean(right), abs=1e-6)


def test_the_same_seed_gives_the_same_result(outcome: tuple[Path, FewshotResult], model_dir: Path) -> None:
    folder, result = outcome
    train = [(folder / f"train{i}.parquet", folder / f"train{i}.h5") for i in (0, 1)]
    run(train, [(folder / "val.parquet", folder / "val.h5")], model_dir, folder / "b.json", SETTINGS, "cpu")
    assert json.loads((folder / "b.json").read_text())["methods"] == result.model_dump(mode="json")["methods"]


def test_figure(outcome: tuple[Path, FewshotResult], tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        fewshot_figure(outcome[1], tmp_path / name)
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_wrong_input_says_what_to_do(model_dir: Path, tmp_path: Path) -> None:
    shard = write_objects(tmp_path / "a.parquet", "train", {"box": 2}, 0)
    with pytest.raises(InputError, match="at least two are needed"):
        run([shard], [shard], model_dir, tmp_path / "o.json", SETTINGS, "cpu")
    with pytest.raises(InputError, match="no such file"):
        read_fewshot(tmp_path / "nothing.json")
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(InputError, match="not a few-shot result"):
        read_fewshot(tmp_path / "bad.json")
    with pytest.raises(ValidationError, match="rising"):
        FewshotSettings(shots=(2, 1))


def test_spread() -> None:
    spread = Spread.of([0.2, 0.4, 0.6])
    assert (spread.mean, spread.std) == (0.4, 0.2)
    assert Spread.of([0.3]).std == 0
