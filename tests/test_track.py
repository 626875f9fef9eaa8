"""From triplets to tracks: a made street with two cameras whose car turns and drives, and a real drive with a real
detector's boxes, followed to named boxes."""

import json
import shutil
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from conftest import REPOSITORY, drive_as_folder
from numpy.typing import NDArray
from tiny_networks import write_networks

import clip2.detect.stage as detect
import clip2.label.stage as label
import clip2.lift.stage as lift
import clip2.scans.folder.frames as folder_frames
import clip2.teach.stage as teach
import clip2.track.stage as track
from clip2.detect.settings import DetectSettings
from clip2.evaluate.localization.labels import boxes_of
from clip2.geometry import invert, rigid, transform_points, yaw_rotation
from clip2.label.box_iou import iou_3d
from clip2.label.settings import LabelSettings
from clip2.lift.settings import LiftSettings
from clip2.runtime.errors import InputError
from clip2.scans.folder.settings import FolderSettings
from clip2.store.ragged import RaggedReader, ragged_writer
from clip2.store.schemas import FRAMES, TRIPLETS
from clip2.store.tables import iterate_rows, read_header, read_table, write_table
from clip2.teach.settings import TeachSettings
from clip2.track.settings import TrackSettings

Floats = NDArray[np.float64]
NAMES = ["bin", "car", "cone", "tree"]
THINGS = {"car": (4.0, 1.8, 1.5), "bin": (0.7, 0.7, 1.2), "cone": (0.4, 0.4, 0.8), "tree": (0.6, 0.6, 4.0)}
SPEED = 6.0
STEP_S = 0.5


def place_of(thing: str, seconds: float) -> Floats:
    """(4, 4) where a thing is in the scene: all stand but the car, which drives along y."""
    middle = {"car": [12.0, -5 + SPEED * seconds, 0.75], "bin": [15.0, 6.0, 0.6], "cone": [9.0, 3.0, 0.4],
              "tree": [20.0, -8.0, 2.0]}[thing]  # fmt: skip
    return rigid(yaw_rotation(np.pi / 2 if thing == "car" else 0.0), middle)


def write_street(folder: Path, n_samples: int = 4, posed: bool = True, wrong: Iterable[str] = ()) -> tuple[Path, ...]:
    """Frames, triplets and embeddings of a sensor that drives past the things, each seen by two cameras at each sample.

    Args:
        wrong: triplets that the detector names wrongly.
    """
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    frames: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    look = np.linalg.qr(np.random.default_rng(1).normal(size=(16, 16)))[0]
    images = []
    surface = {name: rng.uniform(-0.5, 0.5, (120, 3)) * THINGS[name] for name in THINGS}
    header = {"source": "street", "source_kind": "real", "split": "train", "sensor": "lidar", "units": "m",
              "axes": {"up": "z"}}  # fmt: skip
    with ragged_writer(folder / "triplets.h5") as points:
        for number in range(n_samples):
            seconds = number * STEP_S
            T_scene_from_points = rigid(yaw_rotation(0.2 * number), np.array([500.0 + 2 * number, 80.0, 3.0]))
            T_local = rigid(np.eye(3), np.array([500.0, 80.0, 3.0]))
            for camera in ("left", "right"):
                name = f"s{number}/{camera}"
                frames.append(dict.fromkeys(FRAMES.names) | {
                    "frame_id": name, "scene": "a", "sample": f"s{number}", "camera": camera,
                    "timestamp_us": round(1e6 * seconds), "K": np.eye(3).ravel(),
                    "T_cam_from_points": np.eye(4).ravel(),
                    "T_scene_from_points": T_scene_from_points.ravel() if posed else None, "clouds": [],
                })  # fmt: skip
                for k, thing in enumerate(THINGS):
                    triplet = f"{name}-{thing}"
                    placed = transform_points(surface[thing], T_local @ place_of(thing, seconds))
                    seen = transform_points(placed, invert(T_scene_from_points))
                    points.append(seen[rng.random(len(seen)) < 0.6])
                    called = NAMES[(NAMES.index(thing) + 1) % 4] if triplet in wrong else thing
                    rows.append(dict.fromkeys(TRIPLETS.names) | {
                        "triplet_id": triplet, "frame_id": name, "scene": "a", "sample": f"s{number}",
                        "box": [100 * k, 0, 100 * k + 60, 60], "label": called,
                        "score": 0.4 if triplet in wrong else 0.8,
                        "n_points": 60, "range_m": 10.0, "extent": [1, 1, 1], "image": b"",
                    })  # fmt: skip
                    vector = look[NAMES.index(thing)] + rng.normal(0, 0.05, 16)
                    images.append(vector / np.linalg.norm(vector))
        points.header = header
    write_table(folder / "frames.parquet", frames, FRAMES, header)
    write_table(folder / "triplets.parquet", rows, TRIPLETS, header)
    with h5py.File(folder / "embeddings.h5", "w") as file:
        file["image"] = np.array(images, np.float16)
        file["text"] = look[: len(NAMES)].astype(np.float16)
        file["label_index"] = np.array([NAMES.index(row["label"]) for row in rows], np.int32)
        file.attrs["clip2"] = json.dumps({"teacher": {"model": "made"}, "labels": NAMES, "templates": ["{}"]})
    return folder / "frames.parquet", folder / "triplets.parquet", folder / "embeddings.h5"


def tracks_of(out: Path) -> dict[str, dict[str, Any]]:
    """Tracks by their name; of several with one name, all in one list would be a fault of the test."""
    rows = list(iterate_rows(out))
    assert len({row["label"] for row in rows}) == len(rows)
    return {row["label"]: row for row in rows}


def test_each_thing_is_one_track_over_cameras_and_samples(tmp_path: Path) -> None:
    files = write_street(tmp_path / "in")
    track.run(*files, tmp_path / "t.parquet", TrackSettings())
    found = tracks_of(tmp_path / "t.parquet")
    assert set(found) == set(THINGS)
    members = defaultdict(list)
    for row in iterate_rows(tmp_path / "t.members.parquet"):
        members[row["track_id"]].append(row["triplet_id"])
    for thing, row in found.items():
        assert (row["n_triplets"], row["n_samples"], row["scene"]) == (8, 4, "a")
        assert sorted(members[row["track_id"]]) == sorted(
            f"s{n}/{c}-{thing}" for n in range(4) for c in ("left", "right")
        )
        assert row["track_id"] == f"s0/left-{thing}"
        assert row["best_triplet_id"] in members[row["track_id"]]
        assert sum(name["probability"] for name in row["names"]) <= 1 + 1e-6
    header = read_header(tmp_path / "t.parquet")
    assert header["counts"] == {"moving": 1, "scenes": 1, "tracks": 4, "triplets": 32}


def test_what_drives_is_told_from_what_stands_though_the_sensor_turns(tmp_path: Path) -> None:
    track.run(*write_street(tmp_path / "in"), tmp_path / "t.parquet", TrackSettings())
    found = tracks_of(tmp_path / "t.parquet")
    assert {name: row["moving"] for name, row in found.items()} == {name: name == "car" for name in THINGS}
    assert np.allclose(found["car"]["velocity"], [0, SPEED, 0], atol=0.4)
    assert found["bin"]["velocity"] == [0, 0, 0]
    ahead = np.reshape(found["car"]["path"][0]["T_scene_from_thing"], (4, 4))[:3, 0]
    assert ahead @ [0, 1, 0] > 0.99  # x of a moving thing points ahead
    for number, place in enumerate(found["car"]["path"]):
        middle = np.reshape(place["T_scene_from_thing"], (4, 4))[:3, 3] - [500, 80, 3]
        assert np.allclose(middle, place_of("car", number * STEP_S)[:3, 3], atol=0.4)
    with RaggedReader(tmp_path / "t.h5") as points:
        for number, row in enumerate(iterate_rows(tmp_path / "t.parquet")):
            own = points[number]
            assert len(own) == row["n_points"]
            # All views put together are as large as the thing: nothing is smeared along its way.
            size = np.sort(THINGS[row["label"]])
            assert np.allclose(np.sort(np.ptp(own[:, :3], axis=0)), size, atol=0.5)


def test_a_thing_gets_the_name_that_most_of_its_views_say(tmp_path: Path) -> None:
    wrong = ["s0/left-cone", "s1/right-cone", "s2/left-tree"]
    track.run(*write_street(tmp_path / "in", wrong=wrong), tmp_path / "t.parquet", TrackSettings())
    found = tracks_of(tmp_path / "t.parquet")
    assert {name: row["n_triplets"] for name, row in found.items()} == dict.fromkeys(THINGS, 8)
    assert found["cone"]["score"] > 0.5


def test_without_poses_samples_do_not_meet(tmp_path: Path) -> None:
    track.run(*write_street(tmp_path / "in", n_samples=3, posed=False), tmp_path / "t.parquet", TrackSettings())
    rows = list(iterate_rows(tmp_path / "t.parquet"))
    assert len(rows) == 12  # each thing at each sample, by both cameras
    assert {(row["n_triplets"], row["n_samples"], row["moving"]) for row in rows} == {(2, 1, False)}


def test_the_same_input_gives_the_same_tracks(tmp_path: Path) -> None:
    files = write_street(tmp_path / "in")
    for name in "ab":
        track.run(*files, tmp_path / f"{name}.parquet", TrackSettings())
    assert list(iterate_rows(tmp_path / "a.parquet")) == list(iterate_rows(tmp_path / "b.parquet"))


def test_a_shard_without_triplets_has_no_tracks(tmp_path: Path) -> None:
    frames, triplets, embeddings = write_street(tmp_path / "in", n_samples=1)
    header = read_header(triplets)
    write_table(triplets, [], TRIPLETS, header)
    with ragged_writer(triplets.with_suffix(".h5")) as points:
        points.header = header
    with h5py.File(embeddings, "r+") as file:
        for name, shape in (("image", (0, 16)), ("label_index", (0,))):
            kind = file[name].dtype
            del file[name]
            file[name] = np.zeros(shape, kind)
    track.run(frames, triplets, embeddings, tmp_path / "t.parquet", TrackSettings())
    assert list(iterate_rows(tmp_path / "t.parquet")) == []


def test_files_of_different_shards_are_refused(tmp_path: Path) -> None:
    one, other = write_street(tmp_path / "one"), write_street(tmp_path / "other", n_samples=2)
    with pytest.raises(InputError, match=r"embeddings\.h5: 16 rows, but .* has 32"):
        track.run(one[0], one[1], other[2], tmp_path / "t.parquet", TrackSettings())
    with pytest.raises(InputError, match=r"frame s2/left is not in .*give shards of the same name"):
        track.run(other[0], one[1], one[2], tmp_path / "t.parquet", TrackSettings())
    shutil.copy(other[1].with_suffix(".h5"), one[1].with_suffix(".h5"))
    with pytest.raises(InputError, match="16 crops for 32 triplets"):
        track.run(*one, tmp_path / "t.parquet", TrackSettings())
    assert not (tmp_path / "t.parquet").exists()


@pytest.mark.real
def test_a_real_drive_becomes_named_boxes_that_hold_its_vehicles(sequences: Path, tmp_path: Path) -> None:
    """Every third frame of KITTI's drive 0052, a weak detector's boxes, no label read: most vehicles are found."""
    drive = sequences / "kitti_0052"
    root = drive_as_folder(drive, tmp_path / "drive", every=3)
    source = FolderSettings(train="all", val="all", train_shards=1, val_shards=1)
    folder_frames.run(root, tmp_path / "frames", "drive", source)
    shard = label.Shard(
        tmp_path / "frames" / "train-000of001.parquet", tmp_path / "triplets.parquet", tmp_path / "k.parquet"
    )
    found = json.loads((drive / "boxes_yolox_nano.json").read_text())
    (tmp_path / "words.txt").write_text("\n".join(kind["name"] for kind in found["categories"]))
    stored = DetectSettings(kind="stored", boxes=drive / "boxes_yolox_nano.json", vocabulary=tmp_path / "words.txt",
                            score_threshold=0.25)  # fmt: skip
    detect.run(shard.frames, root, tmp_path / "boxes.parquet", stored, "cpu")
    lift.run(shard.frames, tmp_path / "boxes.parquet", root, shard.triplets, tmp_path / "triplets.h5", LiftSettings())
    teacher = TeachSettings(model=str(REPOSITORY / "resources/models/tiny_clip"), templates=("a photo of a {}",))
    teach.run(shard.triplets, tmp_path / "e.h5", teacher, "cpu")
    track.run(shard.frames, shard.triplets, tmp_path / "e.h5", shard.tracks, TrackSettings())
    model = write_networks(tmp_path / "networks")  # says nothing about the points, so it is not asked
    chosen = LabelSettings(points_weight=0.0, min_score=0.0)
    label.run([shard, shard], root, model, tmp_path / "l.parquet", chosen, "cpu")
    label.run([shard, shard], root, model, tmp_path / "together.parquet", chosen, "cpu", threads=2)
    assert read_table(tmp_path / "together.parquet").equals(read_table(tmp_path / "l.parquet"))
    rows = list(iterate_rows(tmp_path / "l.parquet"))
    counts = read_header(tmp_path / "l.parquet")["counts"]
    assert counts["lost_of_samples_done_before"] == counts["tracks"] / 2  # what both roles have is labelled once
    assert len({(row["sample"], row["track_id"]) for row in rows}) == len(rows)
    of_sample = defaultdict(list)
    for row in rows:
        of_sample[row["sample"].split("/")[-1]].append(row)
    vehicles, met, ids = 0, 0, defaultdict(set)
    for frame in json.loads((drive / "sequences.json").read_text())["frames"][::3]:
        mine = of_sample[Path(frame["cloud"]["path"]).stem]
        for box in frame["boxes"]:
            R = np.array(box["R"])
            true = np.array([[*box["center"], *box["size_lwh"], np.arctan2(R[1, 0], R[0, 0])]])
            overlap = iou_3d(boxes_of(mine), true)[:, 0] if mine else np.zeros(1)
            vehicles += 1
            if overlap.max() > 0.25:
                met += 1
                ids[box["track"]].add(mine[int(overlap.argmax())]["track_id"])
    assert vehicles > 60
    assert met / vehicles > 0.7
    assert np.mean([len(own) for own in ids.values()]) < 1.5  # tracks a vehicle
