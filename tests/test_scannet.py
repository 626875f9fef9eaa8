"""ScanNet: recordings, meshes, marked objects, frames, annotations, recognition objects, and the built-in writer.

No real ScanNet file is at hand. The readers are held against bytes put together here, field by field, from the known
layout (not by the project's writer), and against PLY and JSON made by hand; the writer against the readers, on a small
room that is traced here with its own formula.
"""

import json
import os
import re
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clip2.evaluate.classes import SCANNET_CLASSES
from clip2.evaluate.scannet import objects as scannet_objects
from clip2.evaluate.scannet.settings import ScannetObjectsSettings
from clip2.geometry import rigid, transform_points, yaw_rotation
from clip2.runtime.errors import InputError
from clip2.scans.clouds import load_points
from clip2.scans.files import read_bytes
from clip2.scans.images import read_image
from clip2.scans.scannet import annotations, frames, sens
from clip2.scans.scannet.mesh import AGGREGATION, CLASS_OF_NYU40, SEGMENTS, read_classes, read_marked_scene
from clip2.scans.scannet.ply import read_ply_vertices
from clip2.scans.scannet.settings import ScannetSettings
from clip2.scans.scannet.survey import survey
from clip2.scans.shards import shard_names
from clip2.store.ragged import RaggedReader
from clip2.store.tables import iterate_rows, read_header
from clip2.workflow.source_files import source_files
from clip2_world.rgbd import NOTHING, RgbdFrame, RoomObject, RoomScan
from clip2_world.rooms.scannet_writer import LOST_AT, LOST_EVERY, write_scene, write_tables

EYE = tuple(np.eye(4).ravel())
ONE = ScannetSettings(train="all", val="all", train_shards=1, val_shards=1, frame_skip=1)
TRAIN, VAL = shard_names("train", 1)[0], shard_names("val", 1)[0]


def sens_bytes(
    images: Sequence[tuple[bytes, bytes]],
    poses: Sequence[Sequence[float]] | None = None,
    name: bytes = b"StructureSensor",
    matrices: Sequence[Sequence[float]] = (EYE, EYE, EYE, EYE),
    compression: tuple[int, int] = (2, 1),
    sizes: tuple[int, int, int, int] = (1296, 968, 640, 480),
    version: int = 4,
) -> bytes:
    """A recording, field by field as ScanNet's SensReader documents it."""
    parts = [struct.pack("<I", version), struct.pack("<Q", len(name)), name]
    parts += [struct.pack("<16f", *matrix) for matrix in matrices]
    parts += [struct.pack("<i", code) for code in compression] + [struct.pack("<I", size) for size in sizes]
    parts += [struct.pack("<f", 1000.0), struct.pack("<Q", len(images))]
    for number, (colour, depth) in enumerate(images):
        parts.append(struct.pack("<16f", *(poses[number] if poses else EYE)))
        parts += [struct.pack("<Q", value) for value in (1000 + number, 2000 + number, len(colour), len(depth))]
        parts += [colour, depth]
    return b"".join([*parts, struct.pack("<Q", 0)])


def jpeg(image: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".jpg", image)[1])


# --- recordings


@settings(max_examples=40, deadline=None)
@given(
    images=st.lists(st.tuples(st.binary(max_size=60), st.binary(max_size=60)), max_size=8), name=st.binary(max_size=20)
)
def test_index_finds_every_image_and_nothing_is_lost_by_a_cut(
    tmp_path_factory: pytest.TempPathFactory, images: list[tuple[bytes, bytes]], name: bytes
) -> None:
    path = tmp_path_factory.mktemp("sens") / "a.sens"
    data = sens_bytes(images, name=name)
    path.write_bytes(data)
    header = sens.read_header(path)
    found = list(sens.iterate_frames(path, header))
    assert header.n_frames == len(found) == len(images)
    for number, (frame, (colour, depth)) in enumerate(zip(found, images)):
        assert (frame.number, frame.timestamp) == (number, 1000 + number)
        assert read_bytes(Path(sens.image_range(str(path), frame.colour))) == colour
        assert read_bytes(Path(sens.image_range(str(path), frame.depth))) == depth
    ends = [sum(frame.depth) for frame in found]
    for cut in {header.first_frame, len(data) - 9, (header.first_frame + len(data)) // 2}:
        path.write_bytes(data[:cut])
        assert len(list(sens.iterate_frames(path, header))) == sum(end <= cut for end in ends)


def test_header_holds_what_was_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    matrices = rng.normal(size=(4, 4, 4)).astype(np.float32)
    (tmp_path / "a.sens").write_bytes(sens_bytes([], matrices=[m.ravel() for m in matrices]))
    header = sens.read_header(tmp_path / "a.sens")
    assert (header.colour_size, header.depth_size) == ((1296, 968), (640, 480))
    assert header.metres_per_unit == 0.001
    np.testing.assert_array_equal(header.K_colour, matrices[0][:3, :3])
    np.testing.assert_array_equal(header.T_common_from_colour, matrices[1])
    np.testing.assert_array_equal(header.K_depth, matrices[2][:3, :3])
    np.testing.assert_array_equal(header.T_common_from_depth, matrices[3])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (sens_bytes([], version=3), "version 3"),
        (sens_bytes([], compression=(0, 1)), r"colour images are compressed as raw \(code 0\)"),
        (sens_bytes([], compression=(2, 2)), r"depth images are compressed as occi_ushort \(code 2\)"),
        (sens_bytes([], compression=(2, 77)), r"unknown \(code 77\)"),
        (sens_bytes([])[:-9], "cut short within its header"),
        (b"", "0 whole frames"),
        (struct.pack("<IQ", 4, 1 << 60) + bytes(500), "damaged"),
    ],
)
def test_recordings_that_cannot_be_read_are_named(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "a.sens"
    path.write_bytes(data)
    with pytest.raises(InputError, match=words) as error:
        sens.read_header(path)
    assert str(path) in str(error.value)


def test_a_recording_of_gigabytes_is_indexed_without_reading_its_images(tmp_path: Path) -> None:
    path, n_frames, image = tmp_path / "a.sens", 1000, 2_000_000
    head = bytearray(sens_bytes([])[:-8])
    head[-8:] = struct.pack("<Q", n_frames)
    with path.open("wb") as file:  # sparse: the images are holes
        file.write(head)
        for _ in range(n_frames):
            file.write(struct.pack("<16fQQQQ", *EYE, 0, 0, image, image))
            file.seek(2 * image, os.SEEK_CUR)
        file.truncate()
    assert path.stat().st_size > 4_000_000_000
    before = psutil.Process().io_counters().read_chars
    assert len(list(sens.iterate_frames(path, sens.read_header(path)))) == n_frames
    assert psutil.Process().io_counters().read_chars - before < 100_000_000


# --- frames


def write_hand_scene(root: Path, alignment: np.ndarray | None, cut: int = 0) -> dict[str, Any]:
    """scans/s with three frames whose only measured depth pixel is (u, v) = (30, 20); the second has lost its pose."""
    rng = np.random.default_rng(1)
    K_colour = np.array([[120.0, 0, 63], [0, 118, 49], [0, 0, 1]])
    K_depth = np.array([[60.0, 0, 33], [0, 61, 22], [0, 0, 1]])
    E_colour = rigid(yaw_rotation(0.02), [0.03, 0.0, -0.01])
    E_depth = rigid(yaw_rotation(-0.03), [-0.02, 0.01, 0.0])
    axes = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # camera forward is the world's y
    poses = [rigid(yaw_rotation(0.3 * k) @ axes, rng.normal(size=3)) for k in range(3)]
    poses[1] = np.full((4, 4), -np.inf)
    depth = np.zeros((48, 64), "<u2")
    depth[20, 30] = 2500
    images = [(jpeg(np.full((96, 128, 3), 80, np.uint8)), zlib.compress(depth.tobytes()))] * 3
    matrices = []
    for K, E in ((K_colour, E_colour), (K_depth, E_depth)):
        pad = np.eye(4)
        pad[:3, :3] = K
        matrices += [pad.ravel(), E.ravel()]
    folder = root / "scans" / "s"
    folder.mkdir(parents=True)
    data = sens_bytes(images, [p.ravel() for p in poses], matrices=matrices, sizes=(128, 96, 64, 48))
    (folder / "s.sens").write_bytes(data[: len(data) - cut])
    if alignment is not None:
        text = "colorHeight = 96\naxisAlignment = " + " ".join(map(str, alignment.ravel())) + " \nsceneType = x\n"
        (folder / "s.txt").write_text(text)
    return {"K": K_colour, "K_depth": K_depth, "E_colour": E_colour, "E_depth": E_depth, "poses": poses}


@pytest.mark.parametrize("alignment", [rigid(yaw_rotation(1.1), [1.0, -2.0, 0.5]), None])
def test_a_depth_pixel_lands_where_it_should_in_the_scene_and_in_the_picture(
    tmp_path: Path, alignment: np.ndarray | None
) -> None:
    made = write_hand_scene(tmp_path, alignment)
    frames.run(tmp_path, tmp_path / "out", "mine", ONE)
    rows = list(iterate_rows(tmp_path / "out" / f"{TRAIN}.parquet"))
    header = read_header(tmp_path / "out" / f"{TRAIN}.parquet")
    assert header["counts"] == {
        "scenes": 1,
        "scenes_missing": 0,
        "scenes_without_sens": 0,
        "scenes_not_aligned": int(alignment is None),
        "frames_without_pose": 1,
        "frames": 2,
    }
    assert [row["frame_id"] for row in rows] == ["s/000000", "s/000002"]
    assert header["scenes"] == ["s"]
    A = np.eye(4) if alignment is None else alignment
    for row, pose in zip(rows, [made["poses"][0], made["poses"][2]]):
        seen = 2.5 * np.linalg.solve(made["K_depth"], [30, 20, 1])
        world = (pose @ made["E_depth"] @ [*seen, 1])[:4]
        np.testing.assert_allclose(load_points(row["clouds"], tmp_path)[:, :3], [(A @ world)[:3]], atol=1e-5)
        in_colour = np.linalg.solve(pose @ made["E_colour"], world)[:3]
        in_cam = np.reshape(row["T_cam_from_points"], (4, 4)) @ A @ world
        np.testing.assert_allclose(in_cam[:3], in_colour, atol=1e-5)
        np.testing.assert_allclose(np.reshape(row["K"], (3, 3)), made["K"])
        assert read_image(tmp_path / row["image_path"], (row["width"], row["height"])).shape == (96, 128, 3)


def test_a_recording_that_is_cut_short_is_counted_or_stops_the_stage(tmp_path: Path) -> None:
    write_hand_scene(tmp_path, None, cut=20)
    frames.run(tmp_path, tmp_path / "out", "mine", ONE.model_copy(update={"max_bad_share": 0.5}))
    header = read_header(tmp_path / "out" / f"{VAL}.parquet")
    assert header["bad_frames"]["counts"] == {"sens_cut_short": 1}
    assert "2 whole frames of 3" in header["bad_frames"]["first"][0]["message"]
    with pytest.raises(InputError, match="2 whole frames of 3"):
        frames.run(tmp_path, tmp_path / "out2", "mine", ONE)


def test_splits(tmp_path: Path) -> None:
    write_hand_scene(tmp_path, None)
    with pytest.raises(InputError, match=r"scannetv2_train\.txt"):
        frames.run(tmp_path, tmp_path / "out", "mine", ONE.model_copy(update={"train": "train"}))
    with pytest.raises(InputError, match="unknown"):
        frames.run(tmp_path, tmp_path / "out", "mine", ONE.model_copy(update={"train": "training"}))
    with pytest.raises(InputError, match=r"split .scene:t.: .* is not there"):
        frames.run(tmp_path, tmp_path / "out", "mine", ONE.model_copy(update={"train": "scene:t"}))
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "scannetv2_val.txt").write_text("s\nt\n")
    frames.run(tmp_path, tmp_path / "out", "mine", ONE.model_copy(update={"val": "val", "val_shards": 3}))
    headers = [read_header(tmp_path / "out" / f"{name}.parquet") for name in shard_names("val", 3)]
    assert sum(header["counts"]["scenes_missing"] for header in headers) == 1
    assert [header["scenes"] for header in headers if header["scenes"]] == [["s"]]


def test_mining_reads_no_marks(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)
    mined = {Path(file).name for file in source_files("clip2.scans.scannet.frames")}
    assert {"sens.py", "files.py"} <= mined
    assert not mined & {"mesh.py", "ply.py", "annotations.py"}


# --- meshes and marks


def ply_bytes(vertices: np.ndarray, format: str = "binary_little_endian 1.0", newline: str = "\n") -> bytes:
    lines = ["ply", f"format {format}", "comment by hand", f"element vertex {len(vertices)}"]
    lines += ["property uchar red", "property float x", "property float y", "property double z"]
    lines += ["element face 1", "property list uchar int vertex_indices", "end_header", ""]
    head = newline.join(lines).encode()
    if format.startswith("ascii"):
        rows = [f"7 {x:.9g} {y:.9g} {z:.17g}" for x, y, z in vertices.tolist()]
        return head + newline.join([*rows, "3 0 1 2", ""]).encode()
    order = ">" if "big" in format else "<"
    body = b"".join(struct.pack(f"{order}Bffd", 7, *vertex) for vertex in vertices)
    return head + body + struct.pack(f"{order}Biii", 3, 0, 1, 2)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("format", ["binary_little_endian 1.0", "binary_big_endian 1.0", "ascii 1.0"])
def test_ply_vertices(tmp_path: Path, newline: str, format: str) -> None:
    vertices = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    path = tmp_path / "a.ply"
    path.write_bytes(ply_bytes(vertices, format, newline=newline))
    np.testing.assert_array_equal(read_ply_vertices(path), vertices)


PLY = ply_bytes(np.zeros((3, 3)))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (PLY.replace(b"binary_little_endian 1.0", b"ascii 1.0"), "could not convert|rows of"),
        (PLY.replace(b"binary_little_endian", b"binary_middle_endian"), "of format binary_middle_endian"),
        (PLY[:-40], "cut short: 1 of 3 vertices"),
        (PLY.replace(b"vertex 3", b"vertex 99999999999999999999"), "first element is not a number of vertices"),
        (PLY.replace(b"vertex 3", b"vertex 999999999"), "cut short"),
        (PLY.replace(b"vertex 3", b"vertex face"), "first element is not a number of vertices"),
        (PLY.replace(b"element vertex 3", b"element vertex"), "first element is not a number of vertices"),
        (PLY.replace(b"property float y", b"property float"), "a property that is not one number"),
        (PLY.replace(b"property float y", b"property float x"), "no x, y, z"),
        (PLY.replace(b"property float y", b"property list uchar float y"), "a property that is not one number"),
        (b"solid", "not a PLY"),
        (b"", "not a PLY"),
    ],
)
def test_ply_files_that_cannot_be_read_are_named(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "a.ply").write_bytes(data)
    with pytest.raises(InputError, match=words):
        read_ply_vertices(tmp_path / "a.ply")


TSV = "id\traw_category\tcategory\tcount\tnyu40id\teigen13id\n1\tarmchair\tchair\t9\t5\t4\n2\tlamp\tlamp\t9\t35\t7\n"


def write_marks(root: Path, segments: list[int], groups: list[tuple[int, str, list[int]]]) -> np.ndarray:
    folder = root / "scans" / "s"
    folder.mkdir(parents=True, exist_ok=True)
    vertices = np.arange(18, dtype=np.float32).reshape(6, 3)
    (folder / "s_vh_clean_2.ply").write_bytes(ply_bytes(vertices))
    (folder / "s_vh_clean_2.0.010000.segs.json").write_text(json.dumps({"segIndices": segments}))
    marks = [{"id": k, "objectId": k, "label": label, "segments": ids} for k, label, ids in groups]
    (folder / "s.aggregation.json").write_text(json.dumps({"segGroups": marks}))
    (root / "scannetv2-labels.combined.tsv").write_text(TSV)
    return vertices


def test_marked_objects(tmp_path: Path) -> None:
    groups = [(0, "armchair", [40, 7]), (1, "lamp", [9]), (2, "armchair", [7, 40]), (3, "unheard of", [9])]
    vertices = write_marks(tmp_path, [7, 9, 40, 7, 9, 11], groups)
    marked = read_marked_scene(tmp_path, "s", read_classes(tmp_path))
    np.testing.assert_array_equal(marked.vertices, vertices)
    assert [(i.object_id, i.class_name, i.vertices.tolist()) for i in marked.instances] == [
        (0, "chair", [0, 2, 3]),
        (1, None, [1, 4]),
        (3, None, [1, 4]),
    ]
    assert marked.n_repeated == 1


@pytest.mark.parametrize(
    ("label", "told"),
    [
        (" armchair ", None),
        ("ARMCHAIR", "1 of 2 marked objects have a label that scannetv2-labels.combined.tsv lacks, .*: ARMCHAIR"),
        ("lamp", "none of the 2 marked objects is of a class"),
    ],
)
def test_labels_of_no_class_are_told(tmp_path: Path, label: str, told: str | None) -> None:
    write_marks(tmp_path, [7, 9, 40, 7, 9, 11], [(0, label, [40, 7]), (1, "lamp", [9])])
    remarks = " ".join(survey(tmp_path, ScannetSettings(train="scene:s", val="scene:s")).remarks)
    assert re.search(told, remarks) if told else "marked objects" not in remarks
    marked = read_marked_scene(tmp_path, "s", read_classes(tmp_path))
    assert (marked.instances[0].class_name == "chair") == (told is None)


HEAD = "id\traw_category\tcategory\tcount\tnyu40id\n"
TABLES = {
    "saved by pandas": HEAD + "1\tchair\tchair\t9\t5.0\n4\tbed\tbed\t1\t4.0\n203\tthing\tthing\t1\t\n",
    "a quotation mark that is not closed": HEAD + '1\tchair\tchair\t9\t5\n3\t"bar\tbar\t1\t38\n4\tbed\tbed\t1\t4\n',
    "quoted": HEAD + '1\t"chair"\tchair\t9\t5\n3\t"""bar"\tbar\t1\t38\n4\t"bed"\tbed\t1\t"4"\n'.replace('"4"', "4"),
}


@pytest.mark.parametrize("text", TABLES.values(), ids=TABLES)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_the_table_of_labels_is_read_however_it_was_saved(tmp_path: Path, text: str, encoding: str) -> None:
    (tmp_path / "scannetv2-labels.combined.tsv").write_bytes(text.replace("\n", "\r\n").encode(encoding))
    classes = read_classes(tmp_path)
    assert (classes["chair"], classes["bed"], len(classes)) == ("chair", "bed", 3)
    assert [label for label, name in classes.items() if name is None] in (["thing"], ['"bar'])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("id\tname\n1\tchair\n", "no column nyu40id, raw_category"),
        (HEAD + "1\tchair\tchair\t9\tchair\n", "no nyu40id in it is one of the 17 classes"),
        (HEAD.replace("\t", ",") + "1,chair,chair,9,5\n", "no column"),
        ("<html>moved</html>", "no column"),
    ],
)
def test_a_table_of_labels_without_a_class_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "scannetv2-labels.combined.tsv").write_text(text)
    with pytest.raises(InputError, match=words):
        read_classes(tmp_path)


@pytest.mark.parametrize(
    ("segments", "groups", "words"),
    [
        ('{"segIndices": NaN}', None, "not one whole number a vertex"),
        ('{"segIndices": {}}', None, "not one whole number a vertex"),
        ('{"segIndices": 15}', None, "not one whole number a vertex"),
        ('{"segIndices": [[1], [1, 2]]}', None, "not one whole number a vertex"),
        ('{"segIndices": ["a"]}', None, "not one whole number a vertex"),
        ('{"segIndices": [1e300]}', None, "no segments"),
        ('{"segIndices": [99999999999999999999]}', None, "not one whole number a vertex"),
        ("[1, 2]", None, "not an object with 'segIndices'"),
        (None, '{"segGroups": [{"objectId": 1e999, "label": "x", "segments": []}]}', "segGroups.0.objectId"),
        (None, '{"segGroups": [{"objectId": 1, "label": null, "segments": []}]}', "segGroups.0.label"),
        (None, '{"segGroups": [{"objectId": 1, "label": "x", "segments": [1e400]}]}', "segGroups.0.segments.0"),
        (None, '{"segGroups": [{"objectId": 1, "label": "x", "segments": {}}]}', "segGroups.0.segments"),
        (None, '{"segGroups": 5}', "segGroups.: Input should be a valid list"),
    ],
)
def test_marks_that_are_none_are_named(tmp_path: Path, segments: str | None, groups: str | None, words: str) -> None:
    write_marks(tmp_path, [1] * 6, [(0, "armchair", [1])])
    for ending, text in ((SEGMENTS, segments), (AGGREGATION, groups)):
        if text is not None:
            (tmp_path / "scans" / "s" / f"s{ending}").write_text(text)
    with pytest.raises(InputError, match=words):
        read_marked_scene(tmp_path, "s", {})


def test_segments_that_went_through_pandas_are_read(tmp_path: Path) -> None:
    write_marks(tmp_path, [1] * 6, [(0, "armchair", [1])])
    (tmp_path / "scans" / "s" / f"s{SEGMENTS}").write_text('{"segIndices": [1.0, 1.0, 1.0, 1.0, 1.0, 2.0]}')
    assert read_marked_scene(tmp_path, "s", {}).instances[0].vertices.tolist() == [0, 1, 2, 3, 4]


def test_files_of_the_full_resolution_mesh_are_recognised(tmp_path: Path) -> None:
    write_marks(tmp_path, [1] * 60, [(0, "armchair", [1])])
    with pytest.raises(InputError, match=r"(?s)60 vertices, but s_vh_clean_2\.ply has 6.*full-resolution"):
        read_marked_scene(tmp_path, "s", {})
    write_marks(tmp_path, [1] * 6, [(0, "armchair", [1, 5000])])
    with pytest.raises(InputError, match=r"segment 5000.*not s_vh_clean\.aggregation\.json"):
        read_marked_scene(tmp_path, "s", {})


def test_the_classes_are_the_seventeen() -> None:
    assert sorted(CLASS_OF_NYU40.values()) == sorted(SCANNET_CLASSES)
    assert len(SCANNET_CLASSES) == 17


# --- a traced room, written and read back

SIZE, FOCAL = (96, 72), 80.0
TURN = 0.25
BOXES = {  # kind: low and high corner, metres; the cabinet hides the night stand and the sink, and most of the window
    "sofa": ((-1.5, 2.0, 0.0), (-0.3, 2.8, 0.8)),
    "cabinet": ((0.2, 2.0, 0.0), (1.2, 2.4, 1.6)),
    "night stand": ((0.5, 2.5, 0.0), (0.9, 2.9, 0.5)),
    "window": ((0.6, 3.0, 0.0), (1.0, 3.1, 2.2)),
    "sink": ((0.55, 2.5, 0.6), (0.85, 2.8, 0.8)),
}
WALLS = ((-3.0, -3.0, 0.0), (3.0, 4.0, 2.6))


def trace(origin: np.ndarray, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance along each ray (N, 3) to the nearest box and its number; the walls are a box seen from within."""
    nearest, owners = np.full(len(rays), np.inf), np.full(len(rays), NOTHING)
    with np.errstate(divide="ignore"):
        for owner, (low, high) in [(NOTHING, WALLS), *enumerate(BOXES.values())]:
            a, b = (np.array(low) - origin) / rays, (np.array(high) - origin) / rays
            enter, leave = np.minimum(a, b).max(1), np.maximum(a, b).min(1)
            t = leave if owner == NOTHING else enter
            closer = (enter <= leave) & (t > 0) & (t < nearest)
            nearest[closer], owners[closer] = t[closer], owner
    return nearest, owners


def surface(low: Sequence[float], high: Sequence[float], step: float = 0.05) -> np.ndarray:
    """Points on the sides and the top of a box."""
    grid = np.stack(np.meshgrid(*[np.linspace(a, b, round((b - a) / step) + 1) for a, b in zip(low, high)]), -1)
    points = grid.reshape(-1, 3)
    on = np.isclose(points[:, :2], low[:2]) | np.isclose(points[:, :2], high[:2])
    return points[on.any(1) | np.isclose(points[:, 2], high[2])]


def room(name: str, n_frames: int = 10) -> RoomScan:
    K = np.array([[FOCAL, 0, SIZE[0] / 2], [0, FOCAL, SIZE[1] / 2], [0, 0, 1]])
    v, u = np.mgrid[: SIZE[1], : SIZE[0]]
    rays = np.stack([(u - K[0, 2]) / FOCAL, (v - K[1, 2]) / FOCAL, np.ones_like(u)], -1).reshape(-1, 3)
    palette = np.array(
        [[200, 60, 60], [60, 200, 60], [60, 60, 200], [200, 200, 60], [60, 200, 200], [120, 120, 120]], np.uint8
    )
    taken = []
    looking = yaw_rotation(TURN) @ [[1, 0, 0], [0, 0, 1], [0, -1, 0]]  # along y, turned, so that no depth is flat
    for number in range(n_frames):
        pose = rigid(looking, [-0.6 + 0.2 * number, -0.8, 0.9])
        depth, owners = trace(pose[:3, 3], rays @ pose[:3, :3].T)  # rays have z = 1: distance is depth
        taken.append(
            RgbdFrame(
                palette[owners].reshape(SIZE[1], SIZE[0], 3),
                depth.astype(np.float32).reshape(SIZE[1], SIZE[0]),
                owners.astype(np.int32).reshape(SIZE[1], SIZE[0]),
                K,
                pose,
            )
        )
    objects = [
        RoomObject(kind, rigid(np.eye(3), np.add(low, high) / 2), np.subtract(high, low))
        for kind, (low, high) in BOXES.items()
    ]
    parts = [surface(low, high) for low, high in BOXES.values()]
    floor = np.array([[x, y, 0.0] for x in np.arange(-3, 3, 0.2) for y in np.arange(-3, 4, 0.2)])
    vertices = np.concatenate([*parts, floor]).astype(np.float32)
    owners = np.concatenate([*(np.full(len(p), k) for k, p in enumerate(parts)), np.full(len(floor), NOTHING)])
    faces = np.arange(len(vertices) // 3 * 3, dtype=np.int32).reshape(-1, 3)
    return RoomScan(name, objects, taken, vertices, palette[owners], faces, owners.astype(np.int32))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Data root of two written rooms, and the folder of what the stages made of them."""
    root, out = tmp_path_factory.mktemp("root"), tmp_path_factory.mktemp("out")
    for name in ("roomA", "roomB"):
        write_scene(root, room(name))
    write_tables(root, ["roomA"], ["roomB"])
    chosen = ONE.model_copy(update={"train": "train", "val": "val"})
    frames.run(root, out / "frames", "rooms", chosen)
    annotations.run(root, out / "annotations", "rooms", chosen)
    objects = out / "objects.parquet"
    scannet_objects.run(out / "frames" / f"{VAL}.parquet", root, objects, out / "objects.h5", ScannetObjectsSettings())
    return root, out


def test_depths_of_a_written_room_lie_on_its_surfaces(built: tuple[Path, Path]) -> None:
    root, out = built
    rows = list(iterate_rows(out / "frames" / f"{TRAIN}.parquet"))
    scan = room("roomA")
    lost = [k for k in range(len(scan.frames)) if k % LOST_EVERY == LOST_AT]
    assert [int(row["sample"][-6:]) for row in rows] == [k for k in range(len(scan.frames)) if k not in lost]
    assert read_header(out / "frames" / f"{TRAIN}.parquet")["counts"]["frames_without_pose"] == len(lost) == 1
    for row in rows[::4]:
        points = load_points(row["clouds"], root)[:, :3].astype(np.float64)
        frame = scan.frames[int(row["sample"][-6:])]
        assert len(points) == SIZE[0] * SIZE[1] / 4
        centre = frame.T_room_from_cam[:3, 3]
        distance, _ = trace(centre, points - centre)  # 1 where the point is what its ray meets first
        assert np.median(np.abs(distance - 1)) < 1e-3
        image = read_image(root / row["image_path"], SIZE).astype(int)
        assert np.abs(image - frame.image).mean() < 8


def test_annotations_are_the_boxes_of_the_room(built: tuple[Path, Path]) -> None:
    rows = list(iterate_rows(built[1] / "annotations" / f"{VAL}.parquet"))
    assert [(row["category"], row["class_name"]) for row in rows] == [
        ("sofa", "sofa"),
        ("cabinet", "cabinet"),
        ("night stand", None),
        ("window", "window"),
        ("sink", "sink"),
    ]
    for row, (low, high) in zip(rows, BOXES.values()):
        T = np.reshape(row["T_points_from_box"], (4, 4))
        np.testing.assert_allclose(T, rigid(np.eye(3), np.add(low, high) / 2), atol=1e-4)
        np.testing.assert_allclose(row["size_lwh"], np.subtract(high, low), atol=1e-4)
        assert (row["sample"], row["scene"]) == ("roomB", "roomB")


def test_objects_have_the_points_of_their_mask_and_the_frame_that_shows_most_of_them(built: tuple[Path, Path]) -> None:
    out = built[1]
    header = read_header(out / "objects.parquet")
    assert header["counts"] == {"scenes": 1, "scenes_not_marked": 0, "frames": 9, "annotations": 5, "objects": 4}
    assert header["skipped"] == {"not_in_benchmark": 1}
    rows = list(iterate_rows(out / "objects.parquet"))
    assert [row["class_name"] for row in rows] == ["sofa", "cabinet", "window", "sink"]
    scan = room("roomB")
    kinds = list(BOXES)
    with RaggedReader(out / "objects.h5") as reader:
        assert len(reader) == 4
        for index, row in enumerate(rows):
            owner = kinds.index(row["category"])
            mine = scan.vertices[scan.owners == owner]
            assert row["n_points"] == len(mine)
            np.testing.assert_allclose(reader[index][:, :3], mine, atol=1e-4)
    for row in rows[:3]:
        owner = kinds.index(row["category"])
        number = int(row["camera"][-6:])
        v, u = np.nonzero(scan.frames[number].owners == owner)
        np.testing.assert_allclose(row["box"], [u.min(), v.min(), u.max(), v.max()], atol=2.5)
        pixels = [(frame.owners == owner).sum() for k, frame in enumerate(scan.frames) if k != LOST_AT]
        assert (scan.frames[number].owners == owner).sum() > 0.8 * max(pixels)  # vertices decide, not pixels
        crop = cv2.imdecode(np.frombuffer(row["image"], np.uint8), cv2.IMREAD_COLOR_RGB)
        middle = crop[crop.shape[0] // 2, crop.shape[1] // 2].astype(int)
        assert np.abs(middle - scan.frames[number].image[(v.min() + v.max()) // 2, (u.min() + u.max()) // 2]).max() < 25
    hidden = rows[3]
    assert (hidden["camera"], hidden["image"]) == (None, None)
    assert np.isnan(hidden["box"]).all()
    assert np.isnan(hidden["ego_distance_m"])


def test_scenes_without_a_recording_are_asked_about_without_pictures(built: tuple[Path, Path], tmp_path: Path) -> None:
    root = tmp_path / "root"
    write_scene(root, room("roomB", 2))
    write_tables(root, [], ["roomB"])
    (root / "scans" / "roomB" / "roomB.sens").unlink()
    frames.run(root, tmp_path / "frames", "rooms", ONE)
    shard = tmp_path / "frames" / f"{VAL}.parquet"
    assert read_header(shard)["counts"]["scenes_without_sens"] == 1
    scannet_objects.run(shard, root, tmp_path / "o.parquet", tmp_path / "o.h5", ScannetObjectsSettings(min_points=200))
    rows = list(iterate_rows(tmp_path / "o.parquet"))
    assert [(row["class_name"], row["camera"]) for row in rows] == [
        ("sofa", None),
        ("cabinet", None),
        ("window", None),
    ]
    assert read_header(tmp_path / "o.parquet")["skipped"] == {"few_points": 1, "not_in_benchmark": 1}


def test_unreadable_images_are_counted_and_the_next_best_is_taken(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write_scene(root, room("roomB", 6))
    write_tables(root, [], ["roomB"])
    frames.run(root, tmp_path / "frames", "rooms", ONE)
    shard = tmp_path / "frames" / f"{VAL}.parquet"
    lenient = ScannetObjectsSettings(max_bad_share=0.5)
    scannet_objects.run(shard, root, tmp_path / "a.parquet", tmp_path / "a.h5", lenient)
    best = next(iterate_rows(tmp_path / "a.parquet"))["camera"]
    path = root / "scans" / "roomB" / "roomB.sens"
    index = list(sens.iterate_frames(path, sens.read_header(path)))
    other = next(frame.number for frame in index if frame.number != int(best[-6:]))
    data = bytearray(path.read_bytes())
    for offset, size in (index[int(best[-6:])].colour, index[other].depth):
        data[offset : offset + size] = bytes(size)
    path.write_bytes(data)
    scannet_objects.run(shard, root, tmp_path / "b.parquet", tmp_path / "b.h5", lenient)
    row = next(iterate_rows(tmp_path / "b.parquet"))
    assert row["camera"] not in (None, best)
    counted = read_header(tmp_path / "b.parquet")["bad_frames"]["counts"]
    assert counted == {"depth_unreadable": 1, "image_unreadable": 1}
    with pytest.raises(InputError, match="could not be read"):
        scannet_objects.run(shard, root, tmp_path / "c.parquet", tmp_path / "c.h5", ScannetObjectsSettings())


def test_same_input_gives_the_same_bytes(built: tuple[Path, Path], tmp_path: Path) -> None:
    root, out = built
    write_scene(tmp_path, room("roomB"))
    for path in (tmp_path / "scans" / "roomB").iterdir():
        assert path.read_bytes() == (root / "scans" / "roomB" / path.name).read_bytes()
    chosen = ONE.model_copy(update={"train": "train", "val": "val"})
    frames.run(root, tmp_path / "frames", "rooms", chosen)
    shard = tmp_path / "frames" / f"{VAL}.parquet"
    assert shard.read_bytes() == (out / "frames" / f"{VAL}.parquet").read_bytes()
    scannet_objects.run(shard, root, tmp_path / "o.parquet", tmp_path / "o.h5", ScannetObjectsSettings())
    assert (tmp_path / "o.parquet").read_bytes() == (out / "objects.parquet").read_bytes()


def test_the_written_world_is_not_the_rooms_own(built: tuple[Path, Path]) -> None:
    vertices = read_ply_vertices(built[0] / "scans" / "roomA" / "roomA_vh_clean_2.ply")
    assert np.abs(vertices - room("roomA").vertices).max() > 0.5
    facts = (built[0] / "scans" / "roomA" / "roomA.txt").read_text()
    T = np.array([float(x) for x in facts.split("axisAlignment = ")[1].split("\n")[0].split()]).reshape(4, 4)
    np.testing.assert_allclose(transform_points(vertices, T), room("roomA").vertices, atol=1e-4)


def test_survey(built: tuple[Path, Path], tmp_path: Path) -> None:
    found = survey(built[0], ONE.model_copy(update={"train": "train", "val": "val"}))
    assert not found.fatal
    assert found.used == {"train": 10, "val": 10}
    assert all(item.found == item.wanted for item in found.items)
    (tmp_path / "scannetv2_val.txt").write_text("absent\n")
    broken = survey(tmp_path, ScannetSettings())
    assert len(broken.fatal) == 2
    assert "scannetv2_train.txt" in broken.fatal[0]
    assert "none of the 1 scenes" in broken.fatal[1]
