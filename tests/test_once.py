"""ONCE: reader, writer and undistortion.

Made: the streets in ONCE's form, and a chequerboard seen through a lens. No ONCE file is at hand; the layout is held
against its devkit's: `cam_to_velo`, `undistort_image_v2` and the projection are spelt out here with OpenCV alone.
"""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from clip2.detect.runner import load_image
from clip2.detect.stage import COLUMNS as DETECTOR_COLUMNS
from clip2.geometry import in_image, points_in_oriented_box, project_points
from clip2.runtime.errors import InputError
from clip2.scans.clouds import load_points
from clip2.scans.images import ImageError, read_frame_image, read_image
from clip2.scans.marker import BUILT_IN, MARKER, source_kind
from clip2.scans.once import annotations as once_annotations
from clip2.scans.once import frames as once_frames
from clip2.scans.once.settings import OnceSettings
from clip2.scans.once.survey import survey
from clip2.scans.shards import shard_names
from clip2.scans.undistort import pinhole_intrinsics, undistort
from clip2.store.tables import iterate_rows, read_header, read_table
from clip2_world.streets import once_rig, once_stage
from clip2_world.streets.once_settings import OnceWorldSettings
from clip2_world.streets.once_writer import SequenceWriter
from clip2_world.streets.render import take_picture

WORLD = OnceWorldSettings(train_scenes=1, val_scenes=1, frames=2, image_width=480)
SETTINGS = OnceSettings(train_shards=2, val_shards=1)
TRAIN, VAL = "900001", "950001"
K = np.array([[600.0, 0, 390], [0, 590, 205], [0, 0, 1]])
BARREL = np.array([-0.2, 0.05, 0.001, -0.002, 0.0])
SIZE = (768, 408)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("once")
    once_stage.run(root, WORLD)
    return root


@pytest.fixture
def copy(world: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(world, tmp_path / "copy"))


def ingest(root: Path, out: Path, settings: OnceSettings = SETTINGS) -> dict[str, list[dict[str, Any]]]:
    """Frames by role."""
    once_frames.run(root, out, "test", settings)
    return {
        role: [row for name in shard_names(role, number) for row in iterate_rows(out / f"{name}.parquet")]
        for role, number in settings.n_shards.items()
    }


def annotate(root: Path, out: Path, settings: OnceSettings = SETTINGS) -> list[dict[str, Any]]:
    """Annotations of the evaluation's sequences."""
    once_annotations.run(root, out, "test", settings)
    return [row for name in shard_names("val", 1) for row in iterate_rows(out / f"{name}.parquet")]


def edit(root: Path, sequence: str, change: Any) -> None:
    path = root / "data" / sequence / f"{sequence}.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def tree(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


# --- undistortion ----------------------------------------------------------------------------------------------------


def test_a_point_lands_on_its_own_pixel_of_the_undistorted_picture() -> None:
    """Dots painted where OpenCV's distorted projection puts them are found where our pinhole projection puts them."""
    rng = np.random.default_rng(0)
    points = np.column_stack([rng.uniform(-5, 5, 60), rng.uniform(-3, 3, 60), rng.uniform(9, 12, 60)])
    distorted = cv2.projectPoints(points, np.zeros(3), np.zeros(3), K, BARREL)[0][:, 0]
    straight, _ = project_points(points, np.eye(4), K_new := pinhole_intrinsics(K, BARREL, SIZE))
    seen = [i for i in range(60) if in_image(distorted[i : i + 1] - 9, (SIZE[0] - 18, SIZE[1] - 18))[0]]
    seen = [i for i in seen if in_image(straight[i : i + 1] - 9, (SIZE[0] - 18, SIZE[1] - 18))[0]]
    assert len(seen) > 15
    v, u = np.indices((SIZE[1], SIZE[0]))
    for i in seen:
        spot = 255 * np.exp(-((u - distorted[i, 0]) ** 2 + (v - distorted[i, 1]) ** 2) / 8)
        image = np.repeat(spot.astype(np.uint8)[..., None], 3, 2)
        out = undistort(image, K.ravel().tolist(), BARREL.tolist(), K_new.ravel().tolist())[..., 0].astype(float)
        found = np.array([(out * u).sum(), (out * v).sum()]) / out.sum()
        assert np.abs(found - straight[i]).max() < 0.3
    off = np.linalg.norm(distorted[seen] - straight[seen], axis=1)
    assert off.max() > 10  # so that the test tells


def test_undistortion_is_what_the_devkit_does(world: Path, tmp_path: Path) -> None:
    frame = ingest(world, tmp_path)["val"][0]
    calib = json.loads((world / "data" / VAL / f"{VAL}.json").read_text())["calib"][frame["camera"]]
    intrinsic, distortion = np.array(calib["cam_intrinsic"]), np.array(calib["distortion"])
    raw = cv2.cvtColor(cv2.imread(str(world / frame["image_path"])), cv2.COLOR_BGR2RGB)
    size = (frame["width"], frame["height"])
    new, _ = cv2.getOptimalNewCameraMatrix(intrinsic, distortion, size, alpha=0.0, newImgSize=size)
    expected = cv2.undistort(raw, intrinsic, distortion, newCameraMatrix=new)
    np.testing.assert_allclose(np.reshape(frame["K"], (3, 3)), new)
    image = read_frame_image(world, frame)
    assert image.shape == (255, 480, 3)
    assert np.abs(image.astype(int) - expected).mean() < 0.5
    assert np.abs(image.astype(int) - raw).mean() > 3


def test_the_detector_sees_undistorted_pictures(world: Path, tmp_path: Path) -> None:
    frame = next(frame for frame in ingest(world, tmp_path)["val"] if frame["lens"] is not None)
    shard = next(path for path in tmp_path.glob("val-*.parquet") if read_table(path).num_rows)
    row = next(row for row in iterate_rows(shard, DETECTOR_COLUMNS) if row["frame_id"] == frame["frame_id"])
    seen = load_image(row, world).permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(seen, read_frame_image(world, frame))
    assert np.abs(seen.astype(int) - read_image(world / frame["image_path"])).mean() > 3


def test_a_camera_without_distortion_is_left_alone(copy: Path, tmp_path: Path) -> None:
    edit(copy, VAL, lambda content: content["calib"]["cam01"].update(distortion=[0.0] * 5))
    frames = ingest(copy, tmp_path / "out")["val"]
    lenses = {frame["camera"]: frame["lens"] for frame in frames}
    assert lenses["cam01"] is None
    assert lenses["cam06"] is not None
    plain = ingest(copy, tmp_path / "plain", OnceSettings(undistort=False, train_shards=1, val_shards=1))["val"]
    calib = json.loads((copy / "data" / VAL / f"{VAL}.json").read_text())["calib"]
    for frame in plain:
        assert frame["lens"] is None
        assert frame["K"] == np.ravel(calib[frame["camera"]]["cam_intrinsic"]).tolist()


def test_the_writer_bends_pictures_as_its_distortion_says() -> None:
    """A chequerboard in the writer's wide picture, bent and undistorted again, is the chequerboard of a pinhole."""
    (camera,) = once_rig.cameras(("cam01",), 768)
    lens = once_rig.Lens(camera)

    def board(K: np.ndarray, size: tuple[int, int], half: float) -> np.ndarray:
        u, v = np.meshgrid(np.arange(size[0]) + half, np.arange(size[1]) + half)
        x, y = (u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1]
        wave = 127.5 + 120 * np.sin(40 * x) * np.sin(40 * y)
        return np.repeat(wave.astype(np.uint8)[..., None], 3, 2)

    bent = lens.bend(board(lens.wide.intrinsic, (lens.wide.width, lens.wide.height), 0.5))
    intrinsic, size = camera.camera.intrinsic, (camera.camera.width, camera.camera.height)
    new = pinhole_intrinsics(intrinsic, camera.distortion, size)
    back = undistort(bent, intrinsic.ravel().tolist(), camera.distortion.tolist(), new.ravel().tolist())
    expected = board(new, size, 0.0)
    assert np.abs(back.astype(int) - expected).mean() < 2
    assert np.abs(bent.astype(int) - expected).mean() > 10
    assert lens.wide.width < 1.25 * size[0]  # rendering costs by the pixel


def test_the_undistorted_picture_is_what_a_pinhole_camera_sees(world: Path, tmp_path: Path) -> None:
    """Rendered straight with the frame's intrinsics, against the stored picture as it is read."""
    frame = ingest(world, tmp_path)["val"][0]
    (recipe,) = once_stage.sequence_recipes(WORLD, "val")
    writer = SequenceWriter(tmp_path, recipe)
    K_render = np.reshape(frame["K"], (3, 3)).copy()
    K_render[:2, 2] += 0.5  # the renderer's pixel centres lie at halves, OpenCV's at whole numbers
    pinhole = replace(writer.cameras[0].camera, intrinsic=K_render)
    expected = take_picture(writer.tracer, pinhole, 0.0, np.random.default_rng(0)).image
    image = read_frame_image(world, frame)
    stored = read_image(world / frame["image_path"])
    blurred = [cv2.GaussianBlur(picture, (5, 5), 1).astype(float) for picture in (image, stored, expected)]
    assert np.abs(blurred[0] - blurred[2]).mean() < 3
    assert np.abs(blurred[1] - blurred[2]).mean() > 2 * np.abs(blurred[0] - blurred[2]).mean()


# --- frames ----------------------------------------------------------------------------------------------------------


def test_frames_of_a_sequence(world: Path, tmp_path: Path) -> None:
    frames = ingest(world, tmp_path)
    assert {frame["scene"] for frame in frames["train"]} == {TRAIN}
    assert len(frames["val"]) == 2 * 3
    assert [frame["camera"] for frame in frames["val"][:3]] == ["cam01", "cam06", "cam08"]
    assert len({frame["sample"] for frame in frames["val"][:3]}) == 1
    assert len({frame["frame_id"] for frame in frames["val"]}) == 6
    first, last = frames["val"][0], frames["val"][-1]
    assert last["timestamp_us"] - first["timestamp_us"] == 500_000
    header = read_header(tmp_path / f"{shard_names('val', 1)[0]}.parquet")
    assert (header["dataset"], header["sensor"], header["source_kind"]) == ("once", "lidar", BUILT_IN)
    assert header["axes"]["up"] == "z"
    points = load_points(first["clouds"], world)
    assert points.shape[1] == 4
    assert len(points) > 10_000
    below = np.median(points[points[:, 2] < -1, 2])
    assert -2.6 < below < -1.5  # the road, seen from the roof: z is up


def test_points_project_as_the_devkit_projects_them(world: Path, tmp_path: Path) -> None:
    for frame in ingest(world, tmp_path)["val"][:3]:
        calib = json.loads((world / "data" / VAL / f"{VAL}.json").read_text())["calib"][frame["camera"]]
        points = np.fromfile(world / frame["clouds"][0]["path"], np.float32).reshape(-1, 4)[:, :3]
        homogeneous = np.hstack([points, np.ones((len(points), 1))])
        in_camera = homogeneous @ np.linalg.inv(np.array(calib["cam_to_velo"])).T
        front = in_camera[:, 2] > 1
        ours, depth = project_points(
            points, np.reshape(frame["T_cam_from_points"], (4, 4)), np.reshape(frame["K"], (3, 3))
        )
        np.testing.assert_allclose(depth, in_camera[:, 2], atol=1e-9)
        # Distort our undistorted pixels: they have to be those of OpenCV's own projection into the picture as stored.
        inside = front & in_image(ours, (frame["width"], frame["height"]))
        assert inside.sum() > 500
        stored = cv2.projectPoints(
            in_camera[inside, :3],
            np.zeros(3),
            np.zeros(3),
            np.array(calib["cam_intrinsic"]),
            np.array(calib["distortion"]),
        )[0][:, 0]
        K_inverse = np.linalg.inv(np.reshape(frame["K"], (3, 3)))
        rays = np.hstack([ours[inside], np.ones((inside.sum(), 1))]) @ K_inverse.T
        bent = cv2.projectPoints(
            rays,
            np.zeros(3),
            np.zeros(3),
            np.reshape(frame["lens"]["K"], (3, 3)),
            np.array(frame["lens"]["distortion"]),
        )[0][:, 0]
        np.testing.assert_allclose(bent, stored, atol=1e-6)


def test_a_box_of_the_picture_holds_the_points_of_its_object(world: Path, tmp_path: Path) -> None:
    frames, rows = ingest(world, tmp_path / "f")["val"], annotate(world, tmp_path / "a")
    checked = 0
    for frame in frames:
        points = load_points(frame["clouds"], world)
        T, K_new = np.reshape(frame["T_cam_from_points"], (4, 4)), np.reshape(frame["K"], (3, 3))
        for row in rows:
            if row["sample"] != frame["sample"] or row["class_name"] != "car":
                continue
            inside = points_in_oriented_box(points, np.reshape(row["T_points_from_box"], (4, 4)), row["size_lwh"])
            uv, _ = project_points(points[inside], T, K_new)
            seen = uv[in_image(uv, (frame["width"], frame["height"]))]
            boxes = json.loads((world / "data" / VAL / f"{VAL}.json").read_text())["frames"]
            (listed,) = [f["annos"] for f in boxes if f["frame_id"] == row["sample"].split("/")[1]]
            box = listed["boxes_2d"][frame["camera"]][int(row["annotation_id"].split("/")[-1])]
            if len(seen) and box[0] >= 0:
                checked += 1
                assert (seen >= np.array(box[:2]) - 1).all()
                assert (seen <= np.array(box[2:]) + 1).all()
    assert checked >= 3


def test_sequences_without_boxes_are_mined_but_not_evaluated(copy: Path, tmp_path: Path) -> None:
    def drop(content: dict[str, Any]) -> None:
        del content["frames"][0]["annos"]

    edit(copy, TRAIN, drop)
    edit(copy, VAL, drop)
    frames = ingest(copy, tmp_path / "out")
    assert len(frames["train"]) == 6
    assert len(frames["val"]) == 3
    header = read_header(tmp_path / "out" / f"{shard_names('val', 1)[0]}.parquet")
    assert header["counts"]["samples_without_boxes"] == 1
    everything = OnceSettings(annotated_only=False, train_shards=1, val_shards=1)
    assert len(ingest(copy, tmp_path / "all", everything)["val"]) == 6


def test_missing_files_are_counted_and_the_rest_is_used(copy: Path, tmp_path: Path) -> None:
    frames = sorted(path.stem for path in (copy / "data" / VAL / "lidar_roof").iterdir())
    (copy / "data" / VAL / "lidar_roof" / f"{frames[0]}.bin").unlink()
    (copy / "data" / VAL / "cam01" / f"{frames[1]}.jpg").unlink()
    shutil.rmtree(copy / "data" / VAL / "cam08")
    rows = ingest(copy, tmp_path / "out")["val"]
    assert [(row["sample"], row["camera"]) for row in rows] == [(f"{VAL}/{frames[1]}", "cam06")]
    counts = read_header(tmp_path / "out" / f"{shard_names('val', 1)[0]}.parquet")["counts"]
    assert (counts["clouds_missing"], counts["images_missing"], counts["samples"], counts["frames"]) == (1, 3, 2, 1)
    found = survey(copy, SETTINGS)
    items = {item.name: (item.found, item.wanted) for item in found.items}
    assert items["lidar_roof"] == (3, 4)
    assert items["cam01"] == (3, 4)
    assert items["cam08"] == (2, 4)
    assert found.used == {"train": 6, "val": 1}
    assert not found.fatal


def test_a_damaged_picture_does_not_hide_the_size_of_the_others(copy: Path, tmp_path: Path) -> None:
    first = min((copy / "data" / VAL / "cam01").iterdir())
    first.write_bytes(b"not a picture")
    frames = [frame for frame in ingest(copy, tmp_path / "out")["val"] if frame["camera"] == "cam01"]
    assert [(frame["width"], frame["height"]) for frame in frames] == [(480, 255)] * 2
    with pytest.raises(ImageError, match="not a readable image"):
        read_frame_image(copy, frames[0])


def test_split_words(world: Path, copy: Path, tmp_path: Path) -> None:
    one = OnceSettings(train="all", val=f"scene:{TRAIN}", train_shards=1, val_shards=1)
    frames = ingest(world, tmp_path / "one", one)
    assert {frame["scene"] for frame in frames["train"]} == {TRAIN, VAL}
    assert {frame["scene"] for frame in frames["val"]} == {TRAIN}
    (copy / "ImageSets" / "train.txt").rename(copy / "ImageSets" / "train_split.txt")  # older copies
    assert len(ingest(copy, tmp_path / "two", OnceSettings(train="train,val"))["train"]) == 12
    for split, message in (
        ("trian", "split 'trian' is unknown"),
        ("raw_small", "raw_small.txt: no such list"),
        ("scene:000000", "000000.json: no such file; is the sequence's name right"),
        (f"scene:{VAL},scene:000000", "000000.json: no such file"),
    ):
        with pytest.raises(InputError, match=message):
            ingest(world, tmp_path / "bad", OnceSettings(train=split))
        assert survey(world, OnceSettings(train=split)).fatal


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.pop("calib"), "not a JSON of a ONCE sequence"),
        (lambda content: content["calib"]["cam01"].update(distortion=[0.1, 0.2]), "cam01: 2 distortion coefficients"),
        (lambda content: content["calib"]["cam01"].pop("cam_to_velo"), "'cam_to_velo'"),
        (lambda content: content["calib"]["cam06"].update(cam_to_velo=np.ones((4, 4)).tolist()), "not a rigid"),
        (lambda content: content["calib"]["cam06"].update(cam_intrinsic=[[1, 2], [3, 4]]), "cannot reshape"),
        (lambda content: content["frames"][0].pop("frame_id"), "frame_id"),
    ],
)
def test_a_wrong_json_is_named(copy: Path, tmp_path: Path, change: Any, message: str) -> None:
    edit(copy, VAL, change)
    with pytest.raises(InputError, match=rf"{VAL}\.json: .*{message}"):
        ingest(copy, tmp_path / "out")
    assert survey(copy, SETTINGS).fatal
    assert not (tmp_path / "out" / f"{shard_names('val', 1)[0]}.parquet").exists()


def test_a_json_cut_short_is_named(copy: Path, tmp_path: Path) -> None:
    path = copy / "data" / VAL / f"{VAL}.json"
    path.write_text(path.read_text()[:1000])
    with pytest.raises(InputError, match=rf"{VAL}\.json: not JSON \(Expecting"):
        ingest(copy, tmp_path / "out")


# --- annotations -----------------------------------------------------------------------------------------------------


def test_boxes_hold_points_and_have_the_benchmarks_classes(world: Path, tmp_path: Path) -> None:
    rows, frames = annotate(world, tmp_path / "a"), ingest(world, tmp_path / "f")["val"]
    assert {row["class_name"] for row in rows} <= {"car", "truck", "bus", "pedestrian", "cyclist"}
    assert "car" in {row["class_name"] for row in rows}
    assert {row["sample"] for row in rows} == {frame["sample"] for frame in frames}
    counted = []
    for frame in frames[::3]:
        points = load_points(frame["clouds"], world)
        for row in rows:
            if row["sample"] == frame["sample"]:
                T = np.reshape(row["T_points_from_box"], (4, 4))
                counted.append(int(points_in_oriented_box(points, T, row["size_lwh"]).sum()))
                assert row["ego_distance_m"] == pytest.approx(np.hypot(*T[:2, 3]))
    assert len(counted) == len(rows)
    assert np.mean(np.array(counted) > 0) > 0.97  # a return may be pushed out of its box by range noise


def test_seven_numbers_mean_centre_size_and_turn(copy: Path, tmp_path: Path) -> None:
    """Against the corners written out by hand: a box 4 long, 2 wide, turned by 90°, lies along y."""

    def one_box(content: dict[str, Any]) -> None:
        content["frames"][0]["annos"] = {
            "names": ["Car", "Tram", "Bus"],
            "boxes_3d": [[10, 5, 1, 4, 2, 1.5, np.pi / 2], [0, 9, 0, 1, 1, 1, 0], [1, 1, 1, 0, 1, 1, 0]],
        }
        del content["frames"][1]["annos"]

    edit(copy, VAL, one_box)
    car, tram = annotate(copy, tmp_path)
    T = np.reshape(car["T_points_from_box"], (4, 4))
    corners = [[10 + x, 5 + y, 1 + z] for x in (-0.99, 0.99) for y in (-1.99, 1.99) for z in (-0.74, 0.74)]
    assert points_in_oriented_box(corners, T, car["size_lwh"]).all()
    assert not points_in_oriented_box([[11.5, 5, 1], [10, 7.5, 1], [10, 5, 2]], T, car["size_lwh"]).any()
    assert (car["class_name"], tram["class_name"], tram["category"]) == ("car", None, "Tram")
    header = read_header(tmp_path / f"{shard_names('val', 1)[0]}.parquet")
    assert header["counts"]["boxes_impossible"] == 1
    assert header["counts"]["samples_annotated"] == 1


def test_no_annotations_may_be_written_as_null(copy: Path, tmp_path: Path) -> None:
    before = len(ingest(copy, tmp_path / "before")["val"])

    def change(content: dict[str, Any]) -> None:
        content["frames"][0]["annos"] = None
        content["frames"][1]["annos"]["names"] = None
        content["frames"][1]["annos"]["boxes_3d"] = None

    edit(copy, VAL, change)
    frames = ingest(copy, tmp_path / "after")["val"]
    assert 0 < len(frames) < before  # the first frame has no boxes and is not asked about
    assert not {row["sample"] for row in annotate(copy, tmp_path / "boxes")} & {frames[0]["sample"]}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c["frames"][0].update(annos=3), "frames.0.annos"),
        (lambda c: c["frames"][0].update(annos={"names": ["Car"], "boxes_3d": [[{}] * 7]}), "`boxes_3d` is not"),
        (lambda c: c["frames"][0].update(annos={"names": "Ca", "boxes_3d": [[1] * 7] * 2}), "`boxes_3d` is not"),
        (lambda c: c["frames"][0].update(annos={"names": [3], "boxes_3d": [[1] * 7]}), "`boxes_3d` is not"),
        (lambda c: c["frames"][0].update(frame_id=[1]), "frames.0.frame_id"),
        (lambda c: c["frames"].append(c["frames"][0]), "frame_id .* is there 2 times"),
        (
            lambda c: c["frames"][0].update(annos={"names": ["Car"], "boxes_3d": [[9, 1, 0, 4, 2, 2, 90]]}),
            "by 90, which",
        ),
        (lambda c: c["frames"][0].update(frame_id="../../x"), "frames.0.frame_id"),
        (lambda c: c["frames"].insert(0, 7), "frames.0"),
        (lambda c: c.update(frames={}), "frames: Input should be a valid list"),
        (lambda c: c.update(calib=[]), "calib: Input should be a valid dict"),
        (lambda c: c["calib"].update(cam01=5), "wrong calibration"),
        (lambda c: c["calib"]["cam01"].update(cam_to_velo=[[1e308] * 4] * 4), "not a rigid transform"),
        (lambda c: c["calib"]["cam01"].update(distortion=[float("nan")] * 8), "wrong calibration"),
    ],
)
def test_what_is_wrong_in_a_json_is_named(copy: Path, tmp_path: Path, change: Any, said: str) -> None:
    edit(copy, VAL, change)
    with pytest.raises(InputError, match=rf"{VAL}\.json: .*{said}"):
        read_all(copy, tmp_path)


def read_all(root: Path, out: Path) -> None:
    ingest(root, out / "f")
    annotate(root, out / "a")


def set_boxes(name: str, column: int | None = None, value: Any = None) -> Any:
    """A change of all boxes' names, and of one of their seven numbers."""

    def change(content: dict[str, Any]) -> None:
        for frame in content["frames"]:
            frame["annos"]["names"] = [name] * len(frame["annos"]["names"])
            for box in frame["annos"]["boxes_3d"] if column is not None else ():
                box[column] = value

    return change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (set_boxes("Car "), None),
        (set_boxes("cars"), r"none of \d+ human boxes \(cars\) is called as one of the 5 classes"),
        (set_boxes("Car", 3, -4.0), r"(\d+) of \1 human boxes have no size or no place"),
        (set_boxes("Car", 0, None), r"(\d+) of \1 human boxes have no size or no place"),
        (set_boxes("Car", 0, 5000.0), r"(\d+) of \1 boxes hold no point"),
    ],
)
def test_check_looks_at_the_boxes(copy: Path, change: Any, told: str | None) -> None:
    edit(copy, VAL, change)
    remarks = " ".join(survey(copy, SETTINGS).remarks)
    assert re.search(told, remarks) if told else "boxes" not in remarks


def test_blanks_beside_a_name_mean_nothing(copy: Path, tmp_path: Path) -> None:
    edit(copy, VAL, set_boxes(" Car "))
    assert {row["class_name"] for row in annotate(copy, tmp_path)} == {"car"}


def test_names_and_boxes_have_to_be_as_many(copy: Path, tmp_path: Path) -> None:
    edit(copy, VAL, lambda content: content["frames"][1]["annos"]["names"].pop())
    with pytest.raises(InputError, match="`boxes_3d` is not"):
        annotate(copy, tmp_path)


# --- the built-in world ----------------------------------------------------------------------------------------------


def test_the_same_settings_give_the_same_bytes_and_only_what_is_missing_is_made(world: Path, tmp_path: Path) -> None:
    once_stage.run(tmp_path, WORLD.model_copy(update={"val_scenes": 0}))
    train = tree(tmp_path / "data" / TRAIN)
    stamp = (tmp_path / "data" / TRAIN / f"{TRAIN}.json").stat().st_mtime_ns
    once_stage.run(tmp_path, WORLD)
    assert (tmp_path / "data" / TRAIN / f"{TRAIN}.json").stat().st_mtime_ns == stamp
    assert tree(tmp_path) == tree(world)
    assert tree(world / "data" / TRAIN) == train


def test_it_says_what_it_is_and_spares_other_folders(world: Path, tmp_path: Path) -> None:
    assert source_kind(world) == BUILT_IN
    assert "not ONCE" in (world / MARKER).read_text()
    assert json.loads((world / "world.json").read_text())["counts"]["frames"] == 4
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="not a built-in world"):
        once_stage.run(tmp_path, WORLD)
