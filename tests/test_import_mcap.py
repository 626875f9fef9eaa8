"""`clip2 import mcap`: ROS 2 recordings, written by MCAP's own writer, and Foxglove's, written by our export.

Made: a rig that drives at a constant speed and turns at a constant rate, so that each place is known by a formula.
Real: a drive of KITTI's, written as a ROS 2 recording.
"""

import json
from pathlib import Path
from types import SimpleNamespace as Message
from typing import Any

import cv2
import numpy as np
import pytest
from labelled_world import Labelled
from ros2_recording import Bag, fields, header
from scipy.spatial.transform import Rotation

from clip2.cli import main
from clip2.export.settings import ExportSettings
from clip2.export.stage import export_labels
from clip2.geometry import project_points
from clip2.imports.mcap.pairs import nearest_pairs
from clip2.imports.settings import McapSettings
from clip2.imports.stage import import_recordings
from clip2.runtime.errors import InputError
from clip2.scans.clouds import load_points
from clip2.scans.folder import frames as folder_frames
from clip2.scans.folder.settings import FolderSettings
from clip2.scans.images import read_frame_image
from clip2.scans.shards import shard_names
from clip2.store.tables import iterate_rows

Row = dict[str, Any]
START = 1_700_000_000 * 10**9
MS = 10**6
SIZE = (96, 64)
K = np.array([[80.0, 0, 47], [0, 82, 31], [0, 0, 1]])
OPTICAL = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])
"""Axes of an optical frame (x right, y down, z forward) in those of a vehicle (x forward, y left, z up)."""


def at(x: float, y: float, z: float, R: np.ndarray | None = None) -> np.ndarray:
    T = np.eye(4)
    T[:3, 3] = x, y, z
    T[:3, :3] = np.eye(3) if R is None else R
    return T


BASE_LIDAR = at(0.9, 0.1, 1.8, Rotation.from_euler("z", 20, degrees=True).as_matrix())
BASE_CAMERA = at(1.4, -0.2, 1.5, Rotation.from_euler("z", -15, degrees=True).as_matrix() @ OPTICAL)


def base(time: int) -> np.ndarray:
    """Where the vehicle is in the map."""
    seconds = (time - START) / 1e9
    return at(100 + 12 * seconds, -40 + 3 * seconds, 2, Rotation.from_euler("z", 0.5 * seconds).as_matrix())


def cloud(number: int) -> np.ndarray:
    rng = np.random.default_rng(number)
    around = np.column_stack([rng.uniform(4, 30, 900), rng.uniform(-15, 15, 900), rng.uniform(-1.8, 1, 900)])
    return np.column_stack([around, rng.uniform(0, 255, 900)]).astype(np.float32)


def picture(number: int) -> np.ndarray:
    """(H, W, 3) RGB."""
    return np.random.default_rng(100 + number).integers(0, 256, (SIZE[1], SIZE[0], 3), dtype=np.uint8)


CLOUD_TIMES = [START + 100 * MS * number for number in range(5)]
PICTURE_TIMES = [time + 30 * MS for time in CLOUD_TIMES]


def write_drive(path: Path, without: str = "", model: str = "plumb_bob", D: Any = (0.0,) * 5, every: int = 20) -> Path:
    """Five clouds and pictures, 30 ms apart, transforms each 20 ms; ``without``: a topic that is not recorded."""
    with Bag(path) as bag:
        if without != "/tf_static":
            bag.tf("base_link", "lidar", START, BASE_LIDAR, static=True)
            bag.tf("base_link", "front_optical", START, BASE_CAMERA, static=True)
        for time in range(START - 40 * MS, START + 600 * MS, every * MS):
            if without != "/tf":
                bag.tf("map", "base_link", time, base(time))
        for number, (taken, seen) in enumerate(zip(CLOUD_TIMES, PICTURE_TIMES, strict=True)):
            if without != "/points":
                bag.cloud("/points", "lidar", taken, cloud(number))
            if without != "/front/camera_info":
                bag.info("/front/camera_info", "front_optical", seen, SIZE, K, model, D)
            if without != "/front/image_raw":
                bag.image("/front/image_raw", "front_optical", seen, picture(number), "rgb8", pad=5)
    return path


def run(source: Path, out: Path, **settings: Any) -> list[str]:
    return list(import_recordings("mcap", source, out, McapSettings(**settings)))


def frames_of(root: Path, out: Path) -> list[Row]:
    folder_frames.run(root, out, "mine", FolderSettings(train="all", val="all", train_shards=1, val_shards=1))
    return list(iterate_rows(out / f"{shard_names('val', 1)[0]}.parquet"))


def matrix(row: Row, key: str) -> np.ndarray:
    return np.reshape(row[key], (4, 4))


# --- what is right ----------------------------------------------------------------------------------------------------


def test_a_drive_arrives_with_the_motion_between_cloud_and_picture(tmp_path: Path) -> None:
    said = run(write_drive(tmp_path / "drive.mcap"), tmp_path / "own")
    assert said[0] == f"{tmp_path / 'own' / 'drive'}: 5 clouds, 5 pictures, 5 poses"
    assert "  poses: lidar in map" in said
    assert not [line for line in said if "left out" in line or "note" in line]
    rows = frames_of(tmp_path / "own", tmp_path / "out")
    assert [row["sample"] for row in rows] == [f"drive/{number:06d}" for number in range(5)]
    for number, row in enumerate(rows):
        taken, seen = CLOUD_TIMES[number], PICTURE_TIMES[number]
        points = load_points(row["clouds"], tmp_path / "own")
        np.testing.assert_array_equal(points, cloud(number))
        np.testing.assert_array_equal(read_frame_image(tmp_path / "own", row), picture(number))
        map_from_lidar, map_from_camera = base(taken) @ BASE_LIDAR, base(seen) @ BASE_CAMERA
        np.testing.assert_allclose(matrix(row, "T_scene_from_points"), map_from_lidar, atol=1e-9)
        expected = np.linalg.inv(map_from_camera) @ map_from_lidar
        np.testing.assert_allclose(matrix(row, "T_cam_from_points"), expected, atol=1e-6)
        still = np.linalg.inv(BASE_CAMERA) @ BASE_LIDAR
        assert np.abs(expected - still)[:3, 3].max() > 0.3, "so that the test tells"
        # A point of the map, by the rig's own formulas, is where its projection is.
        uv, _ = project_points(points, matrix(row, "T_cam_from_points"),
                                   np.reshape(row["K"], (3, 3)))  # fmt: skip
        homogeneous = np.column_stack([points[:, :3].astype(float), np.ones(len(points))])
        cam = homogeneous @ (np.linalg.inv(map_from_camera) @ map_from_lidar).T
        ahead = cam[:, 2] > 1
        np.testing.assert_allclose(uv[ahead, 0], K[0, 0] * cam[ahead, 0] / cam[ahead, 2] + K[0, 2], atol=1e-3)
        np.testing.assert_allclose(uv[ahead, 1], K[1, 1] * cam[ahead, 1] / cam[ahead, 2] + K[1, 2], atol=1e-3)
        assert row["timestamp_us"] == taken // 1000
    calibration = json.loads((tmp_path / "own" / "drive" / "calibration.json").read_text())
    declared = calibration["cameras"]["front"]["T_cam_from_points"]
    np.testing.assert_allclose(declared, np.linalg.inv(BASE_CAMERA) @ BASE_LIDAR, atol=1e-12)


@pytest.mark.real
def test_a_real_drive_as_a_ros2_recording(sequences: Path, tmp_path: Path) -> None:
    """KITTI's clouds, pictures, calibration and ICP poses come back as they were."""
    drive = sequences / "kitti_0052"
    frames = json.loads((drive / "sequences.json").read_text())["frames"][:4]
    times = [START + round(1e9 * frame["timestamp"]) for frame in frames]
    with Bag(tmp_path / "kitti.mcap") as bag:
        for frame, time in zip(frames, times, strict=True):
            (camera,) = frame["cameras"].values()
            T = np.array(camera["T_cam_from_points"])
            bag.tf("velodyne", "camera", time, np.linalg.inv(T), static=True)
            bag.tf("world", "velodyne", time, np.array(frame["T_world_from_points"]))
            points = np.fromfile(drive / frame["cloud"]["path"], "<f4").reshape(-1, 4)
            bag.cloud("/velodyne_points", "velodyne", time, points)
            size = (camera["width"], camera["height"])
            bag.info("/camera/camera_info", "camera", time, size, camera["K"])
            bag.compressed("/camera/image/compressed", "camera", time, (drive / camera["image"]).read_bytes(), "png")
    said = run(tmp_path / "kitti.mcap", tmp_path / "own")
    assert "4 clouds, 4 pictures, 4 poses" in said[0]
    assert not [line for line in said if "note" in line], "upright, in metres, and the camera sees its cloud"
    for row, frame, time in zip(frames_of(tmp_path / "own", tmp_path / "out"), frames, times, strict=True):
        (camera,) = frame["cameras"].values()
        points = np.fromfile(drive / frame["cloud"]["path"], "<f4").reshape(-1, 4)
        np.testing.assert_array_equal(load_points(row["clouds"], tmp_path / "own"), points)
        theirs = cv2.cvtColor(cv2.imread(str(drive / camera["image"])), cv2.COLOR_BGR2RGB)
        np.testing.assert_array_equal(read_frame_image(tmp_path / "own", row), theirs)
        np.testing.assert_allclose(matrix(row, "T_cam_from_points"), camera["T_cam_from_points"], atol=1e-6)
        np.testing.assert_allclose(matrix(row, "T_scene_from_points"), frame["T_world_from_points"], atol=1e-6)
        np.testing.assert_allclose(np.reshape(row["K"], (3, 3)), camera["K"])
        assert row["timestamp_us"] == time // 1000


def test_what_our_export_wrote_comes_back(labelled_world: Labelled, tmp_path: Path) -> None:
    made = labelled_world
    export_labels("mcap", made.labels, [made.frames], made.root, tmp_path / "out", ExportSettings())
    said = run(tmp_path / "out", tmp_path / "own")
    assert "3 clouds, 18 pictures, 3 poses" in said[0]
    names = list(dict.fromkeys(row["sample"] for row in made.pictures))
    rows = {(row["sample"].split("/")[1], row["camera"]): row for row in frames_of(tmp_path / "own", tmp_path / "f")}
    assert len(rows) == len(made.pictures) == 18
    poses = []
    for frame in made.pictures:
        row = rows[f"{names.index(frame['sample']):06d}", frame["camera"]]
        theirs = load_points(frame["clouds"][:1], made.root)
        np.testing.assert_array_equal(load_points(row["clouds"], tmp_path / "own"), theirs)
        picture = (tmp_path / "own" / row["image_path"]).read_bytes()
        assert picture == (made.root / frame["image_path"]).read_bytes()
        np.testing.assert_allclose(row["T_cam_from_points"], frame["T_cam_from_points"], atol=1e-6)
        np.testing.assert_allclose(row["K"], frame["K"])
        poses.append(np.subtract(row["T_scene_from_points"], frame["T_scene_from_points"]))
    assert np.abs(poses).max() < 1e-6


def test_parts_of_a_bag_are_one_recording_and_files_are_several(tmp_path: Path) -> None:
    bag = tmp_path / "bag"
    bag.mkdir()
    (bag / "metadata.yaml").write_text("rosbag2_bagfile_information: {}\n")
    for part, numbers in ((2, range(3)), (10, range(3, 5))):  # sorted as numbers, not as text
        with Bag(bag / f"bag_{part}.mcap") as file:
            if part == 2:
                file.tf("lidar", "front_optical", START, np.linalg.inv(BASE_LIDAR) @ BASE_CAMERA, static=True)
            for number in numbers:
                file.cloud("/points", "lidar", CLOUD_TIMES[number], cloud(number))
                file.info("/front/camera_info", "front_optical", CLOUD_TIMES[number], SIZE, K)
                file.image("/front/image_raw", "front_optical", CLOUD_TIMES[number], picture(number), "rgb8")
    said = run(bag, tmp_path / "own")
    assert "5 clouds, 5 pictures, 0 poses" in said[0]
    assert "  no poses: nothing says how the sensors move; each cloud stands alone" in said
    for number, row in enumerate(frames_of(tmp_path / "own", tmp_path / "out")):
        np.testing.assert_array_equal(load_points(row["clouds"], tmp_path / "own"), cloud(number))
        np.testing.assert_array_equal(read_frame_image(tmp_path / "own", row), picture(number))
        assert row["T_scene_from_points"] is None
    drives = tmp_path / "drives"
    drives.mkdir()
    for name in ("one", "two"):
        write_drive(drives / f"{name}.mcap")
    run(drives, tmp_path / "several")
    assert {row["scene"] for row in frames_of(tmp_path / "several", tmp_path / "more")} == {"one", "two"}


# --- pictures and clouds as drivers write them ------------------------------------------------------------------------

GREEN, RED = (20, 200, 60), (220, 30, 40)
YUV = (128, 90, 160)


@pytest.mark.parametrize(
    ("encoding", "colour"),
    [("rgb8", GREEN), ("bgr8", GREEN), ("rgba8", GREEN), ("bgra8", GREEN), ("mono8", (77, 77, 77)),
     ("bayer_rggb8", RED), ("bayer_bggr8", RED), ("bayer_gbrg8", RED), ("bayer_grbg8", RED),
     ("yuv422", None), ("yuyv", None)],
)  # fmt: skip
def test_raw_pictures(tmp_path: Path, encoding: str, colour: tuple[int, int, int] | None) -> None:
    """Pictures of one colour, laid out as sensor_msgs/image_encodings.hpp says."""
    width, height = SIZE
    pixels = np.zeros((height, width, 1), np.uint8)
    if encoding.startswith("bayer"):
        assert colour is not None
        order = [dict(zip("rgb", colour, strict=True))[letter] for letter in encoding[6:10]]
        for place, value in enumerate(order):
            pixels[place // 2 :: 2, place % 2 :: 2, 0] = value
    elif encoding in ("yuv422", "yuyv"):
        y, u, v = YUV  # U Y V Y, or Y U Y V
        pair = [u, y, v, y] if encoding == "yuv422" else [y, u, y, v]
        pixels = np.tile(np.array(pair, np.uint8), (height, width // 2)).reshape(height, width, 2)
        # ITU-R BT.601, limited range
        colour = tuple(
            round(1.164 * (y - 16) + part)
            for part in (1.596 * (v - 128), -0.813 * (v - 128) - 0.391 * (u - 128), 2.018 * (u - 128))
        )  # type: ignore[assignment]
    elif encoding == "mono8":
        pixels[:] = 77
    else:
        assert colour is not None
        pixels = np.tile(np.array([*colour, 255][: len(encoding) - 1], np.uint8), (height, width, 1))
        if encoding.startswith("bgr"):
            pixels[..., :3] = pixels[..., 2::-1]
    with Bag(tmp_path / "one.mcap") as bag:
        bag.tf("lidar", "front_optical", START, np.linalg.inv(BASE_LIDAR) @ BASE_CAMERA, static=True)
        bag.cloud("/points", "lidar", START, cloud(0))
        bag.info("/front/camera_info", "front_optical", START, SIZE, K)
        bag.image("/front/image_raw", "front_optical", START, pixels, encoding, pad=3)
    run(tmp_path / "one.mcap", tmp_path / "own")
    (row,) = frames_of(tmp_path / "own", tmp_path / "out")
    image = read_frame_image(tmp_path / "own", row).astype(int)
    assert np.abs(image - colour).max() <= 2


def test_clouds_of_float64_big_endian_rows_with_gaps_and_misses(tmp_path: Path) -> None:
    row = np.dtype({"names": ["reflectivity", "z", "x", "y"], "formats": [">u2", ">f8", ">f8", ">f8"],
                    "offsets": [2, 4, 12, 20], "itemsize": 29})  # fmt: skip
    points = cloud(0)[:600].astype(np.float64)
    points[:, 3] = np.round(points[:, 3])
    points[5, 0], points[7, :3] = np.nan, 0  # two ways to write that nothing was hit
    rows = np.zeros(600, row)
    for i, name in enumerate(("x", "y", "z", "reflectivity")):
        rows[name] = points[:, i]
    grid = np.pad(np.frombuffer(rows.tobytes(), np.uint8).reshape(20, -1), ((0, 0), (0, 11)))
    with Bag(tmp_path / "one.mcap") as bag:
        bag.tf("/lidar", "/front_optical", START, np.linalg.inv(BASE_LIDAR) @ BASE_CAMERA, static=True)
        kinds = {"x": 8, "y": 8, "z": 8, "reflectivity": 4}
        bag.write("/points", "sensor_msgs/msg/PointCloud2", Message(
            header=header("lidar", START), height=20, width=30, is_bigendian=True, point_step=29,
            row_step=grid.shape[1], data=grid.tobytes(), is_dense=False, fields=fields(row, kinds)), START)  # fmt: skip
        bag.info("/front/camera_info", "front_optical", START, SIZE, K)
        bag.image("/front/image_raw", "front_optical", START, picture(0), "rgb8")
    run(tmp_path / "one.mcap", tmp_path / "own")
    (frame,) = frames_of(tmp_path / "own", tmp_path / "out")
    expected = np.delete(points, [5, 7], axis=0).astype(np.float32)
    np.testing.assert_array_equal(load_points(frame["clouds"], tmp_path / "own"), expected)


def dots(image_points: np.ndarray) -> np.ndarray:
    v, u = np.indices((SIZE[1], SIZE[0]))
    spots = sum(np.exp(-((u - x) ** 2 + (v - y) ** 2) / 3) for x, y in image_points)
    return np.repeat((255 * np.clip(spots, 0, 1)).astype(np.uint8)[..., None], 3, 2)


@pytest.mark.parametrize(
    ("model", "D"),
    [("plumb_bob", (-0.25, 0.06, 0.001, -0.002, 0.0)), ("rational_polynomial", (-0.2, 0.05, 0, 0, 0, 0.02, 0, 0)),
     ("equidistant", (-0.1, 0.01, 0.0, 0.0))],
)  # fmt: skip
def test_a_lens_is_taken_out(tmp_path: Path, model: str, D: tuple[float, ...]) -> None:
    """A point painted where OpenCV's model of the lens puts it is found where the frame's pinhole camera puts it."""
    spot = np.array([[[1.2, 0.8, 4.0]]])
    still = np.zeros(3)
    project = cv2.fisheye.projectPoints if model == "equidistant" else cv2.projectPoints
    bent = project(spot, still, still, K, np.array(D))[0].reshape(1, 2)
    with Bag(tmp_path / "one.mcap") as bag:
        bag.tf("lidar", "front_optical", START, np.linalg.inv(BASE_LIDAR) @ BASE_CAMERA, static=True)
        bag.cloud("/points", "lidar", START, cloud(0))
        bag.info("/front/camera_info", "front_optical", START, SIZE, K, model, D)
        bag.image("/front/image_raw", "front_optical", START, dots(bent), "rgb8")
    run(tmp_path / "one.mcap", tmp_path / "own")
    (row,) = frames_of(tmp_path / "own", tmp_path / "out")
    image = read_frame_image(tmp_path / "own", row)[..., 0].astype(float)
    v, u = np.indices(image.shape)
    found = np.array([(image * u).sum(), (image * v).sum()]) / image.sum()
    straight, _ = project_points(spot[0], np.eye(4), np.reshape(row["K"], (3, 3)))
    assert np.abs(found - straight[0]).max() < 0.35
    as_if_straight, _ = project_points(spot[0], np.eye(4), K)
    assert np.linalg.norm(as_if_straight - bent[0]) > 0.8, "so that the test tells"


def test_rectified_pictures_have_the_intrinsics_of_p_and_the_turn_of_r(tmp_path: Path) -> None:
    R = Rotation.from_euler("y", 4, degrees=True).as_matrix()
    P = np.column_stack([K * [[0.9, 1, 1], [1, 0.9, 1], [1, 1, 1]], [-30.0, 0, 0]])
    with Bag(tmp_path / "one.mcap") as bag:
        bag.tf("lidar", "front_optical", START, np.linalg.inv(BASE_LIDAR) @ BASE_CAMERA, static=True)
        bag.cloud("/points", "lidar", START, cloud(0))
        others = {"r": R.ravel().tolist(), "p": P.ravel().tolist()}
        bag.info("/front/camera_info", "front_optical", START, SIZE, K, D=(-0.2, 0.1, 0, 0, 0), **others)
        bag.image("/front/image_rect_color", "front_optical", START, picture(0), "rgb8")
    run(tmp_path / "one.mcap", tmp_path / "own")
    (row,) = frames_of(tmp_path / "own", tmp_path / "out")
    assert row["lens"] is None
    np.testing.assert_allclose(np.reshape(row["K"], (3, 3)), P[:, :3])
    expected = at(0, 0, 0, R) @ np.linalg.inv(BASE_CAMERA) @ BASE_LIDAR
    np.testing.assert_allclose(matrix(row, "T_cam_from_points"), expected, atol=1e-9)


# --- choices and counts -----------------------------------------------------------------------------------------------


def test_pairs_are_those_of_the_definition() -> None:
    """Of each pair, both are nearest to each other: by trying all."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        pictures, clouds = (
            dict(enumerate(rng.choice(1000, rng.integers(1, 9), replace=False).tolist())) for _ in range(2)
        )
        found, apart = nearest_pairs(pictures, clouds, 60)
        expected = {}
        for p, time in pictures.items():
            c = min(clouds, key=lambda c: (abs(clouds[c] - time), clouds[c]))
            back = min(pictures, key=lambda other: (abs(pictures[other] - clouds[c]), pictures[other]))
            if back == p and abs(clouds[c] - time) <= 60:
                expected[p] = c
        assert found == expected
        assert apart == min(abs(a - b) for a in pictures.values() for b in clouds.values())


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    with Bag(tmp_path / "drive.mcap") as bag:
        bag.tf("base_link", "lidar", START, BASE_LIDAR, static=True)
        bag.tf("base_link", "front_optical", START, BASE_CAMERA, static=True)
        for number, taken in enumerate(CLOUD_TIMES):
            bag.cloud("/points", "lidar", taken, cloud(number))
            bag.cloud("/radar", "lidar", taken, cloud(number)[:20])
        for number in range(8):  # at twice the rate, from the second cloud on
            time = CLOUD_TIMES[1] + 50 * MS * number
            bag.info("/front/camera_info", "front_optical", time, SIZE, K)
            bag.image("/front/image_raw", "front_optical", time, picture(number), "rgb8")
            bag.image("/rear/image_raw", "rear_optical", time, picture(number), "rgb8")
            bag.tf("arm", "hand", time, np.zeros((4, 4)))
            bag.image("/front/depth/image", "front_optical", time, np.zeros((64, 96, 2), np.uint8), "16UC1")
    said = run(tmp_path / "drive.mcap", tmp_path / "own")
    assert "4 clouds, 4 pictures" in said[0]
    assert "  clouds: /points, with more points than /radar (--lidar)" in said
    assert [line for line in said if "left out" in line] == [
        "  left out: 1 clouds without a picture",
        "  left out: 8 pictures of /rear/image_raw without a calibration",
        "  left out: 4 pictures of front that are no cloud's nearest within 0.05 s",
        "  left out: 8 transforms that are no rotation with a shift",
    ]
    said = run(tmp_path / "drive.mcap", tmp_path / "fewer", every=2, lidar="/radar")
    assert "2 clouds, 2 pictures" in said[0]
    assert "2 clouds by --every" in " ".join(said)


def test_a_tilted_lidar_needs_a_frame_that_stands(tmp_path: Path) -> None:
    tilted = at(0.9, 0.1, 1.8, Rotation.from_euler("y", 40, degrees=True).as_matrix())
    with Bag(tmp_path / "drive.mcap") as bag:
        bag.tf("base_link", "lidar", START, tilted, static=True)
        bag.tf("base_link", "front_optical", START, BASE_CAMERA, static=True)
        bag.cloud("/points", "lidar", START, cloud(0))
        bag.info("/front/camera_info", "front_optical", START, SIZE, K)
        bag.image("/front/image_raw", "front_optical", START, picture(0), "rgb8")
    with pytest.raises(InputError, match=r"z of frame 'lidar' of /points is 40° away .*--points-frame base_link"):
        run(tmp_path / "drive.mcap", tmp_path / "own")
    run(tmp_path / "drive.mcap", tmp_path / "own", points_frame="base_link")
    (row,) = frames_of(tmp_path / "own", tmp_path / "out")
    points = cloud(0).astype(float)
    expected = points[:, :3] @ tilted[:3, :3].T + tilted[:3, 3]
    np.testing.assert_allclose(load_points(row["clouds"], tmp_path / "own")[:, :3], expected, atol=1e-5)
    np.testing.assert_allclose(matrix(row, "T_cam_from_points"), np.linalg.inv(BASE_CAMERA), atol=1e-9)


def test_clocks_that_differ_are_told_and_recording_times_help(tmp_path: Path) -> None:
    with Bag(tmp_path / "drive.mcap") as bag:
        bag.tf("lidar", "front_optical", START, np.linalg.inv(BASE_LIDAR) @ BASE_CAMERA, static=True)
        for number, time in enumerate(CLOUD_TIMES):
            bag.cloud("/points", "lidar", time - START + 1, cloud(number), logged=time)  # counts from its own start
            bag.info("/front/camera_info", "front_optical", time, SIZE, K)
            bag.image("/front/image_raw", "front_optical", time + 10 * MS, picture(number), "rgb8")
    with pytest.raises(
        InputError, match=r"no picture is within 0\.05 s of a cloud, .* 1\.7e\+09 s apart.*--stamps log"
    ):
        run(tmp_path / "drive.mcap", tmp_path / "own")
    assert "5 clouds, 5 pictures" in run(tmp_path / "drive.mcap", tmp_path / "own", stamps="log")[0]


def test_no_pose_where_transforms_are_missing(tmp_path: Path) -> None:
    """Transforms that end too early, or that come each two seconds: the place between them is not known."""
    said = run(write_drive(tmp_path / "drive.mcap", every=300), tmp_path / "own")
    rows = frames_of(tmp_path / "own", tmp_path / "out")
    known = [row["T_scene_from_points"] is not None for row in rows]
    assert known == [True] * 5
    with Bag(tmp_path / "gap.mcap") as bag:
        bag.tf("base_link", "lidar", START, BASE_LIDAR, static=True)
        bag.tf("base_link", "front_optical", START, BASE_CAMERA, static=True)
        for time in (START, START + 100 * MS, START + 1900 * MS):
            bag.tf("map", "base_link", time, base(time))
        for number, taken in enumerate(CLOUD_TIMES):
            bag.cloud("/points", "lidar", taken, cloud(number))
            bag.info("/front/camera_info", "front_optical", taken, SIZE, K)
            bag.image("/front/image_raw", "front_optical", taken, picture(number), "rgb8")
    said = run(tmp_path / "gap.mcap", tmp_path / "gaps")
    assert "  note: 3 clouds have no pose: no transforms within a second of them" in said
    rows = frames_of(tmp_path / "gaps", tmp_path / "more")
    assert [row["T_scene_from_points"] is not None for row in rows] == [True, True, False, False, False]
    for row in rows:
        np.testing.assert_allclose(matrix(row, "T_cam_from_points"), np.linalg.inv(BASE_CAMERA) @ BASE_LIDAR, atol=1e-9)


# --- what cannot be right ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("without", "message"),
    [
        ("/front/camera_info", "no picture has a calibration"),
        (
            "/tf_static",
            "no chain of transforms joins frame 'lidar' of /points and frame 'front_optical' of /front/camera_info",
        ),
        ("/points", "has no clouds"),
        ("/front/image_raw", "has no pictures"),
    ],
)
def test_what_lacks_a_topic_is_refused(tmp_path: Path, without: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(write_drive(tmp_path / "drive.mcap", without), tmp_path / "own")
    assert not (tmp_path / "own" / "drive").exists()


def test_damage_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = write_drive(tmp_path / "drive.mcap").read_bytes()
    path = tmp_path / "broken.mcap"
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0x40
    for data, message in (
        (whole[: len(whole) // 2], "cut short"),
        (whole[:-30], "cut short"),
        (whole[:3], "no MCAP recording"),
        (b"", "no MCAP recording"),
        (bytes(flipped), "damaged"),
        (b"#ROSBAG V2.0\n" + whole, "but a ROS 1 bag"),
        (b"SQLite format 3\0" + whole, "but a bag in SQLite"),
    ):
        path.write_bytes(data)
        with pytest.raises(SystemExit) as ended:
            main(["import", "mcap", "--from", str(path), "--out", str(tmp_path / "own")])
        assert ended.value.code == 2
        (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("clip2: error:")]
        assert message in line
        assert "broken.mcap" in line
    assert not list((tmp_path / "own").iterdir()) if (tmp_path / "own").exists() else True


def test_what_is_not_read_is_named(tmp_path: Path) -> None:
    def refused(message: str, pixels: np.ndarray, encoding: str, model: str = "plumb_bob", **info: Any) -> None:
        with Bag(tmp_path / "one.mcap") as bag:
            bag.tf("lidar", "front_optical", START, np.linalg.inv(BASE_LIDAR) @ BASE_CAMERA, static=True)
            bag.cloud("/points", "lidar", START, cloud(0))
            bag.info("/front/camera_info", "front_optical", START, SIZE, info.pop("K", K), model,
                     info.pop("D", (0.1, 0, 0, 0, 0)), **info)  # fmt: skip
            bag.image("/front/image_raw", "front_optical", START, pixels, encoding)
        with pytest.raises(InputError, match=message):
            run(tmp_path / "one.mcap", tmp_path / "own")

    refused("encoding 'nv21' is not read", picture(0), "nv21")
    refused("pictures are 40×20, their calibration .* is for 96×64", picture(0)[:20, :40], "rgb8")
    refused("distortion 'omni' with 5 numbers is not read", picture(0), "rgb8", "omni")
    refused("distortion 'plumb_bob' with 3 numbers", picture(0), "rgb8", D=(0.1, 0.2, 0.3))
    refused("distortion 'equidistant' with 5 numbers", picture(0), "rgb8", "equidistant")
    refused("camera front: K has focal lengths", picture(0), "rgb8", K=K * [[-1, 1, 1], [1, 1, 1], [1, 1, 1]])
    refused("K is all zero", picture(0), "rgb8", K=np.zeros((3, 3)))
    refused("binned", picture(0), "rgb8", binning_x=2)
    run(write_drive(tmp_path / "drive.mcap"), tmp_path / "there")
    with pytest.raises(InputError, match="drive: is there already; --replace"):
        run(tmp_path / "drive.mcap", tmp_path / "there")
    list(import_recordings("mcap", tmp_path / "drive.mcap", tmp_path / "there", McapSettings(), replace=True))
    for setting, message in (
        ({"lidar": "/front/image_raw"}, "no clouds '/front/image_raw'"),
        ({"cameras": "/nothing"}, "no pictures '/nothing'"),
        ({"scene_frame": "odom"}, "does not hang from --scene-frame 'odom', but from base_link, map"),
        ({"points_frame": "map"}, "nothing says where frame 'lidar' of /points is in --points-frame 'map', always"),
    ):
        with pytest.raises(InputError, match=message):
            run(tmp_path / "drive.mcap", tmp_path / "more", **setting)


def test_the_command_says_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_drive(tmp_path / "drive.mcap")
    main(["import", "mcap", "--from", str(tmp_path / "drive.mcap"), "--out", str(tmp_path / "own"), "--every", "2"])
    out = capsys.readouterr().out.splitlines()
    assert out[0] == f"{tmp_path / 'own' / 'drive'}: 3 clouds, 3 pictures, 3 poses"
    assert "  pictures: /front/image_raw" in out
