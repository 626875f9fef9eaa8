"""nuScenes ingest on the real key frame, against the devkit and the data set's own point counts."""

import contextlib
import re
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nuscenes.nuscenes import NuScenes
from nuscenes.utils.data_classes import LidarPointCloud
from PIL import Image
from tiny_nuscenes import VERSION, K, Tables, make_tables, write_recordings, write_tables

from clip2.geometry import in_image, points_in_oriented_box, project_points
from clip2.runtime.errors import InputError
from clip2.scans.clouds import CloudError, load_points, read_cloud
from clip2.scans.images import ImageError, read_image
from clip2.scans.nuscenes import annotations as nuscenes_annotations
from clip2.scans.nuscenes import frames as nuscenes_frames
from clip2.scans.nuscenes.settings import NuscenesSettings
from clip2.scans.nuscenes.survey import survey
from clip2.scans.shards import shard_names, shard_of
from clip2.store.provenance import file_digest
from clip2.store.tables import iterate_rows, read_header
from clip2_world.streets import nuscenes_stage as world
from clip2_world.streets.nuscenes_settings import WorldSettings

SAMPLE = "fd8420396768425eabec9bdddf7e64b6"
SETTINGS = NuscenesSettings(version="v1.0-mini", train="all", val=f"sample:{SAMPLE}", train_shards=2, val_shards=1)
VAL = shard_names("val", 1)[0]


@pytest.fixture(scope="module")
def ingested(realdata: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Data root and folder of the ingested real key frame."""
    root, out = realdata / "nuscenes", tmp_path_factory.mktemp("nuscenes")
    nuscenes_frames.run(root, out / "frames", "real", SETTINGS)
    nuscenes_annotations.run(root, out / "annotations", "real", SETTINGS)
    return root, out


@pytest.fixture
def frames(ingested: tuple[Path, Path]) -> list[dict[str, Any]]:
    return list(iterate_rows(ingested[1] / "frames" / f"{VAL}.parquet"))


@pytest.mark.real
def test_points_in_each_annotated_box_are_as_many_as_the_data_set_says(
    ingested: tuple[Path, Path], frames: list[dict[str, Any]]
) -> None:
    root, out = ingested
    points = load_points(frames[0]["clouds"], root)
    rows = list(iterate_rows(out / "annotations" / f"{VAL}.parquet"))
    counted = [
        int(points_in_oriented_box(points, np.reshape(row["T_points_from_box"], (4, 4)), row["size_lwh"]).sum())
        for row in rows
    ]
    assert len(rows) == 37
    assert counted == [row["num_lidar_pts"] for row in rows]
    assert {row["class_name"] for row in rows} == {"car", "pedestrian", "traffic_cone"}


@pytest.mark.real
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-6), (np.float32, 0.02)])
def test_pixels_equal_the_devkits(
    ingested: tuple[Path, Path],
    frames: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    dtype: type,
    tolerance: float,
) -> None:
    """The devkit moves points through global coordinates (hundreds of metres) in float32, which costs up to 0.02 px on
    near points; given the same points as float64, it agrees to the last digits."""
    root, _ = ingested
    monkeypatch.setattr(
        LidarPointCloud,
        "from_file",
        classmethod(lambda cls, path: cls(np.fromfile(path, np.float32).reshape(-1, 5)[:, :4].T.astype(dtype))),
    )
    nusc = NuScenes("v1.0-mini", str(root), verbose=False)
    sample = nusc.get("sample", SAMPLE)
    points = load_points(frames[0]["clouds"], root)
    assert len(frames) == 6
    for frame in frames:
        expected, expected_depth, image = nusc.explorer.map_pointcloud_to_image(
            sample["data"]["LIDAR_TOP"], sample["data"][frame["camera"]]
        )
        assert image.size == (frame["width"], frame["height"])
        uv, depth = project_points(
            points, np.reshape(frame["T_cam_from_points"], (4, 4)), np.reshape(frame["K"], (3, 3))
        )
        # The devkit keeps what is farther than 1 m and a pixel away from the border.
        with np.errstate(invalid="ignore"):
            kept = (depth > 1) & (uv > 1).all(1) & (uv[:, 0] < image.size[0] - 1) & (uv[:, 1] < image.size[1] - 1)
        assert kept.sum() == expected.shape[1] > 1000
        np.testing.assert_allclose(uv[kept], expected[:2].T, rtol=0, atol=tolerance)
        np.testing.assert_allclose(depth[kept], expected_depth, atol=1e-4)
        assert in_image(uv, image.size)[kept].all()


@pytest.mark.real
def test_header_and_bytes(realdata: Path, ingested: tuple[Path, Path], tmp_path: Path) -> None:
    _, out = ingested
    header = read_header(out / "frames" / f"{VAL}.parquet")
    assert header["source_kind"] == "real"
    assert header["axes"]["up"] == "z"
    assert header["counts"] == {"samples": 1, "frames": 6, "recordings_missing": 0}
    nuscenes_frames.run(realdata / "nuscenes", tmp_path, "real", SETTINGS)
    assert file_digest(tmp_path / f"{VAL}.parquet") == file_digest(out / "frames" / f"{VAL}.parquet")


@pytest.mark.real
def test_every_scene_is_in_exactly_one_shard(ingested: tuple[Path, Path]) -> None:
    files = sorted((ingested[1] / "frames").glob("train-*.parquet"))
    assert len(files) == 2
    assert sorted(read_header(file)["counts"]["samples"] for file in files) == [0, 1]


@pytest.mark.real
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": "v1.0-trainval"}, "holds no version 'v1.0-trainval'; found: v1.0-mini"),
        ({"val": "vall"}, "split 'vall' is unknown"),
        ({"val": "mini_train"}, "names no scene"),
    ],
)
def test_wrong_options_say_what_to_do(realdata: Path, tmp_path: Path, change: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        nuscenes_frames.run(realdata / "nuscenes", tmp_path, "real", SETTINGS.model_copy(update=change))


def test_missing_root_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such folder.*dataroot"):
        nuscenes_frames.run(tmp_path / "nowhere", tmp_path, "real", SETTINGS)


def test_shards_do_not_depend_on_anything_but_the_scene() -> None:
    n = {"train": 7, "val": 3}
    assert shard_of("scene-0001", "train", n) == shard_of("scene-0001", "train", n)
    dealt = {shard_of(f"scene-{i:04d}", "train", n) for i in range(200)}
    assert dealt == set(shard_names("train", 7))


def test_broken_clouds(tmp_path: Path) -> None:
    path = tmp_path / "a.pcd.bin"
    with pytest.raises(CloudError, match=r"a\.pcd\.bin: no such file") as missing:
        read_cloud(path, "nuscenes-pcd-bin")
    assert missing.value.reason == "cloud_missing"
    path.write_bytes(b"\0" * 39)
    with pytest.raises(CloudError, match="39 bytes") as truncated:
        read_cloud(path, "nuscenes-pcd-bin")
    assert truncated.value.reason == "cloud_truncated"
    np.full((2, 5), np.nan, np.float32).tofile(path)
    with pytest.raises(CloudError, match="no finite point"):
        read_cloud(path, "nuscenes-pcd-bin")


def test_points_that_are_not_finite_are_left_out(tmp_path: Path) -> None:
    cloud = np.arange(15, dtype=np.float32).reshape(3, 5)
    cloud[1, 0] = np.inf
    cloud.tofile(tmp_path / "a.bin")
    np.testing.assert_array_equal(read_cloud(tmp_path / "a.bin", "nuscenes-pcd-bin"), cloud[[0, 2], :4])


def test_sweeps_are_moved_and_lose_the_recording_car(tmp_path: Path) -> None:
    key = np.array([[0.5, 0.5, 0, 1, 0], [5, 0, 0, 1, 0]], np.float32)
    key.tofile(tmp_path / "a.bin")
    T = np.eye(4)
    T[:3, 3] = [2, 0, 0]
    clouds = [
        {"path": "a.bin", "format": "nuscenes-pcd-bin", "T_points_from_cloud": np.eye(4).ravel().tolist()},
        {"path": "a.bin", "format": "nuscenes-pcd-bin", "T_points_from_cloud": T.ravel().tolist()},
    ]
    np.testing.assert_allclose(load_points(clouds, tmp_path, 1.0)[:, :3], [[0.5, 0.5, 0], [5, 0, 0], [7, 0, 0]])


def test_broken_images(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    for content, reason in ((None, "image_missing"), (b"", "image_unreadable"), (b"\xff\xd8\xff", "image_unreadable")):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ImageError) as error:
            read_image(path)
        assert error.value.reason == reason


def test_a_picture_is_whole_up_to_its_end_marker(tmp_path: Path) -> None:
    """What a recorder adds behind it does no harm; a thumbnail's end marker is not the picture's."""
    path, out = tmp_path / "a.jpg", BytesIO()
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8))
    picture.resize((8, 8)).save(out, "JPEG")
    thumbnail = out.getvalue()
    out = BytesIO()
    picture.save(out, "JPEG", exif=b"Exif\0\0" + thumbnail)
    whole = out.getvalue()
    assert whole.count(b"\xff\xd9") == 2
    for added in (b"", b"\0" * 99, b"made by a camera"):
        path.write_bytes(whole + added)
        assert read_image(path, (80, 60)).shape == (60, 80, 3)
    path.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(ImageError, match="ends too early"):
        read_image(path)


def test_sweeps_equal_the_devkits(tmp_path: Path) -> None:
    """Earlier sweeps, ego motion compensated, against the devkit's own aggregation, on a small built-in world."""
    world.run(tmp_path / "raw", WorldSettings(train_scenes=1, val_scenes=1, key_frames=2, image_width=64,
                                              sweeps_per_key_frame=3))  # fmt: skip
    settings = NuscenesSettings(n_sweeps=4, train_shards=1, val_shards=1)
    nuscenes_frames.run(tmp_path / "raw", tmp_path / "frames", "world", settings)
    frames = list(iterate_rows(tmp_path / "frames" / f"{VAL}.parquet"))
    assert [len(frame["clouds"]) for frame in frames] == [1] * 6 + [4] * 6  # a scene begins without a past
    assert read_header(tmp_path / "frames" / f"{VAL}.parquet")["source_kind"] == "built-in world"
    nusc = NuScenes("v1.0-trainval", str(tmp_path / "raw"), verbose=False)
    sample = nusc.get("sample", frames[-1]["sample"])
    expected, times = LidarPointCloud.from_file_multisweep(nusc, sample, "LIDAR_TOP", "LIDAR_TOP", nsweeps=4)
    points = load_points(frames[-1]["clouds"], tmp_path / "raw", min_range=1.0)
    assert expected.points.shape[1] == len(points) > 10_000
    # The devkit goes through global coordinates in float64 matrices on float32 points.
    np.testing.assert_allclose(np.sort(points[:, :3], axis=0), np.sort(expected.points[:3].T, axis=0), atol=1e-3)
    lags = [cloud["time_lag_s"] for cloud in frames[-1]["clouds"]]
    np.testing.assert_allclose(lags, np.unique(times), atol=1e-6)


# --- damaged tables --------------------------------------------------------------------------------------------------

TINY = NuscenesSettings(version=VERSION, train="all", val="all", train_shards=1, val_shards=1)


def ingest_tables(root: Path, tables: Tables, out: Path, n_sweeps: int = 1) -> None:
    write_tables(root, tables)
    settings = TINY.model_copy(update={"n_sweeps": n_sweeps})
    nuscenes_frames.run(root, out / "f", "tiny", settings)
    nuscenes_annotations.run(root, out / "a", "tiny", settings)


def test_the_tiny_tables_are_read(tmp_path: Path) -> None:
    ingest_tables(tmp_path, make_tables(), tmp_path / "out")
    assert len(list(iterate_rows(tmp_path / "out" / "f" / f"{VAL}.parquet"))) == 4
    boxes = list(iterate_rows(tmp_path / "out" / "a" / f"{VAL}.parquet"))
    assert [row["class_name"] for row in boxes] == ["car", "traffic_cone"] * 4
    assert boxes[0]["size_lwh"] == [4.0, 1.8, 1.6]


CHANGES: dict[str, tuple[Callable[[Tables], Any], str]] = {
    "samples in a circle": (lambda t: t["sample"][1].update(next=t["sample"][0]["token"]), "goes round in a circle"),
    "a sample that follows itself": (lambda t: t["sample"][0].update(next=t["sample"][0]["token"]), "in a circle"),
    "a sample that is not there": (lambda t: t["sample"][0].update(next="nobody"), "lacks row nobody"),
    "a scene without samples": (lambda t: t["scene"][0].update(first_sample_token="nobody"), "lacks row nobody"),
    "a pose that is not there": (lambda t: t["ego_pose"].clear(), "lacks row"),
    "a sweep that is not there": (lambda t: t["sample_data"][0].update(prev="nobody"), "lacks row nobody"),
    "a category that is not there": (lambda t: t["category"].pop(0), "a category that has no row"),
    "an instance that is not there": (lambda t: t["instance"].pop(0), "an instance or a visibility that has no row"),
    "a row that is a number": (lambda t: t["sample"].insert(1, 5), "row 1 is no object"),
    "a row without a key": (lambda t: t["sample"][1].pop("next"), "row 1 has no 'next'"),
    "a token that is a list": (lambda t: t["sample"][0].update(token=["a"]), r"row 0: token has to be text, not \["),
    "a name that is true": (lambda t: t["scene"][1].update(name=True), "row 1: name has to be text, not true"),
    "half a character": (lambda t: t["category"][0].update(name="\ud800"), "name has to be text"),
    "a picture's name that is null": (lambda t: t["sample_data"][1].update(filename=None), "filename has to be text"),
    "a time of text": (lambda t: t["sample_data"][1].update(timestamp="now"), "timestamp has to be a whole number"),
    "a time of an age": (lambda t: t["sample_data"][1].update(timestamp=10**30), "timestamp has to be a whole number"),
    "key frames of 1": (lambda t: t["sample_data"][1].update(is_key_frame=1), "is_key_frame has to be true or false"),
    "two numbers": (lambda t: t["calibrated_sensor"][0].update(translation=[1, 2]), "has to be three numbers"),
    "lists of numbers": (lambda t: t["ego_pose"][0].update(translation=[[1], 2, 3]), "has to be three numbers"),
    "numbers of text": (lambda t: t["ego_pose"][0].update(rotation=["1", 0, 0, 0]), "has to be four numbers"),
    "not a number": (lambda t: t["ego_pose"][0].update(translation=[float("nan"), 0, 0]), "has to be three numbers"),
    "no rotation": (lambda t: t["ego_pose"][0].update(rotation=[0, 0, 0, 0]), "a unit quaternion"),
    "six numbers of K": (lambda t: t["calibrated_sensor"][1].update(camera_intrinsic=K[:2]), "three rows of three"),
    "a camera without K": (lambda t: t["calibrated_sensor"][1].update(camera_intrinsic=[]), "K is not nine"),
    "K transposed": (lambda t: t["calibrated_sensor"][1].update(camera_intrinsic=[*zip(*K)]), "K is transposed"),
    "a picture without a size": (lambda t: t["sample_data"][1].update(width=None), "a picture of None×240"),
    "points of text": (lambda t: t["sample_annotation"][0].update(num_lidar_pts="9"), "has to be a whole number"),
    "half a point": (lambda t: t["sample_annotation"][0].update(num_radar_pts=0.5), "has to be a whole number"),
    "a size of two": (lambda t: t["sample_annotation"][0].update(size=[1, 2]), "size has to be three numbers"),
    "a sensor of a dictionary": (lambda t: t["sensor"][0].update(token={}), "token has to be text"),
    "a chain that is cut": (lambda t: [row.update(next="") for row in t["sample"]],
                            "has 2 samples of scene 'scene-0001', but its chain of `next` ends after 1"),
    "two scenes of one name": (lambda t: t["scene"][1].update(name=t["scene"][0]["name"]), "two scenes 'scene-0001'"),
    "another scene's samples": (lambda t: t["scene"][1].update(first_sample_token=t["sample"][0]["token"]),
                                "scene 'scene-0002' holds sample scene-0001-0, which is another scene's"),
    "a sweep before itself": (lambda t: t["sample_data"][0].update(prev=t["sample_data"][0]["token"]), "not earlier"),
    "a sweep of the future": (lambda t: t["sample_data"][0].update(prev=t["sample_data"][2]["token"]), "not earlier"),
    "a box twice": (lambda t: t["sample_annotation"].append(dict(t["sample_annotation"][2])), "is there twice"),
    "another LiDAR": (lambda t: t["sensor"][0].update(channel="LIDAR_ROOF"), "sensor.json has CAM_FRONT, LIDAR_ROOF"),
    "a camera in lower case": (lambda t: t["sensor"][1].update(channel="cam_front"), "CAM_BACK.* has LIDAR_TOP, cam_f"),
    "the table of a K": (lambda t: t["calibrated_sensor"][1].update(camera_intrinsic=[]), "in table calibrated_sensor"),
    "the table of a height": (lambda t: t["sample_data"][1].update(height=0), "width and height in sample_data.json"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "said"), CHANGES.values(), ids=CHANGES)
def test_what_is_wrong_in_a_table_is_one_line(tmp_path: Path, change: Callable[[Tables], Any], said: str) -> None:
    tables = make_tables()
    change(tables)
    with pytest.raises(InputError, match=said) as error:
        ingest_tables(tmp_path, tables, tmp_path / "out", n_sweeps=3)
    assert "\n" not in str(error.value)


def many_boxes() -> Tables:
    """The tiny tables with twenty more cars, turned all around."""
    tables = make_tables()
    row = tables["sample_annotation"][0]
    for number, yaw in enumerate(np.linspace(-3, 3, 20)):
        turn = [float(np.cos(yaw / 2)), 0.0, 0.0, float(np.sin(yaw / 2))]
        tables["sample_annotation"].append(row | {"token": f"more-{number}", "rotation": turn})
    return tables


def test_boxes_that_lie_on_their_side_are_refused(tmp_path: Path) -> None:
    tables = many_boxes()
    ingest_tables(tmp_path, tables, tmp_path / "out")
    for row in tables["sample_annotation"]:
        row["rotation"] = row["rotation"][1:] + row["rotation"][:1]
    with pytest.raises(InputError, match=r"sample_annotation\.json: .* lean by more than 60°.* w x y z"):
        ingest_tables(tmp_path, tables, tmp_path / "out")


@pytest.mark.parametrize("size", [[0, 0, 0], [-1.8, -4.0, -1.6], [1.8, 4.0, -1.6]])
def test_boxes_without_a_size_are_counted_and_told(tmp_path: Path, size: list[float]) -> None:
    tables = make_tables()
    tables["sample_annotation"][0]["size"] = size
    ingest_tables(tmp_path, tables, tmp_path / "out")
    path = tmp_path / "out" / "a" / f"{VAL}.parquet"
    assert len(list(iterate_rows(path))) == 7
    assert read_header(path)["counts"]["boxes_impossible"] == 1
    assert "1 of 8 human boxes have no size or no place, and are left out" in survey(tmp_path, TINY).remarks


def test_channels_that_are_not_there_are_told_at_check(tmp_path: Path) -> None:
    tables = make_tables()
    tables["sensor"][0]["channel"] = "LIDAR_ROOF"
    write_tables(tmp_path, tables)
    assert "wanted are the channels LIDAR_TOP and CAM_FRONT" in survey(tmp_path, TINY).fatal[0]


def solid(tmp_path: Path, told: int) -> Tables:
    """Tables whose first sample has a car full of points, on all of its length; tells how many its row tells."""
    tables = make_tables()
    tables["sample_annotation"] = tables["sample_annotation"][:1]
    tables["sample_annotation"][0]["num_lidar_pts"] = told
    write_recordings(tmp_path, tables)
    points = np.zeros((90, 5), "<f4")
    points[:, 0], points[:, 2] = np.linspace(8.1, 11.9, 90), -1.0
    points.tofile(tmp_path / tables["sample_data"][0]["filename"])
    return tables


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({}, ""),
        ({"size": [4.0, 1.8, 1.6]}, "1 of 1 boxes hold less than half of the points that their row tells"),
        ({"translation": [10.0, 0.0, -1.0]}, "1 of 1 boxes hold no point"),
        ({"sample_token": "elsewhere"}, "none of the 1 rows of .*sample_annotation.json is a box of split 'all'"),
    ],
)
def test_boxes_that_do_not_fit_their_points_are_told(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    tables = solid(tmp_path, 90)
    tables["sample_annotation"][0].update(change)
    write_tables(tmp_path, tables)
    remarks = survey(tmp_path, TINY).remarks
    assert re.search(told, remarks[0]) if told else not remarks


def test_points_of_other_sweeps_may_be_told_too(tmp_path: Path) -> None:
    write_tables(tmp_path, solid(tmp_path, 160))
    assert not survey(tmp_path, TINY).remarks


VALUES = [
    None,
    True,
    0,
    -1,
    2**70,
    0.5,
    float("nan"),
    float("inf"),
    "",
    "x",
    "\ud800",
    [],
    [[]],
    {},
    [1, 2, 3],
    "a" * 99,
]


@pytest.mark.parametrize("table", sorted(make_tables()))
def test_any_other_value_is_read_or_refused(tmp_path: Path, table: str) -> None:
    keys = sorted({key for row in make_tables()[table] for key in row})
    for number, key in enumerate(keys):
        for value in VALUES[number % 7 :: 7]:
            tables = make_tables()
            tables[table][-1][key] = value
            with contextlib.suppress(InputError):
                ingest_tables(tmp_path, tables, tmp_path / "out")


@pytest.mark.parametrize("text", ["", "[", "{}", "[1,", "[{}", '[{"token": "a"}', "null", "[[]]", "<html>", "[" * 9999])
def test_a_table_of_something_else_is_one_line(tmp_path: Path, text: str) -> None:
    write_tables(tmp_path, make_tables())
    for name in ("sample", "ego_pose", "sample_annotation"):
        write_tables(tmp_path, make_tables())
        (tmp_path / VERSION / f"{name}.json").write_text(text)
        with pytest.raises(InputError, match=f"{name}.json"):
            read_all(tmp_path, tmp_path / "out")


def read_all(root: Path, out: Path) -> None:
    nuscenes_frames.run(root, out / "f", "tiny", TINY)
    nuscenes_annotations.run(root, out / "a", "tiny", TINY)
