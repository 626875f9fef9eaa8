"""The plain twins of the encoder's Triton kernels, and the kernels in the interpreter and through the compiler.

Real: the twins, Triton's interpreter (tests/interpreted_kernels.py, which compares kernels and twins) and its compiler,
down to machine code for GPUs that are not here. Made: the points. No GPU is needed, so it is not shown here that a
compiled kernel computes the same as an interpreted one, nor how fast it is.
"""

import os
import subprocess
import sys
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import settings
from made_crops import crops, shapes

from clip2.pretrain import neighbours
from clip2.pretrain.augment import keep_points
from clip2.pretrain.presets import LEVELS

needs_triton = pytest.mark.skipif(find_spec("triton") is None, reason="torch's wheels for a CPU come without Triton")

TYPES = {
    **dict.fromkeys(
        ("xyz", "centre", "pointwise", "at_centres", "bias", "d_pointwise", "d_centres", "partial"), "*fp32"
    ),
    **dict.fromkeys(("weight", "pooled", "grad"), "*bf16"),
    **dict.fromkeys(("n", "m", "k", "total"), "i32"),
    "count": "*i64",
    "index": "*i32",
    "winner": "*u8",
    "limit": "fp32",
}
# Shared memory that a program may have, in bytes: CUDA C++ programming guide, "Compute capabilities".
SHARED = {80: 163 * 1024, 90: 227 * 1024}


# ---- the twins, against formulas


@shapes
@settings(max_examples=30, deadline=None)
def test_farthest_points_of_equals_takes_the_first(seed: int, n: int, m: int, kind: str) -> None:
    xyz, count = crops(seed, n, kind)
    found = neighbours.farthest_points(xyz, count, m)
    for row, points, c in zip(found, xyz.numpy(), count.tolist()):
        distance = np.full(c, np.inf, np.float32)
        chosen = int(np.argmax([x * x + y * y + z * z for x, y, z in points[:c]]))
        for i in range(m):
            assert row[i] == chosen
            dx, dy, dz = (points[:c] - points[chosen]).T
            distance = np.minimum(distance, dx * dx + dy * dy + dz * dz)
            chosen = int(np.argmax(distance))


@shapes
@settings(max_examples=30, deadline=None)
def test_ball_query_of_equals_takes_the_first(seed: int, n: int, m: int, kind: str) -> None:
    xyz, count = crops(seed, n, kind)
    centre, k = xyz[:, :3] + (0.1 if seed % 2 else 0.0), m
    found = neighbours.ball_query(centre, xyz, count, k, 0.5)
    assert found.shape == (5, min(3, n), min(k, n))
    for b, i in product(range(5), range(min(3, n))):
        dx, dy, dz = (centre[b, i].numpy() - xyz[b, : count[b]].numpy()).T
        distance = dx * dx + dy * dy + dz * dz
        order = np.argsort(distance, kind="stable")
        near = [int(j) for j in order[:k] if distance[j] <= 0.25]
        assert found[b, i].tolist() == near + [int(order[0])] * (min(k, n) - len(near))


@pytest.mark.parametrize("seed", range(3))
def test_kept_points_are_in_order_and_repeated(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    keep = torch.rand(9, 31, generator=generator) < 0.4
    keep[:, 7] = True
    points = torch.randn(9, 31, 3, generator=generator)
    found, count = keep_points(points, keep)
    for row, before, mask, c in zip(found, points, keep, count.tolist()):
        kept = before[mask]
        assert len(kept) == c
        assert torch.equal(row, kept[torch.arange(31) % c])


# ---- the kernels


@needs_triton
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("kind", ["any", "grid", "twice"])
def test_kernels_on_a_gpu(kind: str) -> None:
    from clip2.pretrain.group_kernels import GroupMax

    xyz, count = crops(0, 1000, kind)
    chosen = neighbours.plain_farthest_points(xyz, count, 128)
    centre = neighbours.gather_points(xyz, chosen)
    group = neighbours.plain_ball_query(centre, xyz, count, 32, 0.3)
    assert torch.equal(neighbours.farthest_points(xyz.cuda(), count.cuda(), 128).cpu(), chosen)
    found = neighbours.ball_query(centre.cuda(), xyz.cuda(), count.cuda(), 32, 0.3)
    assert torch.equal(found.sort(2).values.cpu().long(), group.sort(2).values)

    torch.manual_seed(0)
    inputs = [torch.randn(5, 1000, 64), torch.randn(5, 128, 64), torch.randn(128, 64) / 8, torch.randn(128)]
    inputs = [x.cuda().requires_grad_() for x in inputs]
    expected = neighbours.plain_group_max(*inputs[:2], found, *inputs[2:])
    grad = torch.randn_like(expected)
    exact = torch.autograd.grad(expected, inputs, grad)
    # In bfloat16 another neighbour may win by a hair, and then has the whole gradient.
    for dtype, close, similar in ((torch.float32, 1e-4, 1e-3), (torch.bfloat16, 0.02, 0.1)):
        pooled = GroupMax.apply(*inputs[:2], found, *inputs[2:], dtype)
        assert (pooled - expected).norm() < close * expected.norm()
        for ours, plain in zip(torch.autograd.grad(pooled, inputs, grad.to(dtype)), exact):
            assert (ours - plain).norm() < similar * plain.norm()


@needs_triton
def test_kernels_in_the_interpreter() -> None:
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    file = Path(__file__).with_name("interpreted_kernels.py")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", str(file)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-2000:]
    assert " passed" in result.stdout


@needs_triton
@pytest.mark.slow
@pytest.mark.parametrize("capability", [90, 80])
def test_kernels_compile_without_spilling(capability: int, tmp_path: Path) -> None:
    """For pointnet2-base at 1,024 points on an H100 (9.0) and an A100 (8.0): machine code, and no registers spilled."""
    from clip2.pretrain import group_kernels, kernels

    search = {"num_warps": kernels.farthest_warps(1024), "enable_fp_fusion": False}
    sources = [(kernels.farthest_kernel, {"BLOCK": 1024}, search)]
    search = {"num_warps": kernels.ball_warps(1024), "enable_fp_fusion": False}
    sources.append((kernels.ball_kernel, {"BLOCK": 1024, "BLOCK_K": 32}, search))
    for level in LEVELS["pointnet2-base"]:
        for name in ("forward_kernel", "input_gradient_kernel", "weight_gradient_kernel"):
            blocks = group_kernels.block_sizes(*level.widths, level.neighbours, backward="gradient" in name)
            options = {"num_warps": blocks.pop("num_warps")}
            sources.append((getattr(group_kernels, name), blocks, options))
    for kernel, constants, options in sources:
        used = machine_code(kernel, constants, capability, options, tmp_path / "kernel.cubin")
        print(capability, kernel.__name__, constants, used)
        assert used["STACK"] == used["LOCAL"] == 0
        assert used["shared"] <= SHARED[capability]
        # Distances must be the twins' to the last bit.
        assert used["FFMA"] == 0 or "enable_fp_fusion" not in options


def machine_code(
    kernel: Any, constants: dict[str, int], capability: int, options: dict[str, int], file: Path
) -> dict[str, int]:
    """Compile for a GPU that need not be there. Returns the registers (REG) and bytes of memory (STACK, LOCAL, shared)
    that it uses, and its number of fused multiply-adds (FFMA)."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    names = kernel.arg_names
    signature = {name: "constexpr" if name in constants else TYPES[name] for name in names}
    # What the launcher finds out of its arguments: PyTorch's tensors are aligned, and sizes multiples of 16.
    aligned = {(i,): [["tt.divisibility", 16]] for i, name in enumerate(names) if signature[name][0] in "*i"}
    source = ASTSource(kernel, signature, constants, aligned)
    compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    file.write_bytes(compiled.asm["cubin"])
    command = [triton.knobs.nvidia.cuobjdump.path, "--dump-resource-usage", "-sass", str(file)]
    listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    pairs = (word.split(":") for word in listing.split() if word.count(":") == 1)
    used = {name: int(value) for name, value in pairs if name in ("REG", "STACK", "LOCAL")}
    return {**used, "shared": compiled.metadata.shared, "FFMA": listing.count(" FFMA")}
