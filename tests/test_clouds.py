"""Point cloud files of every form: read as precisely as they are stored, or refused with what they are."""

import io
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clip2.scans import told
from clip2.scans.clouds import CloudError, cloud_complaint, load_points, read_cloud
from clip2.scans.point_files import _unpacked, las_rows, npy_rows, pcd_rows, ply_rows

MAP = np.array([724706.0, 5649433.0, 275.0])
"""UTM coordinates."""
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 123456\n"


def points(n: int = 1000, seed: int = 0) -> np.ndarray:
    """(n, 4) x y z intensity of a street."""
    rng = np.random.default_rng(seed)
    z = np.where(rng.random(n) < 0.8, -1.7, rng.uniform(-1.6, 2, n))
    return np.column_stack([rng.uniform(3, 40, n), rng.uniform(-20, 20, n), z, rng.random(n)])


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def npz(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez(file, array)
    return file.getvalue()


def put(folder: Path, data: bytes, name: str = "a") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


# --- headerless rows -------------------------------------------------------------------------------------------------


def rows_of(columns: int, n: int = 1000) -> np.ndarray:
    """(n, columns) as drivers write them: x y z intensity, ring, time, echo, reflectivity, ambient."""
    rng = np.random.default_rng(1)
    more = [np.arange(n) % 64, np.linspace(0, 0.1, n), rng.integers(1, 3, n), rng.integers(0, 255, n), rng.random(n)]
    return np.column_stack([points(n), *more])[:, :columns].astype("<f4")


@pytest.mark.parametrize("columns", range(3, 10))
@pytest.mark.parametrize("declared", range(3, 10))
def test_the_number_of_columns_is_seen_in_the_numbers(tmp_path: Path, columns: int, declared: int) -> None:
    rows = np.random.default_rng(2).permutation(rows_of(columns, 2520))  # 2520 rows: any number of columns divides
    path = put(tmp_path, rows.tobytes())
    if columns == declared:
        read = read_cloud(path, f"float32x{declared}")
        np.testing.assert_array_equal(read[:, :3], rows[:, :3])
    else:
        with pytest.raises(CloudError, match=rf"rows of {columns} .*float32x{columns}"):
            read_cloud(path, f"float32x{declared}")


def test_a_wrong_number_of_columns_is_told_where_it_does_not_divide(tmp_path: Path) -> None:
    path = put(tmp_path, rows_of(4, 1001).tobytes())
    with pytest.raises(CloudError, match=r"not a whole number of 5×float32 points; as rows of 4 .* \(float32x4\)"):
        read_cloud(path, "nuscenes-pcd-bin")


@pytest.mark.parametrize(
    ("dtype", "said"),
    [("<f8", "no float32, but look like float64"), (">f4", "but look like big-endian float32"), ("<f2", "no float32")],
)
def test_numbers_of_another_type_are_told(tmp_path: Path, dtype: str, said: str) -> None:
    path = put(tmp_path, points(2000).astype(dtype).tobytes())
    with pytest.raises(CloudError, match=said):
        read_cloud(path, "float32x4")


@pytest.mark.parametrize("kind", ["<u4", "<f4"])
def test_a_column_that_is_not_used_may_hold_anything(tmp_path: Path, kind: str) -> None:
    """A ring as uint32, seconds since 1970: no float32 that a sensor gives, and right all the same."""
    rows = points(2000).astype("<f4")
    more = (np.arange(2000) % 64 if kind == "<u4" else np.full(2000, 1.6e9)).astype(kind)
    data = np.column_stack([rows.view("<u4"), more.view("<u4")]).tobytes()
    np.testing.assert_array_equal(read_cloud(put(tmp_path, data), "float32x5"), rows)
    with pytest.raises(CloudError, match=r"as rows of 5 they make sense|rows of 5 do"):
        read_cloud(put(tmp_path, data), "float32x4")


def test_columns_that_are_no_float32_are_named(tmp_path: Path) -> None:
    rows = points(2000).astype("<f4")
    rows[:, 2] = rows[:, 2].astype(">f4").view("<f4")
    with pytest.raises(CloudError, match="the numbers of z are no float32"):
        read_cloud(put(tmp_path, rows.tobytes()), "float32x4")


NO_ROWS = {
    "a NumPy array": (lambda rows: npy(rows.astype("<f4")), "is a NumPy array"),
    "all zeros": (lambda rows: np.zeros((5000, 4), "<f4").tobytes(), "all of its 5000 points are 0, 0, 0"),
    "one point": (lambda rows: np.tile(rows[:1], (5000, 1)).astype("<f4").tobytes(), "lie at one place"),
    "a column after another": (lambda rows: rows.T.astype("<f4").tobytes(), "save a row a point"),
}


@pytest.mark.parametrize(("make", "said"), NO_ROWS.values(), ids=NO_ROWS)
def test_rows_that_are_none_are_named(tmp_path: Path, make: Callable[[np.ndarray], bytes], said: str) -> None:
    with pytest.raises(CloudError, match=said):
        read_cloud(put(tmp_path, make(points(5000))), "float32x4")


def test_points_where_nothing_came_back_are_left_out_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(told, "_TOLD", {})
    rows = points(2000).astype("<f4")
    rows[::5, :3] = 0
    read = read_cloud(put(tmp_path, rows.tobytes()), "float32x4")
    np.testing.assert_array_equal(read, rows[rows[:, 0] != 0])
    (words,) = told.peculiarities()
    assert "(20.0%)" in words


def test_buffers_that_begin_with_zeros_are_rows_of_points(tmp_path: Path) -> None:
    """Of a fixed size, with the points last: neighbours are near as rows, and not column after column."""
    turn = np.linspace(0, 32 * 2 * np.pi, 30_000)  # 32 beams, one after the other
    far = 12 + 4 * np.sin(3 * turn)
    up = np.floor(turn / (2 * np.pi)) / 10 - 1.5
    rows = np.column_stack([far * np.cos(turn), far * np.sin(turn), up, np.full(len(turn), 0.3)]).astype("<f4")
    padded = np.concatenate([np.zeros((20_000, 4), "<f4"), rows])
    assert len(read_cloud(put(tmp_path, padded.tobytes()), "float32x4")) == len(rows)
    with pytest.raises(CloudError, match="save a row a point"):
        read_cloud(put(tmp_path, np.ascontiguousarray(rows.T).tobytes(), "b"), "float32x4")


def test_a_file_larger_than_any_scan_is_refused(tmp_path: Path) -> None:
    path = put(tmp_path, b"")
    os.truncate(path, 3 << 30)
    with pytest.raises(CloudError, match="3,221,225,472 bytes"):
        read_cloud(path, "float32x4")


@pytest.mark.real
def test_real_clouds_are_of_the_columns_that_they_are_of(realdata: Path) -> None:
    for path in (realdata / "kitti").rglob("*.bin"):
        assert len(read_cloud(path, "float32x4")) > 10_000
        with pytest.raises(CloudError, match="float32x4"):
            read_cloud(path, "float32x8")
    for path in (realdata / "nuscenes").rglob("*.pcd.bin"):
        assert len(read_cloud(path, "nuscenes-pcd-bin")) > 10_000
        with pytest.raises(CloudError, match="float32x5"):
            read_cloud(path, "float32x4")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 123456\n",
            "Git LFS pointer",
        ),
        (b"<!DOCTYPE html>\n<html><body>" + b"Sign in please. " * 40, "web page"),
        (b"# .PCD v0.7 - Point Cloud Data\n" + b"VERSION 0.7\nFIELDS x y z\n" * 9, "is a PCD cloud"),
        (npy(points()), "NumPy array"),
        (b"\x1f\x8b" + np.random.default_rng(0).bytes(5000), "gzip"),
    ],
)
@pytest.mark.parametrize("format", ["float32x4", "nuscenes-pcd-bin", "npy", "pcd", "ply", "las", "votenet-mat"])
def test_what_is_no_cloud_is_named(tmp_path: Path, data: bytes, said: str, format: str) -> None:
    if (format, said) in (("npy", "NumPy array"), ("pcd", "is a PCD cloud")):
        return
    with pytest.raises(CloudError, match=said) as error:
        read_cloud(put(tmp_path, data), format)
    assert "\n" not in str(error.value)


def test_a_dangling_link_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.bin").symlink_to("/data/that/moved.bin")
    with pytest.raises(CloudError, match=r"a\.bin: is a link to /data/that/moved\.bin, where nothing is") as error:
        read_cloud(tmp_path / "a.bin", "float32x4")
    assert error.value.reason == "cloud_missing"


# --- NumPy -----------------------------------------------------------------------------------------------------------


def structured(*fields: str) -> np.ndarray:
    array = np.zeros(50, [(name, "<f4") for name in fields])
    for column, name in enumerate(("x", "y", "z")):
        if name in fields:
            array[name] = points(50)[:, column]
    return array


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i4", "u1", ">f4", ">i2"])
def test_numpy_arrays_of_any_numbers_are_read(dtype: str) -> None:
    array = np.abs(10 * points()).astype(dtype)
    for stored in (array, np.asfortranarray(array)):
        np.testing.assert_array_equal(npy_rows(npy(stored)), array)
    np.testing.assert_array_equal(npy_rows(npy(array[:, :3]))[:, 3], 0)


def test_numpy_arrays_with_fields_are_read() -> None:
    array = structured("z", "x", "intensity", "y", "ring")
    array["intensity"] = 9
    np.testing.assert_array_equal(
        npy_rows(npy(array)), np.column_stack([array[n] for n in ("x", "y", "z", "intensity")])
    )


WRONG_NPY: dict[str, tuple[bytes, str]] = {
    "transposed": (npy(points().T.copy()), "is transposed: save array.T"),
    "archive": (npz(points()), "not a NumPy array"),
    "pickle": (npy(np.array([{}, {}], object)), "pickle"),
    "text": (npy(np.array([["a", "b", "c"]])), "not numbers"),
    "complex": (npy(points().astype(complex)), "not numbers"),
    "one column": (npy(points()[:, 0]), "not numbers of"),
    "pictures": (npy(np.zeros((3, 4, 4))), "not numbers of"),
    "no x": (npy(structured("a", "y", "z")), "no x, y and z"),
    "cut short": (npy(points())[:-9], "cut short"),
    "a head that python cannot read": (npy(points()).replace(b"'<f8'", b"'|er':"), "not a NumPy array"),
    "a head that does not end": (b"\x93NUMPY\x01\0\x76\0{'descr': (((((" + b" " * 103, "not a NumPy array"),
    "gigabytes": (npy(points()).replace(b"(1000, 4), }  ", b"(99999999, 4)}"), "cut short"),
    "a negative shape": (npy(points()).replace(b"(1000, 4)", b"(-1000,4)"), "cut short"),
}


@pytest.mark.parametrize(("data", "said"), WRONG_NPY.values(), ids=WRONG_NPY)
def test_numpy_arrays_that_are_no_points_are_refused(tmp_path: Path, data: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        npy_rows(data)
    with pytest.raises(CloudError):
        read_cloud(put(tmp_path, data), "npy")


# --- PCD, PLY, LAS ---------------------------------------------------------------------------------------------------


def lzf_stored(data: bytes) -> bytes:
    """LZF of literal runs alone."""
    return b"".join(bytes([len(data[i : i + 32]) - 1]) + data[i : i + 32] for i in range(0, len(data), 32))


def pcd(rows: np.ndarray, form: str, size: int = 4) -> bytes:
    """x y z and intensity, with a padding field and one of three numbers between, as drivers have them."""
    n, kind = len(rows), f"<f{size}"
    full = np.zeros(n, [("x", kind), ("y", kind), ("z", kind), ("_", "u1", 3), ("normal", "<f4", 3), ("i", "<u2")])
    full["x"], full["y"], full["z"], full["i"] = *rows[:, :3].T, np.round(100 * rows[:, 3])
    lines = ["# .PCD v0.7 - Point Cloud Data file format", "VERSION 0.7", "FIELDS x y z _ normal intensity"]
    lines += [f"SIZE {size} {size} {size} 1 4 2", "TYPE F F F U F U", "COUNT 1 1 1 3 3 1", f"WIDTH {n}", "HEIGHT 1"]
    lines += ["VIEWPOINT 0 0 0 1 0 0 0", f"POINTS {n}", f"DATA {form}", ""]
    head = "\n".join(lines).encode()
    if form == "binary":
        return head + full.tobytes()
    if form == "binary_compressed":
        plain = b"".join(full[name].tobytes() for name in full.dtype.names or ())
        packed = lzf_stored(plain)
        return head + struct.pack("<II", len(packed), len(plain)) + packed
    body = [f"{r['x']:.17g} {r['y']:.17g} {r['z']:.17g} 0 0 0 0 0 0 {r['i']}" for r in full]
    return head + "\n".join(body).encode() + b"\n"


def ply(rows: np.ndarray, form: str, kind: str = "float") -> bytes:
    lines = ["ply", f"format {form} 1.0", "comment made by hand", f"element vertex {len(rows)}"]
    lines += [f"property {kind} {axis}" for axis in "xyz"] + ["property float intensity", "end_header", ""]
    head = "\n".join(lines).encode()
    if form == "ascii":
        return head + "\n".join(" ".join(f"{v:.17g}" for v in row) for row in rows.tolist()).encode() + b"\n"
    order = ">" if form == "binary_big_endian" else "<"
    full = np.zeros(
        len(rows), [(name, f"{order}f{4 if kind == 'float' else 8}") for name in "xyz"] + [("i", f"{order}f4")]
    )
    for name, column in zip(full.dtype.names or (), rows.T):
        full[name] = column
    return head + full.tobytes()


def las(rows: np.ndarray, version: tuple[int, int] = (1, 2), point_format: int = 0) -> bytes:
    record = {0: 20, 1: 28, 6: 30}[point_format]
    low = np.floor(rows[:, :3].min(0))
    size = 375 if version == (1, 4) else 227
    head = bytearray(size)
    head[:4], head[24:26], head[104] = b"LASF", bytes(version), point_format
    struct.pack_into("<H", head, 94, size)
    struct.pack_into("<I", head, 96, size)
    struct.pack_into("<HI", head, 105, record, 0 if version == (1, 4) else len(rows))
    struct.pack_into("<6d", head, 131, *[0.001] * 3, *low)
    if version == (1, 4):
        struct.pack_into("<Q", head, 247, len(rows))
    body = np.zeros(len(rows), [("xyz", "<i4", 3), ("intensity", "<u2"), ("rest", f"V{record - 14}")])
    body["xyz"] = np.round((rows[:, :3] - low) / 0.001)
    body["intensity"] = np.round(100 * rows[:, 3])
    return bytes(head) + body.tobytes()


FORMS: dict[str, tuple[Callable[[bytes], np.ndarray], Callable[[np.ndarray], bytes], float]] = {
    **{f"pcd {form}": (pcd_rows, lambda rows, form=form: pcd(rows, form), 100)
       for form in ("ascii", "binary", "binary_compressed")},
    "pcd of doubles": (pcd_rows, lambda rows: pcd(rows, "binary_compressed", 8), 100),
    **{f"ply {form}": (ply_rows, lambda rows, form=form: ply(rows, form), 1)
       for form in ("ascii", "binary_little_endian", "binary_big_endian")},
    "ply of doubles": (ply_rows, lambda rows: ply(rows, "binary_little_endian", "double"), 1),
    "las 1.2": (las_rows, las, 100),
    "las 1.4": (las_rows, lambda rows: las(rows, (1, 4), 6), 100),
}  # fmt: skip


@pytest.mark.parametrize(("reader", "writer", "scale"), FORMS.values(), ids=FORMS)
def test_clouds_of_other_software_are_read(tmp_path: Path, reader: Any, writer: Any, scale: float) -> None:
    rows = points()
    found = reader(writer(rows))
    np.testing.assert_allclose(found[:, :3], rows[:, :3], atol=1e-3)
    np.testing.assert_allclose(found[:, 3], scale * rows[:, 3], atol=0.51 if scale > 1 else 1e-3)
    format = reader.__name__.removesuffix("_rows")
    np.testing.assert_array_equal(read_cloud(put(tmp_path, writer(rows)), format), found)


@pytest.mark.parametrize(("reader", "writer", "scale"), FORMS.values(), ids=FORMS)
def test_damaged_clouds_are_one_error(reader: Any, writer: Any, scale: float) -> None:
    whole, rng, refused = writer(points(60)), np.random.default_rng(3), 0
    head = 300
    for trial in range(400):
        data = bytearray(whole)
        if trial % 4 == 0:
            del data[rng.integers(0, len(data)) :]
        else:
            for at in rng.integers(0, min(head, len(data)), 1 + trial % 5):
                data[at] = rng.integers(32, 127) if trial % 2 else rng.integers(0, 256)
        try:
            reader(bytes(data))
        except ValueError:
            refused += 1
    assert refused > 80


MORE: dict[str, tuple[Callable[[bytes], np.ndarray], bytes, str]] = {
    "PCD of another width": (
        pcd_rows,
        pcd(points(), "binary").replace(b"POINTS 1000", b"POINTS 100"),
        "correct its head",
    ),
    "PCD": (pcd_rows, pcd(points(), "binary").replace(b"1000\n", b"100\n"), "counts 100 points, but 1000 are there"),
    "ascii PCD": (pcd_rows, pcd(points(), "ascii").replace(b"1000\n", b"100\n"), "counts 100 points, but more follow"),
    "LAS": (
        las_rows,
        las(points()).replace(struct.pack("<HI", 20, 1000), struct.pack("<HI", 20, 100)),
        "1000 are there",
    ),
}


@pytest.mark.parametrize(("reader", "data", "said"), MORE.values(), ids=MORE)
def test_points_that_the_head_does_not_count_are_not_lost(reader: Any, data: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        reader(data)


def test_fields_of_several_numbers_are_listed() -> None:
    with pytest.raises(ValueError, match=r"its fields are xyz \[3\], ring, but no x, y and z of one number each"):
        npy_rows(npy(np.zeros(50, [("xyz", "<f4", 3), ("ring", "<u2")])))


@pytest.mark.filterwarnings("error")
def test_numbers_beyond_all_measure_are_no_points(tmp_path: Path) -> None:
    rows = points()
    rows[3, 1], rows[5, 3] = 1e300, 1e30
    kept = read_cloud(put(tmp_path, npy(rows)), "npy")
    np.testing.assert_array_equal(kept, np.delete(rows, 3, 0))
    swapped = ply(points(), "binary_little_endian").replace(b"binary_little_endian", b"binary_big_endian")
    with pytest.raises(CloudError, match="another type or byte order"):
        read_cloud(put(tmp_path, swapped), "ply")


@pytest.mark.parametrize(
    ("format", "data", "said"),
    [
        ("float32x4", points().astype("<f4").tobytes()[:-5], "15,995 bytes is not a whole number of 4×float32 points"),
        ("float32x4", npy(points()), "is a NumPy array"),
        ("pcd", b"<!DOCTYPE html>" + b" " * 3000, "is a web page"),
        ("float32x4", POINTER, "is a Git LFS pointer"),
        ("float32x4", b"\x80\x02" + points().astype("<f4").tobytes()[2:], None),  # numbers may begin as a pickle does
        ("npy", npy(points()), None),
        ("las", las(points()), None),
        ("pcd", pcd(points(), "ascii"), None),
    ],
)
def test_a_look_at_head_and_size(tmp_path: Path, format: str, data: bytes, said: str | None) -> None:
    complaint = cloud_complaint(put(tmp_path, data), format)
    assert (complaint is None) if said is None else (said in str(complaint))


def test_lzf_repeats_what_it_has_written() -> None:
    repeated = b"\x00a" + bytes([7 << 5, 90 - 9, 0])  # a letter; the last byte once more, 90 times
    assert _unpacked(repeated, 91) == b"a" * 91
    with pytest.raises(ValueError, match="damaged"):
        _unpacked(b"\xff\xff\xff", 91)


def test_a_compressed_las_says_how_to_unpack_it() -> None:
    data = bytearray(las(points(10)))
    data[104] |= 0x80
    with pytest.raises(ValueError, match=r"compressed \(LAZ\); unpack it with `laszip"):
        las_rows(bytes(data))


def test_organised_clouds_lose_their_empty_pixels(tmp_path: Path) -> None:
    rows = points(8)
    rows[::2, :3], rows[1, 3] = np.nan, np.nan
    found = read_cloud(put(tmp_path, npy(rows)), "npy")
    np.testing.assert_array_equal(found[:, :3], rows[1::2, :3])
    assert found[0, 3] == 0  # no intensity does not make it no point


def test_an_intensity_that_is_none_is_zero(tmp_path: Path) -> None:
    rows = points().astype("<f4")
    rows[::3, 3] = np.nan
    found = read_cloud(put(tmp_path, rows.tobytes()), "float32x4")
    np.testing.assert_array_equal(found[:, :3], rows[:, :3])
    np.testing.assert_array_equal(found[:, 3], np.where(np.isnan(rows[:, 3]), 0, rows[:, 3]))


# --- map coordinates -------------------------------------------------------------------------------------------------


def on_the_map(n: int = 1000) -> np.ndarray:
    return points(n) + np.array([*MAP, 0])


PRECISE = {
    "npy": npy,
    "las": las,
    "ply": lambda rows: ply(rows, "ascii", "double"),
    "pcd": lambda rows: pcd(rows, "ascii", 8),
}


@pytest.mark.parametrize(("format", "writer"), PRECISE.items())
def test_map_coordinates_keep_their_millimetres(tmp_path: Path, format: str, writer: Any) -> None:
    put(tmp_path, writer(on_the_map()))
    T = np.eye(4)
    T[:3, 3] = -MAP
    loaded = load_points([{"path": "a", "format": format, "T_points_from_cloud": T.ravel().tolist()}], tmp_path)
    assert loaded.dtype == np.float32
    np.testing.assert_allclose(loaded[:, :3], points()[:, :3], atol=1.1e-3)


@pytest.mark.parametrize(
    ("format", "data"),
    [("npy", npy(on_the_map().astype("f4"))), ("ply", ply(on_the_map(), "binary_little_endian"))],
)
def test_map_coordinates_that_are_rounded_already_are_refused(tmp_path: Path, format: str, data: bytes) -> None:
    with pytest.raises(CloudError, match=r"coordinates reach 56494\d\d, where float32 only has steps of 0.5"):
        read_cloud(put(tmp_path, data), format)


def coarse(step: float, unit: float = 1.0) -> np.ndarray:
    return np.round(points(5000) / step) * step / unit


COARSE: dict[str, tuple[str, bytes, float]] = {
    "float32, saved as float64": ("npy", npy(on_the_map(5000).astype("f4").astype("f8")), 1.0),
    "six digits": ("npy", npy(np.array([[float(f"{v:g}") for v in row] for row in on_the_map(5000)])), 1.0),
    "float16": ("npy", npy((points(5000) + np.array([2000, 2000, 0, 0])).astype("f2")), 1.0),
    "whole metres": ("npy", npy(points(5000).astype("i2")), 1.0),
    "quarters of a metre, in mm": ("npy", npy(coarse(0.25, 0.001)), 0.001),
    "eighths of a metre": ("float32x4", coarse(0.125).astype("<f4").tobytes(), 1.0),
}


@pytest.mark.parametrize(("format", "data", "unit"), COARSE.values(), ids=COARSE)
def test_coordinates_of_coarse_steps_are_refused(tmp_path: Path, format: str, data: bytes, unit: float) -> None:
    put(tmp_path, data)
    T = np.diag([unit, unit, unit, 1.0])
    with pytest.raises(CloudError, match=r"rounded to steps of [\d.]+ m") as error:
        load_points([{"path": "a", "format": format, "T_points_from_cloud": T.ravel().tolist()}], tmp_path)
    assert error.value.reason == "cloud_rounded"


@pytest.mark.parametrize("step", [0.001, 0.02, 0.1])
def test_coordinates_of_fine_steps_are_read(tmp_path: Path, step: float) -> None:
    put(tmp_path, npy(coarse(step)))
    found = load_points([{"path": "a", "format": "npy", "T_points_from_cloud": np.eye(4).ravel().tolist()}], tmp_path)
    assert len(found) == 5000


def test_points_far_from_their_frame_are_refused(tmp_path: Path) -> None:
    put(tmp_path, npy(on_the_map()))
    with pytest.raises(CloudError, match="m away from where its calibration has it"):
        load_points([{"path": "a", "format": "npy", "T_points_from_cloud": np.eye(4).ravel().tolist()}], tmp_path)


def test_millimetres_are_not_taken_for_map_coordinates(tmp_path: Path) -> None:
    assert len(read_cloud(put(tmp_path, npy((1000 * points()).astype("f4"))), "npy")) == 1000
