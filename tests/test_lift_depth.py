"""RGB-D lifting: made scenes whose answer is known, the choice of method by sensor, and the real SUN RGB-D frame."""

import json
from pathlib import Path

import numpy as np
import pytest

from clip2.geometry import project_points, rigid
from clip2.lift import lift_boxes
from clip2.lift.cut import minimum_cut
from clip2.lift.fill import upright_box
from clip2.lift.sensor import method_for
from clip2.lift.view import view_of

K = np.array([[250.0, 0.0, 159.5], [0.0, 250.0, 119.5], [0.0, 0.0, 1.0]])
SIZE = (320, 240)
PITCH = 0.35
T = rigid([[1, 0, 0], [0, -np.sin(PITCH), -np.cos(PITCH)], [0, np.cos(PITCH), -np.sin(PITCH)]], [0, 0, 0])
EYE = 1.5  # metres above the floor; points are x right, y forward, z up, from the camera
Slab = tuple[tuple[float, float, float], tuple[float, float, float]]
CHEST: Slab = ((-0.4, 2.2, -EYE), (0.3, 2.7, -EYE + 0.7))
BESIDE: Slab = ((0.6, 2.0, -EYE), (1.1, 2.5, -EYE + 0.6))
LOW_IN_FRONT: Slab = ((-1.2, 1.5, -EYE), (0.1, 1.8, -EYE + 0.35))


def room(*slabs: Slab, thin: int = 1, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points of a depth camera in a room with boxes in it, with noise, and the number of the box of each, else -1."""
    v, u = np.mgrid[: SIZE[1], : SIZE[0]]
    ray = np.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], np.ones(u.shape)], -1).reshape(-1, 3) @ T[:3, :3]
    low, high = np.array([-2.5, -1.0, -EYE]), np.array([2.5, 4.0, 1.0])
    depth, owner = (np.where(ray > 0, high, low) / ray).min(1), np.full(len(ray), -1)
    for number, (near, far) in enumerate(slabs):
        one, other = np.array(near) / ray, np.array(far) / ray
        enter, leave = np.minimum(one, other).max(1), np.maximum(one, other).min(1)
        hit = (enter < leave) & (enter > 0) & (enter < depth)
        depth[hit], owner[hit] = enter[hit], number
    rng = np.random.default_rng(seed)
    points = ray * (depth + rng.normal(0, 0.0015 * depth**2))[:, None]
    kept = np.sort(rng.permutation(len(points))[: len(points) // thin])
    return points[kept], owner[kept]


def box_of(points: np.ndarray, grow: float = 0.0) -> np.ndarray:
    uv, _ = project_points(points, T, K)
    low, high = uv.min(0), uv.max(0)
    return np.concatenate([low - grow * (high - low), high + grow * (high - low)])


def iou(chosen: np.ndarray, mask: np.ndarray) -> float:
    hit = mask[chosen].sum()
    return float(hit / (len(chosen) + mask.sum() - hit))


@pytest.mark.parametrize("thin", [1, 8])
@pytest.mark.parametrize("grow", [0.0, 0.1])
@pytest.mark.parametrize("others", [(), (BESIDE,), (BESIDE, LOW_IN_FRONT)])
def test_furniture_is_parted_from_floor_wall_and_neighbours(thin: int, grow: float, others: tuple[Slab, ...]) -> None:
    points, owner = room(CHEST, *others, thin=thin)
    box = box_of(points[owner == 0], grow)
    ours = iou(lift_boxes(points, T, K, [box], SIZE, "depth", fill=False, margin=0.0)[0], owner == 0)
    assert ours > 0.75
    assert ours > iou(lift_boxes(points, T, K, [box], SIZE, "frustum")[0], owner == 0) - 0.01


def test_the_box_around_the_object_is_filled_up() -> None:
    """Floor and wall within the margin of its upright box come with it, and nothing farther away."""
    points, owner = room(CHEST)
    box = box_of(points[owner == 0], 0.1)
    bare, filled, wide = (
        lift_boxes(points, T, K, [box], SIZE, "depth", **kw)[0]
        for kw in ({"fill": False, "margin": 0.0}, {}, {"margin": 0.2})
    )
    near, far = np.array(CHEST)
    truth = ((points >= near - 0.1) & (points <= far + 0.1)).all(1)
    assert iou(filled, truth) > max(0.85, iou(bare, truth) + 0.1)
    added = points[np.setdiff1d(wide, bare)]
    assert len(added) > 100
    assert np.linalg.norm(added - added.clip(near, far), axis=1).max() < 0.2 * 3**0.5 + 0.05


def test_without_filling_the_margin_adds_what_is_near() -> None:
    points, owner = room(CHEST)
    box = box_of(points[owner == 0], 0.1)
    bare, wide = (lift_boxes(points, T, K, [box], SIZE, "depth", fill=False, margin=m)[0] for m in (0.0, 0.15))
    assert np.isin(bare, wide).all()
    added = points[np.setdiff1d(wide, bare)]
    near, far = np.array(CHEST)
    assert len(added) > 100
    assert np.linalg.norm(added - added.clip(near, far), axis=1).max() < 0.3


def test_strays_do_not_stretch_the_upright_box() -> None:
    rng = np.random.default_rng(0)
    turn = np.array([[np.cos(0.4), np.sin(0.4), 0], [-np.sin(0.4), np.cos(0.4), 0], [0, 0, 1]])
    inner, around = rng.uniform(-1, 1, (3000, 3)) * [1.0, 0.5, 0.3], rng.uniform(-1, 1, (20_000, 3)) * 3
    around = around[(np.abs(around) > [1.02, 0.52, 0.32]).any(1)]
    points = np.concatenate([inner, around]) @ turn
    found = np.arange(len(points)) < len(inner) + 30  # thirty are not the object's
    axes, low, high = upright_box(points, found, np.array([0.0, 0.0, 1.0]))
    np.testing.assert_allclose(np.sort((high - low)[:2]), [1.0, 2.0], atol=0.1)
    assert high[2] - low[2] == pytest.approx(0.6, abs=0.05)
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)


def test_a_box_around_bare_wall_is_returned_whole() -> None:
    points, _ = room()
    uv, _ = project_points(points, T, K)
    box = np.array([100.0, 20.0, 140.0, 50.0])
    inside = np.flatnonzero((uv >= box[:2]).all(1) & (uv <= box[2:]).all(1))
    assert np.array_equal(lift_boxes(points, T, K, [box], SIZE, "depth")[0], inside)


WALL_LAMP: tuple[Slab, ...] = (
    ((-0.02, 3.65, -EYE), (0.02, 3.69, -EYE + 1.2)),
    ((-0.15, 3.55, -EYE + 1.2), (0.15, 3.85, -EYE + 1.45)),
)


def test_an_occluder_with_its_own_box_is_taken_away() -> None:
    """A low bench before a wide chest, both in one picture, in either order."""
    chest: Slab = ((-0.7, 2.6, -EYE), (0.7, 3.0, -EYE + 1.0))
    bench: Slab = ((-0.5, 1.8, -EYE), (0.5, 2.1, -EYE + 0.4))
    points, owner = room(chest, bench)
    boxes = [box_of(points[owner >= 0]), box_of(points[owner == 1])]
    alone = lift_boxes(points, T, K, boxes[:1], SIZE, "depth")[0]
    both = lift_boxes(points, T, K, boxes, SIZE, "depth")
    turned = lift_boxes(points, T, K, boxes[::-1], SIZE, "depth")
    assert iou(both[0], owner == 0) > max(0.75, iou(alone, owner == 0) + 0.1)
    assert iou(both[1], owner == 1) > 0.75
    assert all(np.array_equal(a, b) for a, b in zip(both, turned[::-1]))


def test_two_boxes_of_one_object_keep_their_points() -> None:
    points, owner = room(CHEST)
    box = box_of(points[owner == 0])
    alone = lift_boxes(points, T, K, [box], SIZE, "depth")[0]
    for crop in lift_boxes(points, T, K, [box, np.add(box, [2.0, 2.0, 3.0, 1.0]), box], SIZE, "depth")[::2]:
        assert np.array_equal(crop, alone)


@pytest.mark.parametrize("thin", [1, 4])
def test_a_thin_lamp_before_a_wall_is_not_the_wall(thin: int) -> None:
    points, owner = room(*WALL_LAMP, thin=thin)
    lamp = owner >= 0
    box = box_of(points[lamp], 0.2)
    crop = lift_boxes(points, T, K, [box], SIZE, "depth", fill=False, margin=0.0)[0]
    assert iou(crop, lamp) > 0.5


def test_auto_tells_depth_cameras_from_lidars() -> None:
    points, _ = room(CHEST)
    assert method_for(points, view_of(points, T, K, SIZE)) == "depth"
    all_round = np.concatenate([points, points * [1, -1, 1]])
    assert method_for(all_round, view_of(all_round, T, K, SIZE)) == "frustum"
    street = points * 8  # a LiDAR's cloud, cropped to the picture
    assert method_for(street, view_of(street, T, K, SIZE)) == "frustum"
    empty = points[:0]
    assert method_for(empty, view_of(empty, T, K, SIZE)) == "frustum"


def test_the_cut_is_minimal() -> None:
    """Against trying all subsets of small random graphs."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        n = 7
        first, second = np.triu_indices(n, 1)
        link = rng.uniform(0, 1, len(first)) * (rng.random(len(first)) < 0.5)
        reward, tie = rng.uniform(-1, 2, n), rng.uniform(0, 1, n)
        subsets = (np.arange(1 << n)[:, None] >> np.arange(n)) & 1 == 1
        value = subsets @ (reward - tie) - (subsets[:, first] != subsets[:, second]) @ link
        kept = minimum_cut(first, second, link, reward, tie)
        assert value[int((kept << np.arange(n)).sum())] == pytest.approx(value.max(), abs=0.02)


@pytest.mark.real
def test_the_real_frame_is_lifted_better_than_by_the_other_methods(realdata: Path) -> None:
    """Five objects only, whose annotated boxes hold wall, floor and each other's points: a sign of life."""
    frame = next(f for f in json.loads((realdata / "frames.json").read_text())["frames"] if f["set"] == "sunrgbd")
    points = np.fromfile(realdata / frame["cloud"]["path"], "<f4").reshape(-1, 6)
    camera = frame["cameras"]["CAM0"]
    T_cam, intrinsics, size = np.array(camera["T_cam_from_points"]), np.array(camera["K"]), (730, 530)
    boxes, masks = [], []
    signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) / 2
    for b in frame["boxes"]:
        R, lengths, centre = np.array(b["R"]), np.array(b["size_lwh"]), np.array(b["center"])
        pixels, _ = project_points(signs * lengths @ R.T + centre, T_cam, intrinsics)
        box = np.concatenate([pixels.min(0).clip(0, size), pixels.max(0).clip(0, size)])
        if np.prod(box[2:] - box[:2]) >= 0.5 * np.prod(np.ptp(pixels, axis=0)):
            boxes.append(box)
            masks.append((np.abs((points[:, :3] - centre) @ R) <= lengths / 2 + 0.1).all(1))

    def score(method: str) -> float:
        crops = lift_boxes(points, T_cam, intrinsics, boxes, size, method)
        return float(np.mean([iou(crop, mask) for crop, mask in zip(crops, masks)]))

    ours = score("auto")
    print(f"\nSUN RGB-D: {len(boxes)} objects, mean point IoU {ours:.3f}")
    assert ours > score("frustum") + 0.1
    assert ours > 0.4
