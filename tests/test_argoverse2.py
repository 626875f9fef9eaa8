"""Argoverse 2's sensor data set: reader and survey.

Made: a log in the data set's form, written by the test; a vehicle that drives and turns by a formula. Where the data
set's own API is installed (`pip install av2`, which wants another numpy than ours), it reads the same files beside us.
Real: calibration, poses, sweeps and boxes of a log that lies in the API's repository for its tests, without pictures.
"""

import importlib.util
import os
import re
import shutil
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pytest
from pyarrow import feather

from clip2.geometry import in_image, points_in_oriented_box, project_points
from clip2.runtime.errors import InputError
from clip2.scans.argoverse2 import annotations, frames
from clip2.scans.argoverse2.files import CAMERAS
from clip2.scans.argoverse2.outline import missing_labels, outline
from clip2.scans.argoverse2.settings import Argoverse2Settings
from clip2.scans.argoverse2.survey import survey
from clip2.scans.benchmark_classes import ARGOVERSE2_CLASSES
from clip2.scans.clouds import CloudError, load_points
from clip2.scans.images import read_frame_image
from clip2.scans.sanity import complaints, frame_facts
from clip2.scans.shards import shard_names
from clip2.store.tables import iterate_rows, read_header

Row = dict[str, Any]
LOG, OTHER = "00a6ffc1-6ce9-3bc3-a060-6006e9893a1a", "7fab2350-7eaf-3b7e-a39d-6937a4c1bede"
START = 315966265_259_836_000
SWEEP, PICTURE = 100_000_000, 50_000_000
"""Nanoseconds between two of a kind."""
SIZES = dict.fromkeys(CAMERAS, (205, 155)) | {"ring_front_center": (155, 205)}
SETTINGS = Argoverse2Settings(train="val", val="val", every=1, train_shards=1, val_shards=1)
TURN_OF = {"ring_front_center": 0.0, "ring_front_left": 0.8, "ring_front_right": -0.8, "ring_side_left": 1.7,
           "ring_side_right": -1.7, "ring_rear_left": 2.6, "ring_rear_right": -2.6}  # fmt: skip


def rotation(q: Any) -> np.ndarray:
    """(3, 3) of a quaternion w x y z, written out."""
    w, x, y, z = np.asarray(q, float) / np.linalg.norm(q)
    return np.array([[w * w + x * x - y * y - z * z, 2 * (x * y - w * z), 2 * (x * z + w * y)],
                     [2 * (x * y + w * z), w * w - x * x + y * y - z * z, 2 * (y * z - w * x)],
                     [2 * (x * z - w * y), 2 * (y * z + w * x), w * w - x * x - y * y + z * z]])  # fmt: skip


def about_z(angle: float) -> np.ndarray:
    return np.array([np.cos(angle / 2), 0, 0, np.sin(angle / 2)])


def times(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Hamilton's product of quaternions."""
    (a, b, c, d), (e, f, g, h) = p, q
    return np.array([a * e - b * f - c * g - d * h, a * f + b * e + c * h - d * g, a * g - b * h + c * e + d * f,
                     a * h + b * g - c * f + d * e])  # fmt: skip


OPTICAL = np.array([0.5, -0.5, 0.5, -0.5])
"""A camera's axes (x right, y down, z forward) in the vehicle's."""


def camera_place(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Quaternion and place of a camera in the vehicle."""
    turn = TURN_OF[name]
    return times(about_z(turn), OPTICAL), np.array([1.3 + 0.3 * np.cos(turn), 0.3 * np.sin(turn), 1.4])


def vehicle(time: int) -> tuple[np.ndarray, np.ndarray]:
    """Quaternion and place of the vehicle in the city."""
    seconds = (time - START) / 1e9
    return about_z(0.7 + 0.4 * seconds), np.array([5172.7 + 11 * seconds, 2419.1 + 4 * seconds, 66.9])


def table(path: Path, rows: list[Row], **types: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    made = pa.Table.from_pylist(rows)
    for name, kind in types.items():
        made = made.set_column(made.column_names.index(name), name, made[name].cast(kind))
    feather.write_feather(made, path)


def placed(q: np.ndarray, t: np.ndarray) -> Row:
    return dict(zip(("qw", "qx", "qy", "qz", "tx_m", "ty_m", "tz_m"), map(float, (*q, *t)), strict=True))


def write_log(root: Path, split: str = "val", name: str = LOG, n: int = 4, labels: bool = True) -> Path:
    """A log with ``n`` sweeps, pictures of the ring cameras 7 to 25 ms beside them, and a car and a dog."""
    folder, rng = root / split / name, np.random.default_rng(0)
    sweeps = [START + SWEEP * i for i in range(n)]
    seen = {
        cam: [START + 3_000_000 * k - 20_000_000 + PICTURE * i for i in range(2 * n)] for k, cam in enumerate(CAMERAS)
    }
    every = sorted({time for times_ in (sweeps, *seen.values()) for time in times_})
    table(folder / "city_SE3_egovehicle.feather", [{"timestamp_ns": time, **placed(*vehicle(time))} for time in every])
    places = [{"sensor_name": cam, **placed(*camera_place(cam))} for cam in CAMERAS]
    for lidar in ("up_lidar", "down_lidar"):
        places.append({"sensor_name": lidar, **placed(np.array([1.0, 0, 0, 0]), np.array([1.35, 0, 1.64]))})
    table(folder / "calibration/egovehicle_SE3_sensor.feather", places)
    lenses = [
        {"sensor_name": cam, "fx_px": 170.0, "fy_px": 170.0, "cx_px": width / 2 - 1.5, "cy_px": height / 2 + 2.0,
         "k1": -0.25, "k2": -0.1, "k3": 0.2, "height_px": height, "width_px": width}
        for cam, (width, height) in SIZES.items()
    ]  # fmt: skip
    lenses.append({**lenses[0], "sensor_name": "stereo_front_left"})
    table(folder / "calibration/intrinsics.feather", lenses, height_px=pa.uint16(), width_px=pa.uint16())
    boxes: list[Row] = []
    for i, time in enumerate(sweeps):
        points = np.column_stack([rng.uniform(-40, 40, 3000), rng.uniform(-30, 30, 3000), rng.uniform(-0.3, 2, 3000)])
        for category, uuid, centre, size, turn in (
            ("REGULAR_VEHICLE", "car", (12.0 - i, 2.0, 0.6), (4.6, 1.9, 1.7), 0.5),
            ("ANIMAL", "deer", (-8.0, 5.0 + i, 0.3), (0.9, 0.4, 0.8), 0.0),
        ):
            inside = rng.uniform(-0.5, 0.5, (120, 3)) * np.array(size) * 0.98
            points = np.vstack([points, inside @ rotation(about_z(turn)).T + centre])
            boxes.append({"timestamp_ns": time, "track_uuid": uuid, "category": category, "length_m": size[0],
                          "width_m": size[1], "height_m": size[2], **placed(about_z(turn), np.array(centre)),
                          "num_interior_pts": 120})  # fmt: skip
        x, y, z = points.astype(np.float16).T
        intensity, offset = rng.integers(0, 256, len(x)).astype(np.uint8), np.zeros(len(x), np.int32)
        made = pa.table({"x": x, "y": y, "z": z, "intensity": intensity, "laser_number": 0 * intensity,
                         "offset_ns": offset})  # fmt: skip
        path = folder / "sensors" / "lidar" / f"{time}.feather"
        path.parent.mkdir(parents=True, exist_ok=True)
        feather.write_feather(made, path)
    for cam, of_camera in seen.items():
        for i, time in enumerate(of_camera):
            path = folder / "sensors" / "cameras" / cam / f"{time}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), np.full((SIZES[cam][1], SIZES[cam][0], 3), 20 * i, np.uint8))
    if labels:
        table(folder / "annotations.feather", boxes)
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_log(tmp_path / "av2")
    return tmp_path / "av2"


def ingest(root: Path, out: Path, settings: Argoverse2Settings = SETTINGS) -> list[Row]:
    frames.run(root, out, "test", settings)
    return list(iterate_rows(out / f"{shard_names('val', 1)[0]}.parquet"))


def annotate(root: Path, out: Path, settings: Argoverse2Settings = SETTINGS) -> list[Row]:
    annotations.run(root, out, "test", settings)
    return list(iterate_rows(out / f"{shard_names('val', 1)[0]}.parquet"))


def header(out: Path) -> Row:
    return read_header(out / f"{shard_names('val', 1)[0]}.parquet")


def test_a_point_lands_where_vehicle_and_camera_are_at_the_pictures_own_time(root: Path, tmp_path: Path) -> None:
    rows = ingest(root, tmp_path / "out")
    assert len(rows) == 4 * 7
    apart = []
    for row in rows:
        sweep, picture = int(row["sample"].split("/")[1]), int(Path(row["image_path"]).stem)
        there = [int(path.stem) for path in (root / row["image_path"]).parent.iterdir()]
        assert picture == min(there, key=lambda time: abs(time - sweep))
        apart.append(abs(picture - sweep))
        assert row["timestamp_us"] == picture // 1000
        points = load_points(row["clouds"], root)
        stored = feather.read_table(root / row["clouds"][0]["path"])
        for i, name in enumerate(("x", "y", "z", "intensity")):
            np.testing.assert_array_equal(points[:, i], stored[name].to_numpy().astype(np.float32))
        q, t = vehicle(sweep)
        city = points[:, :3].astype(float) @ rotation(q).T + t
        q, t = vehicle(picture)
        ego = (city - t) @ rotation(q)
        q, t = camera_place(row["camera"])
        cam = (ego - t) @ rotation(q)
        uv, depth = project_points(points, np.reshape(row["T_cam_from_points"], (4, 4)), np.reshape(row["K"], (3, 3)))
        np.testing.assert_allclose(depth, cam[:, 2], atol=1e-6)
        width, height = SIZES[row["camera"]]
        assert (row["width"], row["height"]) == (width, height)
        ahead = cam[:, 2] > 0.5
        expected = 170 * cam[ahead, :2] / cam[ahead, 2:] + [width / 2 - 1.5, height / 2 + 2.0]
        np.testing.assert_allclose(uv[ahead], expected, atol=1e-4)
        assert in_image(uv, (width, height)).sum() > 100
        assert read_frame_image(root, row).shape == (height, width, 3)
        (q, t), first = vehicle(sweep), vehicle(START)[1]
        T = np.reshape(row["T_scene_from_points"], (4, 4))
        np.testing.assert_allclose(T[:3, :3], rotation(q), atol=1e-9)
        np.testing.assert_allclose(T[:3, 3], t - first, atol=1e-9)
    assert max(apart) > 15_000_000, "so that the test tells"
    assert not complaints([frame_facts(row, load_points(row["clouds"], root)) for row in rows], "lidar")
    counts = header(tmp_path / "out")["counts"]
    assert (counts["frames"], counts["samples"], counts["images_missing"], counts["poses_missing"]) == (28, 4, 0, 0)


def test_boxes_hold_the_points_that_they_are_told_to(root: Path, tmp_path: Path) -> None:
    rows, boxes = ingest(root, tmp_path / "f"), annotate(root, tmp_path / "a")
    clouds = {row["sample"]: load_points(row["clouds"], root) for row in rows}
    assert Counter(box["class_name"] for box in boxes) == {"regular_vehicle": 4, None: 4}
    assert len({box["instance"] for box in boxes}) == 2
    for box in boxes:
        T = np.reshape(box["T_points_from_box"], (4, 4))
        inside = points_in_oriented_box(clouds[box["sample"]], T, box["size_lwh"])
        assert inside.sum() >= 120 == box["num_lidar_pts"]
        assert box["ego_distance_m"] == pytest.approx(np.hypot(*T[:2, 3]))
        if box["category"] == "REGULAR_VEHICLE":
            np.testing.assert_allclose(T[:2, 0], [np.cos(0.5), np.sin(0.5)], atol=1e-12)
            assert box["size_lwh"] == [4.6, 1.9, 1.7]


def test_sweeps_and_splits(root: Path, tmp_path: Path) -> None:
    write_log(root, "train", OTHER, 6, labels=False)
    some = Argoverse2Settings(every=3, train_shards=1, val_shards=1)
    assert {row["sample"] for row in ingest(root, tmp_path / "a", some)} == {
        f"{LOG}/{START}", f"{LOG}/{START + 3 * SWEEP}"
    }  # fmt: skip
    assert len(annotate(root, tmp_path / "b", some)) == 4
    found = outline(root, some)
    assert {role: (part.scenes, part.n_frames) for role, part in found.items()} == {
        "train": ({OTHER}, 14), "val": ({LOG}, 14)
    }  # fmt: skip
    assert missing_labels(root, some, "val") is None
    assert "none of its 1 logs has annotations.feather" in (missing_labels(root, some, "train") or "")
    everything = Argoverse2Settings(train="all", val=f"scene:{OTHER}", train_shards=1, val_shards=1)
    assert outline(root, everything)["train"].scenes == {LOG, OTHER}
    assert outline(root, everything)["val"].scenes == {OTHER}
    for split, message in (
        ("test", "split 'test' has no log"),
        ("trian", "split 'trian' is unknown; it has to be a split's folder"),
        ("scene:nothing", "has no log of that name"),
    ):
        with pytest.raises(InputError, match=message):
            outline(root, Argoverse2Settings(train=split))
        assert survey(root, Argoverse2Settings(train=split)).fatal
    with pytest.raises(InputError, match="has none of the folders train, val, test; give the folder"):
        outline(root / "val", some)
    seen = survey(root, some)
    assert seen.used == {"train": 14, "val": 14}
    assert not seen.fatal
    assert all(item.found == item.wanted for item in seen.items)


def test_what_is_missing_is_counted(root: Path, tmp_path: Path) -> None:
    folder = root / "val" / LOG
    shutil.rmtree(folder / "sensors" / "cameras" / "ring_rear_left")
    path = folder / "city_SE3_egovehicle.feather"
    poses = feather.read_table(path).to_pylist()
    pictures = sorted(int(p.stem) for p in (folder / "sensors" / "cameras" / "ring_front_center").iterdir())
    lost = {START + SWEEP, min(pictures, key=lambda time: abs(time - START))}
    table(path, [row for row in poses if row["timestamp_ns"] not in lost])
    rows = ingest(root, tmp_path / "out")
    counts = header(tmp_path / "out")["counts"]
    assert len(rows) == 3 * 6 - 1
    assert counts["images_missing"] == 4
    assert counts["poses_missing"] == 1 + 6 + 1
    items = {item.name: (item.found, item.wanted) for item in survey(root, SETTINGS).items}
    assert items["pictures of ring_rear_left"] == (0, 8)  # both roles
    sweep = folder / "sensors" / "lidar" / f"{START}.feather"
    whole = sweep.read_bytes()
    for data in (whole[: len(whole) // 2], b"", b"PAR1" + whole, whole[:-9] + bytes(9)):
        sweep.write_bytes(data)
        with pytest.raises(CloudError, match=rf"{START}\.feather: "):
            load_points(rows[0]["clouds"], root)


def test_what_cannot_be_right_is_refused(root: Path, tmp_path: Path) -> None:
    folder = root / "val" / LOG

    def change(name: str, edit: Any, message: str, reader: Any = ingest) -> None:
        path = folder / name
        before = path.read_bytes()
        rows = feather.read_table(path).to_pylist()
        edit(rows)
        table(path, rows)
        with pytest.raises(InputError, match=f"{path.name}: .*{message}"):
            reader(root, tmp_path / "out")
        path.write_bytes(before[: len(before) // 2])
        with pytest.raises(InputError, match=f"{path.name}: not a table of Argoverse 2"):
            reader(root, tmp_path / "out")
        path.write_bytes(before)

    poses, inner, outer = ("city_SE3_egovehicle.feather", "calibration/intrinsics.feather",
                           "calibration/egovehicle_SE3_sensor.feather")  # fmt: skip
    change(poses, lambda rows: [row.pop("qw") for row in rows], "not a table")
    change(poses, lambda rows: [row.update(qw=2.0) for row in rows], "a quaternion is no rotation")
    change(poses, lambda rows: rows[0].update(tx_m=float("nan")), "tx_m is not finite")
    change(poses, lambda rows: rows[0].update(tx_m=None), "cells are empty")
    change(outer, lambda rows: rows.pop(0), "has no place of ring_front_center")
    change("annotations.feather", lambda rows: rows[0].update(qz=3.0), "a quaternion is no rotation", annotate)
    lenses = feather.read_table(folder / inner).to_pylist()
    lenses[0]["cx_px"] *= 10
    table(folder / inner, lenses)
    with pytest.raises(InputError, match="camera ring_front_center: K"):
        ingest(root, tmp_path / "out")
    (folder / inner).unlink()
    with pytest.raises(InputError, match=r"intrinsics\.feather: no such file; unpack the log again"):
        ingest(root, tmp_path / "out")


def edit_boxes(root: Path, edit: Any) -> None:
    """Change the table of boxes, as pandas does."""
    path = root / "val" / LOG / "annotations.feather"
    feather.write_feather(edit(feather.read_table(path).to_pandas()), path)


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (lambda t: t, None),
        (lambda t: t.assign(category="cars"), r"none of 8 human boxes \(cars\) is called as one of the 26 classes"),
        (lambda t: t.assign(length_m=0.0), "8 of 8 human boxes have no size"),
        (lambda t: t.assign(length_m=t.width_m, width_m=t.length_m), "boxes hold less than half of the points"),
        (lambda t: t.assign(tx_m=t.tx_m + 5000), "8 of 8 boxes hold no point"),
        (lambda t: t.assign(qw=0.0, qx=0.7071068, qy=0.7071068 * 0.0, qz=0.7071068), "8 of 8 boxes lean"),
        (lambda t: t.loc[[*t.index, *t.index]], "8 human boxes are there twice and count once"),
    ],
)
def test_check_looks_at_the_boxes(root: Path, edit: Any, told: str | None) -> None:
    edit_boxes(root, edit)
    remarks = survey(root, SETTINGS).remarks
    assert re.search(told, " ".join(remarks)) if told else not remarks


def test_a_thing_is_at_one_place_at_a_time(root: Path, tmp_path: Path) -> None:
    once = annotate(root, tmp_path / "a")
    edit_boxes(root, lambda t: t.loc[[*t.index, *t.index]])
    assert annotate(root, tmp_path / "b") == once
    assert header(tmp_path / "b")["counts"]["boxes_repeated"] == 8


@pytest.mark.parametrize(
    "edit",
    [
        lambda times: times // 1000,
        lambda times: times + 1,
        lambda times: times.astype(float),
    ],
)
def test_boxes_of_no_sweep_are_refused(root: Path, tmp_path: Path, edit: Any) -> None:
    edit_boxes(root, lambda t: t.assign(timestamp_ns=edit(t.timestamp_ns)))
    message = rf"annotations\.feather: none of its 8 boxes is at the time of a sweep.*\({START}\)"
    with pytest.raises(InputError, match=message):
        annotate(root, tmp_path / "out")
    assert re.search(message, " ".join(survey(root, SETTINGS).fatal))


def test_what_pandas_saves_is_read(root: Path, tmp_path: Path) -> None:
    """Categories as numbers of a dictionary, blanks beside them, and a log without a box, whose column has no type."""
    before = annotate(root, tmp_path / "a")
    edit_boxes(root, lambda t: t.assign(category=(" " + t.category).astype("category")))
    assert annotate(root, tmp_path / "b") == before
    edit_boxes(root, lambda t: t.iloc[:0].assign(category=[]))
    assert annotate(root, tmp_path / "c") == []
    assert not survey(root, SETTINGS).fatal


def test_classes_are_those_of_the_detection_challenge() -> None:
    assert len(set(ARGOVERSE2_CLASSES)) == 26
    if importlib.util.find_spec("av2") is not None:
        from av2.evaluation import SensorCompetitionCategories

        assert {category.value.lower() for category in SensorCompetitionCategories} == set(ARGOVERSE2_CLASSES)


def test_the_data_sets_own_api_reads_the_same(root: Path, tmp_path: Path) -> None:
    if importlib.util.find_spec("av2") is None:
        message = "ARGOVERSE 2 NOT TESTED AGAINST ITS OWN API: pip install av2, in an environment of its own"
        warnings.warn(message, stacklevel=1)
        pytest.skip(message)
    compare_with_api(root, LOG, ingest(root, tmp_path / "f"), annotate(root, tmp_path / "a"))


def compare_with_api(root: Path, log: str, rows: list[Row], boxes: list[Row]) -> None:
    from av2.datasets.sensor.av2_sensor_dataloader import AV2SensorDataLoader
    from av2.structures.sweep import Sweep

    loader = AV2SensorDataLoader(root / "val", root / "val")
    for row in rows:
        sweep, picture = int(row["sample"].split("/")[1]), int(Path(row["image_path"]).stem)
        points = load_points(row["clouds"], root)
        np.testing.assert_array_equal(points[:, :3], Sweep.from_feather(root / row["clouds"][0]["path"]).xyz)
        theirs, cam, _ = loader.project_ego_to_img_motion_compensated(
            points[:, :3].astype(float), row["camera"], picture, sweep, log
        )
        uv, _ = project_points(points, np.reshape(row["T_cam_from_points"], (4, 4)), np.reshape(row["K"], (3, 3)))
        ahead = cam[:, 2] > 0.5
        np.testing.assert_allclose(uv[ahead], theirs[ahead], atol=1e-3)
    for sample in {row["sample"] for row in rows}:
        cuboids = loader.get_labels_at_lidar_timestamp(log, int(sample.split("/")[1])).cuboids
        own = [box for box in boxes if box["sample"] == sample]
        for box, cuboid in zip(own, cuboids, strict=True):  # both in the file's order
            assert box["category"] == cuboid.category
            T = np.reshape(box["T_points_from_box"], (4, 4))
            np.testing.assert_allclose(T, cuboid.dst_SE3_object.transform_matrix, atol=1e-9)


@pytest.mark.real
def test_a_real_log(tmp_path: Path) -> None:
    """`tests/unit/test_data/sensor` of the API's repository: two sweeps. Pictures are put in where they would be."""
    default = Path(__file__).resolve().parents[2] / "shared" / "argoverse2"
    sample = Path(os.environ.get("CLIP2_ARGOVERSE2", default))
    if not (sample / "val" / OTHER).is_dir():
        message = f"REAL ARGOVERSE 2 NOT TESTED: no val/{OTHER} in {sample}; set CLIP2_ARGOVERSE2"
        warnings.warn(message, stacklevel=1)
        pytest.skip(message)
    root = tmp_path / "av2"
    folder = root / "val" / OTHER
    shutil.copytree(sample / "val" / OTHER, folder)
    poses = feather.read_table(folder / "city_SE3_egovehicle.feather")["timestamp_ns"].to_numpy()
    sizes = {row["sensor_name"]: (row["width_px"], row["height_px"])
             for row in feather.read_table(folder / "calibration/intrinsics.feather").to_pylist()}  # fmt: skip
    for sweep in sorted(int(path.stem) for path in (folder / "sensors" / "lidar").iterdir()):
        beside = poses[np.argsort(np.abs(poses - sweep))][1 : 1 + len(CAMERAS)]
        for camera, time in zip(CAMERAS, beside.tolist(), strict=True):
            path = folder / "sensors" / "cameras" / camera / f"{time}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), np.zeros((sizes[camera][1], sizes[camera][0], 3), np.uint8))
    rows, boxes = ingest(root, tmp_path / "f"), annotate(root, tmp_path / "a")
    assert len(rows) == 14
    clouds = {row["sample"]: load_points(row["clouds"], root) for row in rows}
    assert not complaints([frame_facts(row, clouds[row["sample"]]) for row in rows], "lidar")
    told = np.array([box["num_lidar_pts"] for box in boxes])
    counted = np.array([
        points_in_oriented_box(clouds[b["sample"]], np.reshape(b["T_points_from_box"], (4, 4)), b["size_lwh"]).sum()
        for b in boxes
    ])  # fmt: skip
    assert len(counted) > 150
    np.testing.assert_array_equal(counted, told)
    if importlib.util.find_spec("av2") is not None:
        compare_with_api(root, OTHER, rows, boxes)
