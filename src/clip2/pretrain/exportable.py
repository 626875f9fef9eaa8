"""Twins of ``neighbours.py`` for ``torch.export``: in operators that ONNX has, too. ``clip2.export.onnx`` uses them.

They choose the same points. Distances are summed in the same order, so that they agree to the last bit.
"""

import torch
from torch import Tensor

from clip2.pretrain.neighbours import plain_farthest_points, valid_mask


# One operator, not a loop that is written out: of 640 steps an exporter would make thousands of operators.
@torch.library.custom_op("clip2::farthest_points", mutates_args=())
def farthest_points(xyz: Tensor, count: Tensor, m: int) -> Tensor:
    """As :func:`clip2.pretrain.neighbours.farthest_points`."""
    return plain_farthest_points(xyz, count, m)


@farthest_points.register_fake
def _(xyz: Tensor, count: Tensor, m: int) -> Tensor:
    return xyz.new_empty(xyz.shape[0], m, dtype=torch.int64)


def ball_query(centre: Tensor, xyz: Tensor, count: Tensor, k: int, radius: float) -> Tensor:
    """As :func:`clip2.pretrain.neighbours.ball_query`, where the first of equal numbers is taken: ONNX does."""
    n = xyz.shape[1]
    dx, dy, dz = (centre[:, :, None, axis] - xyz[:, None, :, axis] for axis in range(3))
    distance = dx * dx + dy * dy + dz * dz
    distance = distance.masked_fill(~valid_mask(count, n)[:, None], torch.inf)
    near, index = distance.topk(min(k, n), dim=2, largest=False)
    return torch.where(near <= radius**2, index, index[..., :1])
