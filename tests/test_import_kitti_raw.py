"""`clip2 import kitti-raw`: a drive in the raw data's form, written by the test after the development kit's readme.

Real: KITTI's own clouds, pictures, calibration and boxes of a drive. Its packets of the inertial unit are not at hand:
they are made from poses by ICP, by the inverse of the kit's formula.
"""

import json
import shutil
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from clip2.cli import main
from clip2.geometry import invert, points_in_oriented_box, project_points
from clip2.imports.kitti_raw.oxts import read_poses
from clip2.imports.settings import KittiRawSettings
from clip2.imports.stage import import_recordings
from clip2.runtime.errors import InputError
from clip2.scans.clouds import load_points
from clip2.scans.folder import annotations as folder_annotations
from clip2.scans.folder import frames as folder_frames
from clip2.scans.folder.settings import FolderSettings
from clip2.scans.shards import shard_names
from clip2.store.tables import iterate_rows

Row = dict[str, Any]
DAY, DRIVE = "2011_09_26", "2011_09_26_drive_0052_sync"
SETTINGS = FolderSettings(train="all", val="all", train_shards=1, val_shards=1)
KARLSRUHE = (49.0, 8.43, 112.0)
P_02 = np.array([[721.5377, 0, 609.5593, 44.85728], [0, 721.5377, 172.854, 0.2163791], [0, 0, 1, 0.002745884]])
"""KITTI's: the left colour camera stands 6 cm beside the left grey one."""
SMALL = np.diag([0.1, 0.1, 1.0]) @ P_02
"""The same of pictures a tenth as large."""
R_RECT = np.array([[0.9999239, 0.00983776, -0.00744505], [-0.0098698, 0.9999421, -0.00427846],
                   [0.00740253, 0.00435161, 0.9999631]])  # fmt: skip
VELO_TO_CAM = np.array([[0.007533745, -0.9999714, -0.000616602, -0.004069766],
                        [0.01480249, 0.0007280733, -0.9998902, -0.07631618],
                        [0.9998621, 0.00752379, 0.01480755, -0.2717806]])  # fmt: skip
IMU_TO_VELO = np.array([[0.9999976, 0.0007553071, -0.002035826, -0.8086759],
                        [-0.0007854027, 0.9998898, -0.01482298, 0.3195559],
                        [0.002024406, 0.01482454, 0.9998881, -0.7997231]])  # fmt: skip


def square(T: np.ndarray) -> np.ndarray:
    return np.vstack([T, [0, 0, 0, 1]])


def text(values: Any) -> str:
    return " ".join(f"{value:.12e}" for value in np.ravel(values))


def write_calibration(day: Path, size: tuple[int, int], P: np.ndarray = P_02) -> None:
    day.mkdir(parents=True, exist_ok=True)
    for name, T in (("velo_to_cam", VELO_TO_CAM), ("imu_to_velo", IMU_TO_VELO)):
        lines = f"calib_time: 25-May-2012 16:47:16\nR: {text(T[:, :3])}\nT: {text(T[:, 3])}\n"
        (day / f"calib_{name}.txt").write_text(lines + ("delta_f: 0 0\n" if name == "velo_to_cam" else ""))
    lines = "calib_time: 09-Jan-2012 13:57:47\ncorner_dist: 9.95e-02\n"
    for number in ("00", "02"):
        lines += f"S_{number}: 1392 512\nS_rect_{number}: {text(size)}\n"
        lines += f"R_rect_{number}: {text(R_RECT if number == '00' else np.eye(3))}\nP_rect_{number}: {text(P)}\n"
    (day / "calib_cam_to_cam.txt").write_text(lines)


def write_packets(drive: Path, places: Mapping[int, tuple[float, ...]]) -> None:
    """Latitude, longitude (degrees), altitude, roll, pitch, yaw; then 24 numbers that nobody asks for."""
    folder = drive / "oxts" / "data"
    folder.mkdir(parents=True)
    for number, place in places.items():
        (folder / f"{number:010d}.txt").write_text(" ".join(map(repr, place)) + " 0.1" * 19 + " 4 11 4 4 0\n")


def write_times(folder: Path, n: int) -> None:
    lines = [f"2011-09-26 13:02:{25 + number / 10:012.9f}" for number in range(n)]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "timestamps.txt").write_text("\n".join(lines) + "\n")


def tracklets(things: list[tuple[str, tuple[float, ...], int, list[tuple[float, ...]]]]) -> str:
    """Name, (h, w, l), first frame, (x, y, z, turn) a frame, as the kit's tool writes them."""
    items = ""
    for name, (h, w, l), first, poses in things:
        steps = "".join(
            f"<item><tx>{x}</tx><ty>{y}</ty><tz>{z}</tz><rx>0</rx><ry>0</ry><rz>{turn}</rz><state>2</state>"
            "<occlusion>0</occlusion><occlusion_kf>0</occlusion_kf><truncation>0</truncation></item>"
            for x, y, z, turn in poses
        )
        items += (
            f'<item class_id="1" version="1"><objectType>{name}</objectType><h>{h}</h><w>{w}</w><l>{l}</l><first_frame>'
            f"{first}</first_frame><poses><count>{len(poses)}</count><item_version>2</item_version>{steps}</poses>"
            "<finished>1</finished></item>"
        )
    return (
        '<?xml version="1.0" encoding="UTF-8" standalone="yes" ?><!DOCTYPE boost_serialization>'
        '<boost_serialization signature="serialization::archive" version="9"><tracklets class_id="0" version="0">'
        f"<count>{len(things)}</count><item_version>1</item_version>{items}</tracklets></boost_serialization>"
    )


def write_drive(root: Path, n: int = 4) -> Path:
    """A small drive: clouds and pictures of noise, a van that stands, a person that walks."""
    day = root / DAY
    drive = day / DRIVE
    rng = np.random.default_rng(0)
    write_calibration(day, (124, 38), SMALL)
    for number in range(n):
        stem = f"{number:010d}"
        for folder in ("velodyne_points/data", "image_02/data"):
            (drive / folder).mkdir(parents=True, exist_ok=True)
        points = np.column_stack([rng.uniform(5, 40, 800), rng.uniform(-9, 9, 800), rng.uniform(-1.7, 1, 800)])
        points[:60] = rng.uniform(-0.2, 0.2, (60, 3)) + np.repeat([[10, 3, -0.5], [6 + number, -2, -1]], 30, 0)
        np.column_stack([points, rng.uniform(0, 1, 800)]).astype("<f4").tofile(
            drive / "velodyne_points" / "data" / f"{stem}.bin"
        )
        cv2.imwrite(str(drive / "image_02" / "data" / f"{stem}.png"), np.full((38, 124, 3), 40 * number, np.uint8))
    write_times(drive / "velodyne_points", n)
    lat, lon, alt = KARLSRUHE
    write_packets(drive, {i: (lat + 1e-5 * i, lon + 2e-5 * i, alt + i, 0.01, -0.02, 0.3 * i) for i in range(n)})
    things = [
        ("Van", (2.0, 1.9, 5.0), 1, [(10.0, 3.0, -1.5, 0.4)] * 3),
        ("Person (sitting)", (1.3, 0.6, 0.8), 0, [(6.0 + i, -2.0, -1.6, -1.0) for i in range(2)]),
    ]
    (drive / "tracklet_labels.xml").write_text(tracklets(things))
    return drive


def run(source: Path, out: Path, **settings: Any) -> list[str]:
    return list(import_recordings("kitti-raw", source, out, KittiRawSettings(**settings)))


def rows(root: Path, out: Path, stage: Any = folder_frames) -> list[Row]:
    stage.run(root, out, "mine", SETTINGS)
    return list(iterate_rows(out / f"{shard_names('val', 1)[0]}.parquet"))


def test_poses_are_those_of_the_earth(tmp_path: Path) -> None:
    """Against geometry on the sphere, near the first packet, and the unit's axes turned one after another."""
    lat, lon, alt = KARLSRUHE
    turns = (0.05, -0.1, 2.5)
    write_packets(tmp_path, {3: (lat, lon, alt, 0, 0, 0), 4: (lat + 2e-5, lon - 3e-5, alt + 0.5, *turns)})
    files = {path.stem: path for path in sorted((tmp_path / "oxts" / "data").iterdir())}
    first, second = read_poses(files).values()
    np.testing.assert_allclose(first, np.eye(4), atol=1e-12)
    north, east = 6378137 * np.radians(2e-5), -6378137 * np.cos(np.radians(lat)) * np.radians(3e-5)
    np.testing.assert_allclose(second[:3, 3], [east, north, 0.5], atol=1e-4)
    yaw = turns[2]
    c, s = np.cos(turns), np.sin(turns)
    Rx = np.array([[1, 0, 0], [0, c[0], -s[0]], [0, s[0], c[0]]])
    Ry = np.array([[c[1], 0, s[1]], [0, 1, 0], [-s[1], 0, c[1]]])
    Rz = np.array([[c[2], -s[2], 0], [s[2], c[2], 0], [0, 0, 1]])
    np.testing.assert_allclose(second[:3, :3], Rz @ Ry @ Rx, atol=1e-12)
    ahead = second[:3, 0]  # the car looks along its yaw, counter-clockwise from east, and with a negative pitch up
    assert np.arctan2(ahead[1], ahead[0]) == pytest.approx(yaw)
    assert ahead[2] > 0


def kits_poses(packets: np.ndarray) -> list[np.ndarray]:
    """convertOxtsToPose.m, written out a second time: poses relative to the first."""
    scale = np.cos(packets[0, 0] * np.pi / 180)
    poses: list[np.ndarray] = []
    for lat, lon, alt, roll, pitch, yaw in packets:
        T = np.eye(4)
        T[0, 3] = scale * lon * np.pi * 6378137 / 180
        T[1, 3] = scale * 6378137 * np.log(np.tan((90 + lat) * np.pi / 360))
        T[2, 3] = alt
        turns = []
        for axis, angle in ((0, roll), (1, pitch), (2, yaw)):
            i, j = [(1, 2), (2, 0), (0, 1)][axis]
            R = np.eye(3)
            R[i, i] = R[j, j] = np.cos(angle)
            R[j, i], R[i, j] = np.sin(angle), -np.sin(angle)
            turns.append(R)
        T[:3, :3] = turns[2] @ turns[1] @ turns[0]
        poses.append(T)
    return [np.linalg.inv(poses[0]) @ T for T in poses]


def test_a_drive_becomes_a_folder(tmp_path: Path) -> None:
    drive = write_drive(tmp_path / "raw")
    said = run(drive.parent, tmp_path / "own")
    assert said == [f"{tmp_path / 'own' / DRIVE}: 4 clouds, 4 pictures, 4 poses, 5 labels"]
    frames = rows(tmp_path / "own", tmp_path / "frames")
    packets = np.array([np.fromstring(p.read_text(), sep=" ")[:6] for p in sorted((drive / "oxts/data").iterdir())])
    theirs = kits_poses(packets)
    found = [np.reshape(frame["T_scene_from_points"], (4, 4)) for frame in frames]
    velo_from_imu = square(IMU_TO_VELO)
    for number, frame in enumerate(frames):
        assert (
            frame["timestamp_us"]
            == round(datetime(2011, 9, 26, 13, 2, 25, tzinfo=UTC).timestamp() * 10**6) + number * 100_000
        )
        cloud = tmp_path / "own" / frame["clouds"][0]["path"]
        assert cloud.is_symlink()
        points = load_points(frame["clouds"], tmp_path / "own")
        # The kit's projection, with the numbers of the calibration file.
        homogeneous = np.column_stack([points[:, :3].astype(float), np.ones(len(points))])
        R = np.eye(4)
        R[:3, :3] = R_RECT
        image = homogeneous @ (SMALL @ R @ square(VELO_TO_CAM)).T
        uv, _ = project_points(points, np.reshape(frame["T_cam_from_points"], (4, 4)), np.reshape(frame["K"], (3, 3)))
        np.testing.assert_allclose(uv, image[:, :2] / image[:, 2:], atol=1e-6)
        relative = velo_from_imu @ theirs[number] @ np.linalg.inv(velo_from_imu)
        np.testing.assert_allclose(np.linalg.inv(found[0]) @ found[number], relative, atol=1e-6)
        assert found[number][2, 2] > 0.99, "the scene's z is up"
    boxes = rows(tmp_path / "own", tmp_path / "boxes", folder_annotations)
    assert Counter(box["class_name"] for box in boxes) == {"van": 3, "person_sitting": 2}
    van = next(box for box in boxes if box["class_name"] == "van")
    T = np.reshape(van["T_points_from_box"], (4, 4))
    np.testing.assert_allclose(T[:3, 3], [10, 3, -0.5])  # the tracklet's own place is on the floor
    np.testing.assert_allclose(T[:2, 0], [np.cos(0.4), np.sin(0.4)])
    assert van["size_lwh"] == [5.0, 1.9, 2.0]
    assert len({box["instance"] for box in boxes}) == 2
    assert [box["sample"][-1] for box in boxes if box["class_name"] == "van"] == ["1", "2", "3"]


@pytest.mark.real
def test_a_real_drive(sequences: Path, tmp_path: Path) -> None:
    """KITTI's clouds, pictures and calibration as raw data; its boxes, as tracklets, hold the points that they hold."""
    source = sequences / "kitti_0052"
    frames = json.loads((source / "sequences.json").read_text())["frames"][:6]
    (camera,) = frames[0]["cameras"].values()
    drive = tmp_path / DAY / DRIVE
    size = (camera["width"], camera["height"])
    write_calibration(tmp_path / DAY, size)
    packets = {}
    velo_from_imu = square(IMU_TO_VELO)
    scale = np.cos(np.radians(KARLSRUHE[0]))
    origin = np.array([scale * 6378137 * np.radians(KARLSRUHE[1]),
                       scale * 6378137 * np.log(np.tan(np.pi / 4 + np.radians(KARLSRUHE[0]) / 2))])  # fmt: skip
    boxes: list[Any] = []
    for number, frame in enumerate(frames):
        for folder, file in (("velodyne_points", frame["cloud"]["path"]), ("image_02", camera["image"])):
            file = file if folder == "velodyne_points" else next(iter(frame["cameras"].values()))["image"]
            target = drive / folder / "data" / f"{number:010d}{Path(file).suffix}"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / file, target)
        T = np.array(frame["T_world_from_points"]) @ velo_from_imu
        if number == 0:
            start = T[:2, 3].copy()  # the packet at which the projection's scale is exact
        x, y = T[:2, 3] - start + origin
        lat, lon = 2 * np.arctan(np.exp(y / (scale * 6378137))) - np.pi / 2, x / (scale * 6378137)
        R = T[:3, :3]
        turns = np.arctan2(R[2, 1], R[2, 2]), -np.arcsin(R[2, 0]), np.arctan2(R[1, 0], R[0, 0])
        packets[number] = (float(np.degrees(lat)), float(np.degrees(lon)), float(T[2, 3]), *map(float, turns))
        for box in frame["boxes"]:
            (l, w, h), (cx, cy, cz) = box["size_lwh"], box["center"]
            turn = float(np.arctan2(box["R"][1][0], box["R"][0][0]))
            boxes.append((box["class"], (h, w, l), number, [(cx, cy, cz - h / 2, turn)]))
    write_packets(drive, packets)
    write_times(drive / "velodyne_points", len(frames))
    (drive / "tracklet_labels.xml").write_text(tracklets(boxes))
    said = run(drive, tmp_path / "own", files="copy")
    assert not [line for line in said if "note" in line], "upright, in metres, and the boxes hold points"
    found = rows(tmp_path / "own", tmp_path / "frames")
    world = [np.array(frame["T_world_from_points"]) for frame in frames]
    poses = [np.reshape(row["T_scene_from_points"], (4, 4)) for row in found]
    for row, frame, pose, truth in zip(found, frames, poses, world, strict=True):
        (theirs,) = frame["cameras"].values()
        np.testing.assert_allclose(row["T_cam_from_points"], np.ravel(theirs["T_cam_from_points"]), atol=2e-3)
        np.testing.assert_allclose(np.reshape(row["K"], (3, 3)), theirs["K"], atol=1e-3)
        np.testing.assert_allclose(invert(poses[0]) @ pose, np.linalg.inv(world[0]) @ truth, atol=1e-5)
        assert not (tmp_path / "own" / row["image_path"]).is_symlink()
    counted, told = [], []
    annotations = rows(tmp_path / "own", tmp_path / "boxes", folder_annotations)
    for row, frame in zip(found, frames, strict=True):
        points = load_points(row["clouds"], tmp_path / "own")
        own = [box for box in annotations if box["sample"] == row["sample"]]
        counted += [
            int(points_in_oriented_box(points, np.reshape(box["T_points_from_box"], (4, 4)), box["size_lwh"]).sum())
            for box in own
        ]
        told += [box["num_points"] for box in frame["boxes"]]
    assert len(counted) == len(told) > 20
    # Boxes of the labelled frames are tilted by the camera's mount, tracklets stand upright.
    assert np.abs(np.subtract(counted, told)).sum() < 0.03 * sum(told)


def test_what_is_missing_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drive = write_drive(tmp_path / "raw")
    (drive / "velodyne_points" / "data" / "0000000001.bin").unlink()
    (drive / "image_02" / "data" / "0000000002.png").unlink()
    (drive / "oxts" / "data" / "0000000003.txt").unlink()
    main(["import", "kitti-raw", "--from", str(drive), "--out", str(tmp_path / "own")])
    out = capsys.readouterr().out.splitlines()
    assert out == [
        f"{tmp_path / 'own' / DRIVE}: 2 clouds, 2 pictures, 1 poses, 2 labels",
        "  note: 1 clouds have no pose: their packet of oxts is missing",
        "  left out: 1 clouds without a picture",
        "  left out: 1 pictures of image_02 without a cloud",
    ]
    shutil.rmtree(drive / "oxts")
    said = run(drive, tmp_path / "fewer", every=2)
    assert "2 clouds, 2 pictures, 0 poses" in said[0]
    assert "oxts/data is not there; each cloud stands alone" in said[1]


def test_what_cannot_be_right_is_refused(tmp_path: Path) -> None:
    drive = write_drive(tmp_path / "raw")
    day = drive.parent

    def refused(message: str, source: Path = drive, **settings: Any) -> None:
        with pytest.raises(InputError, match=message):
            run(source, tmp_path / "own", **settings)
        assert not (tmp_path / "own" / DRIVE).exists()

    refused("holds no velodyne_points", tmp_path)
    refused("neither rectified nor synchronised", tmp_path / "2011_09_26_drive_0052_extract")
    refused("image_07/data: no such folder; --cameras takes", cameras="image_07")
    shutil.copytree(drive / "image_02", drive / "image_03")
    refused(r"has no line 'P_rect_03' of 12 numbers")
    shutil.rmtree(drive / "image_03")

    def change(path: Path, content: str, message: str) -> None:
        before = path.read_text()
        path.write_text(content)
        refused(message)
        path.write_text(before)

    change(day / "calib_velo_to_cam.txt", "R: 1 0 0 0 2 0 0 0 1\nT: 0 0 0\n", "velo_to_cam.txt: R is no rotation")
    change(day / "calib_cam_to_cam.txt", "S_rect_02: 1 2\n", "cam_to_cam.txt: has no line 'P_rect_02'")
    swapped = (day / "calib_cam_to_cam.txt").read_text().replace(text((124, 38)), text((1242, 375)))
    change(day / "calib_cam_to_cam.txt", swapped, r"pictures are 124×38, the calibration's \(S_rect\) 1242×375")
    change(drive / "tracklet_labels.xml", "<a><b></a>", "tracklet_labels.xml: not a file of tracklets")
    change(drive / "tracklet_labels.xml", "<annotation/>", r"it begins with <annotation>")
    change(drive / "oxts" / "data" / "0000000001.txt", "49.0 8.4", "0000000001.txt: not a packet of OXTS")
    change(drive / "velodyne_points" / "timestamps.txt", "yesterday\n", "timestamps.txt: a line is no date and time")
    (day / "calib_velo_to_cam.txt").unlink()
    refused("calib_velo_to_cam.txt: no such file; unpack the day's calibration")
