"""`clip2 export`: each format opened by the tool that it is for, and held against exact labels by numbers."""

import json
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
import trimesh
from labelled_world import WORLD, Labelled
from mcap.reader import make_reader
from mcap_protobuf.decoder import DecoderFactory
from nuscenes import NuScenes
from nuscenes.eval.detection.config import config_factory
from nuscenes.eval.detection.constants import DETECTION_NAMES
from nuscenes.eval.detection.evaluate import DetectionEval
from nuscenes.utils.data_classes import LidarPointCloud
from nuscenes.utils.geometry_utils import points_in_box
from nuscenes.utils.kitti import KittiDB
from PIL import Image
from pycocotools.coco import COCO
from pyquaternion import Quaternion
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from clip2.export.index import Entry, read_index
from clip2.export.quaternions import quaternion_wxyz
from clip2.export.settings import ExportSettings
from clip2.export.stage import export_labels
from clip2.geometry import in_image, oriented_box_corners, points_in_oriented_box, project_points
from clip2.scans.clouds import load_points
from clip2.store.schemas import LABELS
from clip2.store.tables import read_header, write_table

Row = dict[str, Any]


def export(format: str, made: Labelled, out: Path, **settings: Any) -> Row:
    return export_labels(format, made.labels, [made.frames], made.root, out, ExportSettings(**settings))


def corners(row: Row) -> np.ndarray:
    """(8, 3) of a label, in the points' frame."""
    return oriented_box_corners(np.reshape(row["T_points_from_box"], (4, 4)), row["size_lwh"])


def same_corners(one: np.ndarray, other: np.ndarray, atol: float) -> bool:
    """Whether two boxes have the same corners, in whatever order."""
    distances = np.linalg.norm(one[:, None] - other[None], axis=2)
    return bool((distances.min(1) < atol).all() and (distances.min(0) < atol).all())


def turn_of(entry: Entry) -> np.ndarray:
    """(3, 3) of an entry's quarter turns, counter-clockwise."""
    return np.linalg.matrix_power(np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]]), entry.turns)


# --- KITTI ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def kitti(labelled_world: Labelled, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Row]:
    out = tmp_path_factory.mktemp("kitti") / "kitti"
    return out, export("kitti", labelled_world, out)


def test_kitti_is_read_by_a_public_reader_and_its_boxes_are_ours(
    labelled_world: Labelled, kitti: tuple[Path, Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    """nuScenes' devkit reads KITTI: labels through calib into the LiDAR's frame, and on by its own quarter turn."""
    # It reads rotations as float32, of which pyquaternion thinks by default that they are none.
    patient = partial(Quaternion, rtol=1e-5, atol=1e-6)
    monkeypatch.setattr("nuscenes.utils.kitti.Quaternion", lambda **k: (patient if "matrix" in k else Quaternion)(**k))
    reader = KittiDB(str(kitti[0]), splits=("training",))
    index = read_index(kitti[0])
    assert len(reader.tokens) == len(index) == len(labelled_world.pictures)
    checked = 0
    for name, entry in index.items():
        of_sample = [row for row in labelled_world.rows if row["sample"] == entry.sample]
        turn = turn_of(entry)
        for box in reader.get_boxes(f"training_{name}"):
            box.rotate(reader.kitti_to_nu_lidar_inv)
            found = box.corners().T @ turn  # rows: turn.T @ p
            matched = [row for row in of_sample if same_corners(corners(row), found, 2e-3)]
            assert len(matched) == 1
            assert box.name.lower() == matched[0]["label"]
            assert box.score == 1
            checked += 1
    assert checked > 60


def test_kitti_holds_a_label_in_each_picture_that_shows_it(labelled_world: Labelled, kitti: tuple[Path, Row]) -> None:
    """By the corners' pixels, of boxes that are wholly in front of a camera."""
    frames = {(row["sample"], row["camera"]): row for row in labelled_world.pictures}
    n_lines, lines_wanted = 0, 0
    for name, entry in read_index(kitti[0]).items():
        frame = frames[entry.sample, entry.camera]
        lines = (kitti[0] / "training" / "label_2" / f"{name}.txt").read_text().splitlines()
        assert all(len(line.split()) == 16 for line in lines)
        boxes = np.array([line.split()[4:8] for line in lines], float).reshape(-1, 4)
        for row in labelled_world.rows:
            if row["sample"] != entry.sample:
                continue
            uv, depth = project_points(
                corners(row), np.reshape(frame["T_cam_from_points"], (4, 4)), np.reshape(frame["K"], (3, 3))
            )
            if (depth < 0.5).any():
                continue
            size = (frame["width"], frame["height"])
            low, high = np.clip(uv.min(0), 0, size), np.clip(uv.max(0), 0, size)
            if (high - low >= 1).all():
                lines_wanted += 1
                assert np.abs(boxes - [*low, *high]).max(1).min() < 1e-5
            elif (high - low < 0.9).any():
                assert not len(boxes) or np.abs(boxes - [*low, *high]).max(1).min() > 1e-3
        n_lines += len(lines)
    assert 50 < lines_wanted <= n_lines


def test_kitti_points_lie_in_the_boxes_as_its_tools_see_them(labelled_world: Labelled, kitti: tuple[Path, Row]) -> None:
    """Points through calib into the camera, and into h w l, x y z, rotation_y, counted as the data set counts."""
    differences = []
    for name, entry in read_index(kitti[0]).items():
        of_sample = [row for row in labelled_world.rows if row["sample"] == entry.sample]
        centres = np.array([row["T_points_from_box"] for row in of_sample])[:, 3::4]
        places = centres[:, :3] @ turn_of(entry).T  # in the velodyne's frame
        calib = {}
        for line in (kitti[0] / "training" / "calib" / f"{name}.txt").read_text().splitlines():
            key, _, values = line.partition(":")
            calib[key] = np.array(values.split(), float)
        points = np.fromfile(kitti[0] / "training" / "velodyne" / f"{name}.bin", np.float32).reshape(-1, 4)
        Tr = calib["Tr_velo_to_cam"].reshape(3, 4)
        cam = points[:, :3] @ Tr[:, :3].T + Tr[:, 3]
        assert Tr[2, 0] > 0.7, "the camera looks along x"
        for line in (kitti[0] / "training" / "label_2" / f"{name}.txt").read_text().splitlines():
            h, w, l, x, y, z, ry = map(float, line.split()[8:15])
            away = cam - [x, y - h / 2, z]
            along = away @ [np.cos(ry), 0, -np.sin(ry)]
            across = away @ [np.sin(ry), 0, np.cos(ry)]
            slack = 1e-5
            inside = (np.abs(along) <= l / 2 + slack) & (np.abs(across) <= w / 2 + slack)
            inside &= np.abs(away[:, 1]) <= h / 2 + slack
            row = of_sample[np.linalg.norm(places @ Tr[:, :3].T + Tr[:, 3] - [x, y - h / 2, z], axis=1).argmin()]
            differences.append(abs(int(inside.sum()) - row["n_points"]))
            alpha = float(line.split()[3])
            assert np.cos(alpha - ry + np.arctan2(x, z)) == pytest.approx(1)
    assert len(differences) > 40
    assert np.mean(np.array(differences) == 0) > 0.97
    assert max(differences) <= 1  # a point on a side


def test_what_kitti_cannot_hold_is_counted(kitti: tuple[Path, Row], labelled_world: Labelled) -> None:
    counts = kitti[1]["counts"]
    assert counts["labels"] == len(labelled_world.rows)
    assert counts["pictures"] == counts["pictures_written_anew"] == 18
    assert 0 < counts["left_out_in_no_picture"] < counts["labels"] / 2


# --- nuScenes ---------------------------------------------------------------------------------------------------------


def official(made: Labelled, results: Path, folder: Path) -> Any:
    """The devkit's metrics of a results file on the world's val split."""
    nusc = NuScenes(WORLD.version, str(made.root), verbose=False)
    config = config_factory("detection_cvpr_2019")
    return DetectionEval(nusc, config, str(results), "val", str(folder), verbose=False).evaluate()[0]


def test_nuscenes_own_evaluation_finds_exact_boxes_perfect(labelled_world: Labelled, tmp_path: Path) -> None:
    header = export("nuscenes", labelled_world, tmp_path / "out")
    metrics = official(labelled_world, tmp_path / "out" / "results_nusc.json", tmp_path)
    present = {row["label"] for row in labelled_world.rows} & set(DETECTION_NAMES)
    assert len(present) >= 7
    for name in present:
        # Classes of which everything is out of the evaluation's range have no precision at all.
        if metrics.get_label_ap(name, 4.0) == 0:
            ranges = [row["range_m"] for row in labelled_world.rows if row["label"] == name]
            assert min(ranges) > config_factory("detection_cvpr_2019").class_range[name] - 3
            continue
        for metres in (0.5, 1.0, 2.0, 4.0):
            assert metrics.get_label_ap(name, metres) == pytest.approx(1)
        for error, limit in (("trans_err", 1e-6), ("scale_err", 1e-6), ("vel_err", 1e-6), ("attr_err", 1e-6)):
            value = metrics.get_label_tp(name, error)
            assert np.isnan(value) or value < limit, (name, error, value)
    assert header["counts"]["left_out_of_no_class_of_nuscenes"] == sum(
        row["label"] not in DETECTION_NAMES for row in labelled_world.rows
    )


def test_words_of_a_detector_become_nuscenes_classes(labelled_world: Labelled, tmp_path: Path) -> None:
    """Without a translation, `person` would be left out."""
    made = labelled_world._replace(labels=tmp_path / "labels.parquet")
    rows = [{**row, "label": "Street person"} for row in labelled_world.rows if row["label"] == "pedestrian"]
    write_table(made.labels, rows, LABELS, read_header(labelled_world.labels))
    assert export("nuscenes", made, tmp_path / "a")["counts"]["left_out_of_no_class_of_nuscenes"] == len(rows)
    header = export("nuscenes", made, tmp_path / "b", names={"street_person": "pedestrian"})
    assert header["counts"]["left_out_of_no_class_of_nuscenes"] == 0
    results = json.loads((tmp_path / "b" / "results_nusc.json").read_text())["results"]
    assert sum(map(len, results.values())) == len(rows)
    assert len(results) == 3


def test_the_devkit_opens_and_draws_our_tables(labelled_world: Labelled, tmp_path: Path) -> None:
    matplotlib.use("Agg")
    header = export("nuscenes-tables", labelled_world, tmp_path / "out")
    assert header["counts"]["files_linked"] == 3 * (6 + 1)
    colours = json.loads((tmp_path / "out" / "colormap.json").read_text())
    nusc = NuScenes(WORLD.version, str(tmp_path / "out"), verbose=False, colormap=colours)
    assert len(nusc.scene) == 1
    assert len(nusc.sample_annotation) == len(labelled_world.rows)
    sample = nusc.get("sample", nusc.scene[0]["first_sample_token"])
    for channel in ("CAM_BACK", "LIDAR_TOP"):
        nusc.render_sample_data(sample["data"][channel], out_path=str(tmp_path / f"{channel}.png"), verbose=False)
        assert (tmp_path / f"{channel}.png").stat().st_size > 10_000
    seen = 0
    while sample:
        rows = [row for row in labelled_world.rows if row["sample"] == sample["token"]]
        path, boxes, _ = nusc.get_sample_data(sample["data"]["LIDAR_TOP"])
        points = LidarPointCloud.from_file(path).points[:3]
        assert len(boxes) == len(rows)
        for box in boxes:
            (row,) = [row for row in rows if same_corners(corners(row), box.corners().T, 1e-6)]
            assert abs(int(points_in_box(box, points).sum()) - row["n_points"]) <= 1
            assert nusc.get("sample_annotation", box.token)["num_lidar_pts"] == row["n_points"]
            seen += 1
        sample = nusc.get("sample", sample["next"]) if sample["next"] else None
    assert seen == len(labelled_world.rows)
    for instance in nusc.instance:
        assert nusc.get("category", instance["category_token"])["name"] in colours
        annotations = [row for row in nusc.sample_annotation if row["instance_token"] == instance["token"]]
        assert len(annotations) == instance["nbr_annotations"]
    assert {"vehicle.car", "vegetation"} <= {row["name"] for row in nusc.category}
    assert len(nusc.instance) == len({row["track_id"] for row in labelled_world.rows})


def test_the_devkits_pictures_of_our_tables_are_those_of_the_raw_ones(labelled_world: Labelled, tmp_path: Path) -> None:
    """Boxes in a picture's own frame, through our ego poses and calibrations and through nuScenes'."""
    export("nuscenes-tables", labelled_world, tmp_path / "out", files="copy")
    raw = NuScenes(WORLD.version, str(labelled_world.root), verbose=False)
    ours = NuScenes(WORLD.version, str(tmp_path / "out"), verbose=False)
    assert not any(path.is_symlink() for path in (tmp_path / "out").rglob("*"))
    for frame in labelled_world.pictures[:6]:
        path, expected, K = raw.get_sample_data(frame["frame_id"])
        own_path, boxes, own_K = ours.get_sample_data(frame["frame_id"])
        np.testing.assert_allclose(own_K, K)
        assert Path(own_path).read_bytes() == Path(path).read_bytes()
        for box in expected:
            centres = np.array([other.center for other in boxes])
            nearest = boxes[int(np.linalg.norm(centres - box.center, axis=1).argmin())]
            assert same_corners(nearest.corners().T, box.corners().T, 1e-5)


# --- COCO -------------------------------------------------------------------------------------------------------------


def test_pycocotools_opens_boxes_in_pictures(labelled_world: Labelled, tmp_path: Path) -> None:
    header = export("coco", labelled_world, tmp_path / "out", names={"vegetation": "tree"})
    coco = COCO(str(tmp_path / "out" / "annotations" / "instances.json"))
    assert len(coco.getImgIds()) == 18
    (tree,) = coco.getCatIds(catNms=["tree"])
    pictures = {row["frame_id"]: row for row in labelled_world.pictures}
    tracks = set()
    for image in coco.loadImgs(coco.getImgIds()):
        frame = pictures[image["frame_id"]]
        with Image.open(tmp_path / "out" / "images" / image["file_name"]) as picture:
            assert picture.size == (image["width"], image["height"])
        rows = {row["track_id"]: row for row in labelled_world.rows if row["sample"] == image["sample"]}
        found = coco.loadAnns(coco.getAnnIds(imgIds=image["id"]))
        for box in found:
            row = rows[box["track_id"]]
            tracks.add((image["sample"], box["track_id"]))
            assert (box["category_id"] == tree) == (row["label"] == "vegetation")
            x0, y0, w, h = box["bbox"]
            if box["box_from"] == "detector":
                assert row["frame_id"] == image["frame_id"]
                np.testing.assert_allclose([x0, y0, x0 + w, y0 + h], row["box"], atol=1e-4)
                continue
            assert row["frame_id"] != image["frame_id"]
            uv, depth = project_points(
                corners(row), np.reshape(frame["T_cam_from_points"], (4, 4)), np.reshape(frame["K"], (3, 3))
            )
            if (depth > 0.5).all():
                low, high = (np.clip(ends, 0, picture.size) for ends in (uv.min(0), uv.max(0)))
                np.testing.assert_allclose([x0, y0, x0 + w, y0 + h], [*low, *high], atol=1e-4)
        assert {box["box_from"] for box in found} <= {"detector", "outline"}
    assert len(tracks) + header["counts"]["left_out_in_no_picture"] == len(labelled_world.rows)
    assert coco.loadRes(coco.dataset["annotations"]).getAnnIds()


# --- SUSTechPOINTS ----------------------------------------------------------------------------------------------------


def drawn_corners(box: Row) -> np.ndarray:
    """(8, 3) as the tool's three.js places a unit cube: scaled, turned by intrinsic x, y, z, moved."""
    place = {key: np.array([box["psr"][key][axis] for axis in "xyz"]) for key in ("position", "scale", "rotation")}
    cube = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
    turned = Rotation.from_euler("XYZ", place["rotation"]).apply(cube * place["scale"])
    return turned + place["position"]


def test_sustechpoints_scene_is_laid_out_as_the_tool_reads_it(labelled_world: Labelled, tmp_path: Path) -> None:
    """By its README and scene reader: lidar, camera, calib and label of one stem; a box's points counted in its PCD."""
    export("sustechpoints", labelled_world, tmp_path / "out")
    (scene,) = (tmp_path / "out" / "data").iterdir()  # the tool takes all that is in it for scenes
    stems = sorted(path.stem for path in (scene / "lidar").iterdir())
    assert stems == ["000000", "000001", "000002"]
    assert {path.suffix for path in (scene / "camera").rglob("*.*")} == {".jpg"}
    index = read_index(tmp_path / "out")
    frames = {(row["sample"], row["camera"]): row for row in labelled_world.pictures}
    for stem in stems:
        sample = index[f"{scene.name}/{stem}"].sample
        rows = {row["track_id"]: row for row in labelled_world.rows if row["sample"] == sample}
        content = (scene / "lidar" / f"{stem}.pcd").read_bytes()
        head, _, data = content.partition(b"DATA binary\n")
        points = np.frombuffer(data, "<f4").reshape(-1, 4)
        assert f"POINTS {len(points)}\n".encode() in head
        boxes = json.loads((scene / "label" / f"{stem}.json").read_text())
        assert len(boxes) == len(rows)
        for box in boxes:
            row = rows[box["obj_id"]]
            assert box["obj_type"] == {"car": "Car", "traffic_cone": "Cone"}.get(row["label"], box["obj_type"])
            assert same_corners(drawn_corners(box), corners(row), 1e-6)
            inside = points_in_oriented_box(points, np.reshape(row["T_points_from_box"], (4, 4)), row["size_lwh"])
            assert abs(int(inside.sum()) - row["n_points"]) <= 1
        for camera in (scene / "camera").iterdir():
            calibration = json.loads((scene / "calib" / "camera" / camera.name / f"{stem}.json").read_text())
            frame = frames[sample, camera.name]
            np.testing.assert_allclose(calibration["extrinsic"], frame["T_cam_from_points"])
            np.testing.assert_allclose(calibration["intrinsic"], frame["K"])
            assert (camera / f"{stem}.jpg").resolve() == labelled_world.root / frame["image_path"]
    assert (scene / "calib" / "camera" / "CAM_FRONT.json").is_file()


# --- MCAP -------------------------------------------------------------------------------------------------------------


def matrix(translation: Any, rotation: Any) -> np.ndarray:
    T = np.eye(4)
    T[:3, :3] = Rotation.from_quat([rotation.x, rotation.y, rotation.z, rotation.w]).as_matrix()
    T[:3, 3] = translation.x, translation.y, translation.z
    return T


def test_clouds_and_boxes_of_an_mcap_meet(labelled_world: Labelled, tmp_path: Path) -> None:
    """Read by MCAP's own reader; points counted in the boxes as read; cameras where nuScenes' poses have them."""
    export("mcap", labelled_world, tmp_path / "out")
    (path,) = (tmp_path / "out").glob("*.mcap")
    by_topic: dict[str, dict[int, Any]] = defaultdict(dict)
    places: dict[tuple[str, int], np.ndarray] = {}
    with path.open("rb") as file:
        for schema, channel, message, decoded in make_reader(
            file, decoder_factories=[DecoderFactory()]
        ).iter_decoded_messages():
            assert schema.name.startswith("foxglove.")
            if channel.topic == "/tf":
                T = matrix(decoded.translation, decoded.rotation)
                places[decoded.child_frame_id, message.log_time] = T
            else:
                by_topic[channel.topic][message.log_time] = decoded
    of_sample: dict[int, list[Row]] = defaultdict(list)
    for row in labelled_world.rows:
        of_sample[1000 * row["timestamp_us"]].append(row)
    assert by_topic["/points"].keys() == by_topic["/labels"].keys() == of_sample.keys()
    for time, cloud in by_topic["/points"].items():
        assert [field.name for field in cloud.fields] == ["x", "y", "z", "intensity"]
        points = np.frombuffer(cloud.data, "<f4").reshape(-1, cloud.point_stride // 4)
        rows = {row["track_id"]: row for row in of_sample[time]}
        update = by_topic["/labels"][time]
        assert update.deletions, "what was there before goes"
        assert {entity.id for entity in update.entities} == rows.keys()
        for entity in update.entities:
            (cube,) = entity.cubes
            row, size = rows[entity.id], [cube.size.x, cube.size.y, cube.size.z]
            T = matrix(cube.pose.position, cube.pose.orientation)
            assert entity.frame_id == cloud.frame_id
            assert entity.texts[0].text == f"{row['label']} 1.00"
            assert abs(int(points_in_oriented_box(points, T, size).sum()) - row["n_points"]) <= 1
            assert {pair.key: pair.value for pair in entity.metadata}["label"] == row["label"]
        edges = np.frombuffer(by_topic["/label_edges"][time].data, "<f4").reshape(-1, 4)[:, :3]
        for row in rows.values():
            distance, _ = cKDTree(edges).query(corners(row))
            assert distance.max() < 1e-4, "viewers without a SceneUpdate see all boxes"
    for frame in labelled_world.pictures:
        time = 1000 * frame["timestamp_us"]
        image = by_topic[f"/{frame['camera']}/image"][time]
        assert image.data == (labelled_world.root / frame["image_path"]).read_bytes()
        np.testing.assert_allclose(by_topic[f"/{frame['camera']}/calibration"][time].K, frame["K"])
        T = np.reshape(frame["T_scene_from_points"], (4, 4)) @ np.linalg.inv(
            np.reshape(frame["T_cam_from_points"], (4, 4))
        )
        np.testing.assert_allclose(places[image.frame_id, time], T, atol=1e-6)
    still = [rows for rows in tracks_of(labelled_world).values() if len(rows) == 3 and rows[0][0]["label"] == "manmade"]
    times = sorted(of_sample)
    moved = np.linalg.norm(places["points", times[0]][:3, 3] - places["points", times[2]][:3, 3])
    assert moved > 1, "the car drives"
    apart = []
    for track in still:
        world = [places["points", 1000 * row["timestamp_us"]] @ [*centre, 1] for row, centre in track]
        apart.append(np.linalg.norm(world[0] - world[2]))
    assert len(apart) > 3
    assert max(apart) < 1e-6, "what stands, stands"


def tracks_of(made: Labelled) -> dict[str, list[tuple[Row, np.ndarray]]]:
    """Track → its labels in time order, each with its centre in the points' frame."""
    found = defaultdict(list)
    for row in sorted(made.rows, key=lambda row: row["timestamp_us"]):
        found[row["track_id"]].append((row, np.reshape(row["T_points_from_box"], (4, 4))[:3, 3]))
    return found


# --- PLY --------------------------------------------------------------------------------------------------------------


def test_a_public_reader_opens_the_coloured_cloud(labelled_world: Labelled, tmp_path: Path) -> None:
    export("ply", labelled_world, tmp_path / "out")
    (path,) = (tmp_path / "out").glob("*.ply")
    cloud = trimesh.load(path, process=False)
    raw = cloud.metadata["_ply_raw"]["vertex"]["data"]
    names = dict(line.split()[2:4] for line in path.read_bytes().split(b"end_header")[0].decode().splitlines()
                 if line.startswith("comment label"))  # fmt: skip
    assert len(cloud.vertices) > 1000
    cubes = np.floor(np.asarray(cloud.vertices) / 0.05)
    assert len(np.unique(cubes, axis=0)) == len(cubes)
    first = min(labelled_world.pictures, key=lambda row: (row["timestamp_us"], row["camera"] != "CAM_FRONT_RIGHT"))
    to_points = np.linalg.inv(np.reshape(first["T_scene_from_points"], (4, 4)))
    points = np.asarray(cloud.vertices) @ to_points[:3, :3].T + to_points[:3, 3]
    rows = [row for row in labelled_world.rows if row["sample"] == first["sample"] and row["n_points"] > 30]
    assert len(rows) > 5
    for row in rows:
        T, size = np.reshape(row["T_points_from_box"], (4, 4)), np.array(row["size_lwh"])
        inside = points_in_oriented_box(points, T, size - 0.02)
        labels = np.asarray(raw["label"]).ravel()[inside]
        if row["label"] == "manmade":  # they stand: later samples see them at the same place
            assert np.mean([names[str(n)] == row["label"] for n in labels]) > 0.95
        assert inside.sum() > 0
    own = load_points(first["clouds"][:1], labelled_world.root)
    with Image.open(labelled_world.root / first["image_path"]) as picture:
        image = np.asarray(picture)
    uv, depth = project_points(own, np.reshape(first["T_cam_from_points"], (4, 4)), np.reshape(first["K"], (3, 3)))
    seen = np.flatnonzero((depth > 0.5) & in_image(uv, (first["width"], first["height"])))
    T = np.reshape(first["T_scene_from_points"], (4, 4))
    distance, nearest = cKDTree(cloud.vertices).query(own[seen, :3] @ T[:3, :3].T + T[:3, 3])
    exact = distance < 1e-4  # the others share a cube with one of these
    column, line = uv[seen[exact]].astype(int).T
    same = (np.asarray(cloud.colors)[nearest[exact], :3] == image[line, column]).all(1)
    assert exact.sum() > 500
    assert same.mean() > 0.9  # what several cameras see has one's colour


def test_quaternions_are_those_of_the_rotations() -> None:
    """All branches: turns about each axis, half turns, and any others."""
    rotations = Rotation.concatenate(
        [Rotation.random(200, random_state=1), Rotation.from_rotvec(np.pi * np.eye(3)), Rotation.identity(1)]
    )
    for R in rotations.as_matrix():
        w, x, y, z = quaternion_wxyz(R)
        assert w >= 0
        np.testing.assert_allclose(Rotation.from_quat([x, y, z, w]).as_matrix(), R, atol=1e-12)
