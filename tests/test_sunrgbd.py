"""SUN RGB-D ingest in both layouts.

Real: frame 000001 in VoteNet's layout (calibration, cloud, labels, picture); frames.json reads it independently.
Made: the same frame in the official layout (depth image from the real cloud, metadata by hand), and small ray-cast
rooms written by the built-in world's writer, for everything that is missing, damaged or odd.
"""

import json
import shutil
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.io import loadmat, savemat

from clip2.geometry import points_in_oriented_box, project_points, rigid, yaw_rotation
from clip2.runtime.errors import InputError
from clip2.scans.clouds import CloudError, load_points, read_cloud
from clip2.scans.depth import depth_cloud
from clip2.scans.shards import shard_names
from clip2.scans.sunrgbd import annotations, frames
from clip2.scans.sunrgbd.boxes import box_from_axes, read_boxes
from clip2.scans.sunrgbd.matlab import MatlabError, load
from clip2.scans.sunrgbd.official import inside_release
from clip2.scans.sunrgbd.settings import SunrgbdSettings
from clip2.scans.sunrgbd.survey import survey
from clip2.store.tables import iterate_rows, read_header
from clip2_world.marker import write_marker
from clip2_world.rgbd import NOTHING, RgbdFrame, RoomObject
from clip2_world.rooms.sunrgbd_writer import METADATA, SPLITS, encode_depth, write_frame, write_tables

ONE = {"train_shards": 1, "val_shards": 1}
ALL = SunrgbdSettings(train="all", val="all", **ONE)
K = np.array([[130.0, 0, 80], [0, 132.0, 61], [0, 0, 1]])
OBJECTS = [
    RoomObject("night stand", rigid(yaw_rotation(0.4), [2.6, 1.1, 0.4]), np.array([0.5, 0.7, 0.8])),
    RoomObject("cardboard box", rigid(yaw_rotation(-1.9), [3.4, 0.2, 0.3]), np.array([0.6, 0.3, 0.6])),
    RoomObject("bed", rigid(np.eye(3), [-3.0, 0.0, 0.3]), np.array([2.0, 1.6, 0.6])),  # behind the camera
]


def ray_cast(yaw: float, pitch: float) -> RgbdFrame:
    """A picture of OBJECTS on a floor: 160×120, the camera at 1.3 m, turned left by yaw and down by pitch."""
    forward = np.array([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), -np.sin(pitch)])
    right = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
    rotation = np.stack([right, np.cross(forward, right), forward], axis=1)
    origin = np.array([0.2, -0.1, 1.3])
    v, u = np.mgrid[:120, :160]
    rays = np.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], np.ones(u.shape)], axis=-1) @ rotation.T
    with np.errstate(divide="ignore"):
        depth = np.where(rays[..., 2] < 0, -origin[2] / rays[..., 2], np.inf)
    owners = np.full(depth.shape, NOTHING, np.int32)
    for number, item in enumerate(OBJECTS):
        R, centre = item.T_room_from_box[:3, :3], item.T_room_from_box[:3, 3]
        start, direction = (origin - centre) @ R, rays @ R
        slabs = np.sort(np.stack([(s * item.size_lwh / 2 - start) / direction for s in (-1, 1)]), axis=0)
        enter, leave = slabs[0].max(-1), slabs[1].min(-1)
        hit = (enter < leave) & (enter > 0) & (enter < depth)
        depth, owners = np.where(hit, enter, depth), np.where(hit, np.int32(number), owners)
    metres = np.where(depth < 7.9, depth, 0).astype(np.float32)
    image = np.zeros((120, 160, 3), np.uint8)
    image[..., 0] = 60 * (owners + 2)
    return RgbdFrame(image, metres, owners, K, rigid(rotation, origin))


VIEWS = [ray_cast(0.35, 0.3), ray_cast(0.1, 0.2), ray_cast(2.0, 0.25)]  # the last sees the floor alone


@pytest.fixture
def rooms(tmp_path: Path) -> tuple[Path, list[dict[str, Any]]]:
    """Data root with three made frames in the official layout, two of them for training; their records."""
    root = tmp_path / "data"
    records = [write_frame(root, index, view, OBJECTS) for index, view in enumerate(VIEWS)]
    names = [record["name"] for record in records]
    write_tables(root, records, names[:2], names[2:])
    write_marker(root, "SUN RGB-D")
    return root, json.loads(json.dumps(records))


def ingest(root: Path, out: Path, settings: SunrgbdSettings) -> dict[str, list[dict[str, Any]]]:
    """Both stages; rows by "frames" and "annotations" of the first training shard."""
    frames.run(root, out / "frames", "test", settings)
    annotations.run(root, out / "annotations", "test", settings)
    shard = shard_names("train", settings.train_shards)[0]
    return {kind: list(iterate_rows(out / kind / f"{shard}.parquet")) for kind in ("frames", "annotations")}


def box_of(row: dict[str, Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.reshape(row["T_points_from_box"], (4, 4)), np.array(row["size_lwh"])


@pytest.fixture(scope="module")
def frame_facts(realdata: Path) -> dict[str, Any]:
    listed = json.loads((realdata / "frames.json").read_text())["frames"]
    return next(frame for frame in listed if frame["set"] == "sunrgbd")


@pytest.fixture(scope="module")
def real(realdata: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[dict[str, Any]]]]:
    root = realdata / "sunrgbd"
    settings = SunrgbdSettings(val="all", **ONE)
    return root, ingest(root, tmp_path_factory.mktemp("votenet"), settings)


@pytest.mark.real
def test_real_calibration_and_boxes_equal_an_independent_reading(
    real: tuple[Path, dict[str, list[dict[str, Any]]]], frame_facts: dict[str, Any]
) -> None:
    root, rows = real
    (frame,) = rows["frames"]
    camera = frame_facts["cameras"]["CAM0"]
    assert frame["frame_id"] == "000001"
    assert (frame["width"], frame["height"]) == (camera["width"], camera["height"]) == (730, 530)
    np.testing.assert_array_equal(np.reshape(frame["K"], (3, 3)), camera["K"])
    np.testing.assert_array_equal(np.reshape(frame["T_cam_from_points"], (4, 4)), camera["T_cam_from_points"])
    points = np.fromfile(root / "points" / "000001.bin", np.float32).reshape(-1, 6)
    assert [row["category"] for row in rows["annotations"]] == [box["class"] for box in frame_facts["boxes"]]
    for row, box in zip(rows["annotations"], frame_facts["boxes"]):
        T, size = box_of(row)
        np.testing.assert_allclose(T[:3, 3], box["center"], atol=1e-6)
        np.testing.assert_allclose(T[:3, :3], box["R"], atol=1e-6)
        np.testing.assert_allclose(size, box["size_lwh"], atol=1e-6)
        assert int(points_in_oriented_box(points, T, size).sum()) == box["num_points"]
    classes = [row["class_name"] for row in rows["annotations"]]
    assert classes == ["bed", "night_stand", None, None, "dresser", None]


@pytest.mark.real
def test_real_points_lie_on_the_pixel_grid_one_pixel_off_as_matlab_counts(
    real: tuple[Path, dict[str, list[dict[str, Any]]]],
) -> None:
    root, rows = real
    (frame,) = rows["frames"]
    points = load_points(frame["clouds"], root)
    assert points.shape == (280961, 4)
    uv, depth = project_points(points, np.reshape(frame["T_cam_from_points"], (4, 4)), np.reshape(frame["K"], (3, 3)))
    pixels = np.rint(uv).astype(int)
    assert np.abs(uv - pixels).max() < 0.01
    assert np.abs(1000 * depth - np.rint(1000 * depth)).max() < 0.01  # depths are whole millimetres
    assert pixels.min(0).tolist() == [1, 1]
    assert pixels.max(0).tolist() == [730, 530]
    assert len(np.unique(pixels, axis=0)) == len(points)
    # The colours say which pixel it really is: the one before, since MATLAB's grid starts at 1.
    colours = loadmat(root / frame["clouds"][0]["path"])["instance"][:, 3:]
    image = cv2.imread(str(root / frame["image_path"]))[..., ::-1] / 255
    np.testing.assert_allclose(image[pixels[:, 1] - 1, pixels[:, 0] - 1], colours, atol=1e-6)


@pytest.mark.real
def test_real_frame_in_the_official_layout_gives_the_same_cloud_and_boxes(
    real: tuple[Path, dict[str, list[dict[str, Any]]]], tmp_path: Path
) -> None:
    votenet, rows = real
    (frame,) = rows["frames"]
    name = "SUNRGBD/kv2/kinect2data/000002_2014-05-26_14-23-37_260595134347_rgbf000103-resize"
    folder = tmp_path / "OFFICIAL_SUNRGBD" / name
    cloud = load_points(frame["clouds"], votenet)[:, :3].astype(np.float64)
    T_cam_from_points = np.reshape(frame["T_cam_from_points"], (4, 4))
    K_real = np.reshape(frame["K"], (3, 3))
    uv, metres = project_points(cloud, T_cam_from_points, K_real)
    u, v = np.rint(uv).astype(int).T - 1
    millimetres = np.zeros((530, 730), np.uint16)
    millimetres[v, u] = np.rint(metres * 1000)
    for kind in ("image", "depth_bfx"):
        (folder / kind).mkdir(parents=True)
    shutil.copy(votenet / frame["image_path"], folder / "image" / "0000103.jpg")
    rotated = (millimetres.astype(np.uint32) << 3 | millimetres >> 13).astype(np.uint16)  # readDepth.m backwards
    cv2.imwrite(str(folder / "depth_bfx" / "0000103.png"), rotated)
    calib = (votenet / "sunrgbd_trainval/calib/000001.txt").read_text().splitlines()
    label = [line.split() for line in (votenet / "sunrgbd_trainval/label/000001.txt").read_text().splitlines()]
    boxes = np.empty(
        (1, len(label)), [(field, object) for field in ("basis", "coeffs", "centroid", "classname", "orientation")]
    )
    for index, (category, *words) in enumerate(label):
        numbers = np.array(words, float)
        ox, oy = numbers[10:] / np.linalg.norm(numbers[10:])
        basis = np.array([[oy, -ox, 0], [-ox, -oy, 0], [0, 0, 1]])
        boxes[0, index] = (basis, -numbers[None, 7:10], numbers[None, 4:7], category, np.array([[ox, oy, 0.0]]))
    entry = {
        "sequenceName": name,
        "Rtilt": np.reshape(np.array(calib[0].split(), float), (3, 3), order="F"),
        "K": K_real,
        "depthpath": f"/n/fs/sun3d/data/{name}/depth_bfx/0000103.png",
        "rgbpath": f"/n/fs/sun3d/data/{name}/image/0000103.jpg",
        "groundtruth3DBB": boxes,
    }
    savemat(tmp_path / METADATA, {"SUNRGBDMeta": entry})
    official = ingest(tmp_path, tmp_path / "out", ALL)
    (made,) = official["frames"]
    assert made["scene"] == made["sample"] == name
    assert made["K"] == frame["K"]
    assert made["T_cam_from_points"] == frame["T_cam_from_points"]
    points = load_points(made["clouds"], tmp_path)[:, :3]
    shown, _ = project_points(points, T_cam_from_points, K_real)
    # Both clouds in the order of pixels; the toolbox's pixel (1, 1) is our (0, 0), which moves a point by depth / f.
    near = np.rint(1000 * metres) <= 8000
    order = np.lexsort((u[near], v[near]))
    shift = metres[near, None] * [-1 / K_real[0, 0], -1 / K_real[1, 1], 0] @ T_cam_from_points[:3, :3]
    assert len(points) == near.sum() > 250_000
    assert np.abs(points - (cloud[near] + shift)[order]).max() < 1e-3
    assert np.abs(shown - np.stack([u[near], v[near]], axis=1)[order]).max() < 0.01
    for row, expected in zip(official["annotations"], rows["annotations"], strict=True):
        assert row["class_name"] == expected["class_name"]
        np.testing.assert_allclose(row["T_points_from_box"], expected["T_points_from_box"], atol=2e-6)
        np.testing.assert_allclose(row["size_lwh"], expected["size_lwh"], atol=1e-9)


@pytest.mark.real
def test_what_votenets_scripts_left_out_is_counted(realdata: Path, tmp_path: Path) -> None:
    root = tmp_path / "data"
    shutil.copytree(realdata / "sunrgbd" / "sunrgbd_trainval", root / "sunrgbd_trainval", copy_function=shutil.copyfile)
    for folder in (root / "sunrgbd_trainval", *(root / "sunrgbd_trainval").iterdir()):
        folder.chmod(0o755)
    (root / "sunrgbd_trainval/val_data_idx.txt").write_text("1\n2\n")  # 2 was never written: votenet issue 90
    told = survey(root, SunrgbdSettings(**ONE))
    assert told.used == {"train": 1, "val": 1}
    assert {item.name: (item.found, item.wanted) for item in told.items}["calibrations"] == (1, 2)
    assert any("val: 1 of 2" in reason for reason in told.fatal)
    assert any("10335" in remark for remark in told.remarks)
    with pytest.raises(InputError, match="could not be read"):
        frames.run(root, tmp_path / "out", "test", SunrgbdSettings(**ONE))
    frames.run(root, tmp_path / "out", "test", SunrgbdSettings(max_bad_share=0.5, **ONE))
    header = read_header(tmp_path / "out" / "val-000of001.parquet")
    assert header["bad_frames"]["counts"] == {"calibration_missing": 1}
    with pytest.raises(InputError, match="label_v1"):
        annotations.run(root, tmp_path / "out", "test", SunrgbdSettings(labels="v1", **ONE))


def test_made_frames_keep_gravity_and_their_boxes_hold_their_points(
    rooms: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    root, records = rooms
    rows = ingest(root, tmp_path / "out", ALL)
    assert [row["scene"] for row in rows["frames"]] == [record["name"] for record in records]
    assert [row["fine_name"] for row in rows["annotations"]] == ["night stand", "cardboard box"] * 2
    assert [row["class_name"] for row in rows["annotations"]] == ["night_stand", None] * 2
    for frame, view in zip(rows["frames"], VIEWS):
        points = load_points(frame["clouds"], root)
        seen = view.depth > 0
        assert len(points) == seen.sum()
        room = depth_cloud_of(view) @ view.T_room_from_cam[:3, :3].T
        np.testing.assert_allclose(points[:, 2], room[:, 2], atol=1e-3)  # z is up, 0 at the camera
        np.testing.assert_allclose(np.hypot(*points.T[:2]), np.hypot(*room.T[:2]), atol=1e-3)
        uv, depth = project_points(
            points, np.reshape(frame["T_cam_from_points"], (4, 4)), np.reshape(frame["K"], (3, 3))
        )
        np.testing.assert_allclose(uv, np.argwhere(seen)[:, ::-1], atol=1e-3)
        np.testing.assert_allclose(depth, view.depth[seen], atol=5.1e-4)
        axis = np.reshape(frame["T_cam_from_points"], (4, 4))[2, :3]
        assert axis[0] == pytest.approx(0, abs=1e-12)  # the camera looks along y
        assert axis[1] > 0.5
        for row in (row for row in rows["annotations"] if row["sample"] == frame["sample"]):
            number = [item.kind for item in OBJECTS].index(row["fine_name"])
            T, size = box_of(row)
            inside = points_in_oriented_box(points, T, size, margin=2e-3)
            assert inside[view.owners[seen] == number].all()
            assert np.linalg.det(T[:3, :3]) == pytest.approx(1)
            np.testing.assert_allclose(size, OBJECTS[number].size_lwh)
            assert row["num_lidar_pts"] == -1


def depth_cloud_of(view: RgbdFrame) -> NDArray[np.float64]:
    """A view's points in the camera's frame, by the pinhole formula alone."""
    v, u = np.nonzero(view.depth)
    rays = np.stack([u, v, np.ones(len(u))], axis=1) @ np.linalg.inv(K).T
    return rays * view.depth[v, u, None]


def test_without_metadata_the_frames_own_files_say_the_same(
    rooms: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    root, _ = rooms
    with_metadata = ingest(root, tmp_path / "with", ALL)
    (root / METADATA).unlink()
    without = ingest(root, tmp_path / "without", ALL)
    assert "extrinsics" in read_header(tmp_path / "without/frames/train-000of001.parquet")["layout"]
    for kind, field in (("frames", "T_cam_from_points"), ("frames", "K"), ("annotations", "T_points_from_box")):
        for a, b in zip(with_metadata[kind], without[kind], strict=True):
            np.testing.assert_allclose(a[field], b[field], atol=1e-5)
    for a, b in zip(with_metadata["annotations"], without["annotations"], strict=True):
        np.testing.assert_allclose(a["size_lwh"], b["size_lwh"], atol=1e-9)
        assert a["category"] == b["category"]
    assert [row["clouds"][0]["path"] for row in without["frames"]] == [
        row["clouds"][0]["path"] for row in with_metadata["frames"]
    ]


def test_the_split_file_decides_and_a_swapped_one_swaps(
    rooms: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    root, records = rooms
    names = [record["name"] for record in records]
    settings = SunrgbdSettings(**ONE)
    assert [row["scene"] for row in ingest(root, tmp_path / "a", settings)["frames"]] == names[:2]
    halves = SunrgbdSettings(train="trainval_train,frame:" + names[2], val="trainval_val", **ONE)
    assert [row["scene"] for row in ingest(root, tmp_path / "b", halves)["frames"]] == [names[0], names[2]]
    write_tables(root, records, names[2:], names[:2])
    assert [row["scene"] for row in ingest(root, tmp_path / "c", settings)["frames"]] == names[2:]
    (root / "BUILT_IN_WORLD").unlink()
    write_tables(root, records, [f"SUNRGBD/kv1/{i}" for i in range(5050)], [f"SUNRGBD/kv2/{i}" for i in range(5285)])
    told = survey(root, settings)
    assert any("swapped" in remark for remark in told.remarks)
    assert told.used == {"train": 0, "val": 0}
    (root / SPLITS).unlink()
    with pytest.raises(InputError, match=r"needs SUNRGBDtoolbox/traintestSUNRGBD/allsplit\.mat"):
        frames.run(root, tmp_path / "d", "test", settings)
    with pytest.raises(InputError, match="unknown"):
        frames.run(root, tmp_path / "d", "test", SunrgbdSettings(train="test"))
    with pytest.raises(InputError, match="no such frame"):
        frames.run(root, tmp_path / "d", "test", SunrgbdSettings(train="frame:000009"))


def test_missing_and_damaged_frames_are_counted_and_passed_over(
    rooms: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    root, records = rooms
    folders = [root / record["name"] for record in records]
    next(folders[0].glob("image/*.jpg")).unlink()
    next(folders[1].glob("depth_bfx/*.png")).write_bytes(b"not a picture")
    settings = ALL.model_copy(update={"max_bad_share": 0.9})
    rows = ingest(root, tmp_path / "out", settings)
    header = read_header(tmp_path / "out/frames/train-000of001.parquet")
    assert header["bad_frames"]["counts"] == {"depth_unreadable": 1, "image_missing": 1}
    assert header["counts"] == {"samples": 3, "frames": 1}
    assert [row["scene"] for row in rows["frames"]] == [records[2]["name"]]
    counts = read_header(tmp_path / "out/annotations/train-000of001.parquet")["counts"]
    assert counts == {
        "samples": 3,
        "samples_without_boxes": 1,
        "samples_not_there": 0,
        "boxes_malformed": 0,
        "annotations": 4,
    }
    told = survey(root, ALL)
    assert [(item.found, item.wanted) for item in told.items[:3]] == [(2, 3), (3, 3), (3, 3)]
    assert told.items[0].first_missing == str(root / records[0]["name"] / "image/0000000.jpg")
    assert told.used == {"train": 2, "val": 2}
    with pytest.raises(InputError, match="2 of 3 frames"):
        frames.run(root, tmp_path / "again", "test", ALL)


def test_empty_and_odd_metadata_entries_are_survived(rooms: tuple[Path, list[dict[str, Any]]], tmp_path: Path) -> None:
    root, _ = rooms
    entries = loadmat(root / METADATA)["SUNRGBDMeta"]
    odd = np.empty((1, 6), entries.dtype)
    odd[0, :3] = entries[0]
    empty = np.zeros((0, 0))
    odd[0, 3] = (empty,) * len(entries.dtype.names)  # nothing at all
    odd[0, 4] = tuple(entries[0, 0])  # a frame named twice
    odd[0, 5] = tuple(entries[0, 0])
    odd[0, 5]["depthpath"] = "/n/fs/sun3d/data/SUNRGBD/kv2/other/depth/1.png"
    odd[0, 5]["K"] = empty
    boxes = odd[0, 0]["groundtruth3DBB"].copy()
    boxes[0, 0]["centroid"] = empty
    boxes[0, 1]["orientation"] = empty
    odd[0, 0]["groundtruth3DBB"] = boxes
    savemat(root / METADATA, {"SUNRGBDMeta": odd})
    settings = ALL.model_copy(update={"max_bad_share": 0.5})
    rows = ingest(root, tmp_path / "out", settings)
    assert len(rows["frames"]) == 3
    header = read_header(tmp_path / "out/frames/train-000of001.parquet")
    assert header["bad_frames"]["counts"] == {"calibration_missing": 1}
    assert read_header(tmp_path / "out/annotations/train-000of001.parquet")["counts"]["boxes_malformed"] == 1
    assert any("2 entries of the metadata" in remark for remark in survey(root, settings).remarks)


@pytest.mark.parametrize("content", [b"", b"MATLAB 5.0 MAT-file", b"\x89HDF\r\n\x1a\n" + bytes(600)])
def test_a_damaged_metadata_file_is_named(
    rooms: tuple[Path, list[dict[str, Any]]], tmp_path: Path, content: bytes
) -> None:
    root, _ = rooms
    (root / METADATA).write_bytes(content)
    with pytest.raises(InputError, match=METADATA):
        frames.run(root, tmp_path / "out", "test", ALL)
    assert METADATA in survey(root, ALL).fatal[0]


def test_labels_of_a_version_that_is_not_there_are_refused(
    rooms: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    root, _ = rooms
    with pytest.raises(InputError, match=r"labels 'v1' need SUNRGBDMeta\.mat"):
        annotations.run(root, tmp_path / "out", "test", SunrgbdSettings(labels="v1", **ONE))
    (root / METADATA).rename(root / "SUNRGBDMeta.mat")
    assert len(ingest(root, tmp_path / "out", ALL.model_copy(update={"labels": "v1"}))["annotations"]) == 4


def test_a_folder_without_either_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has to hold SUNRGBD/"):
        frames.run(tmp_path, tmp_path / "out", "test", ALL)
    assert survey(tmp_path / "none", ALL).fatal


def test_tables_and_shards_have_the_same_bytes_again(rooms: tuple[Path, list[dict[str, Any]]], tmp_path: Path) -> None:
    root, records = rooms
    names = [record["name"] for record in records]
    before = [(root / name).read_bytes() for name in (METADATA, SPLITS)]
    write_tables(root, records, names[:2], names[2:])
    assert [(root / name).read_bytes() for name in (METADATA, SPLITS)] == before
    settings = SunrgbdSettings(train_shards=3, val_shards=2)
    for folder in ("a", "b"):
        ingest(root, tmp_path / folder, settings)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.parquet"))
    assert len(files) == 10
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in files)


@pytest.mark.parametrize(
    ("path", "inside"),
    [
        ("/n/fs/sun3d/data/SUNRGBD/kv2/a/b/depth/1.png", "SUNRGBD/kv2/a/b/depth/1.png"),  # 17 characters before
        ("/SUNRGBD/kv2/a/b/depth/1.png", "SUNRGBD/kv2/a/b/depth/1.png"),  # what stripping 16 leaves
        ("SUNRGBD/xtion/a/b", "SUNRGBD/xtion/a/b"),
        ("/n/fs/sun3d/data//SUNRGBD/kv1//NYUdata/NYU0001/", "SUNRGBD/kv1/NYUdata/NYU0001"),
        ("/data/SUNRGBD/SUNRGBD/realsense/sa/1/image/x.jpg", "SUNRGBD/realsense/sa/1/image/x.jpg"),
        ("/n/fs/sun3d/data/rgbd_voc/1", ""),
        ("", ""),
    ],
)
def test_metadata_paths_are_taken_from_the_release_folder_on(path: str, inside: str) -> None:
    assert inside_release(path) == inside


def test_polygons_with_swapped_heights_nulls_and_nonsense(tmp_path: Path) -> None:
    square = {"X": [1, 2, 2, 1], "Z": [3, 3, 4, 4], "Ymin": 0.5, "Ymax": -0.1}
    objects = [
        None,
        {"name": "chair_:occluded", "polygon": [square]},
        {"name": "chair", "polygon": [{**square, "Ymin": -0.1, "Ymax": 0.5}]},
        {"name": "floor", "polygon": [square]},
        {"name": "desk", "polygon": []},
        {"name": "desk", "polygon": [{**square, "Ymin": None}]},
        {"name": "desk", "polygon": [{**square, "X": [1, 1, 1, 1], "Z": [3, 3, 3, 3]}]},
        {"polygon": [square]},
    ]
    path = tmp_path / "index.json"
    path.write_text(json.dumps({"objects": objects}))
    boxes = read_boxes(path)
    assert boxes[2:] == [None] * 4
    for box in boxes[:2]:
        assert box is not None
        assert box.category == "chair"
        np.testing.assert_allclose(box.size_lwh, [1, 1, 0.6])
        np.testing.assert_allclose(box.T_points_from_box[:3, 3], [1.5, 3.5, -0.2])
        np.testing.assert_allclose(box.T_points_from_box[:3, 0], [0, -1, 0])  # towards the edge of corners 1 and 2
    path.write_text("{")
    assert read_boxes(path) == [None]


LINE = "bed 10 10 50 50 1.0 2.0 -0.5 0.9 1.0 0.4 1 0"


@pytest.mark.parametrize(
    ("data", "category"),
    [
        (LINE.encode(), "bed"),
        (LINE.encode("utf-8-sig"), "bed"),
        (LINE.encode("utf-16"), "bed"),
        (LINE.replace("bed", "night stand").encode(), "night stand"),
        (f"{LINE} 0.9".encode(), None),
        (f"{LINE} 1e-3 0.9".encode(), None),
        (LINE.removesuffix(" 0").encode(), None),
        (b"\xff\xfe\x00", None),
    ],
)
def test_lines_of_votenets_labels(tmp_path: Path, data: bytes, category: str | None) -> None:
    path = tmp_path / "000001.txt"
    path.write_bytes(data)
    (box,) = read_boxes(path)
    assert (box and box.category) == category
    assert box is None or box.size_lwh.tolist() == [2.0, 1.8, 0.8]


def test_left_handed_axes_in_any_order_become_a_right_handed_box() -> None:
    turn = yaw_rotation(0.7)
    basis = np.stack([turn[:, 0], [0, 0, -1.0], turn[:, 1]])
    box = box_from_axes("desk", [1, 2, 3], basis, [0.2, -0.3, 0.4], -turn[:, 1])
    assert box is not None
    np.testing.assert_allclose(box.size_lwh, [0.8, 0.4, 0.6])
    np.testing.assert_allclose(box.T_points_from_box[:3, 0], -turn[:, 1], atol=1e-12)
    np.testing.assert_allclose(box.T_points_from_box[:3, 2], [0, 0, 1])
    assert np.linalg.det(box.T_points_from_box[:3, :3]) == pytest.approx(1)
    assert box_from_axes("desk", [1, 2, 3], [[1, 0, 0], [1, 0.1, 0], [0, 0, 1]], [1, 1, 1], [1, 0, 0]) is None
    assert box_from_axes("desk", [1, 2, 3], np.eye(3), [1, 0, 1], [1, 0, 0]) is None


def test_encoded_depth_is_what_the_toolbox_reads(rooms: tuple[Path, list[dict[str, Any]]]) -> None:
    value = int(encode_depth(np.array([[7.999]], np.float32))[0, 0])
    assert (value >> 3 | value << 13) & 0xFFFF == 7999  # read3dPoints.m
    root, records = rooms
    depth = {"K": K.ravel().tolist(), "width": 160, "height": 120, "metres_per_unit": 0.001}
    path = root / records[0]["name"] / "depth" / "0000000.png"
    np.testing.assert_allclose(
        depth_cloud(path, "depth-png-sunrgbd", depth)[:, :3], depth_cloud_of(VIEWS[0]), atol=2e-3
    )


def test_a_damaged_point_file_is_a_cloud_error(tmp_path: Path) -> None:
    path = tmp_path / "000001.mat"
    path.write_bytes(b"MATLAB")
    with pytest.raises(CloudError, match="no MATLAB 5 header"):
        read_cloud(path, "votenet-mat")
    savemat(path, {"instance": np.zeros((3, 2))})
    with pytest.raises(CloudError, match="instance"):
        read_cloud(path, "votenet-mat")
    with pytest.raises(CloudError, match="no such file"):
        read_cloud(tmp_path / "none.mat", "votenet-mat")


# --- MATLAB files ----------------------------------------------------------------------------------------------------


def variables() -> dict[str, Any]:
    """All that MATLAB files are read for: numbers of several types, text, cells, structs in structs, empty ones."""
    rng = np.random.default_rng(0)
    inner = np.zeros((1, 2), [("basis", object), ("classname", object)])
    inner[0] = [(rng.normal(size=(3, 3)), "chair"), (np.zeros((0, 0)), "night stand")]
    structs = np.zeros((2, 3), [("K", object), ("name", object), ("boxes", object)])
    for i, j in np.ndindex(2, 3):
        structs[i, j] = (rng.normal(size=(1, 9)), f"fr\N{LATIN SMALL LETTER A WITH DIAERESIS}me {i}{j}", inner)
    return {
        "doubles": rng.normal(size=(5, 3)),
        "shorts": np.arange(12, dtype=np.int16).reshape(3, 4),
        "floats": rng.normal(size=(4, 2)).astype(np.float32),
        "text": "hello",
        "nothing": np.zeros((0, 0)),
        "cells": np.array([["a", np.eye(3)], [3.0, "bb"]], object),
        "structs": structs,
    }


def assert_same(ours: Any, scipys: Any) -> None:
    ours, scipys = np.asarray(ours), np.asarray(scipys)
    if scipys.dtype.kind == "U":
        assert ours.ravel().tolist() == scipys.ravel().tolist()
        return
    assert ours.shape == scipys.shape
    if scipys.dtype.names:
        assert ours.dtype.names == scipys.dtype.names
        for one, other in zip(ours.ravel(), scipys.ravel()):
            for name in scipys.dtype.names:
                assert_same(one[name], other[name])
    elif scipys.dtype == object:
        for one, other in zip(ours.ravel(), scipys.ravel()):
            assert_same(one, other)
    else:
        np.testing.assert_array_equal(ours, scipys)


@pytest.mark.parametrize("compressed", [False, True])
def test_a_matlab_file_is_read_as_scipy_reads_it(tmp_path: Path, compressed: bool) -> None:
    path = tmp_path / "x.mat"
    savemat(path, variables(), do_compression=compressed)
    found, scipys = load(path, *variables()), loadmat(path)
    assert found.keys() == variables().keys()
    for name in found:
        assert_same(found[name], scipys[name])


@pytest.mark.parametrize("compressed", [False, True])
def test_a_damaged_matlab_file_is_one_error(tmp_path: Path, compressed: bool) -> None:
    path = tmp_path / "x.mat"
    savemat(path, variables(), do_compression=compressed)
    whole, rng, refused = path.read_bytes(), np.random.default_rng(1), 0
    for trial in range(600):
        data = bytearray(whole)
        if trial % 3:
            for at in rng.integers(0, len(data), 1 + trial % 7):
                data[at] = rng.integers(0, 256)
        else:
            del data[rng.integers(0, len(data)) :]
        path.write_bytes(data)
        try:
            load(path, *variables())
        except MatlabError:
            refused += 1
    assert refused > 100


def test_a_matlab_file_that_unpacks_to_gigabytes_is_refused(tmp_path: Path) -> None:
    head = b"MATLAB 5.0".ljust(124) + b"\x00\x01IM"
    bomb = zlib.compress(bytes(1 << 28), 9)
    (tmp_path / "x.mat").write_bytes(head + struct.pack("<II", 15, len(bomb)) + bomb)
    with pytest.raises(MatlabError, match="too large"):
        load(tmp_path / "x.mat", "x")


def test_an_hdf5_file_of_matlab_7_3_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.mat").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(200))
    with pytest.raises(MatlabError, match="it is an HDF5 file; save it with `-v7`"):
        load(tmp_path / "x.mat", "x")
