"""nuScenes ingest on the real key frame, against the devkit and the data set's own point counts."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nuscenes.nuscenes import NuScenes
from nuscenes.utils.data_classes import LidarPointCloud
from PIL import Image

from clip2.errors import InputError
from clip2.geometry import in_image, points_in_oriented_box, project_points
from clip2.scans.clouds import CloudError, load_points, read_cloud
from clip2.scans.images import ImageError, read_image
from clip2.scans.nuscenes import annotations as nuscenes_annotations
from clip2.scans.nuscenes import frames as nuscenes_frames
from clip2.scans.nuscenes.settings import NuscenesSettings
from clip2.scans.shards import shard_names, shard_of
from clip2.scans.world.streets import nuscenes_stage as world
from clip2.scans.world.streets.nuscenes_settings import WorldSettings
from clip2.store.provenance import file_digest
from clip2.store.tables import iterate_rows, read_header

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
    with pytest.raises(CloudError, match="no such point cloud") as missing:
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
