"""The built-in rooms: furniture, layouts, RGB-D frames, surfaces and the stage that makes data sets of them.

Everything here is made by the world itself; nothing is real data, and nothing is mocked.
"""

import hashlib
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree

from clip2.geometry import invert, oriented_box_corners, points_in_oriented_box, transform_points
from clip2.runtime.errors import InputError
from clip2_world.rgbd import NOTHING, RgbdFrame, RoomScan
from clip2_world.rooms.camera import intrinsics, take_poses, take_rgbd
from clip2_world.rooms.catalog import PLACES, ROOM_CATALOGUE, ROOM_CLASSES, ROOMS, make_furniture
from clip2_world.rooms.depth import measure
from clip2_world.rooms.furniture_parts import Finish
from clip2_world.rooms.room import Room, make_room
from clip2_world.rooms.settings import MAX_SCENES, RoomsSettings
from clip2_world.rooms.surface import CELL, NOISE, scan_room, take_frames
from clip2_world.seeds import VAL_OFFSET
from clip2_world.streets.inventory import CATALOGUE

SEEDS = range(60)
HEIGHTS = {  # metres, of what stands on the floor: from and to
    "bed": (0.4, 1.4),
    "table": (0.3, 0.85),
    "sofa": (0.6, 1.1),
    "chair": (0.7, 1.4),
    "toilet": (0.6, 0.95),
    "desk": (0.65, 1.4),
    "dresser": (0.7, 2.0),
    "night stand": (0.4, 0.7),
    "bookshelf": (1.4, 2.2),
    "bathtub": (0.5, 1.0),
    "counter": (0.8, 1.2),
    "refrigerator": (1.4, 2.0),
    "stool": (0.35, 0.9),
}


@cache
def rooms() -> list[Room]:
    return [make_room(seed) for seed in SEEDS]


@cache
def frame(seed: int) -> tuple[Room, RgbdFrame]:
    room, frames = take_frames(seed, 1, 280)
    return room, frames[0]


@cache
def scan() -> RoomScan:
    return scan_room(11, 6, 280)


def points_of(frame: RgbdFrame) -> np.ndarray:
    """(H, W, 3) points in the room, written out from the pinhole model."""
    v, u = np.indices(frame.depth.shape)
    x = (u - frame.K[0, 2]) * frame.depth / frame.K[0, 0]
    y = (v - frame.K[1, 2]) * frame.depth / frame.K[1, 1]
    cam = np.stack([x, y, frame.depth], -1).reshape(-1, 3)
    return transform_points(cam, frame.T_room_from_cam).reshape(*frame.depth.shape, 3)


@pytest.mark.parametrize("name", ROOM_CLASSES)
def test_every_class_is_built_at_its_true_size_and_in_many_shapes(name: str) -> None:
    kind = ROOM_CATALOGUE[name]
    assert set(kind.builds) <= set(PLACES)
    assert set(kind.rooms) <= set(ROOMS)
    assert set(kind.hosts) <= set(ROOM_CATALOGUE)
    assert bool(kind.hosts) == ("on" in kind.builds)
    for place in kind.builds:
        pieces = [make_furniture(name, np.random.default_rng(seed), place).mesh for seed in range(12)]
        for mesh in pieces:
            low, high = mesh.vertices.min(0), mesh.vertices.max(0)
            np.testing.assert_allclose([*(low + high)[:2], low[2]], 0, atol=1e-4)
            assert np.isfinite(mesh.normals).all()
            assert ((mesh.colours >= 0) & (mesh.colours <= 1.3)).all()
            assert mesh.faces.max() < len(mesh.vertices)
        extents = np.stack([mesh.extents for mesh in pieces])
        assert (extents.max(0) < 3).all()
        assert np.ptp(extents, axis=0).max() > 0.03, "all the same size"
        if place in ("wall", "free") and name in HEIGHTS:
            assert HEIGHTS[name][0] < extents[:, 2].min()
            assert extents[:, 2].max() < HEIGHTS[name][1]


def test_there_are_29_classes_apart_from_the_streets() -> None:
    assert len(ROOM_CLASSES) == 29
    assert len(CATALOGUE) == 39, "classes of rooms in the street's catalogue would change its random numbers"


def test_every_class_occurs_and_every_kind_of_room() -> None:
    assert {room.kind for room in rooms()} == set(ROOMS)
    counts = Counter(piece.kind for room in rooms() for piece in room.pieces)
    assert min(counts[name] for name in ROOM_CLASSES) >= 3, counts
    for room in rooms():
        assert 3 <= len(room.pieces) <= 40


def test_furniture_stays_in_its_room_and_apart() -> None:
    rng = np.random.default_rng(0)
    for room in rooms()[:30]:
        for number, item in enumerate(room.objects):
            corners = oriented_box_corners(item.T_room_from_box, item.size_lwh)
            assert (corners > -0.01).all()
            assert (corners < room.size + 0.01).all()
            inside = transform_points(rng.uniform(-0.49, 0.49, (200, 3)) * item.size_lwh, item.T_room_from_box)
            for other in room.objects[number + 1 :]:
                shared = points_in_oriented_box(inside, other.T_room_from_box, other.size_lwh, -0.01).mean()
                hosts = ROOM_CATALOGUE[item.kind].hosts + ROOM_CATALOGUE[other.kind].hosts
                standing_on = bool({item.kind, other.kind} & set(hosts))
                # A pillow lies within the box of a bed with a headboard, a plant within that of a desk with a hutch.
                assert shared < 0.02 or standing_on, (room.seed, item.kind, other.kind, shared)


def test_meshes_fill_their_boxes() -> None:
    for room in rooms()[:10]:
        for piece, item in zip(room.pieces, room.objects, strict=True):
            local = transform_points(
                piece.mesh.posed(piece.yaw, piece.position).astype(np.float64), invert(item.T_room_from_box)
            )
            np.testing.assert_allclose(local.max(0), item.size_lwh / 2, atol=1e-4)
            np.testing.assert_allclose(local.min(0), -item.size_lwh / 2, atol=1e-4)


def test_the_seed_alone_decides_every_byte() -> None:
    one, other = scan_room(5, 2, 96), scan_room(5, 2, 96)
    for a, b in zip(one.frames, other.frames, strict=True):
        for field in ("image", "depth", "owners", "K", "T_room_from_cam"):
            assert getattr(a, field).tobytes() == getattr(b, field).tobytes()
    for field in ("vertices", "colours", "faces", "owners"):
        assert getattr(one, field).tobytes() == getattr(other, field).tobytes()
    assert one.frames[0].image.tobytes() != take_frames(6, 1, 96)[1][0].image.tobytes()


def test_the_camera_is_held_as_people_hold_it() -> None:
    rng = np.random.default_rng(1)
    for room in rooms()[:15]:
        for pose in take_poses(room, 3, rng):
            eye, forward, right = pose[:3, 3], pose[:3, 2], pose[:3, 0]
            assert (eye[:2] > 0).all()
            assert (eye[:2] < room.size[:2]).all()
            assert 1.2 <= eye[2] <= 1.7
            assert 4.9 < np.degrees(np.arcsin(-forward[2])) < 25.1
            assert abs(np.degrees(np.arcsin(right[2]))) < 8
            assert pose[2, 1] < 0, "y has to point down"
            np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-12)
            assert np.linalg.det(pose[:3, :3]) > 0


def test_depth_errors_are_those_of_a_kinect() -> None:
    room = replace(rooms()[0], pieces=())
    pose = take_poses(rooms()[0], 1, np.random.default_rng(3))[0]
    frame = take_rgbd(room, pose, 400, np.random.default_rng(4))
    v, u = np.indices(frame.depth.shape)
    rays = np.stack([(u - frame.K[0, 2]) / frame.K[0, 0], (v - frame.K[1, 2]) / frame.K[1, 1], np.ones_like(u)], -1)
    floor = -pose[2, 3] / (rays @ pose[2, :3])  # where a pixel's ray meets z = 0
    hit = pose[:3, 3] + (rays @ pose[:3, :3].T) * floor[..., None]
    on_floor = (floor > 0.5) & (hit[..., :2] > 0.1).all(-1) & (hit[..., :2] < room.size[:2] - 0.1).all(-1)
    measured = on_floor & (frame.depth > 0)
    assert measured.sum() > 0.8 * on_floor.sum() > 8000
    scaled = (frame.depth - floor)[measured] / (0.0015 * floor[measured] ** 2 + 0.001)
    assert abs(scaled.mean()) < 0.05
    assert 0.95 < scaled.std() < 1.08
    steps = frame.depth * 1000
    np.testing.assert_allclose(steps, np.round(steps), atol=2e-3)


def test_depth_has_holes_where_a_kinect_has_them() -> None:
    shape = (120, 160)
    usual = {"z": 2.0, "cosine": 0.8, "finish": Finish.PLAIN, "colour": 0.5}
    share = {}
    for case, change in {
        "usual": {},
        "near": {"z": 0.3},
        "far": {"z": 6.3},
        "grazing": {"cosine": 0.02},
        "pane": {"finish": Finish.BACKLIT},
        "metal": {"finish": Finish.METAL},
        "dark": {"colour": 0.03},
    }.items():
        values = {key: np.full(shape, value, np.float32) for key, value in (usual | change).items()}
        share[case] = (measure(**values, focal=400, rng=np.random.default_rng(0)) == 0).mean()
    assert share["usual"] == 0
    assert min(share["near"], share["far"], share["grazing"]) > 0.95
    assert 0.2 < share["pane"] < 0.8
    assert 0.02 < min(share["metal"], share["dark"]) <= max(share["metal"], share["dark"]) < 0.4
    step = np.full(shape, 3, np.float32)
    step[:, 80:] = 1
    ones = np.ones(shape, np.float32)
    hole = measure(step, ones, ones * 0, ones, 400, np.random.default_rng(0)) == 0
    width = 400 * 0.075 * (1 / 1 - 1 / 3)  # of the shadow that a projector at 7.5 cm leaves beside an edge, pixels
    assert hole[:, 80:].sum() == 0
    assert hole[:, :80].sum(1).mean() == pytest.approx(width, abs=1.5)


def test_unprojected_depth_lies_in_the_boxes_of_its_owners() -> None:
    for seed in (3, 8, 21):
        room, picture = frame(seed)
        assert picture.image.shape == (210, 280, 3)
        assert (picture.owners[picture.depth == 0] == NOTHING).all()
        assert 0.6 < (picture.depth > 0).mean() < 1
        assert picture.depth.max() <= 6
        points = points_of(picture)
        seen = np.unique(picture.owners[picture.owners >= 0])
        assert len(seen) >= 2
        for number in seen:
            item = room.objects[number]
            own = points[picture.owners == number]
            error = 5 * (0.0015 * picture.depth[picture.owners == number].max() ** 2 + 0.001)
            assert points_in_oriented_box(own, item.T_room_from_box, item.size_lwh, error).all(), item.kind


def test_pictures_are_well_exposed() -> None:
    for _, picture in (frame(seed) for seed in (3, 8, 21)):
        assert 60 < picture.image.mean() < 220
        assert picture.image.std() > 15
    np.testing.assert_allclose(intrinsics(560), [[408.8, 0, 279.5], [0, 408.8, 209.5], [0, 0, 1]])


def test_the_surface_is_dense_partial_and_has_its_owners() -> None:
    room, result = make_room(11), scan()
    assert result.vertices.dtype == np.float32
    assert result.colours.dtype == np.uint8
    assert 0 <= result.faces.min() <= result.faces.max() < len(result.vertices)
    assert len({tuple(sorted(face)) for face in result.faces.tolist()}) == len(result.faces)
    spacing = cKDTree(result.vertices).query(result.vertices, k=2)[0][:, 1]
    assert 0.5 * CELL < np.median(spacing) < 1.2 * CELL
    floor = (np.abs(result.vertices[:, 2]) < 0.02) & (result.owners == NOTHING)
    assert 0.1 < floor.sum() * CELL**2 / np.prod(room.size[:2]) < 0.98, "as partial as a scan is"
    present = np.unique(result.owners[result.owners >= 0])
    assert len(present) >= 5
    for number in present:
        item = result.objects[number]
        own = result.vertices[result.owners == number]
        assert points_in_oriented_box(own, item.T_room_from_box, item.size_lwh, 5 * NOISE).all(), item.kind


def test_the_surface_lies_where_the_depth_images_say() -> None:
    result = scan()
    tree = cKDTree(result.vertices)
    for picture in result.frames[:2]:
        points = points_of(picture)[::7, ::7][picture.depth[::7, ::7] > 0]
        distance = tree.query(points)[0]
        assert np.quantile(distance, 0.9) < 0.06


def digest(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("kind", ["sunrgbd", "scannet"])
def test_the_stage_resumes_to_the_same_bytes(kind: str, tmp_path: Path) -> None:
    stage = pytest.importorskip("clip2_world.rooms.stage")
    settings = RoomsSettings(train_scenes=2, val_scenes=1, frames_per_scene=2, image_width=96)
    stage.run(tmp_path / "whole", kind, settings)
    whole = digest(tmp_path / "whole")
    assert {"world.json", "BUILT_IN_WORLD"} <= set(whole)
    smaller = settings.model_copy(update={"train_scenes": 1})
    stage.run(tmp_path / "parts", kind, smaller, 2)
    (tmp_path / "parts" / ".parts" / "scene5000_00.json").unlink()
    stage.run(tmp_path / "parts", kind, settings)
    assert digest(tmp_path / "parts") == whole
    unchanged = {path: path.stat().st_mtime_ns for path in (tmp_path / "whole" / ".parts").iterdir()}
    stage.run(tmp_path / "whole", kind, settings)
    assert unchanged == {path: path.stat().st_mtime_ns for path in (tmp_path / "whole" / ".parts").iterdir()}


def test_the_stage_refuses_other_folders_and_forms(tmp_path: Path) -> None:
    stage = pytest.importorskip("clip2_world.rooms.stage")
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(InputError, match="not a built-in world"):
        stage.run(tmp_path, "scannet", RoomsSettings(train_scenes=1, val_scenes=0))
    with pytest.raises(InputError, match="kitti"):
        stage.run(tmp_path / "new", "kitti", RoomsSettings())


def test_train_and_val_have_seeds_apart() -> None:
    stage = pytest.importorskip("clip2_world.rooms.stage")
    recipes = stage.room_recipes(RoomsSettings(train_scenes=3, val_scenes=2, first_seed=1_000_000))
    assert [recipe.seed for recipe in recipes] == [1_000_000, 1_000_001, 1_000_002, 1_500_000, 1_500_001]
    assert [recipe.is_val for recipe in recipes] == [False] * 3 + [True] * 2
    assert recipes[3].name == f"scene{MAX_SCENES:04d}_00"
    assert MAX_SCENES <= VAL_OFFSET
    with pytest.raises(ValueError, match="first_seed"):
        RoomsSettings(first_seed=900_000)
