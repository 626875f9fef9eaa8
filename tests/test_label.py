"""From tracks to named boxes: the whole thing, away from the sensor; names; one row a thing and sample."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clip2.geometry import rigid, yaw_rotation
from clip2.label.box_iou import iou_3d
from clip2.label.extent import Extent, extent_of, whole_box
from clip2.label.free_space import room_beyond
from clip2.label.settings import LabelSettings
from clip2.label.surroundings import Surroundings, ground_of, grown
from clip2.label.usual import usual_sizes
from clip2.store.schemas import FRAMES
from clip2.store.tables import write_table

CAR = np.array([4.5, 1.9, 1.6])


def sides_of(yaw: float, place: tuple[float, float], seen: str, seed: int = 0) -> np.ndarray:
    """Points on the rear ("rear") or on rear and right side ("corner") of a car's box, or on all of it ("all")."""
    rng = np.random.default_rng(seed)
    unit = rng.uniform(-0.5, 0.5, (600, 3))
    sides = {"rear": (0,), "corner": (0, 1), "all": (0, 1, 2, 3)}[seen]
    side = rng.integers(0, len(sides), 600)
    for number, which in enumerate(sides):
        axis, end = which % 2, -0.5 if which < 2 else 0.5
        unit[side == number, axis] = end
    return unit * CAR @ yaw_rotation(yaw).T + [*place, 0.8]


def true_box(yaw: float, place: tuple[float, float]) -> np.ndarray:
    return np.array([*place, 0.8, *CAR, yaw])


@pytest.mark.parametrize("seen", ["rear", "corner", "all"])
@pytest.mark.parametrize("yaw", [0.0, 0.5, -2.2])
def test_a_car_of_which_some_sides_were_seen_gets_the_whole_box(seen: str, yaw: float) -> None:
    behind = yaw_rotation(yaw) @ [-15.0, -4.0, 0.0]  # the sensor: behind it, to its right
    points = sides_of(yaw, (0.0, 0.0), seen)
    extent = extent_of(points, np.array([behind]), False, 0.02)
    box, grown = whole_box(extent, "car", {"car": CAR})
    assert iou_3d(box[None], true_box(yaw, (0.0, 0.0))[None])[0, 0] > 0.75
    assert grown == (seen == "rear")


def test_without_a_usual_size_the_box_is_what_was_seen() -> None:
    points = sides_of(0.0, (0.0, 0.0), "rear")
    extent = extent_of(points, np.array([[-15.0, 0.0, 0.0]]), False, 0.0)
    box, grown = whole_box(extent, "tire", {"car": CAR})
    assert not grown
    assert box[3] == pytest.approx(np.ptp(points[:, 1]), abs=0.05)


@given(yaw=st.floats(-3.1, 3.1), x=st.floats(-3, 3), y=st.floats(-3, 3))
@settings(max_examples=25, deadline=None)
def test_a_box_holds_the_points_it_is_made_of(yaw: float, x: float, y: float) -> None:
    points = sides_of(yaw, (x, y), "corner")
    extent = extent_of(points, np.array([[-20.0, 1.0, 0.0]]), False, 0.0)
    box, _ = whole_box(extent, "car", {"car": CAR})
    local = (points - box[:3]) @ yaw_rotation(box[6])
    assert (np.abs(local) <= box[3:6] / 2 + 1e-6).all()
    assert box[3] >= box[4]


def test_usual_sizes_are_of_things_that_were_seen_well() -> None:
    def extent(size: tuple[float, float, float], n: int) -> Extent:
        return Extent(0.0, np.zeros(3), np.array(size), np.zeros(3), n, np.zeros((0, 3)))

    well = [extent((2.0, 4.0 + 0.1 * i, 1.5), 100) for i in range(6)]
    poorly = [extent((0.2, 0.3, 0.2), 5) for _ in range(50)]
    sizes = usual_sizes(["car"] * 56 + ["tire"] * 3, well + poorly + well[:3], 40, 0.5)
    assert set(sizes) == {"car"}  # of three things nothing is said
    assert sizes["car"] == pytest.approx([4.25, 2.0, 1.5])


def seen_of(length: float, width: float, seen: float, room: float) -> Extent:
    """Something of which the sensor, at its low end, saw so much of its length, and through what lies so far beyond."""
    rooms = np.array([[np.inf, room], [0.0, 0.0]])
    return Extent(
        0.0, np.zeros(3), np.array([seen, width, 3.0]), np.array([1.0, 0.0, 0.0]), 90, np.zeros((0, 3)), rooms
    )


def test_a_kind_is_as_long_as_its_things_can_be_of_which_one_end_was_seen() -> None:
    rng = np.random.default_rng(5)
    length = rng.normal(11.0, 0.6, 60)
    behind = [seen_of(long, 2.8, rng.uniform(2, 0.8 * long), np.inf) for long in length[:45]]
    beside = [seen_of(long, 2.8, long, 0.0) for long in length[45:]]
    wrong = [seen_of(4.5, 1.9, rng.normal(4.5, 0.2), 0.0) for _ in range(15)]
    buses = [*behind, *beside, *wrong]
    size = usual_sizes(["bus"] * len(buses), buses, 40, 0.8)["bus"]
    assert size[0] == pytest.approx(11.0, abs=0.8)
    assert np.quantile([bus.high[0] for bus in buses], 0.8) < 10.0  # what was measured says less
    assert size[1] == pytest.approx(2.8, abs=0.2)


def test_what_ends_where_the_sensor_saw_through_is_not_made_longer() -> None:
    rng = np.random.default_rng(6)
    trucks = [seen_of(6.0, 2.4, seen, 6.0 - seen) for seen in rng.uniform(3, 6, 40)]
    assert usual_sizes(["truck"] * 40, trucks, 40, 0.8)["truck"][0] == pytest.approx(6.0, abs=0.5)
    unknown = [seen_of(6.0, 2.4, seen, np.inf) for seen in rng.uniform(3, 6, 40)]
    assert usual_sizes(["truck"] * 40, unknown, 40, 0.8)["truck"][0] < 6.0  # none was seen whole: not just any length


@pytest.mark.parametrize(
    "thickness", [[0.01] * 6, [0.02, 0.09, 0.05, 0.01, 0.03, 0.04], [1.0, 3.0, 9.0, 27, 81, 243, 729]]
)
def test_plates_and_sizes_of_every_kind_have_a_usual_size_too(thickness: list[float]) -> None:
    sizes = [np.array([900.0, side, 0.5]) for side in thickness]
    plates = [Extent(0.0, np.zeros(3), size, np.zeros(3), 100, np.zeros((0, 3))) for size in sizes]
    usual = usual_sizes(["poster"] * len(plates), plates, 40, 0.7)["poster"]
    assert min(thickness) <= usual[1] <= max(thickness)


def test_a_moving_thing_s_box_lies_along_its_way() -> None:
    points = sides_of(0.0, (0.0, 0.0), "corner")
    assert extent_of(points, np.array([[-9.0, 0.0, 0.0]]), True, 0.02).yaw == 0.0


# --- What lies around things


def plane(slope: float, seed: int = 0, n: int = 40_000) -> np.ndarray:
    """Points of a road that rises along x."""
    xy = np.random.default_rng(seed).uniform(-40, 40, (n, 2))
    return np.column_stack([xy, slope * xy[:, 0]])


@pytest.mark.parametrize("slope", [0.0, 0.05, -0.1])
def test_the_ground_is_found_under_trucks_and_beside_walls(slope: float) -> None:
    road = plane(slope)
    rng = np.random.default_rng(1)
    truck = rng.uniform([5, -1.3, 0.6], [15, 1.3, 3.5], (2000, 3))
    truck[:, 2] += slope * 10
    wall = np.column_stack([rng.uniform(-40, 40, 9000), np.full(9000, 30.0), rng.uniform(0, 8, 9000)])
    wall[:, 2] += slope * wall[:, 0]
    under = (np.abs(road[:, 1]) < 1.3) & (road[:, 0] > 5) & (road[:, 0] < 15)  # the truck hides it
    ground = ground_of(np.concatenate([road[~under], truck, wall]))
    assert ground is not None
    places = rng.uniform(-30, 30, (500, 2))
    assert np.abs(ground.under(places) - slope * places[:, 0]).max() < 0.05 + 2 * abs(slope)
    assert ground.under(np.array([[10.0, 0.0]]))[0] == pytest.approx(slope * 10, abs=0.3)


def test_without_points_there_is_no_ground() -> None:
    assert ground_of(np.zeros((0, 3))) is None


def test_a_thing_grows_to_where_it_ends_and_not_into_another_nor_into_the_ground() -> None:
    road = plane(0.0)
    long, other = np.array([[0, -1, 0.5], [8, 1, 2.5]]), np.array([[8.5, -1, 0.5], [10, 1, 2.0]])
    rng = np.random.default_rng(2)
    truck, car = (rng.uniform(*ends, (4000, 3)) for ends in (long, other))
    apart = rng.uniform([0, 2, 0.5], [8, 3, 2], (3000, 3))  # a metre beside it
    cloud = np.concatenate([road, truck, car, apart])
    cut = truck[truck[:, 0] < 6]  # what the crop holds of it
    more, of_car = grown([cut, car], cloud, ground_of(road), 0.3, 10.0)
    assert more[:, 0].max() == pytest.approx(8, abs=0.15)
    assert (np.abs(more[:, 1]) <= 1).all()
    assert more[:, 2].min() > 0.25  # no road
    assert of_car[:, 0].min() > 8.3
    (short,) = grown([cut], cloud, ground_of(road), 0.3, 1.0)
    assert short[:, 0].max() <= cut[:, 0].max() + 1.0
    person = rng.uniform([0, 4, 0.3], [0.6, 4.6, 1.8], (300, 3))
    fence = rng.uniform([-5, 4.7, 0.3], [5, 4.8, 1.5], (4000, 3))
    (beside,) = grown([person], np.concatenate([road, person, fence]), ground_of(road), 0.3, 10.0)
    assert np.ptp(np.concatenate([person, beside])[:, 0]) < 1.3  # no farther than half of its own size to either side
    assert [len(found) for found in grown([cut], np.zeros((0, 3)), None, 0.3, 1.0)] == [0]


def test_what_begins_a_little_above_the_ground_stands_on_it_and_what_hangs_does_not() -> None:
    points = sides_of(0.0, (0.0, 0.0), "all")  # a car, from 0 to 1.6 m
    sensor = np.array([[-10.0, 0.0, 1.0]])
    assert extent_of(points, sensor, False, 0.0, -0.4).low[2] == -0.4
    assert extent_of(points, sensor, False, 0.0, -3.0).low[2] == pytest.approx(0.0, abs=0.05)
    whole, _ = whole_box(extent_of(points, sensor, False, 0.0, -0.4), "car", {"car": np.array([4.5, 1.9, 2.5])})
    assert whole[2] - whole[5] / 2 == pytest.approx(-0.4)  # it grows up, not into the road


def test_clouds_are_read_again_and_one_that_cannot_be_is_counted(tmp_path: Path) -> None:
    T_scene_from_points = rigid(yaw_rotation(0.7), np.array([100.0, 50.0, 3.0]))
    car = sides_of(0.3, (10.0, 4.0), "all")
    car[:, 2] += 0.2
    np.save(tmp_path / "cloud.npy", np.concatenate([plane(0.0), car]).astype(np.float32))
    cloud = {"format": "npy", "T_points_from_cloud": np.eye(4).ravel().tolist(), "time_lag_s": 0.0, "depth": None}
    row = dict.fromkeys(FRAMES.names)
    rows = [
        row | {"frame_id": name, "sample": name, "clouds": [cloud | {"path": path}]}
        for name, path in (("s0", "cloud.npy"), ("s1", "lost.npy"))
    ]
    write_table(tmp_path / "f.parquet", rows, FRAMES, {"sensor": "lidar"})
    middle = car.mean(0)
    T_scene_from_thing = T_scene_from_points @ rigid(yaw_rotation(0.3), middle)
    path = [{"sample": name, "T_scene_from_thing": T_scene_from_thing.ravel().tolist()} for name in ("s0", "s1")]
    own = (car - middle) @ yaw_rotation(0.3)
    most = own[own[:, 0] < 1]
    around = Surroundings(tmp_path / "f.parquet", tmp_path, LabelSettings())
    whole = around.complete([{"path": path}], [most], {"s0": T_scene_from_points, "s1": T_scene_from_points})
    assert np.ptp(whole.points[0][:, 0]) == pytest.approx(np.ptp(own[:, 0]), abs=0.1)
    assert whole.ground[0] == pytest.approx(-middle[2], abs=0.1)
    assert around.counts == {"clouds_unread": 1}
    blind = Surroundings(tmp_path / "f.parquet", tmp_path, LabelSettings(surroundings=False))
    untouched = blind.complete([{"path": path}], [most], {"s0": T_scene_from_points, "s1": T_scene_from_points})
    assert untouched.ground == [None]
    assert np.array_equal(untouched.points[0], most)


def test_what_is_much_longer_than_its_kind_is_cut_to_where_most_of_it_is() -> None:
    rng = np.random.default_rng(3)
    person = rng.normal([10.0, 0.0, 0.9], [0.15, 0.15, 0.4], (80, 3))
    fence = np.column_stack([rng.uniform(10, 13, 20), rng.uniform(-0.1, 0.1, 20), rng.uniform(0.2, 1.6, 20)])
    extent = extent_of(np.concatenate([person, fence]), np.array([[0.0, 0.0, 1.5]]), False, 0.02)
    box, _ = whole_box(extent, "person", {"person": np.array([0.7, 0.6, 1.7])})
    assert np.hypot(box[0] - 10, box[1]) < 0.25
    assert box[3] < 1.0
    untold, _ = whole_box(extent, "person", {})
    assert untold[3] > 2.0


# --- What was seen through


def beams_at(sensor: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where beams end that a sensor (3,) sends past a box of a size around the origin to a wall far behind, and which
    of them hit the box."""
    azimuth, elevation = np.meshgrid(np.deg2rad(np.arange(-180, 180, 0.3)), np.deg2rad(np.arange(-8, 3, 1.0)))
    ways = np.stack(
        [np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)], -1
    ).reshape(-1, 3)
    with np.errstate(divide="ignore"):
        a, b = (-size / 2 - sensor) / ways, (size / 2 - sensor) / ways
    enters, leaves = np.minimum(a, b).max(1), np.maximum(a, b).min(1)
    hits = (enters < leaves) & (enters > 0)
    return sensor + ways * np.where(hits, enters, 60.0)[:, None], hits


@pytest.mark.parametrize(
    ("sensor", "axis", "free"),
    [((0.0, -15.0), 0, (True, True)), ((-15.0, 0.0), 0, (None, False)), ((-15.0, 0.0), 1, (True, True))],
)
def test_a_thing_ends_where_the_sensor_saw_past_it(
    sensor: tuple[float, float], axis: int, free: tuple[bool | None, bool]
) -> None:
    ends, hits = beams_at(np.array([*sensor, 0.5]), CAR)
    seen = ends[hits]
    room = room_beyond(seen.min(0), seen.max(0), np.array([*sensor, 0.5]), ends)
    for end, wanted in zip(room[axis], free, strict=True):
        assert wanted is None or (end < 0.3 if wanted else end > 4.0)


def test_a_short_truck_seen_from_the_side_stays_short_and_one_from_behind_gets_its_length() -> None:
    usual = {"truck": np.array([8.0, 2.5, 3.0])}
    size = np.array([5.0, 2.5, 3.0])
    for sensor, expected in (((0.0, -15.0, 0.5), 5.0), ((-15.0, 0.0, 0.5), 8.0)):
        ends, hits = beams_at(np.array(sensor), size)
        extent = extent_of(ends[hits], np.array([sensor]), True, 0.0)
        room = room_beyond(extent.low, extent.high, np.array(sensor), ends)
        box, _ = whole_box(replace(extent, room=room), "truck", usual)
        assert box[3] == pytest.approx(expected, abs=0.5)
        assert abs(np.sin(box[6])) < 0.1  # along its length, which from behind is the side that was not seen
        assert box[4] == pytest.approx(2.5, abs=0.5)


def test_a_beam_that_ends_in_a_thing_beside_says_nothing() -> None:
    sensor = np.array([0.0, -15.0, 0.5])
    ends, hits = beams_at(sensor, CAR)
    longer, _ = beams_at(sensor, np.array([9.0, 1.9, 1.6]))  # of the same thing more than was taken for it
    seen = ends[hits]
    assert room_beyond(seen.min(0), seen.max(0), sensor, longer).min(1)[0] > 1.9
    assert np.isinf(room_beyond(seen.min(0), seen.max(0), sensor, ends[:0])).all()


@pytest.mark.parametrize("height", [1.7, 0.3])
def test_beams_say_something_where_the_points_origin_is_the_sensor(tmp_path: Path, height: float) -> None:
    """A car seen from the side; of a cloud in a vehicle's frame it is not known where its beams came from."""
    at_height = np.array([0.0, 0.0, height])
    place = np.array([2.0, 15.0, 0.8])
    ends, hits = beams_at(at_height - place, CAR)
    ends = ends + place
    ground = np.column_stack([np.random.default_rng(0).uniform(-40, 40, (20_000, 2)), np.zeros(20_000)])
    np.save(tmp_path / "cloud.npy", (np.concatenate([ends, ground]) - at_height).astype(np.float32))
    cloud = {"format": "npy", "T_points_from_cloud": np.eye(4).ravel().tolist(), "time_lag_s": 0.0, "depth": None}
    row = dict.fromkeys(FRAMES.names) | {"frame_id": "s", "sample": "s"}
    write_table(
        tmp_path / "f.parquet", [row | {"clouds": [cloud | {"path": "cloud.npy"}]}], FRAMES, {"sensor": "lidar"}
    )
    T_scene_from_points = rigid(yaw_rotation(0.7), np.array([100.0, 50.0, 3.0]))
    T_scene_from_thing = T_scene_from_points @ rigid(np.eye(3), place - at_height)
    seen = ends[hits] - place
    extent = extent_of(seen, (at_height - place)[None], False, 0.0)
    track = {"path": [{"sample": "s", "T_scene_from_thing": T_scene_from_thing.ravel().tolist()}]}
    around = Surroundings(tmp_path / "f.parquet", tmp_path, LabelSettings())
    (room,) = around.room([track], [extent], {"s": T_scene_from_points})
    along = 0 if abs(np.cos(extent.yaw)) > 0.7 else 1
    assert (room[along] < 0.5).all() if height > 1 else np.isinf(room).all()
