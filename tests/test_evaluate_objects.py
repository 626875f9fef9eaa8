"""Cutting evaluation objects and auditing triplets, on a small scene of known points, boxes and cameras."""

import io
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from clip2.evaluate import audit, objects
from clip2.evaluate.audit_summary import Thing, label_checker
from clip2.evaluate.boxes import BoxSearch
from clip2.evaluate.settings import AuditSettings, ObjectsSettings
from clip2.geometry import points_in_oriented_box, rigid, yaw_rotation
from clip2.runtime.errors import InputError
from clip2.store.ragged import RaggedReader, ragged_writer
from clip2.store.schemas import ANNOTATIONS, FRAMES, TRIPLETS
from clip2.store.tables import read_header, read_table, write_table

WIDTH, HEIGHT, F = 200, 120, 100.0
K = [F, 0, WIDTH / 2, 0, F, HEIGHT / 2, 0, 0, 1.0]
CAMERAS = {"CAM_FRONT": 0.0, "CAM_BACK": np.pi}
COLOURS = {"CAM_FRONT": (200, 30, 30), "CAM_BACK": (30, 30, 200)}
HEADER = {
    "source": "test",
    "source_kind": "built-in world",
    "dataset": "nuscenes",
    "split": "val",
    "sensor": "lidar",
    "units": "metres",
    "axes": {"points": "x right, y forward, z up", "up": "z"},
}
EYE = np.eye(4).ravel().tolist()
Row = dict[str, Any]


def T_cam_from_points(yaw: float) -> np.ndarray:
    """A camera at the origin that looks along +y turned by yaw; points are x right, y forward, z up."""
    camera_from_level = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    return rigid(camera_from_level @ yaw_rotation(yaw).T, np.zeros(3))


def box(number: int, centre: tuple[float, float, float], yaw: float = 0.0, **changes: Any) -> Row:
    """An annotation: a car of 4 × 2 × 1.5 m unless told otherwise."""
    row: Row = {
        "annotation_id": f"box-{number}",
        "scene": "scene-1",
        "sample": "sample-1",
        "instance": f"thing-{number}",
        "category": "vehicle.car",
        "class_name": "car",
        "fine_name": "sedan",
        "T_points_from_box": rigid(yaw_rotation(yaw), centre).ravel().tolist(),
        "size_lwh": [4.0, 2.0, 1.5],
        "num_lidar_pts": 10,
        "num_radar_pts": 0,
        "visibility": "v80-100",
        "ego_distance_m": float(np.hypot(*centre[:2])),
        "in_bicycle_rack": False,
    }
    return row | changes


def fill(annotation: Row, n: int, seed: int = 0) -> np.ndarray:
    """n points inside an annotation's box."""
    local = np.random.default_rng(seed).uniform(-0.49, 0.49, (n, 3)) * annotation["size_lwh"]
    T = np.reshape(annotation["T_points_from_box"], (4, 4))
    return local @ T[:3, :3].T + T[:3, 3]


def write_scene(root: Path, boxes: list[Row], points: np.ndarray) -> tuple[Path, Path]:
    """Cloud, images, frames and annotations of one sample."""
    cloud = np.zeros((len(points), 4), "<f4")
    cloud[:, :3] = points
    cloud[:, 3] = np.arange(len(points))
    cloud.tofile(root / "cloud.bin")
    reference = {
        "path": "cloud.bin",
        "format": "float32x4",
        "T_points_from_cloud": EYE,
        "time_lag_s": 0.0,
        "depth": None,
    }
    frames = []
    for camera, yaw in CAMERAS.items():
        image = np.empty((HEIGHT, WIDTH, 3), np.uint8)
        image[:] = COLOURS[camera][::-1]
        cv2.imwrite(str(root / f"{camera}.png"), image)
        frames.append(
            {
                "frame_id": f"frame-{camera}",
                "scene": "scene-1",
                "sample": "sample-1",
                "camera": camera,
                "timestamp_us": 0,
                "image_path": f"{camera}.png",
                "width": WIDTH,
                "height": HEIGHT,
                "K": K,
                "T_cam_from_points": T_cam_from_points(yaw).ravel().tolist(),
                "clouds": [reference],
            }
        )
    write_table(root / "frames.parquet", frames, FRAMES, HEADER | {"kind": "frames"})
    write_table(root / "annotations.parquet", boxes, ANNOTATIONS, HEADER | {"kind": "annotations"})
    return root / "frames.parquet", root / "annotations.parquet"


def cut(root: Path, boxes: list[Row], points: np.ndarray, **settings: Any) -> tuple[list[Row], dict[str, Any]]:
    """Run the objects stage; its rows, points included as ``points``, and its header."""
    frames, annotations = write_scene(root, boxes, points)
    out = root / "objects.parquet"
    objects.run(frames, annotations, root, out, out.with_suffix(".h5"), ObjectsSettings(**settings))
    rows = read_table(out).to_pylist()
    with RaggedReader(out.with_suffix(".h5")) as reader:
        assert len(reader) == len(rows)
        for index, row in enumerate(rows):
            row["points"] = reader[index]
    header = read_header(out)
    assert header["counts"]["annotations"] == len(boxes) == len(rows) + sum(header["skipped"].values())
    return rows, header


def test_every_box_is_an_object_or_counted(tmp_path: Path) -> None:
    front = box(0, (0, 10, 0), 0.3)
    behind = box(1, (1, -12, 0), class_name="pedestrian", category="human.pedestrian.adult", size_lwh=[0.8, 0.8, 1.8])
    beside = box(2, (15, 0, 0))
    boxes = [
        front,
        behind,
        beside,
        box(3, (0, 35, 0), class_name="traffic_cone"),  # range 30
        box(4, (0, 30, 0), class_name="traffic_cone"),  # not nearer than 30: the devkit keeps distances below the range
        box(5, (-8, 20, 0), num_lidar_pts=0),
        box(6, (8, 20, 0), class_name="bicycle", in_bicycle_rack=True),
        box(7, (0, 45, 0)),  # no point in it
        box(8, (0, 18, 0), class_name=None, category="movable_object.debris"),
        box(9, (-8, 30, 0), num_lidar_pts=0, num_radar_pts=3),  # the radar saw it
    ]
    sizes = {0: 40, 1: 3, 2: 7, 9: 1}
    parts = [fill(boxes[i], n, i) for i, n in sizes.items()]
    points = np.concatenate([*parts, [[50.0, 50, 5], [-60, 2, 0]]])
    rows, header = cut(tmp_path, boxes, points)
    assert [row["object_id"] for row in rows] == ["box-0", "box-1", "box-2", "box-9"]
    assert header["skipped"] == {
        "beyond_class_range": 2,
        "in_bicycle_rack": 1,
        "no_points": 1,
        "no_sensor_points": 1,
        "not_in_benchmark": 1,
    }
    for row, part in zip(rows, parts, strict=True):
        assert row["n_points"] == len(part)
        np.testing.assert_allclose(row["points"][:, :3], part, atol=1e-5)
    np.testing.assert_array_equal(rows[0]["points"][:, 3], np.arange(40))  # the fourth column comes along

    # The picture is of the camera that sees it, and its box is the projection of the 3D box's corners.
    assert [row["camera"] for row in rows] == ["CAM_FRONT", "CAM_BACK", None, "CAM_FRONT"]
    for row in rows[:2]:
        picture = np.asarray(Image.open(io.BytesIO(row["image"])))
        middle = picture[picture.shape[0] // 2, picture.shape[1] // 2]
        np.testing.assert_allclose(middle, COLOURS[row["camera"]], atol=6)
    assert rows[2]["image"] is None
    corners = np.array([[x, y, z] for x in (-2, 2) for y in (-1, 1) for z in (-0.75, 0.75)])
    c, s = np.cos(0.3), np.sin(0.3)
    x, y = corners[:, 0] * c - corners[:, 1] * s, corners[:, 0] * s + corners[:, 1] * c + 10
    u, v = F * x / y + WIDTH / 2, HEIGHT / 2 - F * corners[:, 2] / y
    np.testing.assert_allclose(rows[0]["box"], [u.min(), v.min(), u.max(), v.max()], atol=1e-3)


@pytest.mark.parametrize(
    ("settings", "kept", "reason"),
    [
        ({"min_points": 5}, ["box-0", "box-2"], "few_points"),
        ({"in_camera_only": True}, ["box-0", "box-1"], "no_camera"),
        ({"visibility": ("v80-100",)}, ["box-0", "box-2"], "visibility"),
        ({"class_range": {"car": 11.0}}, ["box-0", "box-1"], "beyond_class_range"),
    ],
)
def test_filters(tmp_path: Path, settings: dict[str, Any], kept: list[str], reason: str) -> None:
    boxes = [
        box(0, (0, 10, 0)),
        box(1, (0, -8, 0), class_name="pedestrian", visibility="v0-40"),
        box(2, (15, 0, 0)),
    ]
    points = np.concatenate([fill(b, n) for b, n in zip(boxes, (9, 2, 9), strict=True)])
    rows, header = cut(tmp_path, boxes, points, **settings)
    assert [row["object_id"] for row in rows] == kept
    assert header["skipped"] == {reason: 1}


def test_boxes_all_beyond_their_range_are_refused(tmp_path: Path) -> None:
    """Boxes in another frame than the poses: none was in range, and no word of it."""
    points = np.array([[5.0, 10, 0]])
    far = [box(i, (900.0, 10 * i, 0)) for i in range(20)]
    _, header = cut(tmp_path, far[:19], points)
    assert header["skipped"] == {"beyond_class_range": 19}
    with pytest.raises(InputError, match="each of the 20 boxes of the classes is farther away than its class_range"):
        cut(tmp_path, far, points)


@pytest.mark.parametrize(("size", "noted"), [([4.0, 2.0, 1.5], False), ([2.0, 4.0, 1.5], True)])
def test_boxes_with_other_points_than_they_tell_are_noted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], size: list[float], noted: bool
) -> None:
    boxes = [box(i, (5.0 * (i % 5), 10.0 + 5 * (i // 5), 0), num_lidar_pts=40) for i in range(20)]
    beside = [row | {"size_lwh": [4.0, 0.1, 1.5]} for row in boxes]
    points = np.concatenate([fill(row, 40, i) for i, row in enumerate(beside)])
    cut(tmp_path, [row | {"size_lwh": size} for row in boxes], points)
    assert ("clip2: note: " in capsys.readouterr().err) == noted


def test_other_things_are_kept_when_asked_for(tmp_path: Path) -> None:
    boxes = [box(0, (0, 10, 0), class_name=None, category="animal", fine_name="deer")]
    rows, _ = cut(tmp_path, boxes, fill(boxes[0], 6), include_other=True)
    assert (rows[0]["class_name"], rows[0]["fine_name"]) == (None, "deer")


def test_a_bad_image_costs_the_picture_and_is_reported(tmp_path: Path) -> None:
    boxes = [box(0, (0, 10, 0))]
    frames, annotations = write_scene(tmp_path, boxes, fill(boxes[0], 6))
    (tmp_path / "CAM_FRONT.png").write_bytes(b"not an image")
    out, points = tmp_path / "o.parquet", tmp_path / "o.h5"
    with pytest.raises(InputError, match=r"1 of 2 frames"):
        objects.run(frames, annotations, tmp_path, out, points, ObjectsSettings())
    assert not out.exists()
    objects.run(frames, annotations, tmp_path, out, points, ObjectsSettings(max_bad_share=0.5))
    assert read_table(out).to_pylist()[0]["image"] is None
    assert read_header(out)["bad_frames"]["counts"] == {"image_unreadable": 1}


def test_a_missing_cloud_is_counted(tmp_path: Path) -> None:
    boxes = [box(0, (0, 10, 0)), box(1, (0, 20, 0), sample="sample-without-frames")]
    frames, annotations = write_scene(tmp_path, boxes, fill(boxes[0], 6))
    (tmp_path / "cloud.bin").unlink()
    out = tmp_path / "o.parquet"
    objects.run(frames, annotations, tmp_path, out, tmp_path / "o.h5", ObjectsSettings(max_bad_share=1))
    header = read_header(out)
    assert header["skipped"] == {"cloud_missing": 1, "sample_without_frames": 1}
    assert header["counts"] == {"annotations": 2, "objects": 0}


def test_box_search_finds_what_a_plain_test_finds() -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(-6, 6, (4000, 4)).astype(np.float32)
    search = BoxSearch(points)
    for number in range(30):
        annotation = box(number, tuple(rng.uniform(-5, 5, 3)), rng.uniform(-4, 4), size_lwh=rng.uniform(0.5, 4, 3))
        T = np.reshape(annotation["T_points_from_box"], (4, 4))
        for margin in (0.0, 0.1):
            expected = np.flatnonzero(points_in_oriented_box(points, T, annotation["size_lwh"], margin))
            np.testing.assert_array_equal(search.inside(annotation, margin), expected)


def triplet(number: int, frame: str, label: str) -> Row:
    return {
        "triplet_id": f"t-{number}",
        "frame_id": f"frame-{frame}",
        "scene": "scene-1",
        "sample": "sample-1",
        "box": [0.0, 0.0, 1.0, 1.0],
        "label": label,
        "score": 0.5,
        "n_points": 1,
        "range_m": 1.0,
        "extent": [1.0, 1.0, 1.0],
        "image": b"",
    }


def test_audit_of_known_triplets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    car = box(0, (0, 10, 0))
    bike = box(1, (0, -8, 0), class_name="bicycle", category="vehicle.bicycle", fine_name=None, size_lwh=[2, 1, 1.5])
    deer = box(2, (3, 14, 0), class_name=None, category="animal", fine_name="deer", size_lwh=[1, 1, 1.5])
    hidden = box(3, (15, 0, 0))  # full of points, but in no image
    in_car, in_bike, in_deer = fill(car, 40), fill(bike, 20), fill(deer, 8)
    wall = np.stack([np.linspace(-3, 3, 30), np.full(30, 18.0), np.zeros(30)], 1)
    points = np.concatenate([in_car, in_bike, in_deer, fill(hidden, 30), wall])
    frames, annotations = write_scene(tmp_path, [car, bike, deer, hidden], points)
    crops = [
        (triplet(0, "CAM_FRONT", "hatchback"), np.concatenate([in_car[:30], wall[:10]])),  # P 30/40, R 30/40
        (triplet(1, "CAM_FRONT", "Sedan"), in_car),  # P 1, R 1
        (triplet(2, "CAM_BACK", "motorcycle"), in_bike[:5]),  # P 1, R 5/20, the label is wrong
        (triplet(3, "CAM_FRONT", "traffic cone"), wall[10:]),  # in no box
    ]
    shard = (tmp_path / "t.parquet", tmp_path / "t.h5")
    write_table(shard[0], [row for row, _ in crops], TRIPLETS, HEADER | {"kind": "triplets"})
    with ragged_writer(shard[1]) as writer:
        for _, crop in crops:
            writer.append(crop)
    out = tmp_path / "audit.json"
    settings = AuditSettings(synonyms={"hatchback": "car"})
    audit.run([frames], [annotations], [shard], tmp_path, out, settings)
    result = json.loads(out.read_text())

    assert result["total"]["triplets_in"] == 4
    assert result["total"]["no_box"] == pytest.approx(1 / 4)
    figures = result["per_class"]["car"]
    assert figures["triplets"] == 2
    assert figures["precision"] == pytest.approx((0.75 + 1) / 2)
    assert figures["recall"] == pytest.approx((0.75 + 1) / 2)
    assert figures["iou"] == pytest.approx((30 / 50 + 1) / 2)
    assert figures["label_agreement"] == 1
    assert (figures["objects"], figures["object_recall"]) == (1, 1)  # the hidden car is in no image
    figures = result["per_class"]["bicycle"]
    assert (figures["precision"], figures["recall"], figures["iou"]) == (1, 0.25, 0.25)
    assert (figures["iou_above_half"], figures["label_agreement"]) == (0, 0)
    figures = result["per_class"]["(other)"]
    assert (figures["triplets"], figures["precision"]) == (0, None)
    assert (figures["objects"], figures["object_recall"]) == (1, 0)  # nobody found the deer
    assert result["total"]["object_recall"] == pytest.approx(2 / 3, abs=1e-6)
    printed = capsys.readouterr().out
    assert "BUILT-IN WORLD" in printed
    assert "bicycle" in printed

    with pytest.raises(InputError, match="give the same shards"):
        audit.run([frames, frames], [annotations], [shard], tmp_path, out, settings)


def test_which_labels_are_right() -> None:
    van = Thing("car", "delivery_van", "vehicle.car")
    sedan = Thing("car", "sedan", "vehicle.car")
    worker = Thing("pedestrian", None, "human.pedestrian.construction_worker")
    tyre = Thing(None, "tire", "movable_object.debris")
    right = label_checker([van, sedan, worker, tyre], {"lorry": "truck", "taxi": "car"})
    assert right("Delivery-Van", van)
    assert right("sedan", van)  # not its own fine name, but both are cars
    assert right("taxi", sedan)
    assert right("construction worker", worker)
    assert right("pedestrian", worker)
    assert right("tire", tyre)
    assert right("debris", tyre)
    assert not right("lorry", sedan)
    assert not right("car", tyre)
