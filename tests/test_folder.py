"""The source `folder`: your own recordings.

Real: KITTI's six frames, copied into a folder's form, and a SUN RGB-D frame whose points are drawn into a depth image.
Made: a small scene of random points, for units, axes and wrong declarations.
"""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from clip2.evaluate import objects
from clip2.evaluate.classes import choose_classes
from clip2.evaluate.object_shards import common_header
from clip2.evaluate.settings import ObjectsSettings
from clip2.geometry import in_image, points_in_oriented_box, project_points
from clip2.runtime.errors import InputError
from clip2.scans.clouds import load_points
from clip2.scans.folder import annotations as folder_annotations
from clip2.scans.folder import frames as folder_frames
from clip2.scans.folder.calibration import read_calibration
from clip2.scans.folder.files import find_scenes
from clip2.scans.folder.settings import FolderSettings
from clip2.scans.folder.survey import survey
from clip2.scans.images import read_frame_image
from clip2.scans.shards import shard_names
from clip2.store.tables import iterate_rows, read_header

ALL = FolderSettings(train="all", val="all", train_shards=2, val_shards=1)
Row = dict[str, Any]


def ingest(root: Path, out: Path, settings: FolderSettings = ALL, role: str = "val") -> list[Row]:
    folder_frames.run(root, out, "mine", settings)
    names = shard_names(role, settings.n_shards[role])
    return [row for name in names for row in iterate_rows(out / f"{name}.parquet")]


def annotate(root: Path, out: Path, settings: FolderSettings = ALL) -> list[Row]:
    folder_annotations.run(root, out, "mine", settings)
    return [row for name in shard_names("val", settings.val_shards) for row in iterate_rows(out / f"{name}.parquet")]


def project(points: np.ndarray, frame: Row) -> tuple[np.ndarray, np.ndarray]:
    return project_points(points, np.reshape(frame["T_cam_from_points"], (4, 4)), np.reshape(frame["K"], (3, 3)))


def count_inside(points: np.ndarray, row: Row) -> int:
    return int(points_in_oriented_box(points, np.reshape(row["T_points_from_box"], (4, 4)), row["size_lwh"]).sum())


def put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def put_json(path: Path, value: Any) -> None:
    put(path, json.dumps(value).encode())


# --- real: KITTI -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def kitti_frames(realdata: Path) -> list[Row]:
    content = json.loads((realdata / "frames.json").read_text())
    return [frame for frame in content["frames"] if frame["set"] == "kitti"]


@pytest.fixture(scope="module")
def kitti(realdata: Path, kitti_frames: list[Row], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """KITTI's frames as a folder: one scene for each calibration."""
    root = tmp_path_factory.mktemp("kitti")
    scenes: dict[str, str] = {}
    for frame in kitti_frames:
        ((_, camera),) = frame["cameras"].items()
        key = json.dumps([camera["K"], camera["T_cam_from_points"], camera["width"], camera["height"]])
        scene = root / scenes.setdefault(key, f"drive{len(scenes)}")
        stem = Path(camera["image"]).stem
        put(scene / "images" / "left" / f"{stem}.png", (realdata / camera["image"]).read_bytes())
        put(scene / "velodyne" / f"{stem}.bin", (realdata / frame["cloud"]["path"]).read_bytes())
        labels = []
        for box in frame["boxes"]:
            R = np.array(box["R"])
            yaw = float(np.arctan2(R[1, 0], R[0, 0]))
            labels.append({"name": box["class"], "center": box["center"], "size_lwh": box["size_lwh"], "yaw": yaw})
        put_json(scene / "labels" / f"{stem}.json", labels)
        put_json(
            scene / "calibration.json",
            {
                "sensor": "lidar",
                "up": "z",
                "units": "m",
                "clouds": {"folder": "velodyne", "format": "float32x4"},
                "cameras": {
                    "left": {
                        "image_folder": "images/left",
                        "width": camera["width"],
                        "height": camera["height"],
                        "K": camera["K"],
                        "T_cam_from_points": camera["T_cam_from_points"],
                    }
                },
            },
        )
    return root


@pytest.mark.real
def test_kitti_projects_as_its_own_calibration_files_say(kitti: Path, realdata: Path, tmp_path: Path) -> None:
    """p = P2 R0_rect Tr_velo_to_cam x, from KITTI's text files, against our frames."""
    frames = ingest(kitti, tmp_path)
    assert len(frames) == 6
    for frame in frames:
        stem = frame["sample"].split("/")[-1]
        lines = (realdata / "kitti/training/calib" / f"{stem}.txt").read_text().split("\n")
        calib = {key: np.array(values.split(), float) for key, _, values in (line.partition(":") for line in lines)}
        R0, Tr = np.eye(4), np.eye(4)
        R0[:3, :3], Tr[:3] = calib["R0_rect"].reshape(3, 3), calib["Tr_velo_to_cam"].reshape(3, 4)
        points = load_points(frame["clouds"], kitti)
        stored = np.fromfile(realdata / "kitti/training/velodyne" / f"{stem}.bin", np.float32).reshape(-1, 4)
        np.testing.assert_array_equal(points, stored)
        homogeneous = np.hstack([points[:, :3], np.ones((len(points), 1))]) @ (calib["P2"].reshape(3, 4) @ R0 @ Tr).T
        uv, depth = project(points, frame)
        near = depth > 2
        np.testing.assert_allclose(uv[near], homogeneous[near, :2] / homogeneous[near, 2:], atol=0.05)
        assert in_image(uv, (frame["width"], frame["height"])).sum() > 10_000
        assert read_frame_image(kitti, frame).shape == (frame["height"], frame["width"], 3)


@pytest.mark.real
def test_kitti_boxes_hold_the_points_that_they_should(kitti: Path, kitti_frames: list[Row], tmp_path: Path) -> None:
    rows = annotate(kitti, tmp_path / "a")
    clouds = {frame["sample"]: frame["clouds"] for frame in ingest(kitti, tmp_path / "f")}
    points = {sample: load_points(given, kitti) for sample, given in clouds.items()}
    counted = {(row["sample"].split("/")[-1], index(row)): count_inside(points[row["sample"]], row) for row in rows}
    for frame in kitti_frames:
        stem = Path(frame["cameras"][next(iter(frame["cameras"]))]["image"]).stem
        for number, box in enumerate(frame["boxes"]):
            # KITTI's boxes stand upright in the camera's frame, ours on the LiDAR's: a tilt under 1°.
            assert counted[stem, number] == pytest.approx(box["num_points"], rel=0.05, abs=3)
    assert len(rows) == 20
    assert sum(counted.values()) > 3000
    assert {row["class_name"] for row in rows} >= {"car", "cyclist", "pedestrian"}


def index(row: Row) -> int:
    return int(row["annotation_id"].rsplit("/", 1)[1])


@pytest.mark.real
def test_the_survey_of_kitti_finds_nothing_wrong(kitti: Path) -> None:
    found = survey(kitti, ALL)
    assert not found.fatal
    assert not found.remarks
    assert found.used == {"train": 6, "val": 6}
    assert all(item.found == item.wanted for item in found.items)


@pytest.mark.real
@pytest.mark.parametrize(
    ("change", "remark"),
    [
        (lambda c: c.update(up="y"), "rotation are wrong"),
        (lambda c: c.update(units="mm"), "the units are wrong"),
        (
            lambda c: c["cameras"]["left"].update(T_cam_from_points=inverse(c)),
            "rotation are wrong",
        ),
        # a K of another camera
        (
            lambda c: c["cameras"]["left"].update(K=[[1e5, 0, 0], [0, 1e5, 0], [0, 0, 1]]),
            "belongs to another sensor",
        ),
    ],
)
def test_the_survey_doubts_what_can_not_be(
    kitti: Path, tmp_path: Path, change: Callable[[Row], None], remark: str
) -> None:
    scene = kitti / "drive0"
    for folder in ("images", "velodyne", "labels"):
        (tmp_path / folder).symlink_to(scene / folder)
    calibration = json.loads((scene / "calibration.json").read_text())
    change(calibration)
    put_json(tmp_path / "calibration.json", calibration)
    assert any(remark in found for found in survey(tmp_path, ALL).remarks)


def inverse(calibration: Row) -> list[list[float]]:
    return [list(map(float, row)) for row in np.linalg.inv(calibration["cameras"]["left"]["T_cam_from_points"])]


# --- real: SUN RGB-D -------------------------------------------------------------------------------------------------


@pytest.mark.real
def test_a_depth_image_of_a_real_room(realdata: Path, tmp_path: Path) -> None:
    """The room's points, drawn into a depth image, come back upright and in the labelled boxes."""
    content = json.loads((realdata / "frames.json").read_text())
    (given,) = [frame for frame in content["frames"] if frame["set"] == "sunrgbd"]
    ((name, camera),) = given["cameras"].items()
    columns = int(given["cloud"]["format"].removeprefix("f32x"))
    cloud = np.fromfile(realdata / given["cloud"]["path"], np.float32).reshape(-1, columns)[:, :3].astype(float)
    T, K = np.array(camera["T_cam_from_points"]), np.array(camera["K"])
    uv, z = project_points(cloud, T, K)
    u, v = np.rint(uv).astype(int).T
    depth = np.zeros((camera["height"], camera["width"]), np.uint16)
    ok = (u >= 0) & (v >= 0) & (u < camera["width"]) & (v < camera["height"])
    depth[v[ok], u[ok]] = np.rint(z[ok] * 4000)
    root = tmp_path / "room"
    put(root / "depth" / "0.png", cv2.imencode(".png", depth)[1].tobytes())
    put(root / "colour" / "0.jpg", (realdata / camera["image"]).read_bytes())
    put_json(
        root / "calibration.json",
        {
            "sensor": "rgbd",
            "up": "y",  # the declared frame: x right, y up, z backward
            "units": "cm",
            "cameras": {
                name: {
                    "image_folder": "colour",
                    "width": camera["width"],
                    "height": camera["height"],
                    "K": camera["K"],
                    "pose_folder": "poses",
                    "depth": {"metres_per_unit": 1 / 4000},
                }
            },
        },
    )
    y_up_from_z_up = np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1.0]])
    pose = y_up_from_z_up @ np.linalg.inv(T)
    pose[:3, 3] *= 100
    put(root / "poses" / "0.txt", "\n".join(" ".join(f"{x:.9f}" for x in row) for row in pose).encode())
    boxes = [
        {
            "name": box["class"],
            "center": (100 * y_up_from_z_up[:3, :3] @ box["center"]).tolist(),
            "size_lwh": [100 * side for side in box["size_lwh"]],
            "yaw": float(np.arctan2(box["R"][1][0], box["R"][0][0])),
        }
        for box in given["boxes"]
    ]
    put_json(root / "labels" / "0.json", boxes)

    (frame,) = ingest(root, tmp_path / "frames")
    points = load_points(frame["clouds"], root)
    assert len(points) == np.count_nonzero(depth)
    assert points[:, 2].min() == pytest.approx(cloud[ok, 2].min(), abs=0.02)
    back, _ = project(points, frame)
    np.testing.assert_allclose(back, np.argwhere(depth)[:, ::-1], atol=0.01)
    for row, box in zip(annotate(root, tmp_path / "boxes"), given["boxes"], strict=True):
        assert row["class_name"] == box["class"]
        inside = points_in_oriented_box(cloud[ok], np.block([[np.array(box["R"]), np.array(box["center"])[:, None]],
                                                             [np.zeros((1, 3)), 1]]), box["size_lwh"])  # fmt: skip
        pixels = len(np.unique(v[ok][inside] * 10_000 + u[ok][inside]))  # several points may share a pixel
        assert count_inside(points, row) == pytest.approx(pixels, rel=0.06, abs=3)
        assert pixels > 30
    assert read_header(tmp_path / "frames" / f"{shard_names('val', 1)[0]}.parquet")["sensor"] == "rgbd"
    assert not survey(root, ALL).remarks


# --- made ------------------------------------------------------------------------------------------------------------

Z_UP_FROM = {  # written out by hand: where (x, y, z) of the file goes
    "z": lambda x, y, z: (x, y, z),
    "-z": lambda x, y, z: (x, -y, -z),
    "y": lambda x, y, z: (x, -z, y),
    "-y": lambda x, y, z: (x, z, -y),
    "x": lambda x, y, z: (y, z, x),
    "-x": lambda x, y, z: (-y, z, -x),
}
K = [[300.0, 0, 160], [0, 300, 120], [0, 0, 1]]
LOOK_ALONG_X = np.array([[0, -1.0, 0, 0], [0, 0, -1, 0.1], [1, 0, 0, 0.2], [0, 0, 0, 1]])  # z-up metres → camera


def make_folder(
    root: Path, up: str = "z", units: str = "m", stems: tuple[str, ...] = ("a", "b"), **camera: Any
) -> None:
    """A LiDAR and a camera, declared in other axes and units; the truth behind it is z up and in metres."""
    rng = np.random.default_rng(1)
    scale = {"m": 1, "cm": 100, "mm": 1000}[units]
    turn = np.array(Z_UP_FROM[up](*np.eye(3))).reshape(3, 3)  # z-up from declared
    T = LOOK_ALONG_X.copy()
    T[:3, :3] = T[:3, :3] @ turn
    T[:3, 3] *= scale
    for stem in stems:
        truth = np.column_stack([rng.uniform(0.2, 30, 500), rng.uniform(-9, 9, 500), rng.uniform(-2, 3, 500)])
        stored = scale * truth @ turn  # rows: turn.T @ p
        put(root / "truth" / f"{stem}.bin", truth.astype("<f8").tobytes())
        put(root / "clouds" / f"{stem}.bin", np.column_stack([stored, np.full(500, 7)]).astype("<f4").tobytes())
        put(root / "images" / f"{stem}.png", cv2.imencode(".png", np.full((240, 320, 3), 90, np.uint8))[1].tobytes())
    put_json(
        root / "calibration.json",
        {
            "sensor": "lidar",
            "up": up,
            "units": units,
            "clouds": {"format": "float32x4"},
            "cameras": {
                "front": {
                    "image_folder": "images",
                    "width": 320,
                    "height": 240,
                    "K": K,
                    "T_cam_from_points": T.tolist(),
                    **camera,
                }
            },
        },
    )
    centre = scale * np.array([16.0, 1.0, 0.5]) @ turn
    box = {
        "name": "Delivery Robot",
        "center": centre.tolist(),
        "size_lwh": [scale * s for s in (9.0, 4.0, 3.0)],
        "yaw": 0.3,
    }
    put_json(root / "labels" / "a.json", [box])


@pytest.mark.parametrize("units", ["m", "mm"])
@pytest.mark.parametrize("up", sorted(Z_UP_FROM))
def test_whatever_is_declared_becomes_z_up_metres(tmp_path: Path, up: str, units: str) -> None:
    make_folder(tmp_path, up, units)
    frames = ingest(tmp_path, tmp_path / "frames")
    assert len(frames) == 2
    for frame in frames:
        truth = np.frombuffer((tmp_path / "truth" / f"{frame['sample']}.bin").read_bytes()).reshape(-1, 3)
        points = load_points(frame["clouds"], tmp_path, min_range=1.0)
        assert (points[:, 3] == 7).all()
        np.testing.assert_allclose(points[:, :3], truth, atol=1e-4)
        expected, _ = project_points(truth, LOOK_ALONG_X, K)
        np.testing.assert_allclose(project(points, frame)[0], expected, atol=0.05)
    (box,) = annotate(tmp_path, tmp_path / "boxes")
    assert box["sample"] == "a"
    assert box["class_name"] == "delivery_robot"
    np.testing.assert_allclose(np.reshape(box["T_points_from_box"], (4, 4))[:3, 3], [16, 1, 0.5], atol=1e-9)
    np.testing.assert_allclose(box["size_lwh"], [9, 4, 3])
    assert box["ego_distance_m"] == pytest.approx(np.hypot(16, 1))
    assert np.reshape(box["T_points_from_box"], (4, 4))[1, 0] == pytest.approx(np.sin(0.3))


@pytest.mark.parametrize(
    ("format", "write"),
    [
        ("float32x3", lambda p: p.astype("<f4").tobytes()),
        ("float32x6", lambda p: np.hstack([p, p]).astype("<f4").tobytes()),
        ("npy", None),
    ],
)
def test_cloud_formats(tmp_path: Path, format: str, write: Callable[[np.ndarray], bytes] | None) -> None:
    make_folder(tmp_path, stems=("a",))
    calibration = json.loads((tmp_path / "calibration.json").read_text())
    calibration["clouds"] = {"folder": "other", "format": format}
    put_json(tmp_path / "calibration.json", calibration)
    points = np.random.default_rng(0).normal(size=(50, 3))
    if write is None:
        (tmp_path / "other").mkdir()
        np.save(tmp_path / "other" / "a.npy", points)
    else:
        put(tmp_path / "other" / "a.bin", write(points))
    (frame,) = ingest(tmp_path, tmp_path / "frames")
    read = load_points(frame["clouds"], tmp_path)
    assert read.shape == (50, 4)
    np.testing.assert_allclose(read[:, :3], points, rtol=1e-6)


def test_distorted_pictures_are_undistorted(tmp_path: Path) -> None:
    make_folder(tmp_path, distortion=[-0.2, 0.04, 0, 0])
    frame = ingest(tmp_path, tmp_path / "frames")[0]
    assert frame["lens"] == {"K": np.ravel(K).tolist(), "distortion": [-0.2, 0.04, 0, 0]}
    assert np.reshape(frame["K"], (3, 3))[0, 0] != 300
    assert read_frame_image(tmp_path, frame).shape == (240, 320, 3)


def test_frames_without_a_lens_have_none(tmp_path: Path) -> None:
    make_folder(tmp_path)
    assert [frame["lens"] for frame in ingest(tmp_path, tmp_path / "frames")] == [None, None]


def test_files_without_a_counterpart_are_counted(tmp_path: Path) -> None:
    make_folder(tmp_path, stems=("a", "b", "c", "d"))
    (tmp_path / "clouds" / "b.bin").unlink()
    (tmp_path / "images" / "c.png").unlink()
    assert [frame["sample"] for frame in ingest(tmp_path, tmp_path / "frames")] == ["a", "d"]
    counts = read_header(tmp_path / "frames" / f"{shard_names('val', 1)[0]}.parquet")["counts"]
    assert (counts["images_missing_in_all"], counts["clouds_missing_in_all"], counts["frames"]) == (1, 1, 2)
    items = {item.name: item for item in survey(tmp_path, ALL).items}
    assert (items[".: clouds"].found, items[".: clouds"].wanted, items[".: clouds"].first_missing) == (3, 4, "b")


def test_scenes_are_sub_folders(tmp_path: Path) -> None:
    for name in ("monday", "tuesday"):
        make_folder(tmp_path / name)
    frames = ingest(tmp_path, tmp_path / "frames", FolderSettings(train="all", val="scene:tuesday", val_shards=1))
    assert [(frame["scene"], frame["sample"]) for frame in frames] == [
        ("tuesday", "tuesday/a"),
        ("tuesday", "tuesday/b"),
    ]
    assert frames[0]["image_path"] == "tuesday/images/a.png"
    put(tmp_path / "splits" / "held_out.txt", b"monday\ntuesday/b\n")
    listed = FolderSettings(train="all", val="held_out", val_shards=1)
    assert [frame["sample"] for frame in ingest(tmp_path, tmp_path / "frames", listed)] == [
        "monday/a",
        "monday/b",
        "tuesday/b",
    ]
    with pytest.raises(InputError, match=r"split 'train' is unknown \(no .*splits/train.txt\)"):
        ingest(tmp_path, tmp_path / "frames", FolderSettings())


def test_the_classes_are_those_of_the_labels(tmp_path: Path) -> None:
    """Of both roles, so that all that is measured chooses from the same; there is no benchmark that would name any."""
    for scene, name in (("monday", "Delivery Robot"), ("tuesday", "car")):
        make_folder(tmp_path / scene)
        labels = tmp_path / scene / "labels" / "a.json"
        put_json(labels, [json.loads(labels.read_text())[0] | {"name": name}])
    settings = FolderSettings(train="scene:monday", val="scene:tuesday")
    ingest(tmp_path, tmp_path / "frames", settings)
    folder_annotations.run(tmp_path, tmp_path / "annotations", "mine", settings)
    for shard in ("train-000of001", "val-000of001"):
        boxes = tmp_path / "annotations" / f"{shard}.parquet"
        assert read_header(boxes)["classes"] == ["car", "delivery_robot"]
        out = tmp_path / f"{shard}.parquet"
        objects.run(
            tmp_path / "frames" / f"{shard}.parquet", boxes, tmp_path, out, out.with_suffix(".h5"), ObjectsSettings()
        )
        assert choose_classes((), common_header([(out, out.with_suffix(".h5"))])) == ("car", "delivery_robot")


def test_without_lists_a_stable_share_is_held_out(tmp_path: Path) -> None:
    stems = tuple(f"{i:03d}" for i in range(60))
    make_folder(tmp_path, stems=stems)
    settings = FolderSettings(train_shards=1, val_shards=1, val_share=0.3)
    val = {frame["sample"] for frame in ingest(tmp_path, tmp_path / "frames", settings)}
    train = {frame["sample"] for frame in iterate_rows(tmp_path / "frames" / f"{shard_names('train', 1)[0]}.parquet")}
    assert val | train == set(stems)
    assert not val & train
    assert 8 <= len(val) <= 28
    (tmp_path / "clouds" / f"{min(train)}.bin").unlink()  # what is there besides does not matter
    assert {frame["sample"] for frame in ingest(tmp_path, tmp_path / "frames", settings)} == val


@pytest.mark.parametrize(
    ("frames", "held_out"),
    [
        ({"monday": 3, "tuesday": 9}, {"monday"}),  # not nine frames of twelve
        ({"monday": 9, "tuesday": 3}, {"tuesday"}),
        ({f"drive{i}": 2 for i in range(5)}, 1),
        ({f"drive{i}": 2 for i in range(9)}, 2),
    ],
)
def test_few_scenes_are_dealt_out_by_their_size(tmp_path: Path, frames: dict[str, int], held_out: Any) -> None:
    for scene, n in frames.items():
        make_folder(tmp_path / scene, stems=tuple(f"{i:03d}" for i in range(n)))
    val = {frame["scene"] for frame in ingest(tmp_path, tmp_path / "out", FolderSettings(train_shards=1, val_shards=1))}
    assert val == held_out if isinstance(held_out, set) else len(val) == held_out


@pytest.mark.parametrize("n", [2, 3, 12])
def test_one_drive_without_lists_gives_both_roles_something(tmp_path: Path, n: int) -> None:
    make_folder(tmp_path, stems=tuple(f"{i:03d}" for i in range(n)))
    val = ingest(tmp_path, tmp_path / "out", FolderSettings(train_shards=1, val_shards=1, val_share=0.2))
    assert 0 < len(val) < n


def test_one_drive_with_poses_is_one_scene_and_mined_whole(tmp_path: Path) -> None:
    make_folder(tmp_path, stems=tuple(f"{i:03d}" for i in range(5)))
    calibration = json.loads((tmp_path / "calibration.json").read_text())
    calibration["clouds"]["pose_folder"] = "poses"
    put_json(tmp_path / "calibration.json", calibration)
    for i in range(5):
        put(tmp_path / "poses" / f"{i:03d}.txt", f"1 0 0 {i}\n0 1 0 0\n0 0 1 0\n0 0 0 1\n".encode())
    settings = FolderSettings(train_shards=1, val_shards=1)
    assert {row["scene"] for row in ingest(tmp_path, tmp_path / "out", settings, "train")} == {"recording"}
    assert len(ingest(tmp_path, tmp_path / "out", settings, "train")) == 5
    assert ingest(tmp_path, tmp_path / "out", settings, "val") == []


@pytest.mark.parametrize(("up", "units"), [("z", "m"), ("-y", "mm")])
def test_a_picture_with_a_place_of_its_own(tmp_path: Path, up: str, units: str) -> None:
    """By points: cloud → scene → camera, both poses as declared, in metres."""
    make_folder(tmp_path, up, units)
    calibration = json.loads((tmp_path / "calibration.json").read_text())
    ((name, camera),) = calibration["cameras"].items()
    calibration["clouds"]["pose_folder"], camera["pose_folder"] = "poses", "camera_poses"
    put_json(tmp_path / "calibration.json", calibration)
    scale = {"m": 1.0, "mm": 1000.0}[units]
    up_axis = {"z": "z", "-y": "y"}[up]
    still = np.array(camera["T_cam_from_points"])
    drive = np.eye(4)
    drive[:3, :3] = Rotation.from_euler(up_axis, 30, degrees=True).as_matrix()
    drive[:3, 3] = scale * np.array([5.0, 6.0, 7.0])
    later = drive.copy()
    later[:3, 3] += scale * np.array([0.4, 0.1, -0.2])
    for folder, T in (("poses", drive), ("camera_poses", later @ np.linalg.inv(still))):
        put(tmp_path / folder / "a.txt", "\n".join(" ".join(map(repr, row)) for row in T.tolist()).encode())
    frames = {frame["sample"]: frame for frame in ingest(tmp_path, tmp_path / "frames")}
    truth = np.frombuffer((tmp_path / "truth" / "a.bin").read_bytes(), "<f8").reshape(-1, 3)
    declared = scale * truth @ np.array(Z_UP_FROM[up](*np.eye(3))).reshape(3, 3)
    seen = np.column_stack([declared, np.ones(len(truth))]) @ (still @ np.linalg.inv(later) @ drive).T
    T = np.reshape(frames["a"]["T_cam_from_points"], (4, 4))
    np.testing.assert_allclose(truth @ T[:3, :3].T + T[:3, 3], seen[:, :3] / scale, atol=1e-9)
    # Without poses of both, the declared place; with one that cannot be, none.
    assert np.abs(np.reshape(frames["b"]["T_cam_from_points"], (4, 4)) - T).max() > 0.1
    put(tmp_path / "camera_poses" / "a.txt", b"2 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n")
    assert {frame["sample"] for frame in ingest(tmp_path, tmp_path / "again")} == {"b"}
    del calibration["clouds"]["pose_folder"]
    put_json(tmp_path / "calibration.json", calibration)
    with pytest.raises(
        InputError, match=f"cameras.{name}: its `pose_folder` means nothing without `clouds.pose_folder`"
    ):
        ingest(tmp_path, tmp_path / "more")


LISTED = {"scene": "monday\n", "sample": "monday/a\nmonday/b\n", "files": "monday/images/a.png, monday/clouds/b.bin"}


@pytest.mark.parametrize("names", LISTED.values(), ids=LISTED)
def test_a_list_may_name_scenes_samples_or_files(tmp_path: Path, names: str) -> None:
    for scene in ("monday", "tuesday"):
        make_folder(tmp_path / scene)
    put(tmp_path / "splits" / "val.txt", names.encode("utf-16"))
    found = ingest(tmp_path, tmp_path / "frames", FolderSettings(train="all", val="val", val_shards=1))
    assert sorted(frame["sample"] for frame in found) == ["monday/a", "monday/b"]


def test_each_unknown_name_in_a_list_is_told(tmp_path: Path) -> None:
    for scene in ("monday", "tuesday", "Tuesdays"):
        make_folder(tmp_path / scene)
    put(tmp_path / "splits" / "val.txt", b"monday\nTuesday\nmonday/x\n")
    settings = FolderSettings(train="all", val="val")
    said = r"val\.txt: line 2: “Tuesday” \(is it “tuesday”\?\); line 3: “monday/x” .*: no scene or sample"
    with pytest.raises(InputError, match=said):
        ingest(tmp_path, tmp_path / "frames", settings)
    assert any("“Tuesday”" in reason for reason in survey(tmp_path, settings).fatal)


MAP = np.array([724706.0, 5649433.0, 275.0])


@pytest.mark.parametrize("up", ["z", "-y"])
@pytest.mark.parametrize("units", ["m", "mm"])
def test_map_coordinates_change_nothing_but_the_header(tmp_path: Path, up: str, units: str) -> None:
    """The same recording, with and without 5,600 km between its origin and the car."""
    scale = {"m": 1, "mm": 1000}[units]
    make_folder(tmp_path / "near", up, units)
    shutil.copytree(tmp_path / "near", tmp_path / "far")
    turn = np.array(Z_UP_FROM[up](*np.eye(3))).reshape(3, 3)  # z-up from declared
    away = MAP @ turn  # in the declared axes
    for root, shift in ((tmp_path / "near", np.zeros(3)), (tmp_path / "far", away)):
        calibration = json.loads((root / "calibration.json").read_text())
        calibration["clouds"]["format"] = "npy"
        T = np.array(calibration["cameras"]["front"]["T_cam_from_points"])
        T[:3, 3] -= scale * T[:3, :3] @ shift
        calibration["cameras"]["front"]["T_cam_from_points"] = T.tolist()
        put_json(root / "calibration.json", calibration)
        for path in (root / "clouds").glob("*.bin"):
            rows = np.fromfile(path, "<f4").reshape(-1, 4).astype(np.float64)
            rows[:, :3] += scale * shift
            np.save(path.with_suffix(".npy"), rows)
        label = {"name": "car", "center": (scale * (np.array([9, 1, 0.5]) @ turn + shift)).tolist()}
        put_json(root / "labels" / "a.json", [label | {"size_lwh": [4 * scale, 2 * scale, 2 * scale], "yaw": 0.3}])
    frames, boxes = ({n: f(tmp_path / n, tmp_path / "out" / f.__name__ / n) for n in ("near", "far")}
                     for f in (ingest, annotate))  # fmt: skip
    for near, far in zip(frames["near"], frames["far"], strict=True):
        a, b = load_points(near["clouds"], tmp_path / "near"), load_points(far["clouds"], tmp_path / "far")
        offset = (a[:, :3] - b[:, :3]).mean(0)  # of the origins, under a metre: the shift is whole metres
        assert np.abs(offset).max() < 1
        np.testing.assert_allclose(a[:, :3] - b[:, :3], np.broadcast_to(offset, (len(a), 3)), atol=1e-5)
        np.testing.assert_allclose(project(a, near)[0], project(b, far)[0], atol=1e-3, equal_nan=True)
        (box_a,), (box_b,) = ([r for r in boxes[n] if r["sample"] == near["sample"]] or [None] for n in ("near", "far"))
        assert near["sample"] != "a" or count_inside(a, box_a) == count_inside(b, box_b) > 0
    header = read_header(tmp_path / "out" / "ingest" / "far" / f"{shard_names('val', 1)[0]}.parquet")
    np.testing.assert_allclose(header["shift_m"]["."], MAP, atol=1.5)
    assert "shift_m" not in read_header(tmp_path / "out" / "ingest" / "near" / f"{shard_names('val', 1)[0]}.parquet")


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    make_folder(tmp_path)
    for out in ("one", "two"):
        ingest(tmp_path, tmp_path / out)
    names = [f"{name}.parquet" for role in ("train", "val") for name in shard_names(role, ALL.n_shards[role])]
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def drop(*keys: str) -> Callable[[Row], None]:
    def change(calibration: Row) -> None:
        for key in keys[:-1]:
            calibration = calibration[key]
        del calibration[keys[-1]]

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop("up"), "up: Field required: say which axis of your points points up"),
        (drop("units"), "units: Field required: say what your lengths are in"),
        (drop("sensor"), "sensor: Field required"),
        (drop("clouds"), "a lidar needs `clouds`"),
        (drop("cameras", "front", "T_cam_from_points"), "front: beside a lidar it needs `T_cam_from_points`"),
        (lambda c: c.update(up="up"), "up: Input should be"),
        (lambda c: c.update(unit="m"), "unit: Extra inputs are not permitted"),
        (lambda c: c["cameras"]["front"].update(distortion=[1, 2, 3]), "distortion has 3 numbers"),
        (lambda c: c["cameras"]["front"].update(K=[[1, 0], [0, 1]]), "cameras.front.K"),
        (lambda c: c["cameras"]["front"].update(T_cam_from_points=(2 * np.eye(4)).tolist()), "not a rotation"),
        (
            lambda c: c["clouds"].update(format="float32x2"),
            "clouds.format: 'float32x2' is not read; it has to be one of",
        ),
        (lambda c: c["clouds"].update(format="laz"), "clouds.format: 'laz' is not read; unpack it with `laszip"),
        (lambda c: c["cameras"]["front"].update(width=2**70), "cameras.front.width"),
        (lambda c: c["cameras"]["front"]["K"].__setitem__(0, [float("nan"), 0, 0]), "cameras.front.K"),
        (lambda c: c.update(sensor="rgbd"), "rgbd means one camera and no `clouds`"),
    ],
)
def test_a_wrong_calibration_is_named(tmp_path: Path, change: Callable[[Row], None], message: str) -> None:
    make_folder(tmp_path)
    calibration = json.loads((tmp_path / "calibration.json").read_text())
    change(calibration)
    put_json(tmp_path / "calibration.json", calibration)
    with pytest.raises(InputError, match=rf"calibration\.json: .*{message}"):
        ingest(tmp_path, tmp_path / "frames")
    assert survey(tmp_path, ALL).fatal


def test_other_wrong_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"calibration\.json: no such file, nor in a sub-folder"):
        ingest(tmp_path, tmp_path / "frames")
    make_folder(tmp_path)
    put(tmp_path / "images" / "a.jpg", b"")
    with pytest.raises(InputError, match="files are matched by stem"):
        ingest(tmp_path, tmp_path / "frames")
    (tmp_path / "images" / "a.jpg").unlink()
    put_json(tmp_path / "labels" / "a.json", [{"name": "car", "center": [0, 0, 0], "size_lwh": [1, 0, 1]}])
    with pytest.raises(InputError, match=r"a\.json: 0\.size_lwh\.1: Input should be greater than 0"):
        annotate(tmp_path, tmp_path / "boxes")
    with pytest.raises(InputError, match=r"split 'scene:x': .* has no such scene"):
        ingest(tmp_path, tmp_path / "frames", FolderSettings(train="all", val="scene:x"))


BOX = {"name": "car", "center": [16.0, 1.0, 0.5], "size_lwh": [9.0, 4.0, 3.0], "yaw": 0.3}


def test_what_trackers_write_is_read(tmp_path: Path) -> None:
    """Numbers, -1 for none, and angles that go on along a track."""
    make_folder(tmp_path)
    rows = [BOX | {"track": 1, "yaw": 9.4}, BOX | {"track": 2.0, "name": "bus", "yaw": 0.1}]
    rows += [BOX | {"track": -1, "yaw": 0.2}, BOX | {"track": "-1", "yaw": 0.3}]
    put_json(tmp_path / "labels" / "b.json", rows)
    assert sum(row["sample"] == "b" for row in annotate(tmp_path, tmp_path / "boxes")) == 4


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([BOX, BOX | {"yaw": 90}], r"1\.yaw: 90 is more than two full turns in radians; convert degrees"),
        ([BOX | {"yaw": -1e300}], "is more than two full turns in radians"),
        ([BOX | {"name": " \t"}], r"0\.name: String should have at least 1 character"),
        ([BOX | {"track": "a"}, BOX | {"track": "a", "yaw": 0.4}], "track 'a' is in two places at a time"),
        ([BOX | {"track": True}], r"0\.track: Input should be a valid string"),
    ],
    ids=["degrees", "huge", "blank name", "track twice", "no track"],
)
def test_a_wrong_label_is_named(tmp_path: Path, rows: list[Row], message: str) -> None:
    make_folder(tmp_path)
    put_json(tmp_path / "labels" / "b.json", rows)
    for look in (lambda: annotate(tmp_path, tmp_path / "boxes"), lambda: survey(tmp_path, ALL)):
        with pytest.raises(InputError, match=rf"labels/b\.json: .*{message}"):
            look()


def test_a_label_that_is_there_twice_counts_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    make_folder(tmp_path)
    other = BOX | {"center": [8.0, 1, 0], "yaw": -2 * np.pi, "track": 7}
    put_json(tmp_path / "labels" / "a.json", [BOX | {"track": 5}, BOX | {"name": "Car "}, BOX | {"track": 5.0}, other])
    rows = annotate(tmp_path, tmp_path / "boxes")
    assert [(row["annotation_id"], row["instance"]) for row in rows] == [("a/0", "a/5"), ("a/3", "a/7")]
    counts = read_header(tmp_path / "boxes" / f"{shard_names('val', 1)[0]}.parquet")["counts"]
    assert (counts["annotations"], counts["boxes_repeated"]) == (2, 2)
    assert "2 boxes repeat one of their label file: left out" in caplog.text
    assert any("2 labelled boxes repeat one of their file" in remark for remark in survey(tmp_path, ALL).remarks)


@pytest.mark.parametrize(
    ("box", "remark"),
    [
        (BOX | {"center": [0.0, -200.0, 0.5]}, "3 of 3 labelled boxes of 3 samples hold no point"),
        (BOX | {"size_lwh": [9000.0, 4000, 3000]}, "3 of 3 labelled boxes of 3 samples are longer than 100 m"),
    ],
    ids=["another frame", "millimetres"],
)
def test_the_survey_looks_at_samples_that_have_boxes(tmp_path: Path, box: Row, remark: str) -> None:
    """Of hand-labelled recordings, the first sample often has none."""
    make_folder(tmp_path, stems=("a", "b", "c", "d"))
    put_json(tmp_path / "labels" / "a.json", [])
    for stem in ("b", "c", "d"):
        put_json(tmp_path / "labels" / f"{stem}.json", [box])
    assert [found for found in survey(tmp_path, ALL).remarks if remark in found]
    for stem in ("b", "c", "d"):
        put_json(tmp_path / "labels" / f"{stem}.json", [BOX])
    assert not survey(tmp_path, ALL).remarks


def times_of(root: Path, text: str) -> dict[str, int]:
    put(root / "timestamps.txt", text.encode())
    return find_scenes(root)[0].times_us


@pytest.mark.parametrize(
    "text",
    ["a 1.5\nb 2\n", "stem,seconds\na,1.5\nb,2\n", "# of the LiDAR\na 1.5\n\nb 2\nb 2\n", "\ufeffa\t1.5\r\nb 2.0"],
    ids=["plain", "header", "comment", "windows"],
)
def test_times_are_seconds_a_stem(tmp_path: Path, text: str) -> None:
    make_folder(tmp_path)
    assert times_of(tmp_path, text) == {"a": 1_500_000, "b": 2_000_000}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a 1500000000000000000\nb 1500000000100000000\n", "line 1: 1500000000000000000 is no time in seconds; divide"),
        ("a 1500000000000000\nb 1500000000100000\n", "is no time in seconds"),
        ("a 1500000000000\nb 1500000000100\n", "is no time in seconds"),
        ("a 1\nb 1e300\n", "line 2: 1e300 is no time in seconds"),
        ("a nan\nb 1\n", "line 1: cannot convert float NaN"),
        ("a noon\nb 1\n", "line 1: could not convert string to float: 'noon'"),
        ("a 1\nb 2\na 3\n", "line 3: a has another time before"),
        ("a 1\nstem seconds\nb 3\n", "line 2: could not convert"),
    ],
)
def test_times_that_cannot_be_are_refused(tmp_path: Path, text: str, message: str) -> None:
    make_folder(tmp_path)
    with pytest.raises(InputError, match=rf"timestamps\.txt: .*{message}"):
        times_of(tmp_path, text)


def test_the_survey_doubts_times_in_milliseconds(tmp_path: Path) -> None:
    make_folder(tmp_path)
    times_of(tmp_path, "a 0\nb 100\n")
    assert any("samples are 100 s apart (median)" in remark for remark in survey(tmp_path, ALL).remarks)


def test_folders_that_are_no_scenes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Hidden ones are none, one without a calibration is told, one that is there twice or leads nowhere is refused."""
    for name in ("monday", "tuesday", ".monday.bak"):
        make_folder(tmp_path / name)
    make_folder(tmp_path / "wednesday")
    (tmp_path / "wednesday" / "calibration.json").rename(tmp_path / "wednesday" / "Calibration.json")
    (tmp_path / "notes").mkdir()
    assert [scene.name for scene in find_scenes(tmp_path)] == ["monday", "tuesday"]
    ingest(tmp_path, tmp_path / "frames")
    told = "wednesday: has no calibration.json, and is left out"
    assert told in caplog.text
    remarks = survey(tmp_path, ALL).remarks
    assert sum(told in remark for remark in remarks) == 1
    assert any("tuesday: begins with the same cloud as monday" in remark for remark in remarks)
    assert not any("notes" in remark for remark in remarks)
    (tmp_path / "wednesday" / "calibration.json").symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"wednesday/calibration\.json: is a link to .*nowhere, where nothing is"):
        find_scenes(tmp_path)
    shutil.rmtree(tmp_path / "wednesday")
    (tmp_path / "wednesday").symlink_to(tmp_path / "tuesday")
    with pytest.raises(InputError, match="wednesday: is the same folder as 'tuesday'"):
        find_scenes(tmp_path)


@pytest.mark.parametrize(
    ("folder", "renamed", "message"),
    [
        ("images", "{}.webp", r"images: holds no picture \(.jpg, .jpeg, .png\); it holds 2 .webp"),
        ("clouds", "{}.xyz", r"clouds: holds no .bin file, as format 'float32x4' has them; it holds 2 .xyz"),
        ("clouds", "{}\udcff.bin", r"clouds: the name 'a\\udcff.bin' is not UTF-8; rename it"),
    ],
)
def test_a_folder_of_other_files_is_named(tmp_path: Path, folder: str, renamed: str, message: str) -> None:
    make_folder(tmp_path)
    for path in sorted((tmp_path / folder).iterdir()):
        path.rename(path.with_name(renamed.format(path.stem)))
    with pytest.raises(InputError, match=message):
        ingest(tmp_path, tmp_path / "frames")


def test_what_may_not_be_read_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_folder(tmp_path)

    def denied(path: Path) -> Any:
        raise PermissionError(13, "Permission denied", str(path))

    for name, method in (("calibration.json", "read_bytes"), ("images", "iterdir")):
        with monkeypatch.context() as patch:
            patch.setattr(Path, method, denied)
            with pytest.raises(InputError, match=rf"{name}: cannot be read \(Permission denied\)"):
                ingest(tmp_path, tmp_path / "frames")


def test_the_survey_looks_at_poses(tmp_path: Path) -> None:
    """Poses whose files are missing are counted, and poses in map coordinates that went through float32 are doubted."""
    make_folder(tmp_path, stems=("a", "b", "c"))
    calibration = json.loads((tmp_path / "calibration.json").read_text())
    calibration["clouds"]["pose_folder"] = "poses"
    put_json(tmp_path / "calibration.json", calibration)
    for rounded in (True, False):
        for stem, x in (("a", 500_000.123), ("b", 500_002.456)):
            pose = np.eye(4)
            pose[:3, 3] = np.array([x, 5_400_000.7, 212.3], np.float32 if rounded else np.float64)
            put(
                tmp_path / "poses" / f"{stem}.txt", "\n".join(" ".join(map(str, row)) for row in pose.tolist()).encode()
            )
        found = survey(tmp_path, ALL)
        assert any("poses are rounded to 0.5 m, as by float32" in remark for remark in found.remarks) == rounded
    (item,) = [item for item in found.items if "poses" in item.name]
    assert (item.found, item.wanted, item.first_missing) == (2, 3, "c")
    put(tmp_path / "poses" / "c.txt", b"\n")
    with pytest.raises(InputError, match=r"c\.txt: is empty"):
        ingest(tmp_path, tmp_path / "frames")


def test_a_calibration_that_says_two_things_is_refused(tmp_path: Path) -> None:
    make_folder(tmp_path)
    path = tmp_path / "calibration.json"
    text = path.read_text()
    camera = json.dumps(json.loads(text)["cameras"]["front"])
    for cameras, message in (
        (f'"front": {camera}, "front": {camera}', "the key 'front' is there twice"),
        (f'"front": {camera}, "back": {camera}', "cameras: 2 of them have the image_folder images; give each its own"),
    ):
        path.write_text(text.replace(f'"front": {camera}', cameras))
        with pytest.raises(InputError, match=rf"calibration\.json: .*{message}"):
            find_scenes(tmp_path)


def test_the_intrinsics_of_depth_images_are_checked(tmp_path: Path) -> None:
    depth = {"metres_per_unit": 0.001, "K": np.transpose(K).tolist()}
    camera = {"image_folder": "images", "width": 320, "height": 240, "K": K, "T_points_from_cam": np.eye(4).tolist()}
    made = {"sensor": "rgbd", "up": "-y", "units": "m", "cameras": {"kinect": camera | {"depth": depth}}}
    put_json(tmp_path / "calibration.json", made)
    with pytest.raises(InputError, match=r"cameras\.kinect: depth: K is transposed"):
        read_calibration(tmp_path / "calibration.json")


def test_a_sample_without_a_pose_is_counted(tmp_path: Path) -> None:
    depth = np.full((24, 32), 2000, np.uint16)
    for stem in ("0", "1", "2"):
        put(tmp_path / "depth" / f"{stem}.png", cv2.imencode(".png", depth)[1].tobytes())
        put(tmp_path / "colour" / f"{stem}.jpg", cv2.imencode(".jpg", np.zeros((24, 32, 3), np.uint8))[1].tobytes())
    put(tmp_path / "poses" / "0.txt", b"1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n")
    put(tmp_path / "poses" / "1.txt", b"-inf -inf -inf -inf\n" * 4)
    camera = {
        "image_folder": "colour",
        "width": 32,
        "height": 24,
        "K": [[30, 0, 16], [0, 30, 12], [0, 0, 1]],
        "pose_folder": "poses",
        "depth": {"metres_per_unit": 0.001},
    }
    put_json(tmp_path / "calibration.json", {"sensor": "rgbd", "up": "-y", "units": "m", "cameras": {"kinect": camera}})
    (frame,) = ingest(tmp_path, tmp_path / "frames")
    assert read_header(tmp_path / "frames" / f"{shard_names('val', 1)[0]}.parquet")["counts"]["poses_wrong"] == 2
    points = load_points(frame["clouds"], tmp_path)
    np.testing.assert_allclose(points[:, 1], 2)  # 2 m ahead: y in the upright frame
    assert points[0, 2] > points[-1, 2]  # the picture's upper row is higher


def test_the_examples_of_the_documentation_are_valid(repository: Path, tmp_path: Path) -> None:
    text = (repository / "docs" / "your_own_data.md").read_text()
    lidar, rgbd, labels = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    for name, example in (("lidar", lidar), ("rgbd", rgbd)):
        put(tmp_path / name / "calibration.json", example.encode())
        assert read_calibration(tmp_path / name / "calibration.json").sensor == name
    put(tmp_path / "labels.json", labels.encode())
    assert folder_annotations.read_labels(tmp_path / "labels.json")[0].name == "delivery robot"
