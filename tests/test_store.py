"""Artefacts: what goes in comes out, atomically, streamed, with the same bytes for the same content."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clip2.errors import InputError
from clip2.store.atomic import atomic_path, read_json, write_json
from clip2.store.bad_frames import BadFrames
from clip2.store.provenance import file_digest, provenance
from clip2.store.ragged import RaggedReader, ragged_writer
from clip2.store.schemas import DETECTIONS
from clip2.store.tables import iterate_rows, read_header, read_table, table_writer, write_table

ROWS = [{"frame_id": f"f{i}", "box": [0.0, 1.0, 2.0 + i, 3.0], "label": "car", "score": 0.5} for i in range(10)]


def test_table_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "t.parquet"
    with table_writer(path, DETECTIONS, group_size=3) as writer:
        for row in ROWS:
            writer.append(row)
        writer.header = {"kind": "detections", "n": writer.n_rows}
    assert list(iterate_rows(path, batch_size=4)) == ROWS
    assert read_header(path) == {"kind": "detections", "n": 10}
    assert read_table(path, ["score"]).column_names == ["score"]


def test_same_rows_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_table(tmp_path / name, ROWS, DETECTIONS, {"x": 1})
    assert file_digest(tmp_path / "a") == file_digest(tmp_path / "b")


def test_a_row_of_the_wrong_shape_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(pa.ArrowInvalid):
        write_table(tmp_path / "t", [{**ROWS[0], "box": [1.0]}], DETECTIONS, {})
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_write_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    write_json(path, {"old": 1})

    def interrupted_write() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted_write()
    assert read_json(path) == {"old": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["value.json"]


def test_json_has_no_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", {"a": float("nan")})


@pytest.mark.parametrize("content", [b"", b"PAR1 not really"])
def test_a_broken_table_says_what_to_do(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.parquet").write_bytes(content)
    with pytest.raises(InputError, match=r"t\.parquet.*delete it"):
        read_header(tmp_path / "t.parquet")


def test_a_missing_table_names_the_target(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="snakemake"):
        read_table(tmp_path / "none.parquet")
    with pytest.raises(InputError, match="snakemake"):
        RaggedReader(tmp_path / "none.h5")


@given(st.lists(st.integers(0, 20), max_size=12), st.integers(1, 30))
def test_crops_come_back(tmp_path_factory: pytest.TempPathFactory, lengths: list[int], buffer: int) -> None:
    path = tmp_path_factory.mktemp("ragged") / "p.h5"
    crops = [np.random.default_rng(i).normal(size=(n, 4)).astype(np.float32) for i, n in enumerate(lengths)]
    with ragged_writer(path, buffer_points=buffer) as writer:
        for crop in crops:
            writer.append(crop)
    with RaggedReader(path) as reader:
        assert len(reader) == len(crops)
        for i, crop in enumerate(crops):
            np.testing.assert_array_equal(reader[i], crop)
        streamed = [points[a:b] for points, offsets in reader.chunks(5) for a, b in pairwise(offsets)]
        assert all(np.array_equal(a, b) for a, b in zip(streamed, crops, strict=True))
        with pytest.raises(IndexError):
            reader[len(crops)]


def test_a_missing_intensity_is_zero(tmp_path: Path) -> None:
    with ragged_writer(tmp_path / "p.h5") as writer:
        writer.append(np.ones((2, 3)))
    with RaggedReader(tmp_path / "p.h5") as reader:
        np.testing.assert_array_equal(reader[0], [[1, 1, 1, 0], [1, 1, 1, 0]])


def test_same_crops_same_bytes(tmp_path: Path) -> None:
    for name in ("a.h5", "b.h5"):
        with ragged_writer(tmp_path / name) as writer:
            writer.append(np.ones((5, 4)))
            writer.header = {"n": 1}
    assert file_digest(tmp_path / "a.h5") == file_digest(tmp_path / "b.h5")


def test_bad_frames_are_counted_until_there_are_too_many() -> None:
    bad = BadFrames(max_share=0.2)
    bad.add("f1", "image_missing", "f1.jpg: no such image")
    bad.check(n_frames=10)
    assert bad.header()["counts"] == {"image_missing": 1}
    bad.add("f2", "image_missing", "f2.jpg: no such image")
    bad.add("f3", "cloud_missing", "f3.bin: no such cloud")
    with pytest.raises(InputError, match=r"3 of 10 frames.*f1\.jpg"):
        bad.check(n_frames=10)


def test_bad_frames_can_be_forbidden() -> None:
    with pytest.raises(InputError, match="max_bad_share"):
        BadFrames(max_share=0).add("f", "image_missing", "f.jpg: no such image")


def test_provenance_is_json_and_follows_the_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one")
    before = provenance("lift", {"eps": 1}, {"a": tmp_path / "a"}, ("scipy", "no-such-package"))
    (tmp_path / "a").write_text("two")
    after = provenance("lift", {"eps": 1}, {"a": tmp_path / "a"}, ("scipy", "no-such-package"))
    assert before["inputs"] != after["inputs"]
    assert before["packages"]["no-such-package"] == "not installed"
    json.dumps(before)
