"""Artefacts: what goes in comes out, atomically, streamed, with the same bytes for the same content."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError

from clip2.runtime.errors import InputError, no_room
from clip2.runtime.trial import try_reading
from clip2.store.atomic import atomic_path, read_json, write_json, write_sealed
from clip2.store.bad_frames import BadFrames
from clip2.store.crops import distinct_points, points_by_place
from clip2.store.hdf5 import open_hdf5
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


@settings(deadline=None)  # a child process looks at each file
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


def test_a_point_that_a_crop_holds_twice_is_there_once() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(20, 4)).astype(np.float32), rng.normal(size=(7, 4)).astype(np.float32)
    other[3, :3] = one[5, :3]  # of another crop: no double
    crops = [one, np.concatenate([other, other[::-1], np.repeat(other[:1], 1000, 0)])]
    points, offsets = distinct_points(np.concatenate(crops), np.array([0, 20, 20 + 1014]))
    assert offsets.tolist() == [0, 20, 27]
    assert np.array_equal(points, np.concatenate([one, other]))
    same, ends = distinct_points(points, offsets)
    assert same is points
    assert ends is offsets


@given(st.integers(0, 2**32 - 1))
def test_distinct_points_are_numpy_s_unique_rows(seed: int) -> None:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 6, 5)
    cloud = rng.integers(0, 2, (lengths.sum(), 3)).astype(np.float64)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    points, ends = distinct_points(cloud, offsets)
    for crop, found in zip(np.split(cloud, offsets[1:-1]), np.split(points, ends[1:-1]), strict=True):
        assert np.array_equal(np.unique(crop, axis=0), np.unique(found, axis=0))
        assert len(found) == len(np.unique(crop, axis=0))
    points, same_ends = points_by_place(cloud, offsets)
    assert same_ends.tolist() == ends.tolist()
    for crop, found in zip(np.split(cloud, offsets[1:-1]), np.split(points, ends[1:-1]), strict=True):
        assert np.array_equal(np.unique(crop[:, [0, 2, 1]], axis=0), found[:, [0, 2, 1]])


def flips(path: Path, count: int) -> list[tuple[bytes, int]]:
    """The file with one flipped bit, at places spread over it: bytes and the place."""
    whole = path.read_bytes()
    places = np.linspace(8, len(whole) - 9, count).astype(int)
    return [(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :], int(place)) for place in places]


def test_a_flipped_bit_in_a_table_is_told_and_never_read_as_another_value(tmp_path: Path) -> None:
    path, rng = tmp_path / "t.parquet", np.random.default_rng(0)
    rows = [{"frame_id": f"f{i}", "box": rng.uniform(0, 900, 4), "label": "car", "score": rng.random()}
            for i in range(300)]  # fmt: skip
    write_table(path, rows, DETECTIONS, {"kind": "detections", "counts": {"kept": 300}})
    sound, header = read_table(path), read_header(path)
    assert pq.read_table(path).equals(sound)  # others read it, too
    told = 0
    for damaged, _ in flips(path, 400):
        path.write_bytes(damaged)
        try:
            assert (read_table(path), read_header(path)) == (sound, header)
        except InputError:
            told += 1
    assert told > 390


def test_of_a_large_table_the_pages_and_the_footer_have_digests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clip2.store.tables.SMALL", 100)
    path = tmp_path / "t.parquet"
    write_table(path, ROWS, DETECTIONS, {"kind": "detections", "counts": {"kept": 300}})
    sound, whole = (read_table(path), read_header(path)), path.read_bytes()
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    for place in range(footer, len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(InputError, match="delete it and run again"):
            read_table(path)
    path.write_bytes(whole)
    assert (read_table(path), read_header(path)) == sound


def test_a_flipped_bit_in_a_point_file_is_told_and_never_read_as_another_value(tmp_path: Path) -> None:
    path, rng = tmp_path / "p.h5", np.random.default_rng(0)
    with ragged_writer(path) as writer:
        for n in (50, 3000, 7, 4000):
            writer.append(rng.normal(size=(n, 4)))
        writer.header = {"kind": "points", "counts": {"triplets": 4, "words": "as many as it takes " * 9}}

    def read() -> list[np.ndarray]:
        with RaggedReader(path) as reader, open_hdf5(path, "point file", "delete it") as file:
            assert file.header() == writer.header
            return [reader[i] for i in range(len(reader))]

    sound, told = read(), 0
    whole = path.read_bytes()
    header = whole.index(b"as many as")
    of_header = [(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :], place) for place in
                 range(header - 60, header + 60)]  # fmt: skip
    for damaged, _ in [*flips(path, 60), *of_header]:
        path.write_bytes(damaged)
        try:
            assert all(map(np.array_equal, read(), sound))
        except InputError:
            told += 1
    assert told > 40


# --- damaged artefacts -----------------------------------------------------------------------------------------------


def read_points(path: Path) -> None:
    with RaggedReader(path) as reader:
        for _ in reader.chunks(2):
            pass
        if len(reader):
            reader[0]


def write_points(path: Path) -> None:
    with ragged_writer(path) as writer:
        for number in range(30):
            writer.append(np.random.default_rng(number).normal(size=(40, 4)))
        writer.header = {"kind": "points"}


def mutants(whole: bytes, n: int) -> Iterator[bytes]:
    """Copies with changed, missing and added bytes; half of them near the beginning or the end, where structure is."""
    rng = np.random.default_rng(0)
    for trial in range(n):
        data = bytearray(whole)
        for _ in range(1 + trial % 6):
            at = int(rng.integers(0, len(data) if trial % 2 else min(2500, len(data))))
            if trial % 4 == 3:
                data[at : at + 8] = b"\xff" * 8
            elif trial % 11 == 10:
                del data[at : at + int(rng.integers(1, 40))]
            else:
                data[at] = int(rng.integers(0, 256))
        yield bytes(data)


@pytest.mark.parametrize("kind", ["table", "points"])
def test_a_damaged_artefact_is_one_line(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x"
    if kind == "table":
        write_table(path, ROWS * 20, DETECTIONS, {"kind": "detections"})
    else:
        write_points(path)
    refused = 0
    for data in mutants(path.read_bytes(), 60 if kind == "table" else 40):
        path.write_bytes(data)
        try:
            if kind == "points":
                read_points(path)
            else:
                read_header(path)
                read_table(path, ["label"])
                list(iterate_rows(path))
        except InputError as error:
            assert "\n" not in str(error)  # noqa: PT017
            refused += 1
    assert refused > 8


def test_a_file_that_hangs_its_reader_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"x")
    monkeypatch.setattr("clip2.runtime.trial.SECONDS", 0.1)

    def for_ever(path: Path) -> None:
        while True:
            pass

    def too_much(path: Path) -> None:
        np.ones(1 << 30)

    def crash(path: Path) -> None:
        os.kill(os.getpid(), signal.SIGSEGV)

    def complain(path: Path) -> None:
        raise ValueError("of two\nlines")

    for read, said in (
        (for_ever, "its reader does not come to an end"),
        (too_much, "MemoryError"),
        (crash, "it crashes its reader .SIGSEGV"),
        (complain, "ValueError: of two lines"),
    ):
        with pytest.raises(InputError, match=rf"x: not a readable thing \({said}.*\); throw it away"):
            try_reading(path, read, "thing", "throw it away")
    try_reading(path, lambda path: None, "thing", "throw it away")


HEADERS = {"no JSON": b"{", "no text": b"\xf8", "no object": b"[1]", "nested": b"[" * 100_000}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_a_damaged_header_is_named(tmp_path: Path, header: bytes) -> None:
    table = pa.table({"a": [1]}).replace_schema_metadata({b"clip2": header})
    pq.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(InputError, match=r"t\.parquet: its clip2 header is damaged"):
        read_header(tmp_path / "t.parquet")
    with pytest.raises(InputError, match="it has no column b"):
        read_table(tmp_path / "t.parquet", ["a", "b"])


@pytest.mark.parametrize(
    ("offsets", "points"),
    [
        ([0, 5], (4, 4)),
        ([0, 3, 2, 4], (4, 4)),
        ([-1, 4], (4, 4)),
        ([], (4, 4)),
        ([0, 4], (4, 3)),
        ([0.0, 4.0], (4, 4)),
    ],
)
def test_points_that_do_not_fit_their_offsets_are_refused(tmp_path: Path, offsets: list, points: tuple) -> None:
    with h5py.File(tmp_path / "p.h5", "w") as file:
        file["points"], file["offsets"] = np.zeros(points, np.float32), np.array(offsets)
    with pytest.raises(InputError, match=r"p\.h5: not a readable point file"):
        RaggedReader(tmp_path / "p.h5")


# --- no room ---------------------------------------------------------------------------------------------------------

WRITE = """
import os, resource, sys
from pathlib import Path
import numpy as np
from clip2.runtime.errors import InputError
from clip2.store.atomic import write_text
from clip2.store.hdf5 import new_hdf5
from clip2.store.ragged import ragged_writer, write_array
from clip2.store.schemas import DETECTIONS
from clip2.store.tables import write_table

def text(path):
    write_text(path, "x" * 200_000)

def table(path):
    rows = ({"frame_id": str(i), "box": [i, 1, 2, 3], "label": str(hash(i)), "score": 0.5} for i in range(40_000))
    write_table(path, rows, DETECTIONS, {})

def points(path):
    with ragged_writer(path, 1000) as writer:
        for _ in range(40):
            writer.append(np.random.default_rng(0).normal(size=(1000, 4)))

def arrays(path):
    with new_hdf5(path) as file:
        for name in "abcd":
            write_array(file, name, np.random.default_rng(0).normal(size=(300, 16)), rows=64)

def let_go(path):
    with new_hdf5(path) as file:
        held = file.create_dataset("a", (40, 1000), float, fletcher32=True)
        for row in range(40):
            held[row] = np.random.default_rng(row).normal(size=1000)

resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
for write in (text, table, points, arrays, let_go):
    try:
        write(Path(sys.argv[1]) / write.__name__)
    except InputError as error:
        print(error, flush=True)
        if write is let_go:
            os._exit(0)  # as the command line does: HDF5 would crash on the files that it cannot finish
"""


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    out = subprocess.run([sys.executable, "-c", WRITE, tmp_path], capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    told = [line.split(": ", 1)[1] for line in out.stdout.splitlines()]
    reason = r"(the file is larger than is allowed here|the disk is full)"
    assert len(told) == 5
    for line in told:
        assert re.fullmatch(f"cannot be written: {reason}; make room, or write elsewhere", line)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "full"),
        (OSError("Can't synchronously write data (errno = 28, error message = 'No space left on device')"), "full"),
        (RuntimeError("[enforce fail at inline_container.cc:858] . PytorchStreamWriter failed writing file"), "full"),
        (RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 290816 vs 290712"), "full"),
        (SafetensorError("Error while serializing: I/O error: File too large (os error 27)"), "larger than is allowed"),
        (SafetensorError("Error while serializing: I/O error: Read-only file system (os error 30)"), "read-only"),
        (SafetensorError("Error while deserializing header: header too large"), None),
        (OSError(errno.EROFS, "Read-only file system"), "read-only"),
        (OSError(errno.ENOENT, "No such file"), None),
        (ValueError("No space left"), None),
    ],
)
def test_what_says_that_there_is_no_room(error: Exception, said: str | None) -> None:
    found = no_room(error)
    assert (found is None) if said is None else said in str(found)


def test_a_flipped_bit_in_a_sealed_file_is_told_and_never_read_as_another_value(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    value = {"methods": {"clip2": {"top1": 0.5, "n": 120}}, "names": ["Straße", "car"], "nothing": None, 1: 1e-300}
    write_sealed(path, value)
    written = json.loads(json.dumps(value))
    assert read_json(path) == written
    told = 0
    for data, _ in flips(path, 400):
        path.write_bytes(data)
        try:
            read = read_json(path)
        except ValueError:
            told += 1
        else:  # a space that became another, or the name of the digest itself
            assert {key: read[key] for key in written} == written
    assert told > 300
    write_json(path, {"no": "digest"})
    assert read_json(path) == {"no": "digest"}
