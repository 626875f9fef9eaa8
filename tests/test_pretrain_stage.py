"""The stage from shards to a model folder, and the model's interface, on synthetic boxes, balls and poles."""

import json
import math
from pathlib import Path

import h5py
import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import load_file, save_file
from shape_triplets import DIM, SHAPES, TEMPLATES, surface, write_shard
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

import clip2
from clip2.errors import InputError
from clip2.pretrain import train as train_module
from clip2.pretrain.checkpoint import save_checkpoint
from clip2.pretrain.data import TrainingSet
from clip2.pretrain.encoder import PointEncoder
from clip2.pretrain.holdout import scenes_held_out
from clip2.pretrain.loss import ContrastiveLoss
from clip2.pretrain.model import Clip2Model, encode_crops
from clip2.pretrain.pack import build_pack
from clip2.pretrain.presets import encoder_config
from clip2.pretrain.settings import PretrainSettings
from clip2.pretrain.stage import Shard, run
from clip2.pretrain.train_log import TrainLog
from clip2.store.ragged import RaggedReader
from clip2.teach.teacher import load_teacher

SPEC = {"pretrained": None, "dim": DIM}
TEACHER = {
    "embed_dim": DIM,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
QUICK = PretrainSettings(
    encoder="pointnet2-tiny",
    n_points=32,
    max_points=48,
    epochs=2,
    batch_size=32,
    lr=5e-3,
    ema_decay=0.9,
    balance=0.5,
    seed=3,
)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> list[Shard]:
    """Two shards, whose label tables differ, and the random teacher that they name."""
    folder = tmp_path_factory.mktemp("shards")
    torch.manual_seed(0)
    (folder / "teacher").mkdir()
    save_file(dict(open_clip.CLIP(**TEACHER).state_dict()), folder / "teacher" / "open_clip_model.safetensors")
    (folder / "teacher" / "open_clip_config.json").write_text(json.dumps({"model_cfg": TEACHER, "preprocess_cfg": {}}))
    spec = {"model": str(folder / "teacher"), **SPEC}
    rng = np.random.default_rng(1)
    first = [SHAPES[i] for i in rng.integers(0, 3, 150)]
    second = [SHAPES[i] for i in rng.integers(1, 3, 90)]
    return [
        write_shard(folder, "0", first, ["ball", "box", "pole"], spec),
        write_shard(folder, "1", second, ["pole", "ball"], spec),
    ]


@pytest.fixture(scope="module")
def trained(shards: list[Shard], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder, trained to the end."""
    out = tmp_path_factory.mktemp("models") / "shapes"
    run(shards, out, QUICK.model_copy(update={"epochs": 12}), "cpu")
    return out


@pytest.fixture(scope="module")
def model(trained: Path) -> Clip2Model:
    return clip2.load(trained, device="cpu")


# ---- packing


def open_pack(shards: list[Shard], folder: Path, **changes: object) -> TrainingSet:
    build_pack(shards, folder, QUICK.model_copy(update=changes))
    return TrainingSet(folder, torch.device("cpu"))


def test_packing_keeps_every_crop_and_joins_labels_by_their_text(shards: list[Shard], tmp_path: Path) -> None:
    data = open_pack(shards, tmp_path, max_points=48)
    assert data.header["labels"] == ["ball", "box", "pole"]
    assert data.header["counts"]["trained_on"] == len(data) == 240
    batch = data.batch(torch.arange(240), 48, None)
    with RaggedReader(shards[1].points) as reader, h5py.File(shards[1].embeddings) as file:
        for i in range(90):
            crop = reader[i][:, :3]
            centred = crop - (crop.min(0) + crop.max(0)) / 2
            n = int(batch.count[150 + i])
            assert n == min(len(crop), 48)
            distance = np.linalg.norm(batch.points[150 + i, :n].numpy()[:, None] - centred[None], axis=2).min(1)
            assert distance.max() < 0.003  # float16 in a crop of a few metres
            np.testing.assert_array_equal(batch.texts[150 + i], file["text"][file["label_index"][i]])
            np.testing.assert_array_equal(batch.images[150 + i], file["image"][i])


def test_a_shard_without_triplets_changes_nothing(shards: list[Shard], tmp_path: Path) -> None:
    empty = write_shard(tmp_path, "empty", [], [], {"model": str(shards[0].triplets.parent / "teacher"), **SPEC})
    with_empty, without = open_pack([empty, *shards], tmp_path / "a"), open_pack(shards, tmp_path / "b")
    assert with_empty.header == without.header
    assert torch.equal(with_empty.points, without.points)


def test_filters_count_what_they_drop(shards: list[Shard], tmp_path: Path) -> None:
    data = open_pack(shards, tmp_path / "a", min_points=20, min_score=0.5)
    counts = data.header["counts"]
    assert counts["triplets"] == 240
    assert counts["dropped_few_points"] > 0
    assert counts["dropped_low_score"] > 0
    assert sum(n for name, n in counts.items() if name.startswith("dropped")) + len(data) == 240
    with pytest.raises(InputError, match="loosen"):
        open_pack(shards, tmp_path / "b", min_points=100)


def test_some_scenes_are_kept_aside(tmp_path: Path) -> None:
    shards = [write_shard(tmp_path, f"scene {i}", ["ball"] * 4, ["ball"], {"model": "none", **SPEC}) for i in range(10)]
    paths = [shard.triplets for shard in shards]
    aside = scenes_held_out(paths, 0.35)
    assert len(aside) == 3
    assert scenes_held_out(paths[::-1], 0.35) == aside
    assert scenes_held_out(paths, 0.2) < aside < scenes_held_out(paths, 0.5)
    assert not scenes_held_out(paths[:2], 0.35)  # never all there is
    data = open_pack(shards, tmp_path / "pack", holdout=0.35)
    assert (data.header["counts"]["dropped_held_out"], len(data)) == (12, 28)
    learnt = open_pack([s for s in shards if s.triplets.stem not in aside], tmp_path / "without", holdout=0.0)
    assert torch.equal(data.points, learnt.points)


@pytest.mark.parametrize("agreement", ["off", "drop-text", "drop", "relabel"])
def test_what_happens_where_the_teacher_disagrees(shards: list[Shard], tmp_path: Path, agreement: str) -> None:
    wrong = Shard(shards[0].triplets, shards[0].points, tmp_path / "wrong.h5")
    wrong.embeddings.write_bytes(shards[0].embeddings.read_bytes())
    with h5py.File(wrong.embeddings, "r+") as file:
        right = file["label_index"][:]
        file["label_index"][:10] = (right[:10] + 1) % 3
    data = open_pack([wrong], tmp_path / "pack", agreement=agreement)
    assert data.header["counts"]["teacher_disagrees"] == 10
    assert len(data) == (140 if agreement == "drop" else 150)
    assert data.trusted.sum() == (140 if agreement in ("drop", "drop-text") else 150)
    if agreement != "drop":
        assert data.label[:10].tolist() == (right[:10] if agreement == "relabel" else (right[:10] + 1) % 3).tolist()


def test_balance(shards: list[Shard], tmp_path: Path) -> None:
    data = open_pack(shards, tmp_path)
    assert sorted(data.order(0, 0.0, 1).tolist()) == list(range(240))
    share = torch.bincount(data.label) / 240
    drawn = torch.cat([data.label[data.order(epoch, 1.0, 1)] for epoch in range(200)])
    torch.testing.assert_close(torch.bincount(drawn) / len(drawn), torch.full((3,), 1 / 3), atol=0.01, rtol=0)
    drawn = torch.cat([data.label[data.order(epoch, 0.5, 1)] for epoch in range(200)])
    torch.testing.assert_close(torch.bincount(drawn) / len(drawn), share.sqrt() / share.sqrt().sum(), atol=0.01, rtol=0)


def test_bad_shards_are_named(shards: list[Shard], tmp_path: Path) -> None:
    def bad(name: str, **changes: Path) -> Shard:
        parts = {"triplets": shards[0].triplets, "points": shards[0].points, "embeddings": shards[0].embeddings}
        return Shard(**{**parts, **changes})

    with pytest.raises(InputError, match=r"absent\.h5: no such file"):
        run([bad("x", points=tmp_path / "absent.h5")], tmp_path / "m", QUICK, "cpu")
    with pytest.raises(InputError, match=r"1\.embeddings\.h5: 90 rows"):
        build_pack([bad("x", embeddings=shards[1].embeddings)], tmp_path / "p", QUICK)
    with pytest.raises(InputError, match=r"1\.h5: 90 crops"):
        build_pack([bad("x", points=shards[1].points)], tmp_path / "p", QUICK)
    (tmp_path / "broken.h5").write_bytes(b"no HDF5")
    with pytest.raises(InputError, match=r"broken\.h5: not a readable"):
        build_pack([bad("x", embeddings=tmp_path / "broken.h5")], tmp_path / "p", QUICK)
    (tmp_path / "other.h5").write_bytes(shards[1].embeddings.read_bytes())
    with h5py.File(tmp_path / "other.h5", "r+") as file:
        header = json.loads(file.attrs["clip2"])
        file.attrs["clip2"] = json.dumps({**header, "teacher": {**header["teacher"], "model": "another"}})
    other = Shard(shards[1].triplets, shards[1].points, tmp_path / "other.h5")
    with pytest.raises(InputError, match="made with teacher"):
        build_pack([shards[0], other], tmp_path / "p", QUICK)


# ---- training


def test_training_learns_the_shapes_and_leaves_a_model_folder(shards: list[Shard], trained: Path) -> None:
    assert sorted(p.name for p in trained.parent.iterdir()) == ["shapes"]  # no checkpoint left
    assert {p.name for p in trained.iterdir()} == {"model.safetensors", "config.json", "README.md", "train_log.jsonl"}
    lines = [json.loads(line) for line in (trained / "train_log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(12 * (240 // 32)))
    assert lines[-1]["loss"] < lines[0]["loss"]
    config = json.loads((trained / "config.json").read_text())
    assert config["source_kind"] == "built-in world"
    assert config["counts"]["trained_on"] == 240
    assert "demo" in (trained / "README.md").read_text()
    model = clip2.load(trained, "cpu")
    right = []
    for shard in shards:
        with RaggedReader(shard.points) as reader, h5py.File(shard.embeddings) as file:
            found = encode_crops(model, reader.chunks(64))
            right.append((found @ file["text"][:].T).argmax(1) == file["label_index"][:])
    assert np.concatenate(right).mean() > 0.9


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize("kill_at", [3, 9])
def test_a_killed_run_taken_up_again_ends_the_same(
    shards: list[Shard], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kill_at: int
) -> None:
    run(shards, tmp_path / "whole", QUICK, "cpu")
    settings = QUICK.model_copy(update={"checkpoint_seconds": 0.0})
    update, calls = train_module.update_average, []

    def killed(*arguments: object) -> None:
        update(*arguments)  # type: ignore[arg-type]
        calls.append(1)
        if len(calls) == kill_at:
            raise Killed

    monkeypatch.setattr(train_module, "update_average", killed)
    with pytest.raises(Killed):
        run(shards, tmp_path / "resumed", settings, "cpu", checkpoint_dir=tmp_path / "checkpoint")
    # As after kill -9: a line of a step that the checkpoint does not have, and half a line.
    log = tmp_path / "checkpoint" / "train_log.jsonl"
    assert len(log.read_text().splitlines()) == kill_at - 1
    with log.open("a") as file:
        file.write('{"step": 99}\n{"ste')
    run(shards, tmp_path / "resumed", settings, "cpu", checkpoint_dir=tmp_path / "checkpoint")
    assert len(calls) == 2 * (240 // 32) + 1  # the step in which it was killed is done again, and no other
    whole, resumed = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "resumed"))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    untimed = [
        [{k: v for k, v in json.loads(line).items() if k not in ("seconds", "samples_per_s")} for line in file]
        for file in ((tmp_path / name / "train_log.jsonl").open() for name in ("whole", "resumed"))
    ]
    assert untimed[0] == untimed[1]
    assert not (tmp_path / "checkpoint").exists()


def test_a_checkpoint_of_another_run_is_not_taken_up(
    shards: list[Shard], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "checkpoint").mkdir()
    save_checkpoint(tmp_path / "checkpoint" / "checkpoint.pt", "of another run", {"step": 5})
    settings = QUICK.model_copy(update={"epochs": 1})
    run(shards, tmp_path / "a", settings, "cpu", checkpoint_dir=tmp_path / "checkpoint")
    assert "other settings or data" in caplog.text
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "checkpoint.pt").write_bytes(b"PK\x03\x04 half a file")
    run(shards, tmp_path / "b", settings, "cpu", checkpoint_dir=tmp_path / "checkpoint")
    assert "cannot be read" in caplog.text
    a, b = (load_file(tmp_path / name / "model.safetensors") for name in "ab")
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_a_step_reads_nothing_back(shards: list[Shard], tmp_path: Path) -> None:
    """On tensors without values, as in any step that a GPU is not waited for."""
    data = open_pack(shards, tmp_path)
    items = torch.arange(32)
    with FakeTensorMode() as without_values:
        for name in ("offsets", "label", "trusted", "text", "points", "image"):
            setattr(data, name, without_values.from_tensor(getattr(data, name)))
        items = without_values.from_tensor(items)
        encoder, average = (PointEncoder(encoder_config(QUICK, DIM)) for _ in range(2))
        criterion = ContrastiveLoss(0.5, 0.5, 0.07, 100.0)
        optimiser = torch.optim.AdamW([*encoder.parameters(), *criterion.parameters()], fused=True)  # as on a GPU
        parts = train_module.Parts(encoder, criterion, average, optimiser)
        for step in range(2):
            values = train_module.train_step(parts, data, items, step, 1e-3, QUICK)
            train_module.update_average(average, encoder, 0.9)
        assert values.shape == (5,)
        with pytest.raises(DataDependentOutputException):
            values[0].item()


def test_the_log_is_written_in_blocks(tmp_path: Path) -> None:
    path, cpu = tmp_path / "log", torch.device("cpu")
    with TrainLog(path, cpu, 32, 4) as log:
        for step in range(6):
            log.add(step, 0, 0.1, torch.tensor([step, 2.0, 3.0, 4.0, 5.0]))
            assert len(path.read_text().splitlines()) == (4 if step >= 3 else 0)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["step"] for line in lines] == [line["loss"] for line in lines] == list(range(6))
    assert [line["temperature_image"] for line in lines] == [0.2] * 6
    seconds = [line["seconds"] for line in lines]
    assert seconds == sorted(seconds)


def test_a_loss_that_is_not_finite_is_found_in_its_block(tmp_path: Path) -> None:
    with TrainLog(tmp_path / "log", torch.device("cpu"), 32, 2) as log:
        log.add(0, 0, 0.1, torch.ones(5))
        with pytest.raises(InputError, match="loss is nan at step 1; try a lower"):
            log.add(1, 0, 0.1, torch.full((5,), math.nan))
    assert len((tmp_path / "log").read_text().splitlines()) == 2


# ---- the model


def test_encode_points_takes_one_crop_or_many(model: Clip2Model) -> None:
    rng = np.random.default_rng(5)
    crops = [surface(shape, rng) for shape in SHAPES]
    many = model.encode_points(crops)
    assert many.shape == (3, DIM)
    assert many.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(many, axis=1), 1, atol=1e-5)
    for crop, vector in zip(crops, many):
        np.testing.assert_allclose(model.encode_points(crop), vector, atol=1e-5)
        np.testing.assert_allclose(model.encode_points(crop[:, :3].tolist()), vector, atol=1e-5)
        np.testing.assert_array_equal(model.encode_points(crop), model.encode_points(crop))
    with_nan = np.concatenate([crops[0], [[np.nan, 0, 0, 0], [0, np.inf, 0, 0]]])
    np.testing.assert_allclose(model.encode_points(with_nan), many[0], atol=1e-5)
    assert model.encode_points([]).shape == (0, DIM)


@pytest.mark.parametrize(
    "points", [np.zeros((0, 3)), np.full((4, 3), np.nan), np.zeros((5, 2)), [np.zeros((3, 3)), np.zeros((0, 4))]]
)
def test_unusable_points_are_a_value_error(model: Clip2Model, points: object) -> None:
    with pytest.raises(ValueError, match="crop"):
        model.encode_points(points)  # type: ignore[arg-type]


def test_text_and_probabilities_are_the_formula(model: Clip2Model) -> None:
    teacher = load_teacher(model.config["teacher"]["model"], device="cpu")
    names = ["a plastic bag", "tire", "car"]
    expected = teacher.encode_labels(["plastic bag", "tire", "car"], TEMPLATES).numpy()
    np.testing.assert_allclose(model.encode_text(names), expected, atol=1e-6)
    np.testing.assert_allclose(model.encode_text(names[::-1] + names[:1])[:3], expected[::-1], atol=1e-6)
    bare = teacher.encode_text(names).numpy()
    np.testing.assert_allclose(model.encode_text(names, templates=["{}"]), bare, atol=1e-6)
    with pytest.raises(ValueError, match="list of strings"):
        model.encode_text("car")
    crop = surface("ball", np.random.default_rng(2))
    probabilities = model.classify(crop, names)
    odds = np.exp(model.config["logit_scale"] * expected @ model.encode_points(crop))
    np.testing.assert_allclose(probabilities, odds / odds.sum(), rtol=1e-4)
    assert model.classify([crop, crop], names).shape == (2, 3)


def test_encode_crops_checks_what_it_gets(model: Clip2Model) -> None:
    assert encode_crops(model, []).shape == (0, DIM)
    with pytest.raises(ValueError, match="crop 1 has no points"):
        encode_crops(model, [(np.zeros((3, 4), np.float32), np.array([0, 3, 3]))])
    with pytest.raises(ValueError, match="not finite"):
        encode_crops(model, [(np.full((3, 4), np.nan, np.float32), np.array([0, 3]))])


def test_a_folder_that_is_no_model_is_named(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"model\.safetensors: no such file"):
        clip2.load(tmp_path)
    for name in ("model.safetensors", "config.json"):
        (tmp_path / name).write_bytes((trained / name).read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"\x00" * 40)
    with pytest.raises(InputError, match="not a readable model"):
        clip2.load(tmp_path)
    with pytest.raises(InputError, match="device"):
        clip2.load(trained, device="abacus")
