"""Triplets to give away, opened by the libraries they are for; the data card says how they were mined."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import webdataset
import yaml
from datasets import load_dataset
from labelled_world import Labelled

from clip2.export.stage import export_triplets
from clip2.lift import stage as lift
from clip2.lift.settings import LiftSettings
from clip2.runtime.errors import InputError
from clip2.store.ragged import RaggedReader
from clip2.store.schemas import DETECTIONS
from clip2.store.tables import iterate_rows, read_header, write_table

Row = dict[str, Any]


@pytest.fixture(scope="module")
def mined(labelled_world: Labelled, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Triplets of the projected boxes, in two shards, where the workflow has them."""
    source = tmp_path_factory.mktemp("mined") / "results" / "world"
    rows = [row for row in labelled_world.rows if row["frame_id"]]
    found = []
    for number in range(2):
        name = f"train-{number:03d}of002.parquet"
        boxes = source / "detections" / "exact" / name
        header = {"kind": "detections", "detector": {"model": "stored"}, "counts": {"kept": 3}}
        header["provenance"] = {"settings": {"score_threshold": 0.25}}
        kept = [{key: row[key] for key in DETECTIONS.names} for row in rows[number::2]]
        write_table(boxes, kept, DETECTIONS, header)
        out = source / "triplets" / "exact.auto" / name
        lift.run(labelled_world.frames, boxes, labelled_world.root, out, out.with_suffix(".h5"), LiftSettings())
        found.append(out)
    return found


def rows_of(mined: list[Path]) -> dict[str, tuple[Row, np.ndarray]]:
    found = {}
    for path in mined:
        with RaggedReader(path.with_suffix(".h5")) as reader:
            for number, row in enumerate(iterate_rows(path)):
                found[path.stem + row["triplet_id"]] = row, reader[number]
    return found


def test_datasets_opens_the_folder(mined: list[Path], tmp_path: Path) -> None:
    header = export_triplets("huggingface", mined, tmp_path / "out")
    opened = load_dataset(str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "cache"))
    expected = rows_of(mined)
    assert len(opened) == header["counts"]["triplets"] == len(expected) > 50
    order = [key for path in mined for key in expected if key.startswith(path.stem)]
    for key, got in zip(order, opened, strict=True):
        row, points = expected[key]
        assert (got["triplet_id"], got["label"], got["source"]) == (row["triplet_id"], row["label"], "world")
        np.testing.assert_allclose(got["points"], points)
        np.testing.assert_allclose(got["box"], row["box"])
        assert got["image"].width == got["image"].height > 1  # a picture, not bytes


def test_webdataset_opens_the_shards(mined: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clip2.export.webdataset.ROWS", 40)
    export_triplets("webdataset", mined, tmp_path / "out")
    shards = sorted(str(path) for path in (tmp_path / "out" / "data").glob("*.tar"))
    expected = list(rows_of(mined).values())
    assert len(shards) == -(-len(expected) // 40) > 1
    opened = webdataset.WebDataset(shards, shardshuffle=False).decode("rgb8").to_tuple("jpg", "txt", "npy", "json")
    got = list(opened)
    assert len(got) == len(expected)
    for (picture, name, points, facts), (row, own) in zip(got, expected, strict=True):
        assert picture.shape[0] == picture.shape[1]
        assert name == facts["label"] == row["label"]
        assert facts["triplet_id"] == row["triplet_id"]
        np.testing.assert_array_equal(points, own)
    again = export_triplets("webdataset", mined, tmp_path / "again")
    assert again["counts"]["triplets"] == len(expected)
    one, other = (tmp_path / name / "data" / "train-000001.tar" for name in ("out", "again"))
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("format", ["huggingface", "webdataset"])
def test_the_card_says_how_they_were_mined(mined: list[Path], tmp_path: Path, format: str) -> None:
    export_triplets(format, mined, tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    front = yaml.safe_load(card.split("---\n")[1])
    assert front["configs"][0]["data_files"][0]["path"].startswith("data/*.")
    assert "synthetic" in front["tags"]
    labels = [row["label"] for row, _ in rows_of(mined).values()]
    assert front["size_categories"] == ["n<1K"]
    assert f"{len(labels):,} triplets of a name" in card
    for label in set(labels):
        assert f"| {label} | {labels.count(label):,} |" in card
    for path in mined:
        header = read_header(path)
        assert f"### world, {path.stem}" in card
        assert header["provenance"]["inputs"]["detections"] in card
        assert f'"triplets": {header["counts"]["triplets"]}' in card
    assert '"score_threshold": 0.25' in card
    assert "built-in world" in card


def test_settings_of_other_boxes_are_not_told(mined: list[Path], tmp_path: Path) -> None:
    """The detector's file was made again since: what it says now is not how these were mined."""
    boxes = mined[0].parents[2] / "detections" / "exact" / mined[0].name
    before = boxes.read_bytes()
    write_table(boxes, [], DETECTIONS, read_header(boxes) | {"counts": {"kept": 0}})
    try:
        export_triplets("webdataset", mined[:1], tmp_path / "out")
    finally:
        boxes.write_bytes(before)
    card = (tmp_path / "out" / "README.md").read_text()
    assert "score_threshold" not in card
    assert "- detector: `exact`" in card


def test_other_files_are_refused(mined: list[Path], labelled_world: Labelled, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds frames, not triplets"):
        export_triplets("huggingface", [labelled_world.frames], tmp_path / "out")
    assert not (tmp_path / "out").exists()
