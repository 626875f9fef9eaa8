"""The stage from shards to a model folder, and the model's interface, on synthetic boxes, balls and poles."""

import json
import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import load_file, save_file
from shape_triplets import DIM, SHAPES, TEMPLATES, surface, write_shard
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

import clip2
from clip2.evaluate.rivals.tune_data import load_tune_data
from clip2.pretrain import train as train_module
from clip2.pretrain.checkpoint import load_checkpoint, save_checkpoint
from clip2.pretrain.data import TrainingSet
from clip2.pretrain.encoder import PointEncoder
from clip2.pretrain.holdout import scenes_held_out
from clip2.pretrain.loss import ContrastiveLoss
from clip2.pretrain.model import Clip2Model, encode_crops
from clip2.pretrain.pack import build_pack
from clip2.pretrain.presets import encoder_config
from clip2.pretrain.settings import PretrainSettings
from clip2.pretrain.stage import Shard, _digest, _provenance, run
from clip2.pretrain.train_log import TrainLog
from clip2.runtime.errors import InputError
from clip2.store.atomic import read_json, unsealed
from clip2.store.hdf5 import write_header
from clip2.store.provenance import file_digest
from clip2.store.ragged import RaggedReader
from clip2.store.schemas import TRACK_MEMBERS, TRACKS, TRIPLETS
from clip2.store.tables import read_header, read_table, write_table
from clip2.teach.embeddings import read_embeddings
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


@pytest.fixture
def tracked(shards: list[Shard], tmp_path: Path) -> Shard:
    """The first shard, in tracks of two triplets each, all called the last of the shard's names."""
    folder = tmp_path / "tracked"
    folder.mkdir()
    rows = read_table(shards[0].triplets, ["scene", "label", "score", "n_points"]).to_pylist()
    rows = [dict.fromkeys(TRIPLETS.names) | row | {"triplet_id": f"t{i}"} for i, row in enumerate(rows)]
    n = len(rows)
    write_table(folder / "t.parquet", rows, TRIPLETS, read_header(shards[0].triplets))
    label = read_embeddings(shards[0].embeddings).labels[-1]
    row = dict.fromkeys(TRACKS.names)
    tracks = [{**row, "track_id": f"t{i}", "label": label, "score": 0.5} for i in range(0, n, 2)]
    write_table(folder / "k.parquet", tracks, TRACKS, {})
    members = [{"track_id": f"t{i - i % 2}", "triplet_id": f"t{i}"} for i in range(n)]
    write_table(folder / "k.members.parquet", members[::-1], TRACK_MEMBERS, {})
    return Shard(folder / "t.parquet", shards[0].points, shards[0].embeddings, folder / "k.parquet")


def test_triplets_of_a_track_share_its_name_and_are_one_thing(
    shards: list[Shard], tracked: Shard, tmp_path: Path
) -> None:
    data = open_pack([tracked, tracked], tmp_path / "pack", names_from="tracks")
    assert len(data) == 300
    assert data.thing.tolist() == [i // 2 for i in range(300)]  # things of two shards are never the same
    assert set(data.label.tolist()) == {data.header["labels"].index(read_embeddings(tracked.embeddings).labels[-1])}
    alone = open_pack([tracked], tmp_path / "alone")
    assert alone.thing.tolist() == list(range(150))
    with pytest.raises(InputError, match="no tracks are given"):
        open_pack(shards, tmp_path / "none", names_from="tracks")
    write_table(tracked.triplets.with_name("k.members.parquet"), [], TRACK_MEMBERS, {})
    with pytest.raises(InputError, match="'t0' is not in the files that it belongs to"):
        open_pack([tracked], tmp_path / "other", names_from="tracks")


def test_other_tracks_are_another_model(tracked: Shard) -> None:
    """What went into a model is in its provenance, which decides whether a half-trained one may be gone on with."""

    def digest(**settings: Any) -> str:
        return _digest(_provenance([tracked], QUICK.model_copy(update=settings)))

    assert tracked.tracks is not None
    before = {name: digest(names_from=name) for name in ("views", "tracks")}
    tracks = read_table(tracked.tracks, ["track_id", "label", "score"]).to_pylist()
    write_table(tracked.tracks, [dict.fromkeys(TRACKS.names) | row | {"score": 0.7} for row in tracks], TRACKS, {})
    assert digest(names_from="views") == before["views"]
    assert digest(names_from="tracks") != before["tracks"]


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
        header = unsealed(json.loads(file.attrs["clip2"]))
        write_header(file, {**header, "teacher": {**header["teacher"], "model": "another"}})
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
        for name in ("offsets", "label", "trusted", "thing", "text", "points", "image"):
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
    weights = (tmp_path / "model.safetensors").read_bytes()
    for place in np.linspace(0, len(weights) - 1, 12).astype(int):
        (tmp_path / "model.safetensors").write_bytes(
            weights[:place] + bytes([weights[place] ^ 16]) + weights[place + 1 :]
        )
        with pytest.raises(InputError, match="not the weights"):
            clip2.load(tmp_path)
    config = read_json(tmp_path / "config.json")
    del config["weights_sha256"]  # as earlier versions wrote it
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").write_bytes(b"\x00" * 40)
    with pytest.raises(InputError, match="not a readable model"):
        clip2.load(tmp_path)
    with pytest.raises(InputError, match="device"):
        clip2.load(trained, device="abacus")


# ---- what is damaged, and what is empty


def encoder(config: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = config["encoder"]
    return found


WRONG_CONFIGS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no points": lambda c: encoder(c).update(n_points=0),
    "a text for a number": lambda c: encoder(c).update(n_points="32"),
    "half a point": lambda c: encoder(c).update(n_points=0.5),
    "more points than there are": lambda c: encoder(c).update(n_points=10**30),
    "truth for a number": lambda c: encoder(c).update(n_points=True),
    "a negative group": lambda c: encoder(c)["levels"][0].update(centroids=-1),
    "no group": lambda c: encoder(c)["levels"][0].update(centroids=0),
    "half a neighbour": lambda c: encoder(c)["levels"][0].update(neighbours=1.5),
    "no neighbour": lambda c: encoder(c)["levels"][1].update(neighbours=0),
    "more neighbours than points": lambda c: encoder(c)["levels"][0].update(neighbours=64),
    "more groups than points": lambda c: encoder(c)["levels"][1].update(centroids=64),
    "gigabytes of groups": lambda c: encoder(c)["levels"][0].update(centroids=10**9),
    "an infinite radius": lambda c: encoder(c)["levels"][0].update(radius=1e308),
    "no radius": lambda c: encoder(c)["levels"][0].update(radius=float("nan")),
    "a radius of lists": lambda c: encoder(c)["levels"][0].update(radius=[0.2]),
    "gigabytes of widths": lambda c: encoder(c).update(global_widths=[10**6, 10**6]),
    "one width": lambda c: encoder(c).update(global_widths=[128]),
    "no levels": lambda c: encoder(c).update(levels=[]),
    "a level that is a number": lambda c: encoder(c).update(levels=[3]),
    "a key too many": lambda c: encoder(c).update(depth=3),
    "other centroids": lambda c: encoder(c).update(centroids="random"),
    "no encoder": lambda c: c.pop("encoder"),
    "no templates": lambda c: c.update(templates=[]),
    "a template without a gap": lambda c: c.update(templates=["a photo"]),
    "no scale": lambda c: c.update(logit_scale=0),
    "a scale of text": lambda c: c.update(logit_scale="x"),
    "no teacher": lambda c: c.update(teacher=None),
    "another format": lambda c: c.update(format=[]),
    "other widths than the weights": lambda c: encoder(c).update(head_width=8),
}


@pytest.mark.parametrize("change", WRONG_CONFIGS.values(), ids=WRONG_CONFIGS)
def test_a_damaged_configuration_is_one_line(trained: Path, tmp_path: Path, change: Callable[[Any], Any]) -> None:
    folder = shutil.copytree(trained, tmp_path / "model")
    config = read_json(folder / "config.json")
    change(config)
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"(not a readable model|format \[\])") as error:
        clip2.load(folder, device="cpu")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "[]", "{", "null", "[" * 99_999])
def test_a_configuration_that_is_none_is_one_line(trained: Path, tmp_path: Path, text: str) -> None:
    folder = shutil.copytree(trained, tmp_path / "model")
    (folder / "config.json").write_text(text)
    with pytest.raises(InputError, match=r"config\.json: not a readable model"):
        clip2.load(folder, device="cpu")


def test_weights_that_are_not_finite_are_refused(trained: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(trained, tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    next(value for value in weights.values() if value.is_floating_point()).view(-1)[0] = float("nan")
    save_file(weights, folder / "model.safetensors")
    config = read_json(folder / "config.json")
    (folder / "config.json").write_text(
        json.dumps(config | {"weights_sha256": file_digest(folder / "model.safetensors")})
    )
    with pytest.raises(InputError, match=r"model\.safetensors: has weights that are not finite"):
        clip2.load(folder, device="cpu")


def damaged_checkpoints(folder: Path) -> Iterator[bytes]:
    save_checkpoint(folder / "whole.pt", "mine", {"step": 3, "values": torch.zeros(4)})
    whole = (folder / "whole.pt").read_bytes()
    yield from (b"", b"q", b"cq", b"PK\x03\x04", whole[:700], b"{}" * 99)
    rng = np.random.default_rng(0)
    for trial in range(60):
        data = bytearray(whole)
        for at in rng.integers(0, len(data) if trial % 2 else 300, 1 + trial % 5):
            data[at] = rng.integers(0, 256)
        yield bytes(data)
    for content in ([], {}, {"digest": "mine"}, {"state": {}}, "mine", {"digest": "mine", "state": 5}):
        torch.save(content, folder / "whole.pt")
        yield (folder / "whole.pt").read_bytes()


def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    passed_over = 0
    for data in damaged_checkpoints(tmp_path):
        (tmp_path / "c.pt").write_bytes(data)
        state = load_checkpoint(tmp_path / "c.pt", "mine", torch.device("cpu"))
        assert state is None or isinstance(state, dict)
        passed_over += state is None
    assert passed_over > 12
    assert "training starts from the beginning" in caplog.text


def test_training_starts_anew_on_an_empty_checkpoint(shards: list[Shard], tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / train_module.CHECKPOINT_NAME).write_bytes(b"")
    run(shards, tmp_path / "model", QUICK.model_copy(update={"epochs": 1}), "cpu", 1, tmp_path / "checkpoints")
    assert clip2.load(tmp_path / "model", device="cpu").dim == DIM


COUNTS = {
    "nothing detected": ({"frames": 9, "boxes": 0, "triplets": 0}, "found no box in 18 pictures; .* score_threshold"),
    "nothing lifted": (
        {"frames": 9, "boxes": 5, "lost_no_points": 1, "lost_few_points": 4, "triplets": 0},
        r"of 10 boxes found, none was lifted \(8 few points, 2 no points\); .* lower min_points",
    ),
    "all too far": ({"frames": 9, "boxes": 5, "lost_too_far": 5, "triplets": 0}, "raise max_range of the lifter"),
}


@pytest.mark.parametrize(("counts", "said"), COUNTS.values(), ids=COUNTS)
def test_without_one_triplet_it_is_said_where_the_boxes_were_lost(
    tmp_path: Path, counts: dict[str, int], said: str
) -> None:
    empty = [write_shard(tmp_path, str(i), [], [], {"model": "x", **SPEC}) for i in range(2)]
    for shard in empty:
        header = {"source_kind": "built-in world", "axes": {"up": "z"}, "counts": counts}
        write_table(shard.triplets, [], TRIPLETS, header)
    with pytest.raises(InputError, match=said):
        run(empty, tmp_path / "model", QUICK, "cpu")
    points = [(shard.triplets, shard.points) for shard in empty]
    with pytest.raises(InputError, match=said):
        load_tune_data(points, [e.embeddings for e in empty], None, 9, 1, "off", 1, lambda scene: True)  # type: ignore[arg-type]
