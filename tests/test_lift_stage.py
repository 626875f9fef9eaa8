"""Stage `lift` on small files written here: what is kept, what is counted, what is refused; and the image windows."""

import io
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from clip2.lift.settings import LiftSettings
from clip2.lift.stage import run
from clip2.runtime.errors import InputError
from clip2.scans.windows import CONTEXT, MAX_SIDE, OUTSIDE, square_window, square_window_jpeg
from clip2.store.provenance import file_digest
from clip2.store.ragged import RaggedReader
from clip2.store.schemas import DETECTIONS, FRAMES
from clip2.store.tables import iterate_rows, read_header, write_table

SIZE = (400, 200)
K = [[200.0, 0, 200], [0, 200, 100], [0, 0, 1]]
T_CAM_FROM_POINTS = np.array([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])  # x right, y forward, z up
N_FRAMES = 4


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    """Four frames: a 1 m square plate of points 10 m ahead, 3 m before a wall, and one box around the plate each."""
    rng = np.random.default_rng(0)
    frames, detections = [], []
    plate = np.column_stack([rng.uniform(-0.5, 0.5, 200), np.full(200, 10.0), rng.uniform(-0.5, 0.5, 200)])
    wall = np.column_stack([rng.uniform(-8, 8, 2000), np.full(2000, 13.0), rng.uniform(-4, 4, 2000)])
    for i in range(N_FRAMES):
        cloud = np.zeros((2200, 5), np.float32)
        cloud[:, :3] = np.concatenate([plate, wall])
        cloud.tofile(tmp_path / f"{i}.bin")
        cv2.imwrite(str(tmp_path / f"{i}.jpg"), rng.integers(0, 255, (SIZE[1], SIZE[0], 3), dtype=np.uint8))
        key = {
            "path": f"{i}.bin",
            "format": "nuscenes-pcd-bin",
            "T_points_from_cloud": np.eye(4).ravel(),
            "time_lag_s": 0.0,
            "depth": None,
        }
        frames.append(
            {
                "frame_id": f"f{i}",
                "scene": "s",
                "sample": f"k{i}",
                "camera": "C",
                "timestamp_us": i,
                "image_path": f"{i}.jpg",
                "width": SIZE[0],
                "height": SIZE[1],
                "K": np.ravel(K),
                "T_cam_from_points": T_CAM_FROM_POINTS.ravel(),
                "clouds": [key],
            }
        )
        detections.append({"frame_id": f"f{i}", "box": [189, 89, 211, 111], "label": "plate", "score": 0.9})
        detections.append({"frame_id": f"f{i}", "box": [0, 0, 0.5, 0.5], "label": "nothing", "score": 0.8})
    header = {"source": "x", "source_kind": "real", "split": "a", "sensor": "lidar", "units": "metres", "axes": {}}
    write_table(tmp_path / "frames.parquet", frames, FRAMES, header)
    write_table(tmp_path / "detections.parquet", detections, DETECTIONS, {})
    return tmp_path


def lift(shard: Path, out: str = "out", **settings: object) -> dict:
    """Run the stage; the header that it wrote."""
    path = shard / f"{out}.parquet"
    chosen = LiftSettings.model_validate({"max_bad_share": 0.5} | settings)
    run(shard / "frames.parquet", shard / "detections.parquet", shard, path, path.with_suffix(".h5"), chosen)
    return read_header(path)


def test_triplets_hold_the_object_and_nothing_else(shard: Path) -> None:
    header = lift(shard)
    rows = list(iterate_rows(shard / "out.parquet"))
    assert [row["frame_id"] for row in rows] == ["f0", "f1", "f2", "f3"]
    assert header["counts"] == {"frames": 4, "boxes": 8, "lost_no_points": 4, "triplets": 4}
    with RaggedReader(shard / "out.h5") as reader:
        for i, row in enumerate(rows):
            points = reader[i]
            assert len(points) == row["n_points"] > 180
            np.testing.assert_allclose(points[:, 1], 10, atol=1e-3)  # the plate, not the wall
            assert row["extent"] == pytest.approx(np.ptp(points[:, :3], axis=0).tolist())
    picture = Image.open(io.BytesIO(rows[0]["image"]))
    assert picture.size == (round(22 * CONTEXT),) * 2


def test_same_input_same_bytes(shard: Path) -> None:
    lift(shard, "a")
    lift(shard, "b")
    for suffix in (".parquet", ".h5"):
        assert file_digest((shard / "a").with_suffix(suffix)) == file_digest((shard / "b").with_suffix(suffix))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


@pytest.mark.parametrize(
    ("file", "damage", "reason"),
    [
        ("1.jpg", Path.unlink, "image_missing"),
        ("1.jpg", cut, "image_unreadable"),
        ("1.bin", Path.unlink, "cloud_missing"),
        ("1.bin", cut, "cloud_truncated"),
    ],
)
def test_a_bad_frame_is_counted_and_passed_over(
    shard: Path, file: str, damage: Callable[[Path], None], reason: str
) -> None:
    damage(shard / file)
    header = lift(shard)
    assert header["bad_frames"]["counts"] == {reason: 1}
    assert file in header["bad_frames"]["first"][0]["message"]
    counts = header["counts"]
    assert counts["lost_bad_frame"] == 2
    assert counts["triplets"] == 3
    assert counts["boxes"] == counts["triplets"] + sum(n for name, n in counts.items() if name.startswith("lost_"))


def test_too_many_bad_frames_stop_the_stage_and_leave_nothing(shard: Path) -> None:
    cut(shard / "1.bin")
    with pytest.raises(InputError, match=r"1 of 4 frames could not be read.*1\.bin"):
        lift(shard, max_bad_share=0.1)
    assert not list(shard.glob("out*"))
    assert not list(shard.glob(".*part"))


def test_filters_are_counted(shard: Path) -> None:
    assert lift(shard, min_points=1000)["counts"]["lost_few_points"] == 4
    assert lift(shard, max_range=5)["counts"]["lost_too_far"] == 4


def test_dense_crops_are_thinned_evenly(shard: Path) -> None:
    lift(shard, "all")
    header = lift(shard, "few", max_points=50)
    assert header["counts"]["triplets"] == 4
    with RaggedReader(shard / "all.h5") as every, RaggedReader(shard / "few.h5") as few:
        assert [len(few[i]) for i in range(4)] == [50] * 4
        assert {tuple(p) for p in few[0]} < {tuple(p) for p in every[0]}
    assert [row["n_points"] for row in iterate_rows(shard / "few.parquet")] == [50] * 4


def test_range_is_measured_from_the_camera(shard: Path) -> None:
    """The same pictures with the points' origin 100 m away."""
    frames = list(iterate_rows(shard / "frames.parquet"))
    for i, frame in enumerate(frames):
        cloud = np.fromfile(shard / f"{i}.bin", "<f4").reshape(-1, 5)
        cloud[:, 0] += 100
        cloud.tofile(shard / f"{i}.bin")
        moved = T_CAM_FROM_POINTS.copy()
        moved[:3, 3] = -T_CAM_FROM_POINTS[:3, :3] @ [100, 0, 0]
        frame["T_cam_from_points"] = moved.ravel()
    write_table(shard / "frames.parquet", frames, FRAMES, read_header(shard / "frames.parquet"))
    assert lift(shard)["counts"]["triplets"] == 4
    assert all(row["range_m"] == pytest.approx(10, abs=0.1) for row in iterate_rows(shard / "out.parquet"))


def rewrite(shard: Path, sensor: str = "lidar", samples: str = "", scenes: str = "", labels: str = "") -> None:
    """Give the frames another sensor, and by one letter a frame their samples, scenes and detections' labels."""
    frames = list(iterate_rows(shard / "frames.parquet"))
    found = list(iterate_rows(shard / "detections.parquet"))
    for i, frame in enumerate(frames):
        frame["sample"] = samples[i] if samples else frame["sample"]
        frame["scene"] = scenes[i] if scenes else frame["scene"]
        move = np.array(frame["T_cam_from_points"]).reshape(4, 4)
        move[2, 3] = 0.01 * i  # a moving camera
        frame["T_cam_from_points"] = move.ravel()
        found[2 * i]["score"] = 0.5 + 0.1 * (i == 2)
        found[2 * i]["label"] = labels[i] if labels else found[2 * i]["label"]
    header = read_header(shard / "frames.parquet") | {"sensor": sensor}
    write_table(shard / "frames.parquet", frames, FRAMES, header)
    write_table(shard / "detections.parquet", found, DETECTIONS, {})


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({"samples": "aaaa"}, ["f2"]),  # four cameras of one sample: the best view's name and picture
        ({"samples": "aabb"}, ["f0", "f2"]),  # a LiDAR's samples have frames of their own
        ({"sensor": "rgbd"}, ["f2"]),  # an RGB-D scan of one scene
        ({"sensor": "rgbd", "scenes": "aabb"}, ["f0", "f2"]),
        ({"sensor": "rgbd", "labels": "xyxy"}, ["f2", "f1"]),  # in the order in which they were first seen
    ],
)
def test_views_of_one_object_are_merged(shard: Path, change: dict[str, str], kept: list[str]) -> None:
    rewrite(shard, **change)
    header = lift(shard, views="merge", method="frustum")
    assert [row["frame_id"] for row in iterate_rows(shard / "out.parquet")] == kept
    counts = header["counts"]
    assert counts["merged_views"] == 4 - len(kept)
    assert counts["boxes"] == counts["triplets"] + counts["lost_no_points"] + counts["merged_views"]
    assert lift(shard, "apart", method="frustum")["counts"]["triplets"] == 4


def test_objects_that_stand_apart_are_not_merged(shard: Path) -> None:
    rewrite(shard, sensor="rgbd")
    for i in range(N_FRAMES):
        cloud = np.fromfile(shard / f"{i}.bin", "<f4").reshape(-1, 5)
        cloud[:, 1] += 2.0 * i
        cloud.tofile(shard / f"{i}.bin")
    assert lift(shard, views="merge", method="frustum")["counts"]["merged_views"] == 0


def test_the_sensor_chooses_the_method(shard: Path) -> None:
    assert lift(shard)["method"] == "frustum"
    rewrite(shard, sensor="rgbd")
    assert lift(shard)["method"] == "depth"
    assert lift(shard, method="frustum-dbscan")["method"] == "frustum-dbscan"


def test_a_mistyped_parameter_is_named(shard: Path) -> None:
    with pytest.raises(InputError, match=r"'parameters'.*epps.*lifting\.md"):
        lift(shard, parameters={"epps": 1})


def test_detections_of_other_frames_are_refused(shard: Path) -> None:
    other = [{"frame_id": "elsewhere", "box": [0, 0, 9, 9], "label": "x", "score": 0.5}]
    write_table(shard / "detections.parquet", other, DETECTIONS, {})
    with pytest.raises(InputError, match="run the detector again"):
        lift(shard)


def test_window_shows_the_box_in_its_middle() -> None:
    image = np.zeros((100, 200, 3), np.uint8)
    image[40:60, 90:110] = (250, 0, 0)  # red, RGB
    window = square_window(image, [90, 40, 110, 60])
    assert window.shape == (23, 23, 3)
    inside = (window == (250, 0, 0)).all(2)
    assert inside[3:-3, 3:-3].all()
    assert not inside[0].any()


def test_window_beyond_the_image_is_grey_and_large_ones_shrink() -> None:
    image = np.full((100, 100, 3), 200, np.uint8)
    window = square_window(image, [-40, 0, 60, 100])
    assert tuple(window[50, 0]) == OUTSIDE
    assert square_window(np.zeros((900, 1600, 3), np.uint8), [0, 0, 1600, 900]).shape == (MAX_SIDE, MAX_SIDE, 3)
    assert Image.open(io.BytesIO(square_window_jpeg(image, [10, 10, 10.2, 10.2]))).size == (2, 2)
