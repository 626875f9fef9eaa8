"""Lifting: properties that hold for any cloud, a scene whose answer is known, and the real sample frames."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clip2.geometry import project_points, rigid, yaw_rotation
from clip2.lift import METHODS, lift_boxes
from clip2.lift.frustum import FrustumParameters

K = np.array([[700.0, 0.0, 400.0], [0.0, 700.0, 200.0], [0.0, 0.0, 1.0]])
SIZE = (800, 400)
Z_UP = rigid([[0, -1, 0], [0, 0, -1], [1, 0, 0]], [0, 0, 0])  # points x forward, y left, z up
METHOD = pytest.mark.parametrize("method", sorted(METHODS))


def random_scene(seed: int, n_points: int = 400, n_boxes: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Clumps and scatter in front of the camera, and boxes anywhere, partly outside the image."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform([4, -8, -2], [40, 8, 2], (8, 3))
    points = centres[rng.integers(0, 8, n_points)] + rng.normal(0, 0.4, (n_points, 3))
    points[::5] = rng.uniform([-20, -20, -2], [60, 20, 5], (len(points[::5]), 3))
    corner = rng.uniform([-100, -100], [750, 350], (n_boxes, 2))
    return points, np.concatenate([corner, corner + rng.uniform(10, 400, (n_boxes, 2))], 1)


@METHOD
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_crops_are_sorted_indices_of_points_in_the_frustum(method: str, seed: int) -> None:
    points, boxes = random_scene(seed)
    uv, depth = project_points(points, Z_UP, K)
    crops = lift_boxes(points, Z_UP, K, boxes, SIZE, method)
    assert len(crops) == len(boxes)
    for crop, box in zip(crops, boxes):
        assert crop.dtype == np.int64
        assert (np.diff(crop) > 0).all()
        assert (depth[crop] > 0).all()
        assert (uv[crop] >= box[:2]).all()
        assert (uv[crop] <= box[2:]).all()


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_a_box_with_points_is_never_empty(seed: int) -> None:
    points, boxes = random_scene(seed)
    uv, depth = project_points(points, Z_UP, K)
    for crop, box in zip(lift_boxes(points, Z_UP, K, boxes, SIZE), boxes):
        inside = (uv >= np.maximum(box[:2], 0)).all(1) & (uv <= np.minimum(box[2:], SIZE)).all(1) & (depth > 0.5)
        assert len(crop) > 0 or not inside.any()


@METHOD
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_the_order_of_points_does_not_matter(method: str, seed: int) -> None:
    points, boxes = random_scene(seed)
    order = np.random.default_rng(seed).permutation(len(points))
    crops = lift_boxes(points, Z_UP, K, boxes, SIZE, method)
    shuffled = lift_boxes(points[order], Z_UP, K, boxes, SIZE, method)
    for crop, other in zip(crops, shuffled):
        if method == "frustum":
            assert np.array_equal(crop, np.sort(order[other]))
        else:  # clusters of equal size: the recipe takes whichever comes first
            assert len(crop) == len(other)


@METHOD
@given(seed=st.integers(0, 2**32 - 1), yaw=st.floats(-3.1, 3.1), axes=st.permutations([0, 1, 2]))
@settings(max_examples=25, deadline=None)
def test_the_axes_of_the_points_do_not_matter(method: str, seed: int, yaw: float, axes: list[int]) -> None:
    points, boxes = random_scene(seed)
    move = rigid(yaw_rotation(yaw) @ np.eye(3)[axes], [3.0, -2.0, 1.0])
    moved = points @ move[:3, :3].T + move[:3, 3]
    crops = lift_boxes(points, Z_UP, K, boxes, SIZE, method)
    for crop, other in zip(crops, lift_boxes(moved, Z_UP @ np.linalg.inv(move), K, boxes, SIZE, method)):
        assert np.array_equal(crop, other)


def test_the_recipe_takes_each_box_by_itself() -> None:
    """The other methods resolve occlusion between boxes."""
    points, boxes = random_scene(3, n_boxes=12)
    together = lift_boxes(points, Z_UP, K, boxes, SIZE, "frustum-dbscan")
    for box, crop in zip(boxes, together):
        assert np.array_equal(crop, lift_boxes(points, Z_UP, K, [box], SIZE, "frustum-dbscan")[0])


@METHOD
def test_the_order_of_boxes_does_not_matter(method: str) -> None:
    points, boxes = random_scene(4, n_boxes=12)
    order = np.random.default_rng(0).permutation(len(boxes))
    crops = lift_boxes(points, Z_UP, K, boxes, SIZE, method)
    for number, other in zip(order, lift_boxes(points, Z_UP, K, np.asarray(boxes)[order], SIZE, method)):
        assert np.array_equal(crops[number], other)


@METHOD
def test_boxes_around_one_thing_do_not_take_its_points_from_each_other(method: str) -> None:
    points, _, box = scanned_scene(64, 12.0, 30.0)
    alone = lift_boxes(points, Z_UP, K, [box], SIZE, method)[0]
    inexact = box + np.array([-2.0, 1.0, 2.0, -1.0])
    for crop in lift_boxes(points, Z_UP, K, [box, box, inexact], SIZE, method):
        shared = len(np.intersect1d(crop, alone))
        assert shared >= 0.8 * max(len(crop), len(alone))


def box_of(points: np.ndarray) -> np.ndarray:
    """(4,) the pixels that points span."""
    uv, _ = project_points(points, Z_UP, K)
    return np.concatenate([uv.min(0), uv.max(0)])


def test_of_two_things_one_behind_the_other_each_box_gets_its_own() -> None:
    """A lorry is mostly hidden by a car that is nearer: most points in its box are the car's."""
    points, on_car, car_box = scanned_scene(64, 10.0, 80.0)
    rear = np.stack(np.meshgrid([20.0], np.linspace(-1.0, 1.0, 25), np.linspace(-1.7, 0.3, 30)), -1).reshape(-1, 3)
    lorry_box = box_of(rear)
    uv, _ = project_points(rear, Z_UP, K)
    rear = rear[~((uv >= car_box[:2]) & (uv <= car_box[2:])).all(1)]
    scene = np.concatenate([points, rear])
    truth = np.arange(len(scene)) >= len(points)
    of_car, of_lorry = lift_boxes(scene, Z_UP, K, [car_box, lorry_box], SIZE, "frustum")
    assert truth[of_lorry].mean() > 0.9
    assert truth[of_lorry].sum() > 0.9 * len(rear)
    assert on_car[of_car[of_car < len(points)]].mean() > 0.9


def test_the_ground_at_a_box_s_lower_side_tells_near_from_far() -> None:
    """One box, no rival: a hedge before a car fills more of the box, but the box ends where the road is 12 m away."""
    points, on_car, box = scanned_scene(64, 12.0, 40.0)
    rng = np.random.default_rng(2)
    hedge = np.stack([rng.normal(6, 0.05, 1500), rng.uniform(-0.4, 0.4, 1500), rng.uniform(-0.9, -0.15, 1500)], 1)
    [crop] = lift_boxes(np.concatenate([points, hedge]), Z_UP, K, [box], SIZE, "frustum")
    of_scan = crop[crop < len(points)]
    assert len(of_scan) > 0.9 * len(crop)
    assert on_car[of_scan].mean() > 0.9


def scanned_scene(
    n_beams: int, object_depth: float, wall_depth: float, occluder: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A spinning LiDAR, 1.7 m above a flat road, sees a 1.8 m wide, 1.5 m high car's rear, and a wall behind it.

    Returns points (N, 3), which of them are on the object (N,), and the object's box in the image.
    """
    elevation, azimuth = np.meshgrid(np.linspace(-0.4, 0.2, n_beams), np.arange(-0.6, 0.6, 0.004), indexing="ij")
    ray = np.stack([np.ones_like(azimuth), np.tan(azimuth), np.tan(elevation) / np.cos(azimuth)], -1).reshape(-1, 3)
    ground = np.where(ray[:, 2] < 0, -1.7 / np.minimum(ray[:, 2], -1e-9), np.inf)
    x = np.minimum(ground, wall_depth)
    y, z = ray[:, 1] * object_depth, ray[:, 2] * object_depth
    on_object = (np.abs(y) < 0.9) & (z > -1.7) & (z < -0.2) & (object_depth < ground + 0.05)
    x = np.where(on_object, object_depth, x)
    if occluder:  # a pole in front
        pole = np.abs(ray[:, 1] * object_depth * 0.6) < 0.08
        x, on_object = np.where(pole, np.minimum(x, object_depth * 0.6), x), on_object & ~pole
    points = ray * x[:, None] + np.random.default_rng(0).normal(0, 0.02, (len(ray), 3))
    low, high = (np.array([object_depth, side, height]) for side, height in ((0.9, -0.2), (-0.9, -1.7)))
    uv, _ = project_points(np.stack([low, high]), Z_UP, K)
    return points, on_object, uv.reshape(-1)


@pytest.mark.parametrize("n_beams", [16, 32, 64, 128])
@pytest.mark.parametrize(("depth", "wall"), [(6.0, 15.0), (12.0, 16.0), (12.0, 60.0), (25.0, 40.0)])
@pytest.mark.parametrize("occluder", [False, True])
def test_an_object_on_a_road_before_a_wall_is_found(n_beams: int, depth: float, wall: float, occluder: bool) -> None:
    points, on_object, box = scanned_scene(n_beams, depth, wall, occluder)
    [crop] = lift_boxes(points, Z_UP, K, [box], SIZE)
    hit = on_object[crop].sum()
    # the road next to the wheels is on neither side of the question
    assert hit / (len(crop) + on_object.sum() - hit) >= 0.9


def test_a_near_occluder_that_goes_on_beside_the_box_is_not_the_object() -> None:
    rng = np.random.default_rng(1)
    hedge = np.stack([np.full(4000, 5.0), rng.uniform(-4, 4, 4000), rng.uniform(-1.4, 0.0, 4000)], 1)
    car = np.stack([np.full(90, 12.0), rng.uniform(-0.9, 0.9, 90), rng.uniform(0.02, 0.6, 90)], 1)
    points = np.concatenate([hedge, car])
    uv, _ = project_points(np.array([[12.0, 0.9, 0.6], [12.0, -0.9, -1.0]]), Z_UP, K)
    ours, recipe = (lift_boxes(points, Z_UP, K, [uv.reshape(-1)], SIZE, m)[0] for m in ("frustum", "frustum-dbscan"))
    assert np.mean(ours >= len(hedge)) > 0.9
    assert np.mean(recipe >= len(hedge)) < 0.1  # more points of the hedge lie in the box: why we look beside it


@METHOD
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int32])
def test_degenerate_inputs_give_empty_crops(method: str, dtype: Any) -> None:
    points, boxes = random_scene(0)
    empty = np.zeros((0, 4), dtype)
    assert [len(c) for c in lift_boxes(empty, Z_UP, K, boxes, SIZE, method)] == [0] * len(boxes)
    assert lift_boxes(points.astype(dtype), Z_UP, K, np.zeros((0, 4)), SIZE, method) == []
    assert lift_boxes(points.astype(dtype), Z_UP, K, [], SIZE, method) == []
    nothing = [
        [900, 500, 950, 550],  # outside the image
        [-50, -50, -10, -10],
        [300, 300, 300, 300],  # no area
        [0, 200, 800, 200],
        [500, 300, 400, 100],  # inside out
        [np.nan, 0, 10, 10],
        [-np.inf, -np.inf, np.inf, np.inf],
    ]
    assert [len(c) for c in lift_boxes(points.astype(dtype), Z_UP, K, nothing, SIZE, method)] == [0] * len(nothing)


@METHOD
def test_points_that_are_not_finite_are_never_returned(method: str) -> None:
    points, _ = random_scene(5)
    clean = lift_boxes(points, Z_UP, K, [[0, 0, 800, 400]], SIZE, method)[0]
    bad = np.full((7, 3), [np.nan, np.inf, -np.inf])
    bad[3] = [10, 0, np.nan]
    bad[4] = [np.inf, 0, 0]
    mixed = np.concatenate([points, bad]).astype(np.float32)
    assert np.array_equal(lift_boxes(mixed, Z_UP, K, [[0, 0, 800, 400]], SIZE, method)[0], clean)


def test_more_columns_and_a_single_point_are_fine() -> None:
    point = np.array([[10.0, 0.0, 0.0, 0.3, 7.0]])
    assert lift_boxes(point, Z_UP, K, [[390, 190, 410, 210]], SIZE)[0].tolist() == [0]


def test_unknown_methods_and_parameters_are_named() -> None:
    with pytest.raises(ValueError, match=r"'cuboid'.*frustum, frustum-dbscan"):
        lift_boxes(np.zeros((1, 3)), Z_UP, K, [], SIZE, method="cuboid")
    with pytest.raises(TypeError, match="radius"):
        lift_boxes(np.zeros((1, 3)), Z_UP, K, [], SIZE, radius=3)


# ---- real sample frames -------------------------------------------------------------------------------------------


def annotated_boxes(folder: Path, kind: str) -> list[tuple[Any, ...]]:
    """Per camera of each frame of one data set: points, T, K, boxes (B, 4), size, and per box the mask of its points.

    An object counts where at least five of its points and half of its projected box are in the image.
    """
    cases = []
    for frame in json.loads((folder / "frames.json").read_text())["frames"]:
        if frame["set"] != kind:
            continue
        columns = int(frame["cloud"]["format"].removeprefix("f32x"))
        points = np.fromfile(folder / frame["cloud"]["path"], "<f4").reshape(-1, columns)
        xyz = points[:, :3].astype(np.float64)
        for camera in frame["cameras"].values():
            T, intrinsics = np.array(camera["T_cam_from_points"]), np.array(camera["K"])
            size = (camera["width"], camera["height"])
            uv, depth = project_points(xyz, T, intrinsics)
            with np.errstate(invalid="ignore"):
                seen = (depth > 0.5) & (uv >= 0).all(1) & (uv < size).all(1)
            boxes, masks = [], []
            for b in frame["boxes"]:
                R, lengths, centre = np.array(b["R"]), np.array(b["size_lwh"]), np.array(b["center"])
                signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) / 2
                pixels, corner_depth = project_points(signs * lengths @ R.T + centre, T, intrinsics)
                if (corner_depth < 0.5).any():
                    continue
                low, high = pixels.min(0), pixels.max(0)
                box_low, box_high = np.maximum(low, 0), np.minimum(high, size)
                if (box_high - box_low < 8).any() or np.prod(box_high - box_low) < 0.5 * np.prod(high - low):
                    continue
                mask = (np.abs((xyz - centre) @ R) <= lengths / 2 + 0.1).all(1)
                if (mask & seen).sum() >= 5:
                    boxes.append([*box_low, *box_high])
                    masks.append(mask & seen)
            if boxes:
                cases.append((points, T, intrinsics, np.array(boxes), size, masks))
    return cases


def ious(
    cases: list[tuple[Any, ...]], method: str, grow: float = 0.0, jitter: float = 0.0, **parameters: float
) -> np.ndarray:
    """Point IoU of each object; boxes grown by a share of their size, each side moved by up to a share of it."""
    rng, scores = np.random.default_rng(0), []
    for points, T, intrinsics, boxes, size, masks in cases:
        extent = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
        given_boxes = boxes + extent * (grow / 2 * np.array([-1, -1, 1, 1]) + rng.uniform(-jitter, jitter, boxes.shape))
        for crop, mask in zip(lift_boxes(points, T, intrinsics, given_boxes, size, method, **parameters), masks):
            hit = mask[crop].sum()
            scores.append(hit / (len(crop) + mask.sum() - hit))
    return np.array(scores)


@pytest.mark.real
def test_real_frames_are_lifted_better_than_by_the_recipe(realdata: Path) -> None:
    scores = []
    for kind in ("kitti", "nuscenes"):
        cases = annotated_boxes(realdata, kind)
        ours, recipe = ious(cases, "frustum"), ious(cases, "frustum-dbscan")
        print(f"\n{kind}: {len(ours)} objects, mean point IoU {ours.mean():.3f}, recipe {recipe.mean():.3f}")
        assert ours.mean() > recipe.mean(), kind
        scores.append(ours)
    assert sum(map(len, scores)) == 40
    assert np.concatenate(scores).mean() >= 0.80


@pytest.mark.real
@pytest.mark.parametrize("change", [{"jitter": 0.05}, {"grow": 0.1}, {"grow": -0.1}])
def test_real_frames_with_inexact_boxes_stay_better_than_the_recipe(realdata: Path, change: dict[str, float]) -> None:
    cases = annotated_boxes(realdata, "kitti") + annotated_boxes(realdata, "nuscenes")
    ours, recipe = ious(cases, "frustum", **change), ious(cases, "frustum-dbscan", **change)
    print(f"\n{change}: mean point IoU {ours.mean():.3f}, recipe {recipe.mean():.3f}")
    assert ours.mean() > recipe.mean() + 0.05


@pytest.mark.real
def test_real_frames_do_not_hang_on_any_parameter(realdata: Path) -> None:
    cases = annotated_boxes(realdata, "kitti") + annotated_boxes(realdata, "nuscenes")
    for field in dataclasses.fields(FrustumParameters):
        values = (type(field.default)(round(field.default * f, 3)) for f in (0.7, 1.3))
        less, more = (ious(cases, "frustum", **{field.name: value}).mean() for value in values)
        print(f"\n{field.name} x 0.7: {less:.3f}, x 1.3: {more:.3f}", end="")
        assert min(less, more) >= 0.77, field.name
