"""Farthest point sampling in ONNX's operators, a loop among them; the definition is in clip2.pretrain.neighbours."""
# onnxscript reads the first function's source and makes a graph of it; it is never run as Python.

from typing import Any

from onnxscript import FLOAT, INT64, script
from onnxscript import opset18 as op


@script(default_opset=op)
def _farthest(xyz: FLOAT, count: INT64, steps: INT64) -> INT64:
    """(B, N, 3), (B,) and the number of points to choose (1,) → (B, steps)."""
    axis_0, axis_1, axis_2 = op.Constant(value_ints=[0]), op.Constant(value_ints=[1]), op.Constant(value_ints=[2])
    zero, one = op.Constant(value_int=0), op.Constant(value_int=1)
    number = op.Range(zero, op.Squeeze(op.Shape(xyz, start=1, end=2)), one)
    there = op.Less(op.Unsqueeze(number, axis_0), op.Unsqueeze(count, axis_1))
    x, y, z = op.Split(xyz, num_outputs=3, axis=2)
    x, y, z = op.Squeeze(x, axis_2), op.Squeeze(y, axis_2), op.Squeeze(z, axis_2)
    never = op.Constant(value_float=-1.0)
    distance = op.Where(there, op.Constant(value_float=float("inf")), never)
    squared = op.Add(op.Add(op.Mul(x, x), op.Mul(y, y)), op.Mul(z, z))
    chosen = op.ArgMax(op.Where(there, squared, never), axis=1, keepdims=1)
    index = chosen
    for _ in range(op.Squeeze(op.Sub(steps, axis_1))):
        dx = op.Sub(x, op.GatherElements(x, chosen, axis=1))
        dy = op.Sub(y, op.GatherElements(y, chosen, axis=1))
        dz = op.Sub(z, op.GatherElements(z, chosen, axis=1))
        near = op.Add(op.Add(op.Mul(dx, dx), op.Mul(dy, dy)), op.Mul(dz, dz))
        distance = op.Min(distance, near)
        chosen = op.ArgMax(distance, axis=1, keepdims=1)
        index = op.Concat(index, chosen, axis=1)
    return index


def farthest_points(xyz: Any, count: Any, m: int) -> Any:
    """What the exporter calls in place of the operator ``clip2::farthest_points``."""
    return _farthest(xyz, count, op.Constant(value_ints=[m]))
