"""The built-in world: a true nuScenes data set, resumable and deterministic, and known to the demo models."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from clip2.geometry import points_in_box
from clip2.runtime.errors import InputError
from clip2.scans.marker import MARKER
from clip2_world.seeds import FIRST_WORLD_SEED
from clip2_world.streets import nuscenes_stage as stage
from clip2_world.streets import rig
from clip2_world.streets.image_hits import trace_image
from clip2_world.streets.inventory import CATALOGUE, CLASSES
from clip2_world.streets.nuscenes_settings import WorldSettings
from clip2_world.streets.render import camera_pose, camera_sector, take_picture
from clip2_world.streets.route import Route
from clip2_world.streets.traffic import make_street
from clip2_world.streets.visibility import Shot, Silhouettes
from clip2_world.tracing import Tracer

ROOT = Path(__file__).parent.parent
SMALL = WorldSettings(train_scenes=1, val_scenes=1, key_frames=2, image_width=320, sweeps_per_key_frame=2)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    stage.run(root, SMALL)
    return root


@pytest.fixture(scope="session")
def nusc(world: Path) -> Any:
    from nuscenes import NuScenes

    return NuScenes(SMALL.version, str(world), verbose=False)


def tree(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


# --- the format -----------------------------------------------------------------------------------------------------


def test_the_devkit_opens_it_and_the_marker_says_what_it_is(world: Path, nusc: Any) -> None:
    assert "not nuScenes" in (world / MARKER).read_text()
    assert len(nusc.scene) == 2
    assert len(nusc.sample) == 4
    assert len(nusc.sample_data) == 2 * (2 * 6 + 4)
    for row in nusc.sample_data:
        assert (world / row["filename"]).is_file()


def test_categories_are_those_of_nuscenes() -> None:
    from nuscenes.eval.detection.utils import category_to_detection_name
    from nuscenes.utils.color_map import get_colormap

    assert len(CLASSES) == 39
    for kind in CATALOGUE.values():
        assert category_to_detection_name(kind.category) == kind.detection
        assert kind.category in get_colormap(), "the devkit could not draw it"


def test_the_devkit_renders_it(nusc: Any, tmp_path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    nusc.render_sample_data(nusc.sample[0]["data"]["CAM_BACK"], out_path=str(tmp_path / "image.png"), verbose=False)
    assert (tmp_path / "image.png").stat().st_size > 10_000


def chain(nusc: Any, table: str, start: str) -> Iterator[dict[str, Any]]:
    previous = ""
    while start:
        row = nusc.get(table, start)
        assert row["prev"] == previous
        yield row
        previous, start = start, row["next"]


def test_chains_lead_through_all_rows_in_time(nusc: Any) -> None:
    for scene in nusc.scene:
        samples = list(chain(nusc, "sample", scene["first_sample_token"]))
        assert len(samples) == scene["nbr_samples"]
        assert samples[-1]["token"] == scene["last_sample_token"]
        assert np.diff([s["timestamp"] for s in samples]).tolist() == [500_000]
        for channel in (*rig.CHANNELS, rig.LIDAR):
            rows = list(chain(nusc, "sample_data", samples[0]["data"][channel]))
            assert len(rows) == (4 if channel == rig.LIDAR else 2)
            assert (np.diff([row["timestamp"] for row in rows]) > 0).all()
            assert [row["token"] for row in rows if row["is_key_frame"]] == [s["data"][channel] for s in samples]
    for instance in nusc.instance:
        rows = list(chain(nusc, "sample_annotation", instance["first_annotation_token"]))
        assert len(rows) == instance["nbr_annotations"]
        assert rows[-1]["token"] == instance["last_annotation_token"]
        assert instance["fine_name"] in CATALOGUE
        assert {row["category_name"] for row in rows} == {CATALOGUE[instance["fine_name"]].category}


def test_point_counts_are_the_devkits(nusc: Any) -> None:
    from nuscenes.utils.data_classes import LidarPointCloud
    from nuscenes.utils.geometry_utils import points_in_box as devkit_points_in_box

    for sample in nusc.sample:
        path, boxes, _ = nusc.get_sample_data(sample["data"][rig.LIDAR])
        points = LidarPointCloud.from_file(path).points[:3]
        assert len(boxes) > 20
        for box in boxes:
            expected = nusc.get("sample_annotation", box.token)["num_lidar_pts"]
            assert devkit_points_in_box(box, points).sum() == expected


def test_image_boxes_lie_in_the_projected_3d_boxes(nusc: Any) -> None:
    from nuscenes.utils.geometry_utils import BoxVisibility, view_points

    rows = {(row["sample_data_token"], row["sample_annotation_token"]): row for row in nusc.image_annotations}
    still = {"vehicle.parked", "vehicle.stopped", "pedestrian.standing"}
    checked = 0
    for sample in nusc.sample:
        for channel in rig.CHANNELS:
            token = sample["data"][channel]
            _, boxes, K = nusc.get_sample_data(token, box_vis_level=BoxVisibility.ANY)
            for box in boxes:
                annotation = nusc.get("sample_annotation", box.token)
                names = {nusc.get("attribute", t)["name"] for t in annotation["attribute_tokens"]}
                row = rows.get((token, box.token))
                if row is None or not names & still or (box.corners()[2] < 0.5).any():
                    continue
                uv = view_points(box.corners(), K, normalize=True)[:2]
                x0, y0, x1, y1 = row["bbox_corners"]
                assert x0 >= uv[0].min() - 2
                assert y0 >= uv[1].min() - 2
                assert x1 <= uv[0].max() + 2
                assert y1 <= uv[1].max() + 4  # the 3D box starts a little above the ground
                checked += 1
    assert checked > 20


def test_sweeps_join_into_denser_clouds(nusc: Any) -> None:
    from nuscenes.utils.data_classes import LidarPointCloud

    sample = nusc.get("sample", nusc.scene[0]["last_sample_token"])
    single = LidarPointCloud.from_file(nusc.get_sample_data_path(sample["data"][rig.LIDAR]))
    many, times = LidarPointCloud.from_file_multisweep(nusc, sample, rig.LIDAR, rig.LIDAR, nsweeps=4)
    np.testing.assert_allclose(np.unique(times), [0, 1 / 6, 2 / 6, 3 / 6], atol=1e-5)
    _, boxes, _ = nusc.get_sample_data(sample["data"][rig.LIDAR])
    parked = [b for b in boxes if b.name == "vehicle.car" and single_points(b, single) > 100]
    still = [b for b in parked if np.linalg.norm(nusc.box_velocity(b.token)) < 0.01]
    assert still, "no parked car near by: choose another seed"
    for box in still:
        assert single_points(box, many) > 2.5 * single_points(box, single)
    for row in nusc.sample_data:
        assert row["is_key_frame"] == row["filename"].startswith("samples/")


def single_points(box: Any, cloud: Any) -> int:
    yaw = box.orientation.yaw_pitch_roll[0]
    width, length, height = box.wlh
    return int(points_in_box(cloud.points[:3].T, [*box.center, length, width, height, yaw]).sum())


# --- re-running -----------------------------------------------------------------------------------------------------


def test_same_settings_give_the_same_bytes(world: Path, tmp_path: Path) -> None:
    stage.run(tmp_path, SMALL, workers=2)
    assert tree(tmp_path) == tree(world)


def dead() -> str:
    """What a process that has ended was called."""
    ended = subprocess.run(
        [sys.executable, "-c", "from clip2.runtime.guard import owner; print(owner())"], capture_output=True, text=True
    )
    return ended.stdout.strip()


def test_a_killed_run_goes_on_and_ends_in_the_same_bytes(world: Path, tmp_path: Path) -> None:
    root = tmp_path / "world"
    shutil.copytree(world, root)
    shutil.rmtree(root / SMALL.version)
    done, undone = (recipe.name for recipe in stage.scene_recipes(SMALL))
    (root / ".parts" / f"{undone}.json").unlink()
    (root / ".parts" / f".{undone}.json.{dead()}.part").write_text("{")
    image = next((root / "samples/CAM_BACK").glob(f"{undone}*"))
    image.write_bytes(image.read_bytes()[:100])
    finished = next((root / "samples/CAM_BACK").glob(f"{done}*"))
    before = finished.stat().st_mtime_ns
    stage.run(root, SMALL)
    assert finished.stat().st_mtime_ns == before
    assert tree(root) == tree(world)


def test_other_settings_render_again(world: Path, tmp_path: Path) -> None:
    root = tmp_path / "world"
    shutil.copytree(world, root)
    shorter = SMALL.model_copy(update={"key_frames": 1, "val_scenes": 0})
    stage.run(root, shorter)
    fresh = tmp_path / "fresh"
    stage.run(fresh, shorter)
    tables = {k: v for k, v in tree(root).items() if k.startswith(SMALL.version)}
    assert tables == {k: v for k, v in tree(fresh).items() if k.startswith(SMALL.version)}


def test_it_refuses_to_write_into_another_data_set(tmp_path: Path) -> None:
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples/somebody.jpg").write_text("else's")
    with pytest.raises(InputError, match="not a built-in world"):
        stage.run(tmp_path, SMALL)


def test_scenes_carry_official_names_and_seeds_of_their_own() -> None:
    from nuscenes.utils.splits import create_splits_scenes

    recipes = stage.scene_recipes(WorldSettings(train_scenes=700, val_scenes=150))
    splits = create_splits_scenes()
    assert [recipe.name for recipe in recipes] == splits["train"] + splits["val"]
    seeds = [recipe.seed for recipe in recipes]
    assert len(set(seeds)) == len(seeds)
    assert max(seeds[:700]) < min(seeds[700:])
    assert min(seeds) >= FIRST_WORLD_SEED, "below are the seeds of the demo models"


# --- geometry -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("curvature", [0.0, 1 / 180, -1 / 400])
def test_routes_are_inverted(curvature: float) -> None:
    route = Route(3.0, -4.0, 0.7, curvature)
    s, d = np.meshgrid(np.linspace(-80, 200, 9), np.linspace(-60, 60, 7))
    xy = route.place(s, d).astype(np.float32)
    found_s, found_d = route.locate(xy[..., 0], xy[..., 1])
    np.testing.assert_allclose(found_s, s, atol=2e-2)
    np.testing.assert_allclose(found_d, d, atol=2e-2)


def test_half_of_the_rays_see_what_all_of_them_would() -> None:
    street = make_street(FIRST_WORLD_SEED + 3)
    tracer, camera = Tracer(street), rig.cameras(320)[0]
    rotation, centre = camera_pose(street, camera, 1.0)
    view = tracer.view(1.0, camera_sector(street, camera, 1.0))
    hits = trace_image(view, camera, rotation, centre)
    face, depth = tracer.view(1.0).first_hit(centre, hits.rays)
    same = (view.owners[hits.face] == tracer.view(1.0).owners[face]) & ((hits.face < 0) == (face < 0))
    assert same.mean() > 0.999
    both = same & (face >= 0)
    np.testing.assert_allclose(hits.depth[both], depth[both], rtol=0.02)


def test_visibility_is_the_share_of_pixels_that_others_leave() -> None:
    street = make_street(FIRST_WORLD_SEED + 5)
    camera, moment = rig.cameras(400)[0], 0.5
    crowded = Shot(street, camera, moment, take_picture(Tracer(street), camera, moment, np.random.default_rng(0)))
    silhouettes, checked = Silhouettes(street), 0
    for number in np.unique(crowded.picture.owners[crowded.picture.owners >= 0])[:8]:
        alone = make_street(FIRST_WORLD_SEED + 5)
        alone.actors = [alone.actors[number]]
        alone.static = alone.actors[0].mesh  # no buildings: only the actor itself can be seen
        alone.static = type(alone.static)(
            alone.static.vertices - np.float32(500), alone.static.faces, alone.static.colours, alone.static.materials
        )
        picture = take_picture(Tracer(alone), camera, moment, np.random.default_rng(0))
        full, seen = (picture.owners == 0).sum(), (crowded.picture.owners == number).sum()
        visible, unhidden = silhouettes.visible_share(int(number), crowded)
        if full > 200:
            assert visible / unhidden == pytest.approx(seen / full, abs=0.12)
            checked += 1
    assert checked >= 3


# --- the demo models ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def street_frames(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """Frames of a validation scene at the models' own image size, and the devkit's view of them."""
    from nuscenes import NuScenes

    root = tmp_path_factory.mktemp("frames")
    stage.run(root, WorldSettings(train_scenes=0, val_scenes=2, key_frames=1))
    return root, NuScenes("v1.0-trainval", str(root), verbose=False)


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


def fine_name(nusc: Any, row: dict[str, Any]) -> str:
    name: str = nusc.get("instance", row["instance_token"])["fine_name"]
    return name


@cache
def read_rgb(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image.convert("RGB"))


def test_the_tiny_clip_knows_the_crops(street_frames: tuple[Path, Any], tools: None) -> None:
    from tools.tiny_models.check_tiny import TinyClip
    from tools.tiny_models.crops import square_crop
    from tools.tiny_models.vocabulary import CLASSES as ALL_NAMES

    root, nusc = street_frames
    clip = TinyClip(ROOT / "resources/models/tiny_clip")
    crops, labels = [], []
    for row in nusc.image_annotations:
        x0, y0, x1, y1 = row["bbox_corners"]
        if min(x1 - x0, y1 - y0) >= 16 and row["num_lidar_pts"] >= 5 and row["visibility_token"] in "34":
            crops.append(square_crop(read_rgb(root / row["filename"]), row["bbox_corners"]))
            labels.append(fine_name(nusc, row))
    guesses = np.array(ALL_NAMES)[clip.classify(crops)]
    assert len(crops) > 30
    assert (guesses == np.array(labels)).mean() > 0.75


def test_the_tiny_owl_finds_what_is_there(street_frames: tuple[Path, Any], tools: None) -> None:
    from tools.tiny_models.check_tiny import TinyOwl
    from tools.tiny_models.vocabulary import CLASSES as ALL_NAMES

    root, nusc = street_frames
    owl = TinyOwl(ROOT / "resources/models/tiny_owl")
    large = [
        row
        for row in nusc.image_annotations
        if min(row["bbox_corners"][2] - row["bbox_corners"][0], row["bbox_corners"][3] - row["bbox_corners"][1]) >= 32
        and row["visibility_token"] == "4"
    ]
    hits = 0
    for filename in sorted({row["filename"] for row in large}):
        boxes, scores, labels = owl.detect(read_rgb(root / filename), threshold=0.15)
        assert ((scores > 0) & (scores <= 1)).all()
        for row in large:
            if row["filename"] == filename:
                same = np.array(ALL_NAMES)[labels] == fine_name(nusc, row)
                hits += bool((iou(boxes, np.array(row["bbox_corners"])) > 0.5)[same].any())
    assert len(large) > 15
    assert hits / len(large) > 0.55


def iou(boxes: np.ndarray, box: np.ndarray) -> np.ndarray:
    inter = np.clip(np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2]), 0, None).prod(1)
    return inter / (np.prod(boxes[:, 2:] - boxes[:, :2], 1) + np.prod(box[2:] - box[:2]) - inter)


def test_model_folders_are_small_and_have_cards() -> None:
    models = ROOT / "resources/models"
    for name in ("tiny_clip", "tiny_owl"):
        files = [p for p in (models / name).rglob("*") if p.is_file()]
        assert sum(p.stat().st_size for p in files) < 20e6
        assert "vocabulary" in (models / name / "README.md").read_text()
