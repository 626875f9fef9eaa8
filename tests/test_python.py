"""What one uses from Python: the names of ``clip2``, a model that is taken elsewhere, readers of labels and triplets.

Real: the tiny teacher's embeddings, training, files as the stages write them. Made: shapes for things, a teacher of
random weights, labels from human boxes.
"""

import ast
import inspect
import json
import pydoc
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from labelled_world import Labelled
from shape_triplets import SHAPES, surface
from taken_home import train_tiny

import clip2
from clip2.store.ragged import ragged_writer
from clip2.store.schemas import LABELS, TRIPLETS
from clip2.store.tables import write_table
from clip2.teach.teacher import load_teacher


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Like a checkout: ``resources/teacher``, and ``results/models/shapes``, which names it by a relative path."""
    return train_tiny(tmp_path_factory.mktemp("checkout"))


# ---- names


def test_help_shows_all_names_with_their_units() -> None:
    page = pydoc.render_doc(clip2, renderer=pydoc.plaintext)
    for name in ("load(", "fit_box(", "lift_boxes(", "class Labels", "class Crops", "class Clip2Model", "InputError"):
        assert name in page, name
    for name in clip2.__all__:
        assert name in dir(clip2)
        assert inspect.getdoc(getattr(clip2, name))
    for function in (clip2.load, clip2.fit_box, clip2.lift_boxes, clip2.Clip2Model.classify):
        assert "Raises:" in inspect.getdoc(function)
    for name in ("encode_points", "encode_text", "classify", "from_pretrained", "save_pretrained", "push_to_hub"):
        assert name in page
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        clip2.lode  # noqa: B018


def test_importing_the_package_imports_nothing_large() -> None:
    code = "import sys, clip2; dir(clip2); print(sorted({'torch', 'numpy', 'pyarrow'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_type_checkers_see_the_same_names_from_the_same_modules() -> None:
    stub = ast.parse(Path(clip2.__file__).with_suffix(".pyi").read_text())
    seen = {alias.name: node.module for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert seen == clip2._MODULES
    (names,) = (node.value for node in stub.body if isinstance(node, ast.Assign))
    assert sorted(ast.literal_eval(names)) == sorted(clip2.__all__)


# ---- a model that is taken elsewhere


def test_a_copied_model_takes_points_at_once_and_texts_once_it_knows_its_teacher(trained: Path, tmp_path: Path) -> None:
    here = trained / "results/models/shapes"
    there = shutil.copytree(here, tmp_path / "taken/home")
    crop = surface("box", np.random.default_rng(0))
    model = clip2.load(there, "cpu")
    np.testing.assert_array_equal(model.encode_points(crop), clip2.load(str(here), "cpu").encode_points(crop))
    with pytest.raises(clip2.InputError, match=r"resources/teacher, is not there; .*teacher=FOLDER") as error:
        model.classify(crop, SHAPES)
    assert "\n" not in str(error.value)
    teacher = shutil.copytree(trained / "resources/teacher", tmp_path / "teachers/mine")
    expected = clip2.load(here, "cpu").classify(crop, SHAPES)  # found in a folder above the model
    np.testing.assert_array_equal(clip2.load(there, "cpu", teacher=teacher).classify(crop, SHAPES), expected)
    shutil.copytree(teacher, tmp_path / "resources/teacher")  # or where config.json says, above the copy
    np.testing.assert_array_equal(clip2.load(there, "cpu").classify(crop, SHAPES), expected)


def test_another_teacher_is_refused_even_with_as_many_dimensions(trained: Path, tmp_path: Path) -> None:
    from taken_home import write_teacher

    other = write_teacher(tmp_path / "other", seed=5)
    with pytest.raises(
        clip2.InputError, match=r"not the one that .*shapes was trained with; that was resources/teacher"
    ):
        clip2.load(trained / "results/models/shapes", "cpu", teacher=other).encode_text(["car"])
    with pytest.raises(clip2.InputError, match="neither a folder"):
        clip2.load(trained / "results/models/shapes", "cpu", teacher=tmp_path / "none").encode_text(["car"])


def test_the_model_says_by_numbers_which_teacher_it_had(trained: Path) -> None:
    config = json.loads((trained / "results/models/shapes/config.json").read_text())
    teacher = load_teacher(str(trained / "resources/teacher"), device="cpu")
    vectors = teacher.encode_labels(config["labels"], config["templates"]).numpy()
    np.testing.assert_allclose(config["label_cosines"], vectors[1:] @ vectors[0], atol=2e-3)  # stored as float16


def test_a_crop_without_points_is_nan_and_no_other_is(trained: Path) -> None:
    model = clip2.load(trained / "results/models/shapes", "cpu", teacher=trained / "resources/teacher")
    crop = surface("box", np.random.default_rng(0))
    empty = (np.zeros((0, 3)), np.full((4, 3), np.nan), [])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        vectors = model.encode_points([crop, *empty, crop[:, :3]])
        odds = model.classify([crop, *empty, crop[:, :3]], SHAPES)
        nothing = model.encode_points(list(empty))
        single = model.encode_points(np.zeros((0, 3))), model.classify(np.zeros((0, 4)), SHAPES)
    for rows, whole in ((vectors, model.encode_points(crop)), (odds, model.classify(crop, SHAPES))):
        assert np.isnan(rows[1:4]).all()
        np.testing.assert_allclose(rows[[0, 4]], [whole, whole], atol=1e-5)
    assert nothing.shape == (3, model.dim)
    assert np.isnan(nothing).all()
    assert [part.shape for part in single] == [(model.dim,), (3,)]
    assert model.classify([], SHAPES).shape == (0, 3)
    for wrong in (np.zeros((5, 2)), [crop, np.zeros(3)], np.zeros(3), [[[[1.0]]]]):
        with pytest.raises(ValueError, match="crop"):
            model.encode_points(wrong)
    with pytest.raises(ValueError, match="names is empty"):
        model.classify(crop, [])


# ---- labels


def test_labels_are_read_as_they_are_in_the_file(labelled_world: Labelled) -> None:
    labels = clip2.Labels(labelled_world.labels)
    rows = labelled_world.rows
    assert len(labels) == len(rows) > 20
    for label, row in zip(labels, rows, strict=True):
        assert (label.scene, label.sample, label.track_id, label.label) == tuple(
            row[key] for key in ("scene", "sample", "track_id", "label")
        )
        assert label.names == {name["name"]: pytest.approx(name["probability"]) for name in row["names"]}
        T = np.reshape(row["T_points_from_box"], (4, 4))
        np.testing.assert_array_equal(label.T_points_from_box, T)
        # A corner by the box's seven numbers, and by its transform.
        x, y, z, length, width, height, yaw = label.box
        front_left_top = [
            x + length / 2 * np.cos(yaw) - width / 2 * np.sin(yaw),
            y + length / 2 * np.sin(yaw) + width / 2 * np.cos(yaw),
            z + height / 2,
        ]
        np.testing.assert_allclose((T @ [*np.array(row["size_lwh"]) / 2, 1])[:3], front_left_top, atol=1e-9)
        assert (label.box_2d is None) == (row["frame_id"] is None)
        if label.box_2d is not None:
            np.testing.assert_allclose(label.box_2d, row["box"], rtol=1e-6)
    np.testing.assert_array_equal(labels.boxes, [label.box for label in labels])
    assert labels.header["kind"] == "labels"


def test_labels_are_chosen_by_name_score_and_scene(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    row = dict.fromkeys(LABELS.names) | {"T_points_from_box": np.eye(4).ravel().tolist(), "size_lwh": [3, 2, 1]}
    row["box"] = [np.nan] * 4
    rows = [
        row
        | {"label": str(rng.choice(["car", "tire", "tree"])), "score": i / 3000, "scene": f"s{i % 3}", "sample": str(i)}
        for i in range(3000)
    ]
    write_table(tmp_path / "labels.parquet", rows, LABELS, {"kind": "labels"})
    labels = clip2.Labels(tmp_path / "labels.parquet")
    chosen = labels.where(names=["car", "tree"], min_score=0.25, scenes="s1")
    expected = [r for r in rows if r["label"] != "tire" and r["score"] >= 0.25 and r["scene"] == "s1"]
    assert [label.sample for label in chosen] == [r["sample"] for r in expected]
    assert len(chosen) == len(expected) == len(chosen.boxes) == len(chosen.scores) > 400
    assert [label.sample for label in chosen.where("tree")] == [r["sample"] for r in expected if r["label"] == "tree"]
    assert len(chosen.where(["tire", "tree"])) == len(chosen.where("tree"))  # what was left out stays out
    assert len(chosen.where(scenes="s2")) == 0
    nothing = labels.where("nothing")
    assert (list(nothing), nothing.boxes.shape, nothing.scores.shape) == ([], (0, 7), (0,))
    assert chosen.table(["label", "score"]).to_pandas().groupby("label").size().sum() == len(expected)
    first = next(iter(labels))
    assert (first.names, first.velocity, first.box_2d) == ({}, None, None)
    with pytest.raises(clip2.InputError, match="no column colour"):
        labels.table(["colour"])


def test_what_is_no_file_of_labels_or_triplets_is_one_line(labelled_world: Labelled, tmp_path: Path) -> None:
    with pytest.raises(clip2.InputError, match="holds labels, not triplets"):
        clip2.Crops(labelled_world.labels)
    with pytest.raises(clip2.InputError, match="holds frames, not labels"):
        clip2.Labels(labelled_world.frames)
    with pytest.raises(clip2.InputError, match="no such file; make it"):
        clip2.Labels(tmp_path / "labels.parquet")
    with pytest.raises(clip2.InputError, match="no triplets; make them with"):
        clip2.Crops(tmp_path)


# ---- crops


def test_crops_have_the_points_and_the_picture_of_their_row(trained: Path) -> None:
    folder = trained / "results/made/triplets/hand.none"
    crops = clip2.Crops(folder)
    paths = sorted(folder.glob("*.parquet"))
    rows = [row for path in paths for row in pq.read_table(path).to_pylist()]
    assert len(paths) == 2
    assert len(crops) == len(rows)
    for crop, row in zip(crops, rows, strict=True):
        assert (crop.triplet_id, crop.label, crop.source) == (row["triplet_id"], row["label"], "made")
        assert len(crop.points) == row["n_points"]
        np.testing.assert_allclose(np.ptp(crop.points[:, :3], axis=0), row["extent"], rtol=1e-5)
        assert crop.picture.shape == (32, 32, 3)
        np.testing.assert_allclose(crop.box_2d, row["box"])
    chosen = crops.where("pole", min_score=0.5)
    assert [crop.triplet_id for crop in chosen] == [
        row["triplet_id"] for row in rows if row["label"] == "pole" and row["score"] >= 0.5
    ]
    assert len(chosen) > 3
    assert len(list(clip2.Crops(paths[0]))) + len(list(clip2.Crops(paths[1:]))) == len(rows)


def test_points_of_other_triplets_are_noticed(tmp_path: Path) -> None:
    row = dict.fromkeys(TRIPLETS.names)
    header = {"kind": "triplets", "source": "made", "counts": {"triplets": 2}}
    write_table(tmp_path / "a.parquet", [row, row], TRIPLETS, header)
    with ragged_writer(tmp_path / "a.h5") as points:
        points.append(np.zeros((3, 4)))
    with pytest.raises(clip2.InputError, match=r"2 triplets, but 1 in the \.h5 file"):
        list(clip2.Crops(tmp_path / "a.parquet"))


# ---- boxes


def test_a_box_of_no_points_or_of_none_that_are_numbers_is_refused() -> None:
    for points in (np.zeros((0, 3)), np.full((4, 3), np.inf)):
        with pytest.raises(ValueError, match="points"):
            clip2.fit_box(points)
