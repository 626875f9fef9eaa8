"""`clip2 import waymo`: a segment in the form of version 2, written by the test after the data set's own schema.

Made: a vehicle that drives and turns while its LiDARs measure; where each pixel's point is, is spelt out here from the
meaning of a range image: its columns go once around the vehicle, from behind over the left to ahead and on, whatever
the LiDAR's own turn.
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.spatial.transform import Rotation

from clip2.geometry import points_in_oriented_box, project_points
from clip2.imports.settings import WaymoSettings
from clip2.imports.stage import import_recordings
from clip2.runtime.errors import InputError
from clip2.scans.clouds import load_points
from clip2.scans.folder import annotations as folder_annotations
from clip2.scans.folder import frames as folder_frames
from clip2.scans.folder.settings import FolderSettings
from clip2.scans.images import read_frame_image
from clip2.scans.shards import shard_names
from clip2.store.tables import iterate_rows

Row = dict[str, Any]
NAME = "10023947602400723454_1120_000_1140_000"
START, STEP = 1552440195362591, 100_022
SIZE = (192, 128)
HEIGHT, WIDTH = 32, 120
BEAMS = np.radians(np.linspace(-17, 2.2, HEIGHT) - 0.3 * np.sin(np.arange(HEIGHT)))
"""Upwards, as the calibration lists them."""
DISTORTION = {"k1": 0.04, "k2": -0.33, "p1": 0.001, "p2": -0.0005, "k3": 0.0}


def at(turn: float, x: float, y: float, z: float) -> np.ndarray:
    T = np.eye(4)
    T[:3, :3] = Rotation.from_euler("z", turn).as_matrix()
    T[:3, 3] = x, y, z
    return T


LASERS = {1: at(2.58, 1.43, 0.0, 2.184), 2: at(0.0, 4.07, 0.0, 0.69)}
"""Number → place in the vehicle. The first, on the roof, is mounted turned by 148 degrees."""
CAMERAS = {1: at(0.0, 1.54, -0.02, 2.11), 2: at(0.8, 1.49, 0.09, 2.11)}


def vehicle(time: float) -> np.ndarray:
    """Place in the world at a time in microseconds."""
    seconds = (time - START) / 1e6
    return at(0.8 + 0.3 * seconds, 860.6 + 10 * seconds, 15568.7 - 6 * seconds, -651.4)


def tilted(roll: float, pitch: float, yaw: float) -> np.ndarray:
    """(3, 3): roll about x, then pitch about y, then yaw about z."""
    (a, b, c), (d, e, f) = np.cos([roll, pitch, yaw]), np.sin([roll, pitch, yaw])
    Rx = np.array([[1, 0, 0], [0, a, -d], [0, d, a]])
    Ry = np.array([[b, 0, e], [0, 1, 0], [-e, 0, b]])
    Rz = np.array([[c, -f, 0], [f, c, 0], [0, 0, 1]])
    return Rz @ Ry @ Rx


def direction(row: int, column: int, beams: np.ndarray) -> np.ndarray:
    """In the vehicle's axes: the left edge of a range image looks backwards, its middle ahead, and left is positive."""
    azimuth = np.pi - 2 * np.pi * (column + 0.5) / WIDTH
    up = beams[len(beams) - 1 - row]
    return np.array([np.cos(up) * np.cos(azimuth), np.cos(up) * np.sin(azimuth), np.sin(up)])


def image_name(number: int, part: str) -> str:
    return f"[LiDARComponent].range_image_return{number}.{part}"


def save(root: Path, kind: str, rows: list[Row], types: dict[str, pa.DataType] | None = None, group: int = 3) -> None:
    path = root / kind / f"{NAME}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"key.segment_context_name": NAME, **row} for row in rows]
    schema = pa.Table.from_pylist(rows).schema
    for name, kind_of in (types or {}).items():
        schema = schema.set(schema.get_field_index(name), pa.field(name, kind_of))
    pq.write_table(pa.Table.from_pylist(rows, schema), path, row_group_size=group)


def write_segment(root: Path, n: int = 3) -> dict[int, np.ndarray]:
    """Time → (N, 4) points in the vehicle's frame, in any order, as they have to come out."""
    rng = np.random.default_rng(0)
    times = [START + STEP * i for i in range(n)]
    clouds: dict[int, np.ndarray] = {}
    lidar: list[Row] = []
    pixels: list[Row] = []
    for time in times:
        found = []
        for laser, place in LASERS.items():
            row: Row = {"key.frame_timestamp_micros": time, "key.laser_name": laser}
            beams = BEAMS if laser == 1 else -1.0 + (np.arange(HEIGHT) + 0.5) / HEIGHT * 1.5
            poses = np.zeros((HEIGHT, WIDTH, 6), np.float32)
            for column in range(WIDTH):
                T = vehicle(time + STEP * (column / WIDTH - 0.5))
                turn = np.arctan2(T[1, 0], T[0, 0])
                poses[:, column] = 0.01, -0.02, turn, *T[:3, 3]
            for number in (1, 2):
                image = np.zeros((HEIGHT, WIDTH, 4), np.float32)
                image[:, :, 0] = -1
                seen = rng.random((HEIGHT, WIDTH)) < (0.5 if number == 1 else 0.05)
                image[seen, 0] = rng.uniform(4, 40, seen.sum())
                image[seen, 1] = rng.uniform(0, 1, seen.sum())
                row |= {image_name(number, "values"): image.ravel().tolist(), image_name(number, "shape"): image.shape}
                for r, c in np.argwhere(seen):
                    point = place[:3, 3] + image[r, c, 0] * direction(r, c, beams)
                    if laser == 1:
                        world = tilted(*poses[r, c, :3].astype(float)) @ point + poses[r, c, 3:]
                        T = vehicle(time)
                        point = (world - T[:3, 3]) @ T[:3, :3]
                    found.append([*point, image[r, c, 1]])
            lidar.append(row)
            if laser == 1:
                name = "[LiDARPoseComponent].range_image_return1."
                pixels.append({"key.frame_timestamp_micros": time, "key.laser_name": 1,
                               f"{name}values": poses.ravel().tolist(), f"{name}shape": poses.shape})  # fmt: skip
        clouds[time] = np.array(found)
    floats, shape = pa.list_(pa.float32()), pa.list_(pa.int32(), 3)
    save(root, "lidar", lidar[::-1], {image_name(i, "values"): floats for i in (1, 2)} |
         {image_name(i, "shape"): shape for i in (1, 2)})  # fmt: skip
    save(root, "lidar_pose", pixels, {"[LiDARPoseComponent].range_image_return1.values": floats,
                                      "[LiDARPoseComponent].range_image_return1.shape": shape})  # fmt: skip
    save(root, "lidar_calibration", [
        {"key.laser_name": laser, "[LiDARCalibrationComponent].extrinsic.transform": T.ravel().tolist(),
         "[LiDARCalibrationComponent].beam_inclination.min": -1.0,
         "[LiDARCalibrationComponent].beam_inclination.max": 0.5,
         "[LiDARCalibrationComponent].beam_inclination.values": BEAMS.tolist() if laser == 1 else None}
        for laser, T in LASERS.items()])  # fmt: skip
    save(root, "vehicle_pose", [
        {"key.frame_timestamp_micros": time,
         "[VehiclePoseComponent].world_from_vehicle.transform": vehicle(time).ravel().tolist()} for time in times
    ], {"[VehiclePoseComponent].world_from_vehicle.transform": pa.list_(pa.float64(), 16)})  # fmt: skip
    save(root, "camera_image", [
        {"key.frame_timestamp_micros": time, "key.camera_name": camera,
         "[CameraImageComponent].image": jpeg(20 * camera),
         "[CameraImageComponent].pose.transform": vehicle(time + 11_000 * camera).ravel().tolist()}
        for time in times for camera in CAMERAS], group=4)  # fmt: skip
    intrinsic = {"f_u": 150.0, "f_v": 150.0, "c_u": 97.0, "c_v": 62.0, **DISTORTION}
    save(root, "camera_calibration", [
        {"key.camera_name": camera, "[CameraCalibrationComponent].extrinsic.transform": T.ravel().tolist(),
         **{f"[CameraCalibrationComponent].intrinsic.{key}": value for key, value in intrinsic.items()},
         "[CameraCalibrationComponent].width": SIZE[0], "[CameraCalibrationComponent].height": SIZE[1]}
        for camera, T in CAMERAS.items()])  # fmt: skip
    save(root, "lidar_box", [
        {"key.frame_timestamp_micros": time, "key.laser_object_id": name, "[LiDARBoxComponent].type": kind,
         "[LiDARBoxComponent].box.heading": 0.4,
         **dict(zip([f"[LiDARBoxComponent].box.{part}.{axis}" for part in ("center", "size") for axis in "xyz"],
                    [12.0 - i, 3.0, 0.8, 30.0, 12.0, 6.0]))}
        for i, time in enumerate(times) for name, kind in (("abc", 1), ("unknown", 0))])  # fmt: skip
    return clouds


def jpeg(grey: int) -> bytes:
    return bytes(cv2.imencode(".jpg", np.full((SIZE[1], SIZE[0], 3), grey, np.uint8))[1])


def run(source: Path, out: Path, **settings: Any) -> list[str]:
    return list(import_recordings("waymo", source, out, WaymoSettings(**settings)))


def rows(root: Path, out: Path, stage: Any = folder_frames) -> list[Row]:
    stage.run(root, out, "mine", FolderSettings(train="all", val="all", train_shards=1, val_shards=1))
    return list(iterate_rows(out / f"{shard_names('val', 1)[0]}.parquet"))


def test_a_segment_becomes_a_folder(tmp_path: Path) -> None:
    clouds = write_segment(tmp_path / "training")
    said = run(tmp_path / "training", tmp_path / "own")
    assert said[0] == f"{tmp_path / 'own' / NAME}: 3 clouds, 6 pictures, 3 poses, 3 labels"
    assert said[1:] == ["  left out: 3 boxes of no type"], "upright, in metres, and the cameras see their cloud"
    frames = rows(tmp_path / "own", tmp_path / "frames")
    assert {row["camera"] for row in frames} == {"front", "front_left"}
    for row in frames:
        time = int(row["sample"].split("/")[1])
        assert row["timestamp_us"] == time
        points = load_points(row["clouds"], tmp_path / "own").astype(float)
        expected = clouds[time]
        assert len(points) == len(expected) > 3000
        points, expected = (cloud[np.argsort(cloud[:, 3])] for cloud in (points, expected))
        # The pixels' poses are float32: a millimetre in the world.
        np.testing.assert_allclose(points, expected, atol=0.002)
        camera = {"front": 1, "front_left": 2}[row["camera"]]
        T_world_from_cam = vehicle(time + 11_000 * camera) @ CAMERAS[camera]
        world = points[:, :3] @ vehicle(time)[:3, :3].T + vehicle(time)[:3, 3]
        ahead, left, up = ((world - T_world_from_cam[:3, 3]) @ T_world_from_cam[:3, :3]).T
        K = np.reshape(row["K"], (3, 3))
        uv, depth = project_points(points, np.reshape(row["T_cam_from_points"], (4, 4)), K)
        np.testing.assert_allclose(depth, ahead, atol=1e-5)
        seen = ahead > 1
        np.testing.assert_allclose(uv[seen, 0], K[0, 2] - K[0, 0] * left[seen] / ahead[seen], rtol=1e-4, atol=0.01)
        np.testing.assert_allclose(uv[seen, 1], K[1, 2] - K[1, 1] * up[seen] / ahead[seen], rtol=1e-4, atol=0.01)
        assert row["lens"]["distortion"] == list(DISTORTION.values())
        assert row["lens"]["K"] == [150.0, 0, 97.0, 0, 150.0, 62.0, 0, 0, 1]
        assert (tmp_path / "own" / row["image_path"]).read_bytes() == jpeg(20 * camera)
        assert read_frame_image(tmp_path / "own", row).shape == (SIZE[1], SIZE[0], 3)
        T = np.reshape(row["T_scene_from_points"], (4, 4))
        np.testing.assert_allclose(T[:3, 3], (vehicle(time) - vehicle(START))[:3, 3], atol=1e-9)
        np.testing.assert_allclose(T[:3, :3], vehicle(time)[:3, :3], atol=1e-12)
    boxes = rows(tmp_path / "own", tmp_path / "boxes", folder_annotations)
    assert {box["class_name"] for box in boxes} == {"vehicle"}
    assert len({box["instance"] for box in boxes}) == 1
    for box in boxes:
        time, T = int(box["sample"].split("/")[1]), np.reshape(box["T_points_from_box"], (4, 4))
        np.testing.assert_allclose(T[:3, 3], [12.0 - (time - START) // STEP, 3.0, 0.8])
        np.testing.assert_allclose(T[:2, 0], [np.cos(0.4), np.sin(0.4)])
        assert points_in_oriented_box(clouds[time], T, box["size_lwh"]).sum() > 50


def test_some_frames_and_segments(tmp_path: Path) -> None:
    write_segment(tmp_path / "training")
    said = run(tmp_path / "training", tmp_path / "own", every=2, segment=NAME)
    assert "2 clouds, 4 pictures, 2 poses, 2 labels" in said[0]
    assert "  left out: 1 clouds by --every" in said
    with pytest.raises(InputError, match=r"has no segment 'x' \(--segment\)"):
        run(tmp_path / "training", tmp_path / "more", segment="x")
    with pytest.raises(InputError, match=r"holds no lidar/SEGMENT\.parquet; give a split's folder"):
        run(tmp_path, tmp_path / "more")


def test_what_cannot_be_right_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "training"
    write_segment(root, n=1)

    def refused(message: str) -> None:
        with pytest.raises(InputError, match=message):
            run(root, tmp_path / "own")
        assert not (tmp_path / "own" / NAME).exists()

    def change(kind: str, edit: Any, message: str) -> None:
        path = root / kind / f"{NAME}.parquet"
        before = path.read_bytes()
        content = pq.read_table(path).to_pylist()
        for row in content:
            edit(row)
        pq.write_table(pa.Table.from_pylist(content), path)
        refused(message)
        path.write_bytes(before[: len(before) // 2])
        refused(rf"{kind}/{NAME}\.parquet: not this component of Waymo's version 2")
        path.unlink()
        refused(
            rf"{kind}/{NAME}\.parquet: no such file; download this component" if kind != "lidar" else "holds no lidar/"
        )
        path.write_bytes(before)

    change("lidar", lambda row: row.update({image_name(1, "shape"): [4, 4, 4]}), "a range image of .* numbers")
    change(
        "lidar_pose", lambda row: row.update({"key.laser_name": 9}), "LiDAR 1 at .* lacks its calibration or its pixels"
    )
    change("lidar_calibration", lambda row: row.update({"[LiDARCalibrationComponent].beam_inclination.values": [0.1]}),
           "1 beam inclinations for a range image of 32 rows")  # fmt: skip
    change("camera_calibration", lambda row: row.pop("[CameraCalibrationComponent].width"), "no column '.*width'")
    change("vehicle_pose", lambda row: row.update({"[VehiclePoseComponent].world_from_vehicle.transform": [0.0] * 16}),
           "has no frame with a cloud, a picture and a pose")  # fmt: skip
