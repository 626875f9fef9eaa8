"""ScanObjectNN and ModelNet40, and the built-in sets in their formats.

Made: all HDF5 files, by hand here or by the built-in world. Real: nothing, the data sets may not be passed on.
"""

import io
import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

from clip2.evaluate.object_shards import common_header
from clip2.evaluate.rivals.pointclip import Y_UP_FROM_Z_UP
from clip2.runtime.errors import InputError
from clip2.scans.benchmark_classes import SCANOBJECTNN_CLASSES
from clip2.scans.marker import MARKER
from clip2.scans.modelnet40 import objects as modelnet40
from clip2.scans.modelnet40.settings import Modelnet40Settings
from clip2.scans.modelnet40.survey import survey as survey_modelnet40
from clip2.scans.object_sets import CHUNK, Z_UP_FROM_Y_UP
from clip2.scans.scanobjectnn import objects as scanobjectnn
from clip2.scans.scanobjectnn.settings import ScanobjectnnSettings
from clip2.scans.scanobjectnn.survey import survey as survey_scanobjectnn
from clip2.store.crops import batches
from clip2.store.ragged import RaggedReader
from clip2.store.schemas import OBJECTS, TRIPLETS
from clip2.store.tables import read_header, read_table
from clip2_world.mesh import Builder
from clip2_world.shapes import modelnet40_writer, scanobjectnn_writer
from clip2_world.shapes import stage as shapes_stage
from clip2_world.shapes.settings import ShapesSettings
from clip2_world.shapes.specimens import SHAPES, specimen, surface_points
from clip2_world.shapes.views import portrait, scan

SMALL = ShapesSettings(train_objects=2, val_objects=3, pairs=1)
Row = dict[str, Any]


def write_h5(path: Path, data: Any, label: Any, mask: Any = None) -> None:
    """A file as the data sets have them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["data"], file["label"] = np.asarray(data, np.float32), label
        if mask is not None:
            file["mask"] = mask


def read_back(out: Path, shard: str) -> tuple[list[Row], dict[str, Any]]:
    """Rows of a shard with their points, and its header; the two files belong together."""
    path = out / f"{shard}.parquet"
    table, header = read_table(path), read_header(path)
    assert table.schema.names == OBJECTS.names
    rows = table.to_pylist()
    with RaggedReader(path.with_suffix(".h5")) as reader:
        assert len(reader) == len(rows) == header["counts"]["objects"]
        for index, row in enumerate(rows):
            row["points"] = reader[index][:, :3]
            assert len(row["points"]) == row["n_points"]
    return rows, header


def small_scanobjectnn(root: Path, n: int = 4, variant: str = "OBJ_ONLY") -> np.ndarray:
    """Both files of a variant with ``n`` random objects of 6 points; the test file's data."""
    rng = np.random.default_rng(1)
    for role, name in (("train", "training"), ("val", "test")):
        data = rng.normal(size=(n, 6, 3)).astype(np.float32)
        mask = np.tile([0, 3, -1, -1, 7, -1], (n, 1))
        folder, suffix = scanobjectnn.VARIANTS[variant]
        path = root / "h5_files" / folder / f"{name}_objectdataset{suffix}.h5"
        write_h5(path, data, np.arange(n) % 15, mask)
        assert scanobjectnn.variant_path(root / "h5_files", variant, role) == path
    return data


def test_the_turn_is_a_rotation_that_pointclip_undoes() -> None:
    assert np.isclose(np.linalg.det(Z_UP_FROM_Y_UP), 1)
    assert np.array_equal(Z_UP_FROM_Y_UP @ Z_UP_FROM_Y_UP.T, np.eye(3))
    assert np.array_equal(Z_UP_FROM_Y_UP @ [0, 1, 0], [0, 0, 1])
    assert np.array_equal(Y_UP_FROM_Z_UP @ Z_UP_FROM_Y_UP, np.eye(3))


def test_objects_of_scanobjectnn(tmp_path: Path) -> None:
    data = small_scanobjectnn(tmp_path)
    scanobjectnn.run(tmp_path, tmp_path / "out", "scans", ScanobjectnnSettings())
    rows, header = read_back(tmp_path / "out", "val-000of001")
    assert [row["class_name"] for row in rows] == ["bag", "bin", "box", "cabinet"]
    assert [row["object_id"] for row in rows] == [f"test_objectdataset/0000{i}" for i in range(4)]
    for row, points in zip(rows, data, strict=True):
        assert np.array_equal(row["points"], points[:, [2, 0, 1]])
        assert np.allclose(row["size_lwh"], np.ptp(points[:, [2, 0, 1]], axis=0))
        assert row["camera"] is None
        assert row["image"] is None
        assert np.isnan(row["box"]).all()
        assert row["scene"] == row["object_id"]
    assert header["source_kind"] == "real"
    assert (header["dataset"], header["split"], header["sensor"]) == ("scanobjectnn", "test", "objects")
    assert header["protocol"]["variant"] == header["variant"] == "OBJ_ONLY"
    assert header["classes"] == list(SCANOBJECTNN_CLASSES)
    assert len(header["classes"]) == 15
    assert header["counts"] == {"annotations": 4, "objects": 4}
    assert header["skipped"] == {}
    train = tmp_path / "out" / "train-000of001"
    assert read_header(train.with_suffix(".parquet"))["split"] == "train"

    shards = [(path, path.with_suffix(".h5")) for path in (tmp_path / "out").glob("val-*.parquet")]
    common = common_header(shards)
    assert common["n_objects"] == 4
    assert common["clouds_per_sample"] == 1
    assert sum(len(batch.crops) for batch in batches(shards, ["class_name"], 3)) == 4


def test_background_can_be_dropped(tmp_path: Path) -> None:
    data = small_scanobjectnn(tmp_path, variant="PB_T50_RS")
    path = scanobjectnn.variant_path(tmp_path / "h5_files", "PB_T50_RS", "val")
    with h5py.File(path, "a") as file:
        file["mask"][2] = -1  # nothing of the third object is left
    settings = ScanobjectnnSettings(variant="PB_T50_RS", drop_background=True)
    scanobjectnn.run(tmp_path, tmp_path / "out", "scans", settings)
    rows, header = read_back(tmp_path / "out", "val-000of001")
    assert np.array_equal(rows[1]["points"], data[1][[0, 1, 4]][:, [2, 0, 1]])
    assert header["counts"] == {"annotations": 4, "objects": 3}
    assert header["skipped"] == {"no_points": 1}
    assert [row["class_name"] for row in rows] == ["bag", "bin", "cabinet"]


def test_shards_hold_every_object_once_and_are_the_same_each_time(tmp_path: Path) -> None:
    n = CHUNK + 9
    small_scanobjectnn(tmp_path, n)
    settings = ScanobjectnnSettings(val_shards=3)
    for out in ("a", "b"):
        scanobjectnn.run(tmp_path, tmp_path / out, "scans", settings)
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert files == sorted(path.name for path in (tmp_path / "b").iterdir())
    assert len(files) == 2 * (3 + 1)
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in files)
    parts = [read_back(tmp_path / "a", f"val-00{i}of003")[0] for i in range(3)]
    assert all(parts)
    assert sorted(row["object_id"] for part in parts for row in part) == [
        f"test_objectdataset/{i:05d}" for i in range(n)
    ]


def spoil(root: Path, **changes: Any) -> Path:
    """Replace (or, with None, remove) arrays of the test file."""
    path = scanobjectnn.variant_path(root / "h5_files", "OBJ_ONLY", "val")
    with h5py.File(path, "a") as file:
        for key, value in changes.items():
            del file[key]
            if value is not None:
                file[key] = value
    return path


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"label": None}, "has no `label`"),
        ({"data": None}, "has no `data`"),
        ({"mask": None}, "has no `mask`"),
        ({"label": [0, 1, 15, 2]}, "`label` of object 2 is 15, not 0 to 14"),
        ({"label": [0, -1, 3, 2]}, "`label` of object 1 is -1"),
        ({"label": [0, 1, 2]}, "3 in `label`, but 4 in `data`"),
        ({"data": np.zeros((4, 6))}, r"`data` has shape \(4, 6\)"),
        ({"data": np.where(np.arange(72).reshape(4, 6, 3) == 40, np.nan, 1)}, "`data` of object 2"),
        ({"mask": np.zeros((4, 5))}, "`mask` has shape"),
        ({"label": [np.nan, 1, 2, 3]}, "`label` of object 0 is nan"),
        ({"label": [0, 1, 2, 2.5]}, "`label` of object 3 is 2.5"),
        ({"data": np.full((4, 6, 3), 1e300)}, "`data` of object 0 has numbers that are not finite"),
        ({"data": np.zeros((0, 6, 3)), "label": np.zeros(0, int), "mask": np.zeros((0, 6))}, "the files are empty"),
        ({"mask": np.full((4, 6), -1)}, "each of 4 is without a point.* leave drop_background off"),
        ({"mask": np.tile([0, 1], (4, 3))}, "`mask` calls no point background .*leave drop_background off"),
    ],
)
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_wrong_files_are_named(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    small_scanobjectnn(tmp_path)
    path = spoil(tmp_path, **changes)
    with pytest.raises(InputError, match=words) as caught:
        scanobjectnn.run(tmp_path, tmp_path / "out", "scans", ScanobjectnnSettings(drop_background=True))
    assert str(path) in str(caught.value)
    assert not list((tmp_path / "out").glob("val-*"))


def test_an_empty_file_is_told_at_check(tmp_path: Path) -> None:
    small_scanobjectnn(tmp_path)
    path = spoil(tmp_path, data=np.zeros((0, 6, 3)), label=np.zeros(0, int))
    assert survey_scanobjectnn(tmp_path, ScanobjectnnSettings()).fatal[0].startswith(f"{path}: holds no object")


def small_modelnet40(root: Path, names: str, train: str = "a.h5", test: str = "b.h5") -> None:
    """Two files of two objects each, in two lists."""
    folder = root / "modelnet40_ply_hdf5_2048"
    for number, file in enumerate(("a.h5", "b.h5")):
        write_h5(folder / file, np.random.default_rng(number).normal(size=(2, 5, 3)), np.array([[0], [1]], np.uint8))
    for file, text in (("shape_names.txt", names), ("train_files.txt", train), ("test_files.txt", test)):
        (folder / file).write_text(text)


@pytest.mark.parametrize(
    ("names", "lists", "words"),
    [
        ("0 airplane\n1 bed\n", {}, "“0_airplane” is no name of a class; write one a line"),
        ('["airplane", "bed"]', {}, "is no name of a class"),
        ("airplane\nAirplane\n", {}, "names 'airplane' more than once"),
        ("airplane\n", {}, "`label` of object 1 is 1, not 0 to 0"),
        ("airplane\nbed\n", {"train": "a.h5\ndata/a.h5\n"}, "a.h5: is listed more than once for train"),
        ("airplane\nbed\n", {"test": "a.h5\n"}, "a.h5: is listed for train and for val"),
    ],
)
def test_wrong_lists_of_modelnet40_are_named(tmp_path: Path, names: str, lists: dict[str, str], words: str) -> None:
    small_modelnet40(tmp_path, names, **lists)
    with pytest.raises(InputError, match=words):
        modelnet40.run(tmp_path, tmp_path / "out", "cad", Modelnet40Settings())
    assert re.search(words, " ".join(survey_modelnet40(tmp_path, Modelnet40Settings()).fatal))


def test_names_of_modelnet40_may_hold_blanks(tmp_path: Path) -> None:
    small_modelnet40(tmp_path, "\ufeffAirplane\r\n# a comment\r\n\r\n night stand \r\n")
    assert modelnet40.object_set(tmp_path).classes == ("airplane", "night_stand")
    (remark,) = survey_modelnet40(tmp_path, Modelnet40Settings()).remarks
    assert "2 names, which are not the release's 40 in their order" in remark


def test_survey_of_scanobjectnn(tmp_path: Path) -> None:
    settings = ScanobjectnnSettings()
    found = survey_scanobjectnn(tmp_path, settings)
    assert len(found.fatal) == 2
    assert "h5_files/main_split_nobg/" in found.fatal[0]
    assert "form" in found.fatal[0]
    assert found.used == {"train": 0, "val": 0}
    small_scanobjectnn(tmp_path)
    found = survey_scanobjectnn(tmp_path, settings)
    assert not found.fatal
    assert found.used == {"train": 4, "val": 4}
    assert found.unit == "objects"
    counted = {item.name: (item.found, item.wanted) for item in found.items}
    assert counted["train objects"] == (4, 2309)
    assert counted["val objects"] == (4, 581)
    assert counted["classes with objects"] == (4, 15)
    path = spoil(tmp_path, label=[0, 0, 0, 99])
    found = survey_scanobjectnn(tmp_path, settings)
    assert len(found.fatal) == 1
    assert str(path) in found.fatal[0]
    path.write_bytes(b"no HDF5")
    assert "not a readable HDF5 file" in survey_scanobjectnn(tmp_path, settings).fatal[0]


def test_modelnet40_resolves_its_lists_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "modelnet40_ply_hdf5_2048"
    rng = np.random.default_rng(2)
    parts = [rng.normal(size=(n, 5, 3)) for n in (2, 3)]
    for number, data in enumerate(parts):
        labels = np.arange(len(data), dtype=np.uint8)[:, None]
        write_h5(folder / f"ply_data_test{number}.h5", data, labels)
    write_h5(folder / "ply_data_train0.h5", parts[0], np.array([[2], [1]], np.uint8))
    prefix = "data/modelnet40_ply_hdf5_2048/"
    (folder / "test_files.txt").write_text(f"{prefix}ply_data_test0.h5\n{prefix}ply_data_test1.h5\n")
    (folder / "train_files.txt").write_text(f"{prefix}ply_data_train0.h5\n")
    settings = Modelnet40Settings()
    with pytest.raises(InputError, match=r"shape_names\.txt: no such file"):
        modelnet40.run(tmp_path, tmp_path / "out", "cad", settings)
    assert "shape_names.txt" in survey_modelnet40(tmp_path, settings).fatal[0]
    (folder / "shape_names.txt").write_text("airplane\nbathtub\nnight_stand\n")
    for root in (tmp_path, folder):  # people point at either
        out = tmp_path / f"out_{root.name}"
        modelnet40.run(root, out, "cad", settings)
        rows, header = read_back(out, "val-000of001")
        assert [row["class_name"] for row in rows] == ["airplane", "bathtub", "airplane", "bathtub", "night_stand"]
        assert [row["object_id"] for row in rows[1:3]] == ["ply_data_test0/00001", "ply_data_test1/00000"]
        assert np.allclose(rows[4]["points"], parts[1][2][:, [2, 0, 1]])
        assert header["classes"] == ["airplane", "bathtub", "night_stand"]
        assert header["dataset"] == "modelnet40"
    assert survey_modelnet40(tmp_path, settings).used == {"train": 2, "val": 5}
    (folder / "ply_data_test1.h5").unlink()
    found = survey_modelnet40(tmp_path, settings)
    assert "ply_data_test1.h5 is missing" in found.fatal[0]
    assert found.used == {"train": 2, "val": 0}


def test_surface_points_are_uniform_over_all_sides() -> None:
    b = Builder()
    b.slab((0, 0, 0), (3, 2, 1), (1, 1, 1))
    points = surface_points(b.build(), 20000, np.random.default_rng(0))
    on = [np.isclose(points[:, axis], at, atol=1e-5).mean() for axis, at in ((2, 0), (2, 1), (0, 1.5), (1, -1))]
    assert np.allclose(on, np.array([6, 6, 2, 3]) / 22, atol=0.015)
    top = points[np.isclose(points[:, 2], 1, atol=1e-5)]
    assert np.allclose(np.histogram(top[:, 0], 4, (-1.5, 1.5))[0] / len(top), 0.25, atol=0.03)


def test_a_scan_sees_one_side_and_knows_what_is_whose() -> None:
    b = Builder()
    b.slab((0, 0, 0), (1, 1, 1), (1, 1, 1))
    mesh = b.build()
    for seed in range(5):
        seen = scan(mesh, np.random.default_rng(seed))
        c, s = np.cos(seen.yaw), np.sin(seen.yaw)
        local = seen.points @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
        gap = np.abs(np.abs(local[seen.own] - (0, 0, 0.5)).max(1) - 0.5)
        assert np.median(gap) < 0.02  # on the cube's surface
        back = (np.abs(local[:, 0] + 0.5) < 0.03) & (np.abs(local[:, 1]) < 0.4) & (np.abs(local[:, 2] - 0.5) < 0.4)
        assert (back & seen.own).mean() < 0.001
        below = local[~seen.own][:, 2]
        assert (np.abs(below) < 0.03).mean() > 0.1  # floor


def test_a_portrait_shows_the_thing_in_its_box() -> None:
    b = Builder()
    b.ball((0, 0, 5), (1, 1, 1), (0.9, 0.1, 0.1), rings=12, segments=24)
    image, box = portrait(b.build(), np.random.default_rng(0))
    red = image[..., 0].astype(int) - image[..., 1] > 60
    rows, columns = np.nonzero(red)
    assert image.shape == (96, 96, 3)
    assert np.allclose(box, [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], atol=1.5)
    assert np.isclose(max(box[2] - box[0], box[3] - box[1]), 96 / 1.15)
    corners = image[[0, 0, -1, -1], [0, -1, 0, -1]].astype(int)
    assert np.ptp(corners, axis=0).max() == 0  # plain


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All three built-in sets, small."""
    root = tmp_path_factory.mktemp("shapes")
    for kind in ("scanobjectnn", "modelnet40", "pairs"):
        shapes_stage.run(root / kind, kind, SMALL)
    return root


@pytest.mark.parametrize("variant", ["OBJ_ONLY", "OBJ_BG", "PB_T50_RS"])
def test_built_in_scanobjectnn_is_read_by_the_real_reader(made: Path, tmp_path: Path, variant: str) -> None:
    settings = ScanobjectnnSettings(variant=variant)
    scanobjectnn.run(made / "scanobjectnn", tmp_path, "scans", settings)
    rows, header = read_back(tmp_path, "val-000of001")
    assert header["source_kind"] == "built-in world"
    assert [row["class_name"] for row in rows] == [name for name in SCANOBJECTNN_CLASSES for _ in range(3)]
    assert len(read_back(tmp_path, "train-000of001")[0]) == 30
    assert all(row["n_points"] == 2048 for row in rows)
    path = scanobjectnn.variant_path(made / "scanobjectnn" / "h5_files", variant, "val")
    with h5py.File(path) as file:
        background = (file["mask"][:] == -1).mean(1)
        assert not np.isnan(file["data"][:]).any()
    least, most = {"OBJ_ONLY": (0, 0), "OBJ_BG": (0.7, 1), "PB_T50_RS": (0.4, 1)}[variant]
    assert least <= (background > 0).mean() <= most  # of the objects have some
    assert (background < 1).all()
    found = survey_scanobjectnn(made / "scanobjectnn", settings)
    assert not found.fatal
    assert all(item.found == item.wanted for item in found.items)
    inner = survey_scanobjectnn(made / "scanobjectnn" / "h5_files", settings)
    assert inner.source_kind == "built-in world"  # nobody takes it for the real one


def test_built_in_modelnet40_is_read_by_the_real_reader(made: Path, tmp_path: Path) -> None:
    modelnet40.run(made / "modelnet40", tmp_path, "cad", Modelnet40Settings())
    rows, header = read_back(tmp_path, "val-000of001")
    assert header["source_kind"] == "built-in world"
    assert header["classes"] == sorted(modelnet40_writer.KINDS)
    assert len(rows) == 3 * len(header["classes"])
    for row in rows:
        assert np.isclose(np.linalg.norm(row["points"], axis=1).max(), 1, atol=1e-4)
        assert np.allclose(row["points"].max(0) + row["points"].min(0), 0, atol=1e-4)
    found = survey_modelnet40(made / "modelnet40", Modelnet40Settings())
    assert not found.fatal
    assert all(item.found == item.wanted for item in found.items)


def test_gravity_points_down_after_the_turn(made: Path, tmp_path: Path) -> None:
    """Table tops above their legs, cones pointed above, floors below the objects: in both built-in sets."""
    modelnet40.run(made / "modelnet40", tmp_path / "cad", "cad", Modelnet40Settings())
    scanobjectnn.run(made / "scanobjectnn", tmp_path / "scans", "scans", ScanobjectnnSettings(variant="OBJ_BG"))
    for row in read_back(tmp_path / "cad", "val-000of001")[0]:
        z = row["points"][:, 2]
        if row["class_name"] == "table":
            assert z.mean() > 0  # the middle of its height
    path = scanobjectnn.variant_path(made / "scanobjectnn" / "h5_files", "OBJ_BG", "val")
    with h5py.File(path) as file:
        background = file["mask"][:] == -1
    below = []
    for row, around in zip(read_back(tmp_path / "scans", "val-000of001")[0], background, strict=True):
        if around.sum() > 50:
            z = row["points"][:, 2]
            below.append(np.median(z[around]) < np.median(z[~around]))
    assert len(below) > 20
    assert np.mean(below) > 0.8  # walls are background too
    cones = [r for r in read_back(tmp_path / "cad", "val-000of001")[0] if r["class_name"] == "cone"]
    for row in cones:  # wide below, pointed above
        x, z = row["points"][:, 0], row["points"][:, 2]
        assert np.ptp(x[z < -0.8 * z.max()]) > 2 * np.ptp(x[z > 0.8 * z.max()])


def test_kinds_are_classes_of_the_data_sets_and_things_of_the_worlds() -> None:
    assert tuple(scanobjectnn_writer.KINDS) == SCANOBJECTNN_CLASSES
    assert list(modelnet40_writer.KINDS) == sorted(modelnet40_writer.KINDS)
    for kinds in (*scanobjectnn_writer.KINDS.values(), *modelnet40_writer.KINDS.values()):
        assert kinds
        assert set(kinds) <= set(SHAPES)
    rng = np.random.default_rng(0)
    assert len({len(specimen("chair", rng).faces) for _ in range(12)}) > 1  # from the street and from rooms


def test_pairs_have_the_form_of_triplets(made: Path) -> None:
    path = made / "pairs" / "train-000of001.parquet"
    table, header = read_table(path), read_header(path)
    assert table.schema.names == TRIPLETS.names
    rows = table.to_pylist()
    assert [row["label"] for row in rows] == list(SHAPES)
    assert header["kind"] == "triplets"
    assert header["source_kind"] == "built-in world"
    assert header["axes"]["up"] == "z"
    assert header["counts"]["triplets"] == len(rows)
    with RaggedReader(path.with_suffix(".h5")) as reader:
        assert len(reader) == len(rows)
        for index, row in enumerate(rows):
            points = reader[index][:, :3]
            assert len(points) == row["n_points"] == 1024
            assert points[:, 2].min() > -0.01
            assert np.allclose(np.ptp(points, axis=0), row["extent"], atol=1e-5)
            image = Image.open(io.BytesIO(row["image"]))
            assert image.format == "JPEG"
            assert image.size == (96, 96)


def test_the_same_settings_give_the_same_bytes_whatever_the_workers(made: Path, tmp_path: Path) -> None:
    settings = SMALL.model_copy(update={"train_objects": 1, "val_objects": 1})
    for folder, workers in (("one", 1), ("two", 2)):
        shapes_stage.run(tmp_path / folder, "scanobjectnn", settings, workers)
    shapes_stage.run(tmp_path / "pairs", "pairs", SMALL)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert Path(shapes_stage.COMPLETE) in files
    assert Path(MARKER) in files
    assert len(files) == 2 * 3 + 3
    for path in files:
        assert (tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes(), path
    for path in (made / "pairs").iterdir():
        assert path.read_bytes() == (tmp_path / "pairs" / path.name).read_bytes(), path
    other = SMALL.model_copy(update={"first_seed": SMALL.first_seed + 1})
    shapes_stage.run(tmp_path / "pairs", "pairs", other)  # over an older one
    name = "train-000of001.h5"
    assert (made / "pairs" / name).read_bytes() != (tmp_path / "pairs" / name).read_bytes()


def test_somebody_elses_folder_is_left_alone(tmp_path: Path) -> None:
    small_scanobjectnn(tmp_path)
    with pytest.raises(InputError, match="not empty and not a built-in world"):
        shapes_stage.run(tmp_path, "scanobjectnn", SMALL)
    with pytest.raises(InputError, match="choose one of scanobjectnn, modelnet40, pairs"):
        shapes_stage.run(tmp_path / "new", "shapenet", SMALL)
    assert not (tmp_path / "new").exists()
