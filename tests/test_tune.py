"""Tuning baselines on triplets, and the ensemble's weights.

Made: triplets of two shapes with their pictures; random CLIP weights, where nothing has to be learned.
Real: the stages, their files, open_clip, the shipped teacher.
"""

import json
from io import BytesIO
from pathlib import Path

import h5py
import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch.nn import functional

from clip2.evaluate.encode_objects import run as encode_objects
from clip2.evaluate.ensemble import stage as ensemble_stage
from clip2.evaluate.ensemble.fusion import centre, combine, read_fusion
from clip2.evaluate.ensemble.settings import EnsembleSettings
from clip2.evaluate.methods import depth_scorers, towers_by_name
from clip2.evaluate.rivals import tune, tune_tower
from clip2.evaluate.rivals.adapter import RATIO, ViewAdapter, mean_view
from clip2.evaluate.rivals.towers import check_teacher, read_tower, write_tower
from clip2.evaluate.rivals.tune_data import load_tune_data
from clip2.evaluate.rivals.tune_settings import TuneSettings
from clip2.evaluate.rivals.tune_steps import Trainer
from clip2.evaluate.rivals.tune_tower import TRAIN_VIEWS, DepthLoss, backward_in_parts, random_rotations
from clip2.evaluate.settings import ZeroshotSettings
from clip2.evaluate.zeroshot import run as zeroshot
from clip2.pretrain.encoder import PointEncoder
from clip2.pretrain.presets import encoder_config
from clip2.pretrain.settings import PretrainSettings
from clip2.runtime.errors import InputError
from clip2.store.crops import Batch
from clip2.store.ragged import ragged_writer
from clip2.store.schemas import OBJECTS, TRIPLETS
from clip2.store.tables import write_table
from clip2.teach.settings import TeachSettings
from clip2.teach.stage import run as embed
from clip2.teach.teacher import Teacher, load_teacher

CLIP = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
Shard = tuple[Path, Path]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Teacher:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("teacher")
    save_file(dict(open_clip.CLIP(**CLIP).state_dict()), folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": CLIP, "preprocess_cfg": {}}))
    return load_teacher(str(folder), device="cpu")


def shape(label: str, rng: np.random.Generator, n: int) -> np.ndarray:
    """A pole or a plate."""
    size = (0.1, 0.1, 3.0) if label == "pole" else (2.0, 2.0, 0.1)
    return (rng.uniform(-0.5, 0.5, (n, 3)) * size + 10).astype(np.float32)


def picture(label: str, rng: np.random.Generator) -> bytes:
    pixels = rng.integers(0, 60, (24, 24, 3), dtype=np.uint8)
    if label == "pole":
        pixels[:, 10:14] = 250
    else:
        pixels[10:14] = 250
    out = BytesIO()
    Image.fromarray(pixels).save(out, "JPEG")
    return out.getvalue()


def write_triplets(folder: Path, name: str, n: int, seed: int, kind: str = "built-in world", up: str = "z") -> Shard:
    """Poles and plates in turn; every tenth crop has two points only."""
    rng = np.random.default_rng(seed)
    rows = []
    with ragged_writer(folder / f"{name}.h5") as points:
        for i in range(n):
            label = ("pole", "plate")[i % 2]
            crop = shape(label, rng, 2 if i % 10 == 9 else 40)
            points.append(crop)
            rows.append(
                {
                    **dict.fromkeys(("triplet_id", "frame_id", "scene", "sample"), f"{name}-{i}"),
                    "box": [0.0, 0.0, 9.0, 9.0],
                    "label": label,
                    "score": 0.9,
                    "n_points": len(crop),
                    "range_m": 10.0,
                    "extent": [1.0, 1.0, 1.0],
                    "image": picture(label, rng),
                }
            )
    path = folder / f"{name}.parquet"
    write_table(path, rows, TRIPLETS, {"kind": "triplets", "source_kind": kind, "axes": {"points": "x", "up": up}})
    return path, folder / f"{name}.h5"


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> list[Shard]:
    folder = tmp_path_factory.mktemp("triplets")
    return [
        write_triplets(folder, "a", 40, 0),
        write_triplets(folder, "none", 0, 1),
        write_triplets(folder, "b", 30, 2),
    ]


@pytest.fixture(scope="module")
def embeddings(shards: list[Shard], teacher: Teacher, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("embeddings")
    for path, _ in shards:
        embed(path, folder / f"{path.stem}.h5", TeachSettings(model=teacher.model), "cpu")
    return [folder / f"{path.stem}.h5" for path, _ in shards]


def EVERY_SCENE(scene: str) -> bool:
    return True


def few(teacher: Teacher, method: str, **given: object) -> TuneSettings:
    small = {"epochs": 1, "batch_size": 16, "holdout": 0.0} | given
    return TuneSettings(method=method, model=teacher.model, **small)


# --- parts


def test_a_new_adapter_changes_nothing() -> None:
    views = functional.normalize(torch.randn(5, 6, 8), dim=-1)
    adapter = ViewAdapter(6, 8)
    torch.testing.assert_close(adapter(views), views)
    torch.nn.init.ones_(adapter.spread.bias)
    ones = torch.full_like(views, RATIO) + (1 - RATIO) * views
    torch.testing.assert_close(adapter(views), functional.normalize(ones, dim=-1))
    text = functional.normalize(torch.randn(3, 8), dim=-1)
    per_view = (views @ text.T).mean(1)
    ratio = per_view / (mean_view(views) @ text.T)
    torch.testing.assert_close(ratio, ratio[:, :1].expand(-1, 3))


@pytest.mark.parametrize("part", [1, 3, 8])
def test_gradients_in_parts_are_the_whole_gradients(part: int) -> None:
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, 5))
    pixels = torch.randn(8, 4)

    def loss_of(vectors: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(vectors @ vectors.T, torch.arange(8))

    loss_of(net(pixels)).backward()
    whole = [p.grad.clone() for p in net.parameters()]
    net.zero_grad()
    loss = backward_in_parts(net, pixels, loss_of, part)
    torch.testing.assert_close(loss, loss_of(net(pixels)).detach())
    for p, expected in zip(net.parameters(), whole, strict=True):
        torch.testing.assert_close(p.grad, expected)


def test_depth_loss_against_a_loop() -> None:
    torch.manual_seed(0)
    views, images, texts = (functional.normalize(torch.randn(*s, 7), dim=-1) for s in ((4, 2), (4,), (3,)))
    labels = torch.tensor([0, 1, 0, 2])

    def contrast(a: torch.Tensor, b: torch.Tensor, same: torch.Tensor) -> float:
        total = 0.0
        for p, q in ((a, b), (b, a)):
            for i in range(4):
                odds = [float((p[i] @ q[j] / 0.07).exp()) for j in range(4) if j == i or same[i] != same[j]]
                total -= float(np.log(float((p[i] @ q[i] / 0.07).exp()) / sum(odds))) / 8
        return total

    mean = functional.normalize(views.mean(1), dim=-1)
    items = torch.arange(4)
    expected = contrast(mean, images, items) + contrast(views[:, 0], views[:, 1], items) + np.log(2)
    on_pairs = DepthLoss(0.07, with_text=False)(views, images, texts[labels], labels, items)
    assert on_pairs.item() == pytest.approx(expected, rel=1e-4)
    on_triplets = DepthLoss(0.07, with_text=True)(views, images, texts[labels], labels, items)
    expected += contrast(mean, texts[labels], labels)
    assert on_triplets.item() == pytest.approx(expected, rel=1e-4)


def test_random_views_are_rotations() -> None:
    rotations = random_rotations(20, torch.Generator().manual_seed(0))
    again = random_rotations(20, torch.Generator().manual_seed(0))
    assert torch.equal(rotations, again)
    eye = torch.eye(3).expand(20, 2, 3, 3)
    torch.testing.assert_close(rotations @ rotations.transpose(2, 3), eye, atol=1e-5, rtol=0)
    # how much of "up" each camera sees is fixed by its elevation
    up = {round(float(np.cos(np.radians(e))), 3) for _, e in TRAIN_VIEWS}
    assert {round(abs(float(v)), 3) for v in rotations[..., 1, 2].flatten()} <= up


# --- data


def test_triplets_are_filtered_and_thinned(
    shards: list[Shard], embeddings: list[Path], teacher: Teacher, tmp_path: Path
) -> None:
    data = load_tune_data(shards, embeddings, teacher, 10, 5, "off", 1, EVERY_SCENE)
    assert data.counts == {"triplets": 70, "dropped_other_scenes": 0, "dropped_few_points": 7, "used": 10}
    assert data.source_kind == "built-in world"
    assert data.names == ["plate", "pole"]
    # the same rows, picked by hand: of the 63 that are left, numbers (2i + 1) 63 / 20
    rows = [(0, i) for i in range(40) if i % 10 != 9] + [(2, i) for i in range(30) if i % 10 != 9]
    for number, position in enumerate((2 * i + 1) * 63 // 20 for i in range(10)):
        shard, row = rows[position]
        with h5py.File(shards[shard][1]) as file, h5py.File(embeddings[shard]) as embedded:
            own = file["points"][file["offsets"][row] : file["offsets"][row + 1], :3]
            np.testing.assert_array_equal(data.crops[number], own)
            np.testing.assert_allclose(data.images[number], embedded["image"][row], atol=2e-3)
        assert data.names[data.labels[number]] == ("pole", "plate")[row % 2]
    without = load_tune_data(shards, None, teacher, 10, 5, "off", 1, EVERY_SCENE)
    torch.testing.assert_close(without.images, data.images, atol=2e-3, rtol=0)
    assert torch.equal(without.labels, data.labels)
    agreed = load_tune_data(shards, embeddings, teacher, 0, 1, "drop", 1, EVERY_SCENE)
    assert agreed.counts["used"] + agreed.counts["dropped_teacher_disagrees"] == 70
    some = load_tune_data(shards, embeddings, teacher, 0, 5, "off", 1, lambda scene: scene.startswith("a-1"))
    # scenes a-1 and a-10 to a-19, of which a-19 has two points
    assert some.counts == {"triplets": 70, "dropped_other_scenes": 59, "dropped_few_points": 1, "used": 10}


def test_data_that_do_not_fit_are_refused(
    shards: list[Shard], embeddings: list[Path], teacher: Teacher, tmp_path: Path
) -> None:
    out = tmp_path / "x.safetensors"

    def fails(match: str, triplets: list[Shard], vectors: list[Path] | None, settings: TuneSettings) -> None:
        with pytest.raises(InputError, match=match):
            tune.run(triplets, vectors, out, settings, "cpu")
        assert not out.exists()

    plain = few(teacher, "pointclip")
    fails("in pairs", shards, embeddings[:1], plain)
    fails("only clip2point", shards, None, few(teacher, "pointclip", pre_trained_on="pairs"))
    fails("needs embeddings", shards, None, few(teacher, "pointclip", agreement="drop"))
    fails("0 of 0 triplets", [shards[1]], None, plain)
    fails("no training shards", [], None, plain)
    fails("no such file", [(tmp_path / "no.parquet", tmp_path / "no.h5")], None, plain)
    fails("up direction", [write_triplets(tmp_path, "y", 4, 0, up="y")], None, plain)
    fails("40 rows", [shards[2]], embeddings[:1], plain)
    fails("loss is not finite|a lower one", shards, None, few(teacher, "clip2point", lr=1e30))


# --- the stages


def accuracy(teacher: Teacher, method: str, path: Path | None) -> float:
    """On new poles and plates."""
    towers = towers_by_name([read_tower(path)] if path else [])
    rng = np.random.default_rng(9)
    labels = np.arange(10) % 2
    crops = [shape(("plate", "pole")[i], rng, 40) for i in labels]
    scores = depth_scorers([method], teacher, ["plate", "pole"], towers)[method](Batch([{}] * 10, crops))
    return float((scores.argmax(1) == labels).mean())


@pytest.mark.parametrize(
    ("method", "learning"),
    [
        ("pointclip", {"epochs": 40, "lr": 0.003, "batch_size": 8}),
        ("clip2point", {"epochs": 4, "lr": 0.0005, "batch_size": 4}),
    ],
)
def test_tuning_learns(
    method: str, learning: dict[str, float], shards: list[Shard], repository: Path, tmp_path: Path
) -> None:
    tiny = load_teacher(str(repository / "resources" / "models" / "tiny_clip"), device="cpu")
    out = tmp_path / "tower.safetensors"
    tune.run(shards, None, out, few(tiny, method, max_triplets=24, **learning), "cpu")
    tower = read_tower(out)
    assert tower.name == f"{method}_tp"
    assert len(tower.header["log"]) == learning["epochs"]
    assert tower.header["log"][-1]["loss"] < tower.header["log"][0]["loss"]
    assert accuracy(tiny, tower.name, out) > 0.9


@pytest.mark.parametrize("method", ["pointclip", "clip2point"])
def test_the_same_again_and_its_header(
    method: str, shards: list[Shard], embeddings: list[Path], teacher: Teacher, tmp_path: Path
) -> None:
    out = tmp_path / "tower.safetensors"
    tune.run(shards, embeddings, out, few(teacher, method), "cpu")
    tower = read_tower(out)
    assert tower.header["source_kind"] == "built-in world"
    assert tower.header["counts"]["used"] == 63
    before = out.read_bytes()
    tune.run(shards, embeddings, out, few(teacher, method), "cpu")
    assert out.read_bytes() == before
    check_teacher(tower, teacher)
    for key in ("model", "pretrained"):
        tower.teacher[key] = "another"
        with pytest.raises(InputError, match="tuned under the teacher"):
            check_teacher(tower, teacher)


def test_a_tower_s_training_goes_on_where_it_was_stopped(
    shards: list[Shard],
    embeddings: list[Path],
    teacher: Teacher,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings, whole, out = few(teacher, "clip2point", epochs=3), tmp_path / "whole.st", tmp_path / "stopped.st"
    tune.run(shards, embeddings, whole, settings, "cpu")
    finish = Trainer.finish

    def stop(self: Trainer, step: int, **losses: torch.Tensor) -> None:
        finish(self, step, **losses)
        if step == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(tune_tower, "CHECKPOINT_S", 0.0)
    monkeypatch.setattr(Trainer, "finish", stop)
    with pytest.raises(KeyboardInterrupt):
        tune.run(shards, embeddings, out, settings, "cpu")
    monkeypatch.setattr(Trainer, "finish", finish)
    (checkpoint,) = tmp_path.glob(".*")
    kept = checkpoint.read_bytes()
    with caplog.at_level("INFO"):
        tune.run(shards, embeddings, out, settings, "cpu")
    assert "taken up again at step 5" in caplog.text
    assert out.read_bytes() == whole.read_bytes()
    assert not checkpoint.exists()
    checkpoint.write_bytes(kept)
    tune.run(shards, embeddings, out, few(teacher, "clip2point", seed=4), "cpu")
    assert "made with other settings or data" in caplog.text


def test_pairs_make_clip2point_itself(shards: list[Shard], teacher: Teacher, tmp_path: Path) -> None:
    out = tmp_path / "tower.safetensors"
    tune.run(shards[:1], None, out, few(teacher, "clip2point", pre_trained_on="pairs"), "cpu")
    tower = read_tower(out)
    assert (tower.name, tower.templates) == ("clip2point", ("image of a {}",))
    changed = [k for k, v in teacher.network.visual.state_dict().items() if not torch.equal(v, tower.weights[k])]
    assert len(changed) > 10  # the whole tower learns, and the teacher's own stays as it was
    out.write_bytes(b"x")
    with pytest.raises(InputError, match="not a tower"):
        read_tower(out)


def test_combining_scores() -> None:
    rng = np.random.default_rng(0)
    point, image = rng.normal(size=(4, 3)) + 7, rng.normal(size=(4, 3)) * 100
    image[1] = np.nan
    together = combine({"point": point, "image": image}, {"point": (0.25, 2.0), "image": (0.75, 50.0)})
    for i in (0, 2, 3):
        expected = 0.25 * (point[i] - point[i].mean()) / 2 + 0.75 * (image[i] - image[i].mean()) / 50
        np.testing.assert_allclose(together[i], expected)
    assert together[1].argsort().tolist() == point[1].argsort().tolist()
    only_image = combine({"point": point, "image": image}, {"point": (0.0, 1.0), "image": (1.0, 1.0)})
    np.testing.assert_allclose(only_image[1], centre(point)[1])
    np.testing.assert_allclose(only_image[0], centre(image)[0])
    assert np.isnan(combine({"image": image}, {"image": (1.0, 1.0)})[1]).all()


def test_weights_go_to_who_knows() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, 300)
    good = np.eye(5)[labels] + 0.1 * rng.normal(size=(300, 5))
    noise = {name: rng.normal(size=(300, 5)) for name in ("point", "depth")}
    scores = {"point": noise["point"], "image": good, "depth": noise["depth"]}
    scales = {name: float(centre(own).std()) for name, own in scores.items()}
    weights, reached = ensemble_stage.fit_weights(scores, scales, labels, EnsembleSettings())
    assert reached > 0.99
    assert weights["image"] > 0.4
    assert sum(weights.values()) == pytest.approx(1)
    # three times the same: the most even weights
    same = dict.fromkeys(("point", "image", "depth"), good)
    weights, _ = ensemble_stage.fit_weights(same, dict.fromkeys(same, 1.0), labels, EnsembleSettings(grid=3))
    assert set(weights.values()) == {1 / 3}


@pytest.fixture(scope="module")
def model_folder(teacher: Teacher, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model")
    encoder = PointEncoder(encoder_config(PretrainSettings(encoder="pointnet2-tiny", n_points=64), 16))
    save_file(encoder.state_dict(), folder / "model.safetensors")
    config = {
        "format": 1,
        "encoder": encoder.config.to_json(),
        "teacher": teacher.spec,
        "templates": ["a photo of a {}."],
        "logit_scale": 10.0,
        "source_kind": "built-in world",
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def write_objects(folder: Path) -> Shard:
    """New poles and plates; every third has no picture."""
    rng = np.random.default_rng(5)
    rows = []
    with ragged_writer(folder / "objects.h5") as points:
        for i in range(24):
            label = ("pole", "plate")[i % 2]
            points.append(shape(label, rng, 40))
            seen = i % 3 != 0
            rows.append(
                {
                    **dict.fromkeys(("object_id", "scene", "sample"), str(i)),
                    **dict.fromkeys(("category", "class_name"), label),
                    "fine_name": None,
                    "n_points": 40,
                    "ego_distance_m": 0.0,
                    "size_lwh": [1.0, 1.0, 1.0],
                    "camera": "a" if seen else None,
                    "box": [float("nan")] * 4,
                    "image": picture(label, rng) if seen else None,
                }
            )
    header = {
        **{"kind": "objects", "source": "t", "source_kind": "built-in world", "dataset": "own", "split": "test"},
        **{"sensor": "objects", "units": "m", "axes": {"points": "z up", "up": "z"}, "protocol": {}},
        **{"classes": ["pole", "plate"], "counts": {"annotations": 24, "objects": 24}},
    }
    write_table(folder / "objects.parquet", rows, OBJECTS, header)
    return folder / "objects.parquet", folder / "objects.h5"


def test_the_ensemble_is_fitted_on_scenes_that_nobody_was_trained_on(
    shards: list[Shard],
    embeddings: list[Path],
    teacher: Teacher,
    model_folder: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ensemble_stage, "LEAST", 50)
    tower, fitted = tmp_path / "tower.safetensors", tmp_path / "ensemble.json"
    tune.run(shards, embeddings, tower, few(teacher, "pointclip", holdout=0.8, min_points=1), "cpu")
    assert read_tower(tower).header["counts"] == {
        "triplets": 70, "dropped_other_scenes": 56, "dropped_few_points": 0, "used": 14
    }  # fmt: skip
    model = tmp_path / "model"
    model.mkdir()
    config = json.loads((model_folder / "config.json").read_text())
    (model / "model.safetensors").write_bytes((model_folder / "model.safetensors").read_bytes())
    for share, unseen in ((0.9, 56), (0.75, 52), (0.6, None), (0.0, None)):
        (model / "config.json").write_text(json.dumps(config | {"settings": {"holdout": share}}))
        ensemble_stage.run(shards, embeddings, model, [tower], fitted, EnsembleSettings(min_points=1, grid=2), "cpu")
        told = read_fusion(fitted).fitted_on
        assert told["counts"]["used"] == (unseen or 70)
        assert told.get("scenes_kept_aside") == unseen
        assert ("caution" in told) == (unseen is None)
    assert "42 triplets were kept aside" in caplog.text


def test_all_rivals_in_one_run(
    shards: list[Shard], embeddings: list[Path], teacher: Teacher, model_folder: Path, tmp_path: Path
) -> None:
    towers = []
    for method, on in (("pointclip", "triplets"), ("clip2point", "triplets"), ("clip2point", "pairs")):
        towers.append(tmp_path / f"{method}_{on}.safetensors")
        settings = few(teacher, method, pre_trained_on=on)
        tune.run(shards, embeddings, towers[-1], settings, "cpu")
    fitted = tmp_path / "ensemble.json"
    ensemble_stage.run(shards, embeddings, model_folder, towers, fitted, EnsembleSettings(max_triplets=40), "cpu")
    fusion = read_fusion(fitted)
    assert set(fusion.members) == {"point", "image", "depth"}
    alone = fusion.fitted_on["alone"]
    assert fusion.members["depth"].method == max(list(alone)[1:4], key=alone.get)
    assert fusion.fitted_on["together"] >= max(alone[m.method] for m in fusion.members.values())

    objects, out = write_objects(tmp_path), tmp_path / "result.json"
    zeroshot([objects], model_folder, out, ZeroshotSettings(bootstrap=5), "cpu", towers=towers, ensemble=fitted)
    result = json.loads(out.read_text())
    ours, rivals = ["clip2"], ["pointclip", "pointclip_v2", "clip2point", "pointclip_tp", "clip2point_tp"]
    assert list(result["methods"]) == [*ours, *rivals, "teacher_2d", "ensemble", "chance"]
    assert result["methods"]["ensemble"]["n"] == 24  # those without a picture, too
    tuned = result["protocol"]["depth_methods"]["clip2point_tp"]["tuned"]
    assert tuned["pre_trained_on"] == "triplets"
    assert result["protocol"]["ensemble"]["members"]["image"]["method"] == "teacher_2d"
    assert {name.split("/")[0] for name in result["provenance"]["inputs"]} == {"objects", "model", "towers", "ensemble"}

    # the same from stored vectors: what the teacher and what towers of their own saw
    stored = [tmp_path / "frozen.h5", tmp_path / "towers.h5"]
    for file, given in zip(stored, ([], towers), strict=True):
        encode_objects(objects[0], file, TeachSettings(model=teacher.model), given, "cpu")
    with h5py.File(stored[1]) as file:
        assert set(file) == {"clip2point", "clip2point_tp"}
        inputs = json.loads(file.attrs["clip2"])["provenance"]["inputs"]
    # Under their files' names, by which `clip2 verify` finds them.
    own = {f"towers/{Path(tower).name}" for tower in towers if "clip2point" in Path(tower).name}
    assert {name for name in inputs if name.startswith("towers/")} == own
    settings, again = ZeroshotSettings(bootstrap=5), tmp_path / "again.json"
    zeroshot([objects], model_folder, again, settings, "cpu", towers=towers, ensemble=fitted, encoded=stored)
    for name, score in json.loads(again.read_text())["methods"].items():
        differ = np.abs(np.array(score["confusion"]) - np.array(result["methods"][name]["confusion"])).sum()
        assert differ <= 2, name
    other = tmp_path / "other.safetensors"
    tune.run(shards, embeddings, other, few(teacher, "clip2point", seed=1), "cpu")
    with pytest.raises(InputError, match="another tower clip2point_tp"):
        zeroshot([objects], model_folder, again, settings, "cpu", towers=[towers[0], other], encoded=stored)

    # the ensemble alone asks its members, and does not list them
    only = ZeroshotSettings(methods=("ensemble",), bootstrap=5)
    zeroshot([objects], model_folder, out, only, "cpu", towers=towers, ensemble=fitted)
    again = json.loads(out.read_text())
    assert list(again["methods"]) == ["ensemble"]
    assert again["methods"]["ensemble"]["confusion"] == result["methods"]["ensemble"]["confusion"]
    member = fusion.members["depth"].method
    others = [path for path in towers if read_tower(path).name != member]
    with pytest.raises(InputError, match=f"made of {member}"):
        zeroshot([objects], model_folder, out, only, "cpu", towers=others, ensemble=fitted)
    with pytest.raises(InputError, match="not an ensemble file"):
        zeroshot([objects], model_folder, out, only, "cpu", ensemble=model_folder / "config.json")


def test_a_flipped_bit_in_a_tower_is_told(tmp_path: Path) -> None:
    path = tmp_path / "tower.safetensors"
    header = {"name": "a", "base": "pointclip", "teacher": None, "templates": ["{}"]}
    write_tower(path, {"one": torch.randn(4, 5), "two": torch.ones(3)}, header)
    sound, whole = read_tower(path), path.read_bytes()
    for place in range(8, len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        try:
            found = read_tower(path)
        except InputError:
            continue
        assert {key: found.header[key] for key in sound.header} == sound.header
        assert all(torch.equal(found.weights[key], value) for key, value in sound.weights.items())
