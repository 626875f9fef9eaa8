"""Encoder, losses, sampling and augmentation, against independent formulas."""

import math

import numpy as np
import pytest
import torch

from clip2.pretrain.augment import augment, drop_points, keep_points, move_points
from clip2.pretrain.encoder import EncoderConfig, Level, PointEncoder, centre_and_scale, describe_size
from clip2.pretrain.loss import ContrastiveLoss, info_nce
from clip2.pretrain.neighbours import ball_query, farthest_points, gather_points
from clip2.pretrain.sampling import sample_rows
from clip2.pretrain.settings import PretrainSettings


def small_encoder(centroids: str = "farthest", **changes: object) -> PointEncoder:
    torch.manual_seed(0)
    config = EncoderConfig(
        dim=16,
        n_points=32,
        levels=(Level(8, 6, 0.5, (8, 16)), Level(4, 4, 1.0, (16, 16))),
        global_widths=(16, 32),
        head_width=16,
        centroids=centroids,
        **changes,
    )
    encoder = PointEncoder(config)
    encoder(torch.randn(64, 32, 3), torch.full((64,), 32))  # so that the running statistics are not the initial ones
    return encoder.eval()


def unit(*shape: int) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(*shape), dim=-1)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# ---- losses


def test_info_nce_is_the_formula() -> None:
    torch.manual_seed(0)
    q, k, scale = unit(7, 5), unit(7, 5), 9.0
    labels, weights = [0, 1, 0, 2, 2, 3, 1], [1.0, 0.5, 1.0, 0.0, 1.0, 2.0, 1.0]

    def one_way(a: np.ndarray, b: np.ndarray) -> float:
        total = 0.0
        for i in range(7):
            own = math.exp(scale * a[i] @ b[i])
            others = sum(
                math.exp(scale * a[i] @ b[j]) for j in range(7) if labels[j] != labels[i] and weights[j] > 0 and i != j
            )
            total += weights[i] * -math.log(own / (own + others))
        return total / sum(weights)

    expected = (one_way(q.numpy(), k.numpy()) + one_way(k.numpy(), q.numpy())) / 2
    same = torch.tensor(labels)[:, None] == torch.tensor(labels)[None]
    found = info_nce(q, k, torch.tensor(scale), same, torch.tensor(weights))
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_losses_gradients_are_finite_when_no_text_can_be_trusted() -> None:
    criterion = ContrastiveLoss(0.5, 0.5, 0.07, 100.0)
    points = unit(4, 8).requires_grad_()
    losses = criterion(points, unit(4, 8), unit(4, 8), torch.arange(4), torch.zeros(4), torch.arange(4))
    losses.total.backward()
    assert losses.text.item() == 0
    assert torch.isfinite(points.grad).all()
    assert losses.image.item() > 0


def test_temperature_is_clamped() -> None:
    criterion = ContrastiveLoss(1, 1, 0.07, 100.0)
    assert criterion.scales()[0].item() == pytest.approx(1 / 0.07, rel=1e-5)
    criterion.log_scale_text.data.fill_(99.0)
    assert criterion.scales()[0].item() == pytest.approx(100.0, rel=1e-5)


# ---- encoder


def test_farthest_points_is_the_greedy_algorithm() -> None:
    xyz, count = torch.randn(3, 20, 3, generator=generator()), torch.tensor([20, 7, 3])
    found = farthest_points(xyz, count, 6)
    for row, (points, n) in enumerate(zip(xyz.numpy(), count.tolist())):
        chosen = [int(np.argmax((points[:n] ** 2).sum(1)))]
        while len(chosen) < min(6, n):
            to_chosen = np.linalg.norm(points[:n, None] - points[None, chosen], axis=2).min(1)
            chosen.append(int(np.argmax(to_chosen)))
        assert found[row, : len(chosen)].tolist() == chosen
        assert found[row].max() < n


def test_ball_query_is_the_nearest_within_the_radius() -> None:
    xyz, count = torch.randn(2, 15, 3, generator=generator()), torch.tensor([15, 6])
    centre = xyz[:, :4]
    found = ball_query(centre, xyz, count, 5, 1.2)
    for b in range(2):
        for c in range(4):
            distance = np.linalg.norm(xyz[b, : count[b]].numpy() - centre[b, c].numpy(), axis=1)
            expected = {int(i) for i in np.argsort(distance)[:5] if distance[i] <= 1.2}
            assert set(found[b, c].tolist()) == expected


def test_gather_points() -> None:
    values, index = torch.randn(3, 9, 2), torch.randint(0, 9, (3, 4, 5))
    expected = torch.stack([v[i] for v, i in zip(values, index)])
    assert torch.equal(gather_points(values, index), expected)


def test_first_layer_on_points_equals_first_layer_on_groups() -> None:
    """The rearrangement that the module's docstring states, against PointNet++ written out."""
    level = small_encoder().levels[0]
    xyz, count = torch.randn(2, 32, 3) * 0.5, torch.tensor([32, 32])
    features = torch.randn(2, 32, level.features.in_features)
    centre, found, _ = level(xyz, features, count)
    group = ball_query(centre, xyz, count, level.level.neighbours, level.level.radius)
    grouped = torch.cat([gather_points(features, group), (gather_points(xyz, group) - centre[:, :, None]) / 0.5], 3)
    weight = torch.cat([level.features.weight, level.offsets.weight], 1)
    hidden = torch.relu(grouped @ weight.T + level.features.bias)
    expected = torch.relu(level.norm(level.grouped(hidden).amax(2).flatten(0, 1))).view_as(found)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("n", [32, 20])
def test_neither_order_nor_place_nor_filling_matters(n: int) -> None:
    encoder = small_encoder("farthest")
    points = torch.randn(1, n, 3) * torch.tensor([2.0, 1.0, 0.7])

    def encode(p: torch.Tensor, fill: torch.Tensor) -> torch.Tensor:
        return encoder(torch.cat([p, p[:, fill]], 1), torch.tensor([n]))

    fill = torch.arange(32 - n)
    expected = encode(points, fill)
    torch.testing.assert_close(encode(points[:, torch.randperm(n)], fill.flip(0)), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(encode(points + torch.tensor([30.0, -20, 1]), fill), expected, atol=1e-4, rtol=0)


def test_size_is_the_extent_of_a_turned_box() -> None:
    corners = torch.tensor([[x, y, z] for x in (0, 4.0) for y in (0, 2.0) for z in (0, 1.5)])
    edges = torch.rand(300, 3, generator=generator()) * torch.tensor([4.0, 2.0, 1.5])
    box = torch.cat([corners, edges])
    for yaw in (0.0, 0.4, 1.5, 3.0):
        c, s = math.cos(yaw), math.sin(yaw)
        turned = box @ torch.tensor([[c, s, 0], [-s, c, 0], [0, 0, 1.0]])
        count = torch.tensor([len(box)])
        size = describe_size(*centre_and_scale(turned[None]), count)[0].exp()
        torch.testing.assert_close(size[:3], torch.tensor([1.5, 4.0, 2.0]), rtol=0.1, atol=0)


def test_encoder_sees_metric_size_only_when_told_to() -> None:
    points, count = torch.randn(1, 32, 3), torch.tensor([32])
    for told, same in ((True, False), (False, True)):
        encoder = small_encoder(size_input=told)
        assert torch.allclose(encoder(points, count), encoder(points * 3, count), atol=1e-5) is same


def test_a_single_point_is_a_crop() -> None:
    vector = small_encoder()(torch.ones(1, 32, 3), torch.tensor([1]))
    assert torch.isfinite(vector).all()
    assert vector.norm().item() == pytest.approx(1, abs=1e-5)


# ---- sampling


@pytest.mark.parametrize("seed", [None, 0, 1])
def test_sampling_never_mixes_crops(seed: int | None) -> None:
    lengths = torch.tensor([1, 5, 16, 17, 1000, 3])
    ends = lengths.cumsum(0)
    index, count = sample_rows(ends - lengths, lengths, 16, None if seed is None else generator(seed))
    assert (index >= (ends - lengths)[:, None]).all()
    assert (index < ends[:, None]).all()
    assert count.tolist() == [1, 5, 16, 16, 16, 3]
    for row, n in zip(index, count.tolist()):
        assert len(set(row[:n].tolist())) == n
        assert set(row.tolist()) == set(row[:n].tolist())


def test_sampling_is_deterministic_without_a_generator_and_spread_out() -> None:
    index, _ = sample_rows(torch.tensor([100]), torch.tensor([160]), 16)
    assert index[0].tolist() == list(range(105, 260, 10))


# ---- augmentation


def test_yaw_and_mirroring_keep_heights_and_shape() -> None:
    settings = PretrainSettings(scale_min=1, scale_max=1, jitter_m=0)
    points = torch.randn(8, 30, 3)
    moved = move_points(points, settings, generator())
    torch.testing.assert_close(moved[..., 2], points[..., 2])
    torch.testing.assert_close(moved.norm(dim=2), points.norm(dim=2))
    assert not torch.allclose(moved, points)


def test_scale_is_one_factor_a_crop_within_its_bounds() -> None:
    settings = PretrainSettings(scale_min=0.5, scale_max=2, jitter_m=0, rotate_deg=0, mirror=0)
    points = torch.randn(200, 10, 3)
    factor = move_points(points, settings, generator()) / points
    torch.testing.assert_close(factor, factor[:, :1, :1].expand_as(factor), rtol=1e-4, atol=1e-4)
    assert 0.5 <= factor.min() < 0.6
    assert 1.8 < factor.max() <= 2.001


def test_dropping_keeps_points_of_the_crop_and_says_how_many() -> None:
    points, count = torch.randn(64, 40, 3), torch.randint(1, 41, (64,))
    points = gather_points(points, torch.arange(40)[None] % count[:, None])
    dropped, left = drop_points(points, count, 0.6, 0.5, generator())
    assert (left <= count).all()
    assert (left >= torch.minimum(count, torch.tensor(3))).all()
    assert left.sum() < 0.8 * count.sum()
    for before, after, n in zip(points, dropped, left.tolist()):
        rows = {tuple(p) for p in before.tolist()}
        assert {tuple(p) for p in after.tolist()} <= rows
        assert len({tuple(p) for p in after[:n].tolist()}) == n
        assert {tuple(p) for p in after.tolist()} == {tuple(p) for p in after[:n].tolist()}


def test_occlusion_hides_a_connected_part() -> None:
    line = torch.linspace(-1, 1, 100)[None, :, None] * torch.tensor([1.0, 0, 0])
    dropped, left = drop_points(line.expand(50, 100, 3), torch.full((50,), 100), 0.0, 0.5, generator())
    for points, n in zip(dropped, left.tolist()):
        gaps = points[:n, 0].diff()
        assert (gaps > 0.03).sum() <= 1
        assert n >= 49


def test_keep_points_repeats_what_is_kept() -> None:
    keep = torch.tensor([[False, True, False, True, True]])
    points, count = keep_points(torch.arange(15.0).view(1, 5, 3), keep)
    assert points[0, :, 0].tolist() == [3, 9, 12, 3, 9]
    assert count.tolist() == [3]


def test_augmentation_is_a_function_of_the_generator() -> None:
    points, count = torch.randn(4, 20, 3), torch.full((4,), 20)
    a, b, c = (augment(points, count, PretrainSettings(), generator(s))[0] for s in (3, 3, 4))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_settings_refuse_nonsense() -> None:
    with pytest.raises(ValueError, match="scale_min"):
        PretrainSettings(scale_min=2, scale_max=1)
    with pytest.raises(ValueError, match="nothing to learn"):
        PretrainSettings(text_weight=0, image_weight=0)
