"""Open-world localisation: overlaps against Monte Carlo, box fits against known boxes, average precision against plain
loops and the nuScenes devkit, and the stage: on a made scene and on a tiny built-in world in nuScenes' form, which the
devkit itself evaluates. All data are made here."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from nuscenes.eval.common.data_classes import EvalBoxes
from nuscenes.eval.common.utils import center_distance
from nuscenes.eval.detection.algo import accumulate, calc_ap
from nuscenes.eval.detection.data_classes import DetectionBox
from tiny_networks import header, write_networks

import clip2.scans.nuscenes.annotations as nuscenes_annotations
import clip2.scans.nuscenes.frames as nuscenes_frames
import clip2_world.streets.nuscenes_stage as world
from clip2.evaluate.localization import nuscenes_detection
from clip2.evaluate.localization.detection_ap import Boxes, distance_score, overlap_scores
from clip2.evaluate.localization.nuscenes_detection import reason_against
from clip2.evaluate.localization.result import read_localization
from clip2.evaluate.localization.settings import LocalizeSettings
from clip2.evaluate.localization.stage import run
from clip2.evaluate.localization.truth import read_truth
from clip2.geometry import points_in_box, rigid, transform_points, yaw_rotation
from clip2.label.box_fit import fit_box
from clip2.label.box_iou import iou_3d, plan_overlap, suppress
from clip2.label.naming import detections, label_probabilities, text_probabilities
from clip2.label.proposals import Proposals
from clip2.runtime.errors import InputError
from clip2.scans.nuscenes.settings import NuscenesSettings
from clip2.store.ragged import ragged_writer
from clip2.store.schemas import ANNOTATIONS, FRAMES, LABELS, TRIPLETS
from clip2.store.tables import iterate_rows, read_header, write_table
from clip2_world.streets.nuscenes_settings import WorldSettings

Floats = NDArray[np.float64]
UNIT = np.array([0, 0, 0, 1, 1, 1, 0.0])


def at(x: float, group: int = 0) -> tuple[int, Floats]:
    """The unit box, so far along x, in a group."""
    return group, np.array([x, *UNIT[1:]])


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_networks(tmp_path_factory.mktemp("networks"))


# --- Overlap


@pytest.mark.parametrize(
    ("change", "iou"),
    [
        ({}, 1.0),
        ({6: np.pi / 2}, 1.0),
        ({0: 0.5}, 1 / 3),
        ({2: 0.5}, 1 / 3),
        ({0: 1.0}, 0.0),  # they touch
        ({2: 1.5}, 0.0),
        ({3: 0.5, 4: 0.5, 6: 0.3}, 0.25),  # the one inside the other
        ({6: np.pi / 4}, (2 * np.sqrt(2) - 2) / (4 - 2 * np.sqrt(2))),  # they share a regular octagon
    ],
)
def test_overlaps_known_by_hand(change: dict[int, float], iou: float) -> None:
    other = UNIT.copy()
    for key, value in change.items():
        other[key] = value
    for far in (0.0, 5000.0):  # nuScenes' global coordinates
        shift = np.array([far, -far, 0, 0, 0, 0, 0])
        assert iou_3d([UNIT + shift], [other + shift])[0, 0] == pytest.approx(iou, abs=1e-6)


def test_overlaps_equal_monte_carlo() -> None:
    rng = np.random.default_rng(0)
    a = np.c_[rng.uniform(-1, 1, (12, 3)), rng.uniform(0.5, 4, (12, 3)), rng.uniform(-4, 4, 12)]
    b = np.c_[rng.uniform(-1, 1, (12, 3)), rng.uniform(0.5, 4, (12, 3)), rng.uniform(-4, 4, 12)]
    points = rng.uniform(-4, 4, (600_000, 3))
    in_a, in_b = (np.array([points_in_box(points, box) for box in boxes]).astype(np.float64) for boxes in (a, b))
    shared = in_a @ in_b.T
    expected = shared / (in_a.sum(1)[:, None] + in_b.sum(1) - shared)
    assert (expected > 0.02).sum() > 50
    np.testing.assert_allclose(iou_3d(a, b), expected, atol=0.015)


box = st.tuples(*[st.floats(-2, 2)] * 3, *[st.floats(0.1, 4)] * 3, st.floats(-4, 4)).map(np.array)


@settings(max_examples=60, deadline=None)
@given(box, box, st.floats(-3, 3))
def test_overlap_is_symmetric_bounded_and_turns_with_both(a: Floats, b: Floats, turn: float) -> None:
    overlap = plan_overlap(a[None], b[None])[0]
    assert -1e-9 <= overlap <= min(a[3] * a[4], b[3] * b[4]) + 1e-6
    assert overlap == pytest.approx(plan_overlap(b[None], a[None])[0], abs=1e-6)
    turned = []
    for one in (a, b):
        moved = one.copy()
        moved[:3] = yaw_rotation(turn) @ one[:3]
        moved[6] += turn
        turned.append(moved[None])
    assert overlap == pytest.approx(plan_overlap(*turned)[0], abs=1e-5)
    assert iou_3d(a, a)[0, 0] == pytest.approx(1, abs=1e-6)


def test_suppression() -> None:
    boxes = np.array([at(x)[1] for x in (0, 0.1, 0.6, 9)])
    iou = iou_3d(boxes, boxes)
    np.testing.assert_array_equal(suppress(iou, np.array([0.5, 0.9, 0.4, 0.1]), 0.25), [1, 3])  # 1 and 2 share a third
    np.testing.assert_array_equal(suppress(iou, np.array([0.5, 0.5, 0.4, 0.1]), 0.4), [0, 2, 3])
    assert len(suppress(np.empty((0, 0)), np.empty(0), 0.5)) == 0


# --- Boxes from points


def seen_sides(true: Floats, rng: np.random.Generator, n: int = 300) -> Floats:
    """Points on two neighbouring sides of a box, as a LiDAR sees a car, with a centimetre of noise."""
    along = rng.random(n) < 0.6
    local = rng.uniform(-0.5, 0.5, (n, 3))
    local[along, 1], local[~along, 0] = -0.5, 0.5
    local[:4] = [[-0.5, -0.5, -0.5], [0.5, 0.5, 0.5], [0.5, -0.5, 0], [0.5, -0.5, 0.5]]
    points = local * true[3:6] + rng.normal(0, 0.01, (n, 3))
    return transform_points(points, rigid(yaw_rotation(true[6]), true[:3]))


@pytest.mark.parametrize("yaw", np.deg2rad([0, 17.3, 44.6, -71, 89.4, 160]))
def test_a_car_seen_from_its_corner(yaw: float) -> None:
    true = np.array([12, -30, 1, 4.5, 1.9, 1.6, yaw])
    found = fit_box(seen_sides(true, np.random.default_rng(0)), trim=0.0)
    assert iou_3d(true, found)[0, 0] > 0.93
    assert abs((found[6] - yaw + np.pi / 2) % np.pi - np.pi / 2) < np.deg2rad(1.5)  # front and back are one
    assert found[3] >= found[4]


def test_outliers_are_trimmed_off() -> None:
    true = np.array([0, 0, 0, 4, 2, 1.5, 0.5])
    points = seen_sides(true, np.random.default_rng(1), 400)
    points = np.vstack([points, points[:4] + np.array([0, 30, 5])])
    assert iou_3d(true, fit_box(points, trim=0.02))[0, 0] > 0.85
    assert fit_box(points, trim=0.0)[3] > 20


def test_axis_aligned_and_small_crops() -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.5, 0.5, (200, 3)) * [1, 3, 2] + [5, 6, 7]
    found = fit_box(points, axis_aligned=True, trim=0.0)
    np.testing.assert_allclose(found, [*(points.min(0) + points.max(0)) / 2, *np.ptp(points, axis=0), 0])
    np.testing.assert_allclose(fit_box(points[:1], min_size=0.2), [*points[0], 0.2, 0.2, 0.2, 0], atol=1e-9)
    pair = fit_box(np.array([[0, 0, 0], [3, 4, 0.0]]))
    np.testing.assert_allclose(pair[[0, 1, 3, 4]], [1.5, 2, 5, 0.1], atol=1e-9)
    assert pair[6] == pytest.approx(np.arctan2(4, 3))
    with pytest.raises(ValueError, match="no points"):
        fit_box(np.empty((0, 3)))


# --- Average precision


def boxes_of(items: list[tuple[int, Floats]], scores: list[float] | None = None) -> Boxes:
    group, boxes = zip(*items, strict=True)
    return Boxes(np.array(group), np.array(boxes), np.array(scores if scores else [1.0] * len(items)))


def test_average_precision_by_hand() -> None:
    true = boxes_of([at(0), at(10), at(0, group=1)])
    # Best first: right; the same one again, so wrong; right; in no group with a box, wrong. One is never found.
    found = boxes_of([at(10.1), at(0), at(0.1), at(0, group=2)], [0.7, 0.9, 0.8, 0.1])
    (ap, recall), (ap50, _) = overlap_scores(found, true, (0.25, 0.5)).values()
    assert recall == pytest.approx(2 / 3)
    assert ap == pytest.approx(1 / 3 * 1 + 1 / 3 * 2 / 3)
    assert ap50 == ap
    assert overlap_scores(boxes_of([at(0.5)]), boxes_of([at(0)]), (0.25, 0.5)) == {0.25: (1.0, 1.0), 0.5: (0.0, 0.0)}
    nothing = Boxes(np.empty(0, np.int64), np.empty((0, 7)), np.empty(0))
    assert overlap_scores(nothing, true, (0.25,)) == {0.25: (0.0, 0.0)}
    assert distance_score(nothing, true, 2.0) == 0.0
    assert overlap_scores(found, nothing, (0.25,)) == {0.25: (0.0, 0.0)}


@pytest.mark.parametrize("seed", range(4))
def test_distance_precision_equals_the_devkits(seed: int) -> None:
    rng = np.random.default_rng(seed)

    def some(n: int) -> Boxes:
        boxes = np.c_[rng.uniform(0, 12, (n, 2)), np.zeros(n), np.ones((n, 3)), np.zeros(n)]
        return Boxes(rng.integers(0, 4, n), boxes, rng.permutation(n) / n)

    true, found = some(40), some(70)

    def official(boxes: Boxes) -> EvalBoxes:
        of = EvalBoxes()
        for group in range(4):
            of.add_boxes(str(group), [])
        for group, one, score in zip(*boxes, strict=True):
            placed = DetectionBox(str(group), tuple(one[:3]), tuple(one[3:6]), detection_name="car",
                                  detection_score=float(score))  # fmt: skip
            of.add_boxes(str(group), [placed])
        return of

    data = accumulate(official(true), official(found), "car", center_distance, 2.0)
    expected = calc_ap(data, 0.1, 0.1)
    assert 0.05 < expected < 0.95
    assert distance_score(found, true, 2.0) == pytest.approx(expected, abs=1e-9)


def test_overlap_precision_equals_plain_loops() -> None:
    rng = np.random.default_rng(3)

    def some(n: int) -> Boxes:
        boxes = np.c_[rng.uniform(0, 5, (n, 2)), np.zeros(n), np.full((n, 3), 1.5), rng.uniform(0, 3, n)]
        return Boxes(rng.integers(0, 3, n), boxes, rng.permutation(n) / n)

    true, found = some(30), some(60)
    taken: set[int] = set()
    points = []
    for place, number in enumerate(sorted(range(60), key=lambda i: -found.scores[i]), 1):
        mine = [i for i in range(30) if true.group[i] == found.group[number]]
        values = iou_3d(found.boxes[number], true.boxes[mine])[0]
        best = int(values.argmax())
        if values[best] > 0.25 and mine[best] not in taken:
            taken.add(mine[best])
            points.append(len(taken) / place)
        else:
            points.append(0.0)
    hits = [i for i, value in enumerate(points) if value]
    expected = sum(max(points[i] for i in hits if i >= start) for start in hits) / 30
    ap, recall = overlap_scores(found, true, (0.25,))[0.25]
    assert (ap, recall) == (pytest.approx(expected), pytest.approx(len(taken) / 30))
    assert 0.1 < ap < 0.9


# --- Naming


def test_names_and_what_is_kept() -> None:
    chosen = LocalizeSettings(classes=("car", "bus"), class_range={"car": 50, "bus": 8}, min_score=0.2, max_boxes=2)
    proposals = Proposals(
        ["a", "a", "a", "b"],
        np.array([at(x)[1] for x in (0, 0.2, 9, 0)]),
        np.array([0.8, 0.9, 1.0, 1.0]),
        ["Sedan", "bus", "tree", "car"],
        np.empty((4, 0), np.float32),
        None,
    )
    probabilities = np.array([[0.9, 0.1], [0.5, 0.5], [0.4, 0.6], [0.1, 0.1]])
    found = detections(proposals, probabilities, chosen)
    # 0 is the better car of the two that overlap; 1 the bus; 2 is beyond the range of a bus, and third best; 3 too low
    assert list(zip(found.proposal, found.label, found.scores, strict=True)) == [(0, 0, 0.8 * 0.9), (1, 1, 0.9 * 0.5)]
    words = {"sedan": 0, "car": 0, "bus": 1}
    np.testing.assert_array_equal(label_probabilities(proposals.labels, words, 2), [[1, 0], [0, 1], [0, 0], [1, 0]])
    nobody = Proposals([], np.empty((0, 7)), np.empty(0), [], np.empty((0, 2), np.float32), None)
    assert len(detections(nobody, label_probabilities([], words, 2), chosen).label) == 0


def test_other_names_take_their_share() -> None:
    text = np.eye(3, dtype=np.float32)
    p = text_probabilities(text[:1], text, 2.0, 2)
    np.testing.assert_allclose(p, np.array([[np.exp(2), 1]]) / (np.exp(2) + 2), rtol=1e-6)


# --- The stage


def lattice(size: Floats, n: int = 7) -> Floats:
    """(6 n², 3) points evenly spread over the six sides of a box at the origin, all corners among them."""
    u, v = (grid.ravel() for grid in np.meshgrid(*[np.linspace(-0.5, 0.5, n)] * 2))
    ends = [np.insert(np.c_[u, v], axis, end, axis=1) for axis in range(3) for end in (-0.5, 0.5)]
    return np.concatenate(ends) * size


def write_triplets(
    path: Path, head: dict[str, Any], rows: list[dict[str, Any]], crops: list[Floats]
) -> tuple[Path, Path]:
    """Triplets of the given crops; rows say frame_id, scene, sample, label, score."""
    with ragged_writer(path.with_suffix(".h5")) as points:
        for crop in crops:
            points.append(crop)
    fill = {"box": [0, 0, 1, 1], "n_points": 1, "range_m": 1.0, "extent": [1, 1, 1], "image": b""}
    rows = [{"triplet_id": str(i), **fill, **row} for i, row in enumerate(rows)]
    write_table(path, rows, TRIPLETS, head | {"kind": "triplets", "counts": {"triplets": len(rows)}})
    return path, path.with_suffix(".h5")


def annotation(scene: str, sample: str, name: str, T: Floats, size: list[float]) -> dict[str, Any]:
    return {
        "annotation_id": f"{sample}-{name}",
        "scene": scene,
        "sample": sample,
        "instance": name,
        "category": name,
        "class_name": name,
        "fine_name": "armchair" if name == "chair" else None,
        "T_points_from_box": T.ravel().tolist(),
        "size_lwh": size,
        "num_lidar_pts": -1,
        "num_radar_pts": -1,
        "visibility": None,
        "ego_distance_m": 3.0,
        "in_bicycle_rack": False,
    }


def frame(scene: str, sample: str) -> dict[str, Any]:
    eye = np.eye(4).ravel().tolist()
    size = {"image_path": "x", "width": 1, "height": 1, "K": np.eye(3).ravel().tolist()}
    return {"frame_id": sample, "scene": scene, "sample": sample, "camera": "c", "timestamp_us": 0, **size,
            "T_cam_from_points": eye, "clouds": []}  # fmt: skip


def test_proposals_of_all_frames_of_a_scene_are_merged(model_dir: Path, tmp_path: Path) -> None:
    """As in ScanNet: boxes are annotated by scene, and the same chair is seen in several frames."""
    head = header(
        "frames",
        "val",
    ) | {"dataset": "scannet", "sensor": "rgbd"}
    things = {"chair": (np.array([1.0, 2, 0.5]), [0.6, 0.5, 1.0]), "table": (np.array([4.0, 2, 0.4]), [1.6, 0.9, 0.8])}
    write_table(tmp_path / "f.parquet", [frame("room", f"room/{i}") for i in range(3)], FRAMES, head)
    boxes = [annotation("room", "room", name, rigid(np.eye(3), c), size) for name, (c, size) in things.items()]
    write_table(tmp_path / "a.parquet", boxes, ANNOTATIONS, head | {"kind": "annotations"})
    rows, crops = [], []
    for i, (name, label) in enumerate(
        [("chair", "armchair"), ("chair", "chair"), ("table", "table"), ("table", "lamp")]
    ):
        centre, size = things[name]
        rows.append({"frame_id": f"room/{i % 3}", "scene": "room", "sample": f"room/{i % 3}", "label": label,
                     "score": 0.9 - 0.1 * i})  # fmt: skip
        crops.append(lattice(np.array(size)) + centre + 0.02 * i)
    triplets = write_triplets(tmp_path / "t.parquet", head, rows, crops)
    chosen = LocalizeSettings(
        classes=("chair", "table", "bed"), box_fit="axis-aligned", trim=0.0, methods=("clip2", "detector", "chance")
    )
    run([tmp_path / "f.parquet"], [tmp_path / "a.parquet"], [triplets], tmp_path, model_dir, tmp_path / "o.json",
        chosen, "cpu")  # fmt: skip
    result = read_localization(tmp_path / "o.json")
    assert (result.n_proposals, result.n_boxes, result.n_groups, result.protocol["groups"]) == (4, 2, 1, "scene")
    detector = result.methods["detector"]
    assert (detector.ap25, detector.ar25, detector.ap50, detector.ap_2m) == (1.0, 1.0, 1.0, None)
    assert {name: score.n_found for name, score in detector.per_class.items()} == {"chair": 1, "table": 1, "bed": 0}
    assert detector.per_class["bed"].ap25 is None
    assert (result.class_agnostic.ar25, result.class_agnostic.n_found) == (1.0, 2)
    assert detector.nuscenes is None
    assert result.methods["chance"].ar25 == 1.0  # everything is everything
    assert result.methods["chance"].ap25 < 1.0
    with pytest.raises(InputError, match="1 annotation and 0 triplet shards"):
        run([tmp_path / "f.parquet"], [tmp_path / "a.parquet"], [], tmp_path, model_dir, tmp_path / "o.json", chosen)
    with pytest.raises(InputError, match="not one box of the classes"):
        run([tmp_path / "f.parquet"], [tmp_path / "a.parquet"], [triplets], tmp_path, model_dir, tmp_path / "o.json",
            chosen.model_copy(update={"classes": ("bed",)}))  # fmt: skip
    own = head | {"kind": "annotations", "dataset": "folder", "classes": ["table", "chair"]}
    write_table(tmp_path / "a.parquet", boxes, ANNOTATIONS, own)
    run([tmp_path / "f.parquet"], [tmp_path / "a.parquet"], [triplets], tmp_path, model_dir, tmp_path / "o.json",
        chosen.model_copy(update={"classes": (), "methods": ("chance",)}), "cpu")  # fmt: skip
    assert read_localization(tmp_path / "o.json").protocol["classes"] == ["table", "chair"]


def test_labels_are_measured_as_they_stand(model_dir: Path, tmp_path: Path) -> None:
    head = header("frames", "val") | {"dataset": "folder", "sensor": "lidar", "classes": ["car", "truck"]}
    samples = [f"s{i}" for i in range(2)]
    write_table(tmp_path / "f.parquet", [frame("street", sample) for sample in samples], FRAMES, head)
    size = [4.0, 2.0, 1.5]
    places = {"car": rigid(np.eye(3), [10.0, 0, 0]), "truck": rigid(np.eye(3), [20.0, 5, 0])}
    boxes = [annotation("street", sample, name, T, size) for sample in samples for name, T in places.items()]
    write_table(tmp_path / "a.parquet", boxes, ANNOTATIONS, head | {"kind": "annotations"})

    def label(track: str, sample: str, names: dict[str, float], place: list[float]) -> dict[str, Any]:
        listed = [{"name": name, "probability": p} for name, p in names.items()]
        row = dict.fromkeys(LABELS.names) | {"triplet_id": None, "frame_id": None, "box": [0, 0, 1, 1]}
        first = next(iter(names))
        return row | {
            "scene": "street", "sample": sample, "track_id": track, "label": first, "score": names[first],
            "names": listed, "T_points_from_box": rigid(np.eye(3), place).ravel().tolist(), "size_lwh": size,
            "velocity": [0.0, 0.0, 0.0],
        }  # fmt: skip

    rows = [label("a", sample, {"car": 0.9, "truck": 0.1}, [10.3, 0, 0]) for sample in samples]  # 0.3 m off
    rows += [label("b", sample, {"Car": 0.6, "truck": 0.4}, [20.9, 5, 0]) for sample in samples]  # wrong, 0.9 m off
    rows += [label("c", samples[0], {"plastic bag": 1.0}, [40.0, 0, 0]), label("d", "other", {"car": 1.0}, [10, 0, 0])]
    write_table(tmp_path / "l.parquet", rows, LABELS, head | {"kind": "labels"})
    one = {"frame_id": "s0", "scene": "street", "sample": "s0", "label": "car", "score": 1}
    triplets = write_triplets(tmp_path / "t.parquet", head, [one], [lattice(np.array(size))])
    chosen = LocalizeSettings(methods=("chance",), class_range={})
    files = [tmp_path / "f.parquet"], [tmp_path / "a.parquet"], [triplets], tmp_path, model_dir, tmp_path / "o.json"
    run(*files, chosen, "cpu", labels=tmp_path / "l.parquet")
    found = read_localization(tmp_path / "o.json").methods["labels"]
    assert {name: (score.n, score.n_found) for name, score in found.per_class.items()} == {
        "car": (2, 4),
        "truck": (2, 4),
    }
    assert (found.ar50, found.per_class["car"].ap50) == (1.0, 1.0)
    assert found.per_class["truck"].ap50 == 1.0  # 0.4 is surer than 0.1
    assert found.calibration is not None
    assert found.calibration.n == 4
    assert found.calibration.ece == pytest.approx(0.5 * 0.1 + 0.5 * 0.6)  # 0.9 is right, 0.6 is wrong
    assert found.placement is not None
    assert (found.placement.n, found.placement.within_half_metre) == (4, 0.5)
    write_table(tmp_path / "l.parquet", rows, LABELS, head | {"source": "another"})
    with pytest.raises(InputError, match="are labels of 'another'"):
        run(*files, chosen, "cpu", labels=tmp_path / "l.parquet")


def test_the_devkit_agrees_on_the_built_in_world(
    model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proposals that are the annotated boxes: nuScenes' own evaluation finds them all, and says what we say."""
    raw, shard = tmp_path / "raw", "val-000of001.parquet"
    world.run(raw, WorldSettings(train_scenes=1, val_scenes=1, key_frames=2, image_width=64))
    source = NuscenesSettings(train_shards=1, val_shards=1)
    nuscenes_frames.run(raw, tmp_path / "frames", "world", source)
    nuscenes_annotations.run(raw, tmp_path / "annotations", "world", source)
    frames, annotations = tmp_path / "frames" / shard, tmp_path / "annotations" / shard
    chosen = LocalizeSettings(trim=0.0, methods=("detector", "chance"), min_size_m=0.01)
    first = {row["sample"]: row for row in reversed(list(iterate_rows(frames)))}
    rows, crops = [], []
    rng = np.random.default_rng(0)
    for row in iterate_rows(annotations):
        near = row["ego_distance_m"] < chosen.class_range.get(row["class_name"], 0) and row["num_lidar_pts"] > 0
        if near and not row["in_bicycle_rack"]:
            view = first[row["sample"]]
            keys = {key: view[key] for key in ("frame_id", "scene", "sample")}
            # Some of them wrong or away from their place, so that precision is not one everywhere.
            label = "bus" if rng.random() < 0.2 else row["class_name"]
            shift = [0, 1.5, 0] if rng.random() < 0.2 else [0, 0, 0]
            rows.append(keys | {"label": label, "score": float(rng.uniform(0.3, 1))})
            T = np.reshape(row["T_points_from_box"], (4, 4))
            crops.append(transform_points(lattice(np.array(row["size_lwh"])), T) + shift)
    assert len(rows) > 20
    triplets = write_triplets(tmp_path / "t.parquet", read_header(frames), rows, crops)
    run([frames], [annotations], [triplets], raw, model_dir, tmp_path / "o.json", chosen, "cpu")
    result = read_localization(tmp_path / "o.json")
    assert (result.source_kind, result.protocol["nuscenes_evaluation"]) == ("built-in world", "detection_cvpr_2019")
    assert result.n_boxes == result.n_proposals == len(rows)
    for method in result.methods.values():
        assert method.nuscenes is not None
        for name, score in method.per_class.items():
            theirs = method.nuscenes.label_aps[name]["2"]
            # The devkit measures a class's range from the car, we from its LiDAR, half a metre away.
            assert score.ap_2m == pytest.approx(theirs, abs=0.02) if score.n else theirs == 0
    detector, chance = result.methods["detector"], result.methods["chance"]
    assert detector.ar25 is not None
    assert detector.ar25 > 0.6
    assert detector.nuscenes.mean_ap > 2 * chance.nuscenes.mean_ap
    assert detector.nuscenes.tp_errors["trans_err"] < 1.0
    assert result.class_agnostic.ar25 > 0.75
    monkeypatch.setattr(nuscenes_detection, "PART", 10)  # and in parts it says the same as at once
    run([frames], [annotations], [triplets], raw, model_dir, tmp_path / "parts.json", chosen, "cpu")
    assert read_localization(tmp_path / "parts.json").methods == result.methods


def test_when_the_devkit_cannot_evaluate() -> None:
    assert reason_against("val", "v1.0-trainval", ("car",)) is None
    assert reason_against("mini_val", "v1.0-mini", ("car", "barrier")) is None
    assert "not one of nuScenes' own" in str(reason_against("scene:scene-0001", "v1.0-mini", ("car",)))
    assert "does not belong" in str(reason_against("val", "v1.0-mini", ("car",)))
    assert "['chair']" in str(reason_against("val", "v1.0-trainval", ("car", "chair")))


def test_truth_is_filtered_as_nuscenes_does(tmp_path: Path) -> None:
    def row(**change: Any) -> dict[str, Any]:
        return annotation("s", "a", "bicycle", rigid(yaw_rotation(0.3), [1, 2, 3]), [4.0, 2, 1]) | change

    rows = [row(), row(ego_distance_m=40.0), row(num_lidar_pts=0, num_radar_pts=0), row(in_bicycle_rack=True),
            row(class_name=None), row(num_lidar_pts=0, num_radar_pts=1)]  # fmt: skip
    write_table(tmp_path / "a.parquet", rows, ANNOTATIONS, {})
    chosen = LocalizeSettings(classes=("bicycle",), synonyms={"Push-bike": "bicycle"})
    truth = read_truth([tmp_path / "a.parquet"], chosen)
    np.testing.assert_allclose(truth.boxes, [[1, 2, 3, 4, 2, 1, 0.3]] * 2)
    assert truth.group == ["a", "a"]
    assert not truth.by_scene
    reasons = ("beyond_class_range", "class_not_asked", "in_bicycle_rack", "no_sensor_points")
    assert truth.skipped == dict.fromkeys(reasons, 1)
    assert truth.words == {"bicycle": 0, "push bike": 0}
    with pytest.raises(InputError, match="'synonyms': 'van'"):
        read_truth([tmp_path / "a.parquet"], chosen.model_copy(update={"synonyms": {"van": "car"}}))
