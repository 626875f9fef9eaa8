"""The encoder's Triton kernels in Triton's interpreter, on a CPU, against their plain twins.

Real: the kernels and their launchers. Made: the points. Triton decides at its import whether to interpret, so these
tests need a process of their own: tests/test_pretrain_kernels.py starts it, with TRITON_INTERPRET=1. The interpreter
does not see races, nor what the compiler makes of a kernel.
"""

import pytest
import torch
from hypothesis import settings
from made_crops import crops, shapes

from clip2.pretrain import kernels, neighbours
from clip2.pretrain.encoder import EncoderConfig, Level, PointEncoder
from clip2.pretrain.group_kernels import GroupMax


@shapes
@settings(max_examples=15, deadline=None)
def test_farthest_kernel(seed: int, n: int, m: int, kind: str) -> None:
    xyz, count = crops(seed, n, kind)
    assert torch.equal(kernels.farthest_points(xyz, count, m), neighbours.plain_farthest_points(xyz, count, m))


@shapes
@settings(max_examples=15, deadline=None)
def test_ball_kernel(seed: int, n: int, m: int, kind: str) -> None:
    xyz, count = crops(seed, n, kind)
    # m neighbours of three centres, at points or beside them; two radii, the smaller often with nothing inside.
    centre, radius = xyz[:, :3] + (0.1 if seed % 2 else 0.0), (0.05, 0.5)[seed % 3 > 0]
    found = kernels.ball_query(centre, xyz, count, m, radius)
    expected = neighbours.plain_ball_query(centre, xyz, count, m, radius)
    assert torch.equal(found.sort(2).values.long(), expected.sort(2).values)


def test_search_kernels_at_full_size() -> None:
    xyz, count = crops(0, 1000, "any")
    chosen = kernels.farthest_points(xyz[:2], count[:2], 40)
    assert torch.equal(chosen, neighbours.plain_farthest_points(xyz[:2], count[:2], 40))
    centre = neighbours.gather_points(xyz[:2], chosen[:, :10])
    found = kernels.ball_query(centre, xyz[:2], count[:2], 32, 0.3)
    expected = neighbours.plain_ball_query(centre, xyz[:2], count[:2], 32, 0.3)
    assert torch.equal(found.sort(2).values.long(), expected.sort(2).values)


@pytest.mark.parametrize(
    ("n", "m", "k", "features", "channels"),
    [(20, 7, 5, 16, 32), (40, 9, 24, 32, 128), (9, 33, 8, 64, 64), (70, 3, 64, 16, 16), (30, 1, 1, 128, 256)],
)
def test_group_kernels(n: int, m: int, k: int, features: int, channels: int) -> None:
    torch.manual_seed(0)
    inputs = [torch.randn(3, n, features), torch.randn(3, m, features), torch.randn(channels, features) / 4]
    inputs = [x.requires_grad_() for x in (*inputs, torch.randn(channels))]
    pointwise, at_centres, weight, bias = inputs
    # Repeats, as of a neighbour that fills a group up.
    group = torch.randint(0, n, (3, m, k)).sort(2, descending=True).values
    expected = neighbours.plain_group_max(pointwise, at_centres, group, weight, bias)
    found = GroupMax.apply(pointwise, at_centres, group.int(), weight, bias, torch.float32)
    torch.testing.assert_close(found, expected)
    grad = torch.randn_like(expected)
    for ours, plain in zip(torch.autograd.grad(found, inputs, grad), torch.autograd.grad(expected, inputs, grad)):
        torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-4)


def test_group_kernels_in_mixed_precision() -> None:
    """The difference in float32, the product's inputs and the result in 16 bits. float16 stands in for the GPU's
    bfloat16, which the interpreter cannot multiply."""
    torch.manual_seed(0)
    inputs = [torch.randn(2, 30, 32), torch.randn(2, 5, 32), torch.randn(64, 32) / 4, torch.randn(64)]
    inputs = [x.requires_grad_() for x in inputs]
    group = torch.randint(0, 30, (2, 5, 16))
    found = GroupMax.apply(*inputs[:2], group.int(), *inputs[2:], torch.float16)
    expected = neighbours.plain_group_max(*inputs[:2], group, *inputs[2:])
    assert found.dtype == torch.float16
    torch.testing.assert_close(found.float(), expected, rtol=0.002, atol=0.01)
    grad = torch.randn_like(expected)
    for ours, plain in zip(
        torch.autograd.grad(found, inputs, grad.half()), torch.autograd.grad(expected, inputs, grad)
    ):
        assert ours.dtype == plain.dtype
        assert (ours - plain).norm() < 0.05 * plain.norm()


def test_encoder_by_its_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole encoder, forward and backward, by kernels and by twins."""
    levels = (Level(16, 6, 0.5, (16, 32)), Level(4, 4, 1.0, (32, 32)))
    config = EncoderConfig(16, 50, levels, (16, 32), 16, centroids="farthest")
    torch.manual_seed(0)
    model, (points, count) = PointEncoder(config), crops(3, 50, "any")
    wanted = torch.randn(5, 16)

    def run() -> list[torch.Tensor]:
        vectors = model(points, count)
        return [vectors, *torch.autograd.grad((vectors * wanted).sum(), list(model.parameters()))]

    expected = run()
    monkeypatch.setattr(neighbours, "_has_kernels", lambda tensor: True)
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda device: device == "cuda")
    monkeypatch.setattr(torch, "get_autocast_dtype", lambda device: torch.float32)
    for ours, plain in zip(run(), expected):
        torch.testing.assert_close(ours, plain, rtol=1e-3, atol=1e-4)
