"""PointCLIP against its description in plain loops; the zero-shot stage with a small random teacher and model.

Made: random CLIP weights, random objects. Real: open_clip, the stage, its files. The other depth baselines are in
test_baselines.py, tuned ones and the ensemble in test_tune.py.
"""

import json
import math
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import open_clip
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file

from clip2.evaluate.classes import BENCHMARK_CLASSES
from clip2.evaluate.encode_objects import run as encode_objects
from clip2.evaluate.fewshot.settings import FewshotSettings
from clip2.evaluate.localization.settings import LocalizeSettings
from clip2.evaluate.metamorphic import CHANGES, changed_scorers, compared
from clip2.evaluate.methods import Scorer, depth_scorers
from clip2.evaluate.result import Result, read_result
from clip2.evaluate.retrieval.settings import RetrievalSettings
from clip2.evaluate.rivals import pointclip
from clip2.evaluate.rivals.depth_views import Crops, draw, encode_maps, pack_crops, to_unit_sphere
from clip2.evaluate.settings import NUSCENES_CLASSES, ObjectsSettings, ZeroshotSettings
from clip2.evaluate.zeroshot import run
from clip2.pretrain.encoder import PointEncoder
from clip2.pretrain.model import load
from clip2.pretrain.presets import encoder_config
from clip2.pretrain.settings import PretrainSettings
from clip2.runtime.errors import InputError
from clip2.store.atomic import read_json, unsealed
from clip2.store.crops import Batch
from clip2.store.hdf5 import write_header
from clip2.store.ragged import ragged_writer
from clip2.store.schemas import OBJECTS
from clip2.store.tables import write_table
from clip2.teach.settings import TeachSettings
from clip2.teach.teacher import Teacher, load_teacher

CLIP = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


@pytest.fixture(scope="module")
def teacher_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An open_clip model with random weights."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("teacher")
    save_file(dict(open_clip.CLIP(**CLIP).state_dict()), folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": CLIP, "preprocess_cfg": {}}))
    return folder


@pytest.fixture(scope="module")
def teacher(teacher_folder: Path) -> Teacher:
    return load_teacher(str(teacher_folder), device="cpu")


@pytest.fixture(scope="module")
def model_folder(teacher_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder as `clip2 pretrain` writes it, with random weights."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model")
    encoder = PointEncoder(encoder_config(PretrainSettings(encoder="pointnet2-tiny", n_points=64), 16))
    save_file(encoder.state_dict(), folder / "model.safetensors")
    config = {
        "format": 1,
        "encoder": encoder.config.to_json(),
        "teacher": {"model": str(teacher_folder), "pretrained": None, "dim": 16},
        "templates": ["a photo of a {}."],
        "logit_scale": 10.0,
        "source_kind": "built-in world",
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


# --- PointCLIP


def naive_depth_maps(points: np.ndarray) -> np.ndarray:
    """Point by point, straight from the description; ``points`` y-up, in the unit sphere."""
    half = math.pi / 2
    angles = [
        (0, 0, half),
        (half, 0, half),
        (2 * half, 0, half),
        (3 * half, 0, half),
        (0, -half, half),
        (0, half, half),
    ]
    maps = np.zeros((6, 128, 128))
    for view, (ax, ay, az) in enumerate(angles):
        Rx = np.array([[1, 0, 0], [0, math.cos(ax), -math.sin(ax)], [0, math.sin(ax), math.cos(ax)]])
        Ry = np.array([[math.cos(ay), 0, math.sin(ay)], [0, 1, 0], [-math.sin(ay), 0, math.cos(ay)]])
        Rz = np.array([[math.cos(az), -math.sin(az), 0], [math.sin(az), math.cos(az), 0], [0, 0, 1]])
        depths: dict[tuple[int, int], list[float]] = {}
        for x, y, z in points @ (Rx @ Ry @ Rz).T:
            z += 1.6
            pixel = tuple(math.ceil((v / z + 1) * 64 - 0.5) for v in (x, y))
            depths.setdefault(pixel, []).append(z)
        for pixel, values in depths.items():
            maps[view][pixel] = len(values) / sum(1 / v for v in values)
    return maps


def ragged(crops: list[np.ndarray]) -> Crops:
    return pack_crops([np.asarray(c, np.float32) for c in crops], torch.device("cpu"))


def test_depth_maps_against_a_loop() -> None:
    rng = np.random.default_rng(0)
    crops = [rng.normal(size=(n, 3)) * size for n, size in ((300, 1.0), (1, 5.0), (40, 0.2))]
    unit = to_unit_sphere(ragged(crops))
    maps = pointclip.depth_maps(unit).numpy()
    for index, original in enumerate(crops):
        centred = original - original.mean(0)
        expected = centred / max(np.linalg.norm(centred, axis=1).max(), 1e-6)
        mine = unit.points[unit.crop == index].double().numpy()
        np.testing.assert_allclose(mine, expected, atol=1e-5)
        y_up = np.stack([mine[:, 1], mine[:, 2], mine[:, 0]], 1)
        # single precision moves a few points over a pixel's border: compare all but those
        same = np.isclose(maps[index], naive_depth_maps(y_up), atol=1e-4)
        assert same.mean() > 0.9995
        assert (maps[index] > 0).sum() == pytest.approx((naive_depth_maps(y_up) > 0).sum(), abs=4)


def test_depth_of_a_plane() -> None:
    # A wall at x = 0.3 (z-up): seen from the front, at x = -1.6, every pixel of it is 1.6 + 0.3 away.
    y, z = np.meshgrid(np.linspace(-0.5, 0.5, 60), np.linspace(-0.5, 0.5, 60))
    wall = np.stack([np.full(y.size, 0.3), y.ravel(), z.ravel()], 1)
    maps = pointclip.depth_maps(ragged([wall]))[0].numpy()
    for view, depth in ((0, 1.9), (2, 1.3)):  # in front and behind
        hit = maps[view][maps[view] > 0]
        np.testing.assert_allclose(hit, depth, atol=1e-5)


def test_up_is_at_the_top_of_the_side_views() -> None:
    lamp = np.array([[0.0, 0.0, 0.9]])  # one point high above the centre, z up
    maps = pointclip.depth_maps(ragged([lamp]))[0].numpy()
    for view in range(4):
        row, column = np.argwhere(maps[view])[0]
        assert row < 40
        assert column == pytest.approx(63.5, abs=1)
    from_above, from_below = maps[4].max(), maps[5].max()
    assert from_above == pytest.approx(0.7, abs=1e-5)
    assert from_below == pytest.approx(2.5, abs=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 50]), st.floats(0.01, 30.0))
def test_every_point_lands_on_the_canvas(seed: int, n: int, size: float) -> None:
    points = np.random.default_rng(seed).normal(size=(n, 3)) * [size, 1, 1] + 20
    maps = pointclip.depth_maps(to_unit_sphere(ragged([points])))
    # The unit sphere fills tan(asin(1 / 1.6)) of the half canvas: what is off the canvas would wrap to its border.
    reach = 64 * math.tan(math.asin(1 / 1.6)) + 1
    pixels = np.argwhere(maps.numpy() > 0)[:, 2:]
    assert (np.abs(pixels - 63.5) <= reach).all()
    assert ((maps > 0).sum((0, 2, 3)) >= 1).all()
    assert maps.max() <= 2.6 + 1e-4
    assert maps[maps > 0].min() >= 0.6 - 1e-4


def test_scores_of_a_batch_are_those_of_each_crop(teacher: Teacher) -> None:
    rng = np.random.default_rng(0)
    crops = [rng.normal(size=(n, 4)).astype(np.float32) for n in (5, 80, 17)]
    scorer = depth_scorers(["pointclip"], teacher, ["car", "bus"], {})["pointclip"]
    together = torch.from_numpy(scorer(Batch([{}] * 3, crops)))
    for index, crop in enumerate(crops):
        maps = pointclip.depth_maps(to_unit_sphere(ragged([crop])))[0]
        image = torch.nn.functional.interpolate(maps[:, None], (32, 32), mode="bilinear", align_corners=True)
        with torch.no_grad():
            views = teacher.network.encode_image(image.repeat(1, 3, 1, 1), normalize=True)
            tokens = teacher.tokenizer([f"point cloud depth map of a {name}." for name in ("car", "bus")])
            words = teacher.network.encode_text(tokens, normalize=True)
        # concatenated views against the text repeated six times and normalised: √6 times the mean cosine
        logits = views.flatten() @ torch.nn.functional.normalize(words.repeat(1, 6), dim=1).T
        torch.testing.assert_close(together[index] * math.sqrt(6), logits, atol=1e-4, rtol=1e-4)
    nothing = encode_maps(pointclip.PROJECTION, draw(pointclip.PROJECTION, [], teacher), teacher)
    assert nothing.shape == (0, 6, 16)


# --- the stage

HEADER = {
    "kind": "objects",
    "source": "test",
    "source_kind": "built-in world",
    "dataset": "nuscenes",
    "split": "val",
    "sensor": "lidar",
    "units": "metres",
    "axes": {"points": "z up", "up": "z"},
    "protocol": ObjectsSettings().model_dump(mode="json"),
    "clouds_per_sample": 1,
    "skipped": {"few_points": 2},
}


def write_objects(folder: Path, name: str, n: int, seed: int = 0, **header: object) -> tuple[Path, Path]:
    """A shard of random objects; every fifth is seen by no camera, every seventh is of no benchmark class."""
    rng = np.random.default_rng(seed)
    rows = []
    with ragged_writer(folder / f"{name}.h5") as points:
        for i in range(n):
            crop = rng.normal(size=(1 + i % 30, 4))
            points.append(crop)
            picture = BytesIO()
            Image.fromarray(rng.integers(0, 255, (20, 20, 3), dtype=np.uint8)).save(picture, "JPEG")
            seen = i % 5 != 0
            rows.append(
                {
                    "object_id": f"{name}-{i}",
                    "scene": f"scene-{i % 3}",
                    "sample": f"sample-{i % 6}",
                    "category": "vehicle.car",
                    "class_name": None if i % 7 == 0 else NUSCENES_CLASSES[i % 9],
                    "fine_name": None,
                    "n_points": len(crop),
                    "ego_distance_m": 5.0,
                    "size_lwh": [1.0, 1.0, 1.0],
                    "camera": "CAM_FRONT" if seen else None,
                    "box": [0.0, 0.0, 9.0, 9.0] if seen else [float("nan")] * 4,
                    "image": picture.getvalue() if seen else None,
                }
            )
    path = folder / f"{name}.parquet"
    write_table(path, rows, OBJECTS, HEADER | {"counts": {"annotations": n + 2, "objects": n}} | header)
    return path, folder / f"{name}.h5"


def test_methods_side_by_side(model_folder: Path, teacher: Teacher, tmp_path: Path) -> None:
    shards = [
        write_objects(tmp_path, "a", 40),
        write_objects(tmp_path, "empty", 0),
        write_objects(tmp_path, "b", 23, 1),
    ]
    out = tmp_path / "result.json"
    run(shards, model_folder, out, ZeroshotSettings(batch_size=16, bootstrap=50), "cpu")
    result = read_json(out)
    Result.model_validate(result)
    assert result["dataset"] == "nuscenes"
    assert result["source_kind"] == "built-in world"
    n_other = len([i for i in range(40) if i % 7 == 0]) + len([i for i in range(23) if i % 7 == 0])
    assert result["n_objects"] == 63 - n_other
    assert result["skipped"] == {"few_points": 6, "class_not_asked": n_other}
    assert list(result["methods"]) == ["clip2", "pointclip", "pointclip_v2", "teacher_2d", "chance"]
    methods = result["methods"]
    assert methods["clip2"]["n"] == methods["pointclip"]["n"] == methods["chance"]["n"] == result["n_objects"]
    assert methods["teacher_2d"]["n"] + methods["teacher_2d"]["skipped"]["no_image"] == result["n_objects"]
    assert methods["teacher_2d"]["n"] == methods["clip2"]["subsets"]["in_camera"]["n"]
    assert methods["clip2"]["absent_classes"] == ["barrier"]
    assert methods["chance"]["class_mean_top1"] == pytest.approx(0.1)
    assert result["protocol"]["names"]["traffic_cone"] == "traffic cone"
    assert result["protocol"]["objects"]["min_points"] == 1
    depth = result["protocol"]["depth_methods"]
    assert depth["pointclip"] == {
        "templates": ["point cloud depth map of a {}."], "views": 6, "view_weights": "equal", "most_points": None
    }  # fmt: skip
    assert list(depth) == ["pointclip", "pointclip_v2"]

    # clip2's confusion again, with nothing but the public API and one object at a time
    model = load(model_folder, "cpu")
    expected, same_mirrored = np.zeros((10, 10), int), 0
    for seed, n in ((0, 40), (1, 23)):
        rng = np.random.default_rng(seed)
        for i in range(n):
            crop = rng.normal(size=(1 + i % 30, 4))
            rng.integers(0, 255, (20, 20, 3), dtype=np.uint8)
            if i % 7:
                words = [c.replace("_", " ") for c in NUSCENES_CLASSES]
                said = model.classify(crop.astype(np.float32), words)
                expected[i % 9, said.argmax()] += 1
                mirrored = model.classify((crop * [1, -1, 1, 1]).astype(np.float32), words)
                same_mirrored += mirrored.argmax() == said.argmax()
    assert np.abs(np.array(methods["clip2"]["confusion"]) - expected).sum() <= 2  # batching may turn a near tie
    changed = methods["clip2"]["changed"]
    assert set(changed) == set(CHANGES)
    assert changed["every point twice"]["same_answer"] == 1
    assert changed["mirrored"]["same_answer"] * result["n_objects"] == pytest.approx(same_mirrored, abs=2)
    assert not any(figures["changed"] for name, figures in methods.items() if name != "clip2")

    before = out.read_bytes()
    run(shards, model_folder, out, ZeroshotSettings(batch_size=16, bootstrap=50), "cpu")
    assert out.read_bytes() == before


def test_what_changes_an_answer_is_counted() -> None:
    """A scorer that goes by which side of the sensor a thing is on, and one that goes by how many points it has."""
    crops = [np.array([[x, y, 0, 0]] * n, np.float32) for x, y, n in ((50, 60, 3), (60, -70, 3), (-80, 50, 4))]
    left = np.array([0, 1, 0])

    def side(batch: Batch) -> NDArray[np.float32]:
        y = np.array([crop[:, 1].mean() for crop in batch.crops])
        return np.stack([y, -y], axis=1).astype(np.float32)

    def size(batch: Batch) -> NDArray[np.float32]:
        few = np.array([len(crop) < 5 for crop in batch.crops])
        return np.stack([few, ~few], axis=1).astype(np.float32)

    def told(scorer: Scorer) -> dict[str, float]:
        plain = scorer(Batch([], crops)).argmax(1)
        changed = {name: of_change(Batch([], crops)).argmax(1) for name, of_change in changed_scorers(scorer).items()}
        return {name: row["same_answer"] for name, row in compared(plain, changed, left, 2).items()}

    of_side, of_size = told(side), told(size)
    assert of_side["mirrored"] == 0
    assert of_side["turned by 90°"] == pytest.approx(1 / 3, abs=1e-6)
    assert of_side["points in another order"] == of_side["every point twice"] == of_side["moved by 36 m"] == 1
    assert of_size.pop("every point twice") == 0
    assert set(of_size.values()) == {1}


def test_what_image_towers_saw_once_is_not_computed_again(model_folder: Path, teacher: Teacher, tmp_path: Path) -> None:
    shards = [write_objects(tmp_path, "a", 40), write_objects(tmp_path, "b", 23, 1)]
    out, encoded = tmp_path / "result.json", [tmp_path / f"encoded-{path.name}" for path, _ in shards]

    def methods(given: list[Path]) -> dict[str, Any]:
        run(shards, model_folder, out, ZeroshotSettings(batch_size=16, bootstrap=0), "cpu", encoded=given)
        return json.loads(out.read_text())["methods"]

    computed = methods([])
    for (path, _), file in zip(shards, encoded, strict=True):
        encode_objects(path, file, TeachSettings(model=teacher.model), [], "cpu")
    stored = methods(encoded[::-1])  # in any order: each says what it is of
    assert stored["clip2"] == computed["clip2"]
    assert list(stored) == list(computed)
    for name, score in stored.items():
        differ = np.abs(np.array(score["confusion"]) - np.array(computed[name]["confusion"])).sum()
        assert differ <= 4  # float16 may turn near ties
        assert score["n"] == computed[name]["n"]
    with h5py.File(encoded[0], "r+") as a, h5py.File(encoded[1], "r+") as b:
        assert set(a) == {"teacher_2d", "pointclip", "pointclip_v2"}
        assert a["pointclip_v2"].shape == (40, 10, teacher.dim)
        assert np.isnan(a["pointclip"][::7]).all()  # of no class, so nobody asks
        assert np.isfinite(a["pointclip"][1:7]).all()
        for file in (a, b):
            file["pointclip"][:] = 0
    blind = methods(encoded)
    assert np.array(blind["pointclip"]["confusion"])[:, 0].sum() == blind["pointclip"]["n"]
    assert blind["pointclip_v2"] == stored["pointclip_v2"]
    half = methods(encoded[:1])  # the other shard's are computed
    assert half["pointclip_v2"]["n"] == stored["pointclip_v2"]["n"]
    np.testing.assert_allclose(half["pointclip_v2"]["top1"], stored["pointclip_v2"]["top1"], atol=0.05)


def test_vectors_of_something_else_are_refused(model_folder: Path, teacher: Teacher, tmp_path: Path) -> None:
    shard, file, out = write_objects(tmp_path, "a", 8), tmp_path / "encoded.h5", tmp_path / "result.json"
    asked = ZeroshotSettings(methods=("pointclip",), bootstrap=0)
    with pytest.raises(InputError, match=r"encoded\.h5: no such file"):
        run([shard], model_folder, out, asked, "cpu", encoded=[file])
    encode_objects(shard[0], file, TeachSettings(model=teacher.model), [], "cpu")
    with h5py.File(file, "r+") as content:
        header = unsealed(json.loads(content.attrs["clip2"]))
        write_header(content, header | {"teacher": teacher.spec | {"model": "another"}})
    with pytest.raises(InputError, match="made with the teacher"):
        run([shard], model_folder, out, asked, "cpu", encoded=[file])
    file.write_bytes(b"cut short")
    with pytest.raises(InputError, match="not a readable file of encoded objects"):
        run([shard], model_folder, out, asked, "cpu", encoded=[file])
    with pytest.raises(InputError, match="holds triplets, not objects"):
        encode_objects(
            write_objects(tmp_path, "t", 3, kind="triplets")[0], file, TeachSettings(model=teacher.model), []
        )
    assert not out.exists()


def test_classes_are_the_data_sets_own(model_folder: Path, tmp_path: Path) -> None:
    only_chance = ZeroshotSettings(methods=("chance",))

    def classes_of(settings: ZeroshotSettings, shard: tuple[Path, Path]) -> list[str]:
        run([shard], model_folder, tmp_path / "x.json", settings, "cpu")
        protocol = json.loads((tmp_path / "x.json").read_text())["protocol"]
        assert list(protocol["names"]) == protocol["classes"]
        return protocol["classes"]

    streets = write_objects(tmp_path, "once", 8, dataset="once")
    assert classes_of(only_chance, streets) == list(BENCHMARK_CLASSES["once"])
    said = write_objects(tmp_path, "said", 8, dataset="own", sensor="objects", classes=["car", "truck", "bus"])
    assert classes_of(only_chance, said) == ["car", "truck", "bus"]
    assert json.loads((tmp_path / "x.json").read_text())["protocol"]["sensor"] == "objects"
    asked = ZeroshotSettings(methods=("chance",), classes=("truck", "car"))
    assert classes_of(asked, said) == ["truck", "car"]
    unknown = write_objects(tmp_path, "unknown", 8, dataset="my_robot", sensor="rgbd")
    with pytest.raises(InputError, match="'my_robot' name no classes"):
        run([unknown], model_folder, tmp_path / "y.json", only_chance, "cpu")
    assert {name: len(classes) for name, classes in BENCHMARK_CLASSES.items()} == {
        "nuscenes": 10, "sunrgbd": 10, "scannet": 17, "once": 5, "argoverse2": 26, "scanobjectnn": 15, "modelnet40": 40
    }  # fmt: skip


def test_a_result_says_on_how_many_mined_scenes_it_was_measured(model_folder: Path, tmp_path: Path) -> None:
    shard = write_objects(tmp_path, "shared", 8)
    for told in ({}, {"shared_scenes": 2}):
        run([shard], model_folder, tmp_path / "x.json", ZeroshotSettings(methods=("chance",), **told), "cpu")
        protocol = json.loads((tmp_path / "x.json").read_text())["protocol"]
        assert {key: protocol[key] for key in ("shared_scenes",) if key in protocol} == told
        for model in (FewshotSettings, LocalizeSettings, RetrievalSettings):  # their protocols are their settings
            dumped = model(**told).model_dump(mode="json")
            assert {key: dumped[key] for key in ("shared_scenes",) if key in dumped} == told


def test_ranges_are_the_data_sets_own() -> None:
    assert ObjectsSettings().ranges("nuscenes")["barrier"] == 30
    assert ObjectsSettings().ranges("scannet") == {}
    assert ObjectsSettings(class_range={"car": 7}).ranges("nuscenes") == {"car": 7}
    assert ObjectsSettings(class_range={}).ranges("nuscenes") == {}


def test_inputs_that_do_not_fit_are_refused(model_folder: Path, tmp_path: Path) -> None:
    only_chance = ZeroshotSettings(methods=("chance",))
    good = write_objects(tmp_path, "good", 8)
    real = write_objects(tmp_path, "real", 8, source_kind="real")
    with pytest.raises(InputError, match=r"real\.parquet: source_kind is 'real'"):
        run([good, real], model_folder, tmp_path / "x.json", only_chance, "cpu")
    sideways = write_objects(tmp_path, "sideways", 8, axes={"up": "y"})
    with pytest.raises(InputError, match="up direction"):
        run([sideways], model_folder, tmp_path / "x.json", only_chance, "cpu")
    with pytest.raises(InputError, match="not the same number"):
        run([(good[0], write_objects(tmp_path, "long", 9)[1])], model_folder, tmp_path / "x.json", only_chance, "cpu")
    with pytest.raises(InputError, match="not the same number"):
        run([(good[0], write_objects(tmp_path, "short", 7)[1])], model_folder, tmp_path / "x.json", only_chance, "cpu")
    with pytest.raises(InputError, match="not one object"):
        run([write_objects(tmp_path, "none", 0)], model_folder, tmp_path / "x.json", only_chance, "cpu")
    with pytest.raises(InputError, match=r"config\.json"):
        run([good], tmp_path, tmp_path / "x.json", only_chance, "cpu")
    assert not (tmp_path / "x.json").exists()


def test_unreadable_results_are_named(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    with pytest.raises(InputError, match="no such file"):
        read_result(path)
    path.write_text("{")
    with pytest.raises(InputError, match="not readable"):
        read_result(path)
    path.write_text('{"dataset": 3}')
    with pytest.raises(InputError, match="not a result file"):
        read_result(path)
