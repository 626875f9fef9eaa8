"""PointCLIP V2 and CLIP2Point against their descriptions in plain loops, and with image towers of other kinds.

Made: random points; random weights in small models of OpenAI's two architectures. Real: open_clip, the shipped teacher,
safetensors and checkpoint files.
"""

import json
import math
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save_file

from clip2.evaluate.methods import depth_scorers, towers_by_name
from clip2.evaluate.rivals import clip2point, pointclip_v2
from clip2.evaluate.rivals.depth_views import draw, encode_maps, mean_and_std, pack_crops, to_unit_sphere
from clip2.evaluate.rivals.projections import PROJECTIONS
from clip2.evaluate.rivals.towers import build_visual, read_checkpoint, read_tower
from clip2.runtime.errors import InputError
from clip2.store.crops import Batch
from clip2.teach.teacher import Teacher, load_teacher

CPU = torch.device("cpu")
TEXT = {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
SHAPES = {
    "vit": {"image_size": 48, "layers": 2, "width": 32, "head_width": 16, "patch_size": 16},
    "rn50": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 16, "patch_size": None},
}


def make_teacher(folder: Path, vision: dict[str, object]) -> Teacher:
    """An open_clip model with random weights, and a colour normalisation of its own."""
    config = {"embed_dim": 24, "vision_cfg": vision, "text_cfg": TEXT}
    torch.manual_seed(0)
    folder.mkdir(exist_ok=True)
    save_file(dict(open_clip.CLIP(**config).state_dict()), folder / "open_clip_model.safetensors")
    colours = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.25, 0.5]}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": colours}))
    return load_teacher(str(folder), device="cpu")


@pytest.fixture(scope="module", params=SHAPES)
def teacher(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Teacher:
    return make_teacher(tmp_path_factory.mktemp(request.param), SHAPES[request.param])


def random_crops(*sizes: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [(rng.normal(size=(n, 4)) * [3, 1, 1, 9] + 5).astype(np.float32) for n in sizes]


# --- PointCLIP V2


def naive_v2(points: np.ndarray, view: int) -> np.ndarray:
    """One picture, cell by cell; ``points`` y-up."""

    def rotation(ax: float, ay: float, az: float) -> np.ndarray:
        Rx = np.array([[1, 0, 0], [0, math.cos(ax), -math.sin(ax)], [0, math.sin(ax), math.cos(ax)]])
        Ry = np.array([[math.cos(ay), 0, math.sin(ay)], [0, 1, 0], [-math.sin(ay), 0, math.cos(ay)]])
        Rz = np.array([[math.cos(az), -math.sin(az), 0], [math.sin(az), math.cos(az), 0], [0, 0, 1]])
        return Rx @ Ry @ Rz

    pi = math.pi
    around = [1, 3, 5, 7, 0, 2, 4, 6]
    if view < 8:
        R = rotation(0, pi / 9, 0) @ rotation(around[view] * pi / 4, 0, pi / 2)
    else:
        R = rotation(0, pi / 15, 0) @ rotation(0, (-pi / 2, pi / 2)[view - 8], pi / 2)
    cam = points @ R.T
    middle = (cam.max(0) + cam.min(0)) / 2
    cam = (cam - middle) / (cam.max(0) - cam.min(0)).max() * 2
    grid = np.zeros((8, 112, 112))
    for x, y, z in cam:
        row, column = (min(max(math.ceil((0.8 * v + 1) / 2 * 112), 1), 110) for v in (x, y))
        depth = ((z + 1) / 2 + 0.2) / 1.2 * 6
        layer = min(max(math.ceil(depth), 1), 6)
        grid[layer, row, column] = max(grid[layer, row, column], min(max(depth, 1), 6))
    padded = np.zeros((8, 116, 116))
    padded[:, 2:-2, 2:-2] = grid
    dense = np.zeros((8, 112, 112))  # 110 and a border of zeros for the Gaussian
    for row in range(110):
        for column in range(110):
            dense[:, row + 1, column + 1] = padded[:, row : row + 7, column : column + 7].max((1, 2))
    kernel = np.array([[math.exp(-(a * a + b * b) / 18) for a in (-1, 0, 1)] for b in (-1, 0, 1)])
    kernel /= kernel.sum()
    smooth = sum(kernel[a, b] * dense[:, a : a + 110, b : b + 110] for a in range(3) for b in range(3))
    nearest = smooth.max(0)
    return 1 - nearest / nearest.max()


def test_v2_pictures_against_a_loop() -> None:
    crops = random_crops(200, 1, 12)
    unit = to_unit_sphere(pack_crops(crops, CPU))
    mine = pointclip_v2.densify(pointclip_v2.grids(unit)).numpy()
    assert mine.shape == (3, 10, 110, 110)
    for index, view in ((0, 0), (0, 3), (0, 6), (0, 8), (0, 9), (1, 2), (2, 5)):
        own = unit.points[unit.crop == index].double().numpy()
        if len(own) == 1:  # an extent of nothing: in the middle, wherever rounding puts it
            assert (mine[index, view] < 1).sum() == 81
            continue
        expected = naive_v2(own[:, [1, 2, 0]], view)
        # single precision moves a few points over a cell's border; each is seen in 9 × 9 pixels
        assert np.isclose(mine[index, view], expected, atol=1e-4).mean() > 0.98


def test_v2_top_is_at_the_top() -> None:
    # A pole with a wide cap: in the eight side views, most of what is drawn lies in the upper half.
    rng = np.random.default_rng(0)
    pole = np.stack([np.zeros(100), np.zeros(100), np.linspace(-1, 1, 100)], 1)
    cap = np.concatenate([rng.uniform(-0.5, 0.5, (400, 2)), np.full((400, 1), 1.0)], 1)
    unit = to_unit_sphere(pack_crops([np.concatenate([pole, cap]).astype(np.float32)], CPU))
    pictures = pointclip_v2.densify(pointclip_v2.grids(unit))[0].numpy()
    for view in range(8):
        rows = np.argwhere(pictures[view] < 1)[:, 0]
        assert (rows < 55).mean() > 0.6, view
    # From a pole of the sphere the cap is a filled square, and one of the two sees it in front of the pole's end.
    middle = pictures[8:, 50:60, 50:60].mean((1, 2))
    assert abs(middle[0] - middle[1]) > 0.1


# --- CLIP2Point


def naive_rasteriser(points: np.ndarray, azimuth: float, elevation: float, canvas: int) -> np.ndarray:
    """Pixel by pixel; ``points`` y-up. Camera axes from the camera's place, not from angles."""
    a, e = math.radians(azimuth), math.radians(min(max(elevation, -89.9999), 89.9999))
    place = np.array([math.cos(e) * math.sin(a), math.sin(e), math.cos(e) * math.cos(a)])
    forward = -place
    right = np.cross(forward, [0, 1, 0])
    right /= np.linalg.norm(right)
    up = np.cross(right, forward)
    picture = np.full((canvas, canvas), np.inf)
    for row in range(canvas):
        for column in range(canvas):
            x, y = (2 * column + 1) / canvas - 1, 1 - (2 * row + 1) / canvas
            for p in points:
                if math.hypot(p @ right - x, p @ up - y) < 0.02:
                    picture[row, column] = min(picture[row, column], (p - place) @ forward)
    return picture


@pytest.mark.parametrize("view", [*clip2point.TEST_VIEWS, (45, 30)])
def test_rasteriser_against_a_loop(view: tuple[float, float]) -> None:
    points = np.random.default_rng(0).normal(size=(12, 3)) * 0.4
    crops = pack_crops([points.astype(np.float32), points[:1].astype(np.float32)], CPU)
    rotation = clip2point.stack_rotations([view], CPU)
    for canvas in (40, 224) if view == (0, 0) else (40,):
        mine = clip2point.depth_maps(crops, rotation, canvas)[0, 0].numpy()
        few = points if canvas == 40 else points[:2]
        if canvas == 224:
            mine = clip2point.depth_maps(pack_crops([few.astype(np.float32)], CPU), rotation)[0, 0].numpy()
        expected = naive_rasteriser(few[:, [1, 2, 0]], *view, canvas)
        assert (np.isfinite(mine) == np.isfinite(expected)).mean() > 0.999
        both = np.isfinite(mine) & np.isfinite(expected)
        np.testing.assert_allclose(mine[both], expected[both], atol=1e-5)


def test_clip2point_top_view_is_the_top() -> None:
    low, high = [[0.3, 0.0, -0.5]], [[0.3, 0.0, 0.5]]  # z up
    crops = pack_crops([np.float32(low), np.float32(high)], CPU)
    maps = clip2point.depth_maps(crops, clip2point.stack_rotations(clip2point.TEST_VIEWS, CPU)).numpy()
    for view in range(4):
        assert np.argwhere(np.isfinite(maps[0, view]))[:, 0].min() > 150  # low down in the picture
        assert np.argwhere(np.isfinite(maps[1, view]))[:, 0].max() < 75
    depth = np.where(np.isfinite(maps), maps, 0).max((2, 3))
    assert depth[1, 4] == pytest.approx(0.5, abs=1e-5)  # view 4 looks down: what is high is near
    assert depth[0, 4] == pytest.approx(1.5, abs=1e-5)
    assert depth[1, 5] == pytest.approx(1.5, abs=1e-5)
    assert depth[1, 0] == pytest.approx(0.7, abs=1e-5)  # the front camera stands on the crop's +x
    assert depth[1, 2] == pytest.approx(1.3, abs=1e-5)
    # Not mirrored: a camera on +x that looks back along x has the crop's +y on its right.
    left = pack_crops([np.float32([[0, 0.5, 0]])], CPU)
    front = clip2point.depth_maps(left, clip2point.stack_rotations([(0, 0)], CPU))[0, 0].numpy()
    assert np.argwhere(np.isfinite(front))[:, 1].min() > 150


def test_views_of_single_crops() -> None:
    points = np.random.default_rng(1).normal(size=(30, 3)).astype(np.float32) * 0.3
    crops = pack_crops([points, points[:9]], CPU)
    views = clip2point.stack_rotations([(10, 0), (200, 30)], CPU)
    shared = clip2point.depth_maps(crops, views)
    own = clip2point.depth_maps(crops, torch.stack([views, views.flip(0)]))
    torch.testing.assert_close(own[0], shared[0])
    torch.testing.assert_close(own[1], shared[1].flip(0))


def test_shades_of_depth() -> None:
    inf = math.inf
    shaded = clip2point.shade(torch.tensor([[[[0.5, 2.0], [inf, 1.0]]]]))
    grey = 200 / 255
    torch.testing.assert_close(shaded, torch.tensor([[[[0.0, 1.5 / 2 * grey], [1.0, 0.5 / 2 * grey]]]]))
    torch.testing.assert_close(clip2point.shade(torch.full((1, 1, 2, 2), inf)), torch.ones(1, 1, 2, 2))


# --- any teacher


@pytest.mark.parametrize("name", PROJECTIONS)
def test_pictures_through_any_tower(name: str, teacher: Teacher) -> None:
    projection = PROJECTIONS[name]
    crops = random_crops(1, 30, 2500, 3)
    maps = draw(projection, crops, teacher)
    size = teacher.image_size
    assert maps.shape == (4, projection.n_views, size, size)
    assert torch.isfinite(maps).all()
    views = encode_maps(projection, maps, teacher)
    assert views.shape == (4, projection.n_views, 24)
    torch.testing.assert_close(views.norm(dim=2), torch.ones(4, projection.n_views))
    # one view of one crop, by hand
    pixels = maps[1, 2].repeat(3, 1, 1)
    if projection.normalised:
        pixels = (pixels - torch.tensor([0.5, 0.4, 0.3]).view(3, 1, 1)) / torch.tensor([0.2, 0.25, 0.5]).view(3, 1, 1)
    with torch.no_grad():
        alone = teacher.network.encode_image(pixels[None], normalize=True)[0]
    torch.testing.assert_close(views[1, 2], alone, atol=1e-4, rtol=1e-4)


def test_colours_are_the_teachers(teacher: Teacher) -> None:
    mean, std = mean_and_std(teacher)
    assert mean.flatten().tolist() == pytest.approx([0.5, 0.4, 0.3])
    assert std.flatten().tolist() == pytest.approx([0.2, 0.25, 0.5])


def test_shipped_teacher(repository: Path) -> None:
    tiny = load_teacher(str(repository / "resources" / "models" / "tiny_clip"), device="cpu")
    scorers = depth_scorers(["pointclip", "pointclip_v2"], tiny, ["car", "tree", "pole"], {})
    for scorer in scorers.values():
        scores = scorer(Batch([{}] * 2, random_crops(40, 300)))
        assert scores.shape == (2, 3)
        assert np.isfinite(scores).all()


# --- CLIP2Point's checkpoint


def openai_visual(teacher: Teacher, prefix: str) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    state = {key: value.clone() for key, value in teacher.network.visual.state_dict().items()}
    return {prefix + k: v + 0.1 * torch.rand_like(v) if v.is_floating_point() else v for k, v in state.items()}


@pytest.mark.parametrize("prefix", ["", "module.", "point_model.visual."])
def test_checkpoints_of_clip2point(prefix: str, teacher: Teacher, tmp_path: Path) -> None:
    state = openai_visual(teacher, prefix)
    other = {"module.image_model." + k: v for k, v in teacher.network.visual.state_dict().items()}
    path = tmp_path / "best.pth"
    for content in (state, {"epoch": 3, "model": state}, state | other if "point" in prefix else state):
        torch.save(content, path)
        tower = read_tower(path)
        assert (tower.name, tower.templates) == ("clip2point", ("image of a {}",))
        visual = build_visual(tower, teacher)
        for key, value in visual.state_dict().items():
            torch.testing.assert_close(value, state[prefix + key])
    crops = random_crops(50, 4)
    scores = depth_scorers(["clip2point"], teacher, ["car", "bus"], towers_by_name([tower]))["clip2point"]
    maps = draw(clip2point.PROJECTION, crops, teacher)
    views = encode_maps(clip2point.PROJECTION, maps, teacher, visual)
    words = teacher.encode_text(["image of a car", "image of a bus"])
    np.testing.assert_allclose(scores(Batch([{}] * 2, crops)), (views @ words.T).mean(1), atol=1e-5)


def test_checkpoints_that_do_not_fit_are_refused(teacher: Teacher, tmp_path: Path) -> None:
    path = tmp_path / "best.pth"
    with pytest.raises(InputError, match="no such file"):
        read_tower(path)
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(InputError, match="read safely"):
        read_tower(path)
    torch.save({"weights": [print]}, path)  # code in a pickle
    with pytest.raises(InputError, match="read safely"):
        read_checkpoint(path)
    torch.save({"a": torch.zeros(3)}, path)
    with pytest.raises(InputError, match="no image tower"):
        read_checkpoint(path)
    torch.save(openai_visual(teacher, "a.") | openai_visual(teacher, "b."), path)
    with pytest.raises(InputError, match=r"which of the towers \['a\.', 'b\.'\]"):
        read_checkpoint(path)
    torch.save({"conv1.weight": torch.zeros(3)}, path)
    with pytest.raises(InputError, match="do not fit the teacher's shape"):
        build_visual(read_tower(path), teacher)
    with pytest.raises(InputError, match="so is"):
        towers_by_name([read_tower(path), read_tower(path)])
