"""A point encoder as ONNX: for a robot or a server that has numpy and onnxruntime, and no PyTorch.

All of the encoder is in the graph: mirror image, size, farthest point sampling, neighbours, network. What stays outside
is which n points of a crop go in, because crops have any number of points (docs/python.md has the few lines of numpy).
"""

import json
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from clip2.pretrain import exportable  # noqa: F401  it registers the operator that is translated
from clip2.pretrain.mirror import MirrorMean
from clip2.pretrain.model import Clip2Model
from clip2.runtime.errors import InputError
from clip2.store.atomic import atomic_path

try:
    import onnx
    import onnxruntime

    from clip2.export.onnx_farthest import farthest_points
except ImportError:
    onnx = None

OPSET = 18
"""Operators of 2022: any onnxruntime that a robot is likely to have."""
LARGEST_ERROR = 1e-4
"""Of a component of a unit vector, from which on the written graph is taken for wrong."""


def write(model: Clip2Model, out: Path, names: Sequence[str] = ()) -> str:
    """Write ``out`` and, for ``names``, their vectors beside it (``.npz``); one line about what was written.

    The graph takes ``points`` (B, n, 3) float32, metres, z up, and ``count`` (B,) int64, of each row the number of
    distinct points at its beginning; it gives ``vectors`` (B, D) float32 of length one. B is free; n is ``n_points`` in
    the file's metadata, under the key ``clip2``.

    The .npz has ``names`` (C,), ``vectors`` (C, D) float32 of length one, and ``logit_scale``.

    Raises:
        InputError: the packages are not installed, or the encoder cannot be exported.
    """
    if onnx is None:
        raise InputError("onnx needs its packages: pip install onnx onnxscript onnxruntime")
    vectors = model.encode_text(names) if names else None  # first: the teacher may not be there
    n_points, encoder = model.encoder.config.n_points, MirrorMean(model.encoder.cpu())
    graph = _graph(encoder, n_points)
    _check(graph, encoder, n_points)
    keys = ("points", "teacher", "templates", "logit_scale", "source_kind", "weights_sha256")
    about = {key: model.config[key] for key in keys if key in model.config}
    about |= {"n_points": n_points, "dim": model.dim}
    onnx.helper.set_model_props(graph, {"clip2": json.dumps(about)})
    with atomic_path(out) as temporary:
        temporary.write_bytes(graph.SerializeToString())
    said = f"{out}: onnx, {n_points} points a crop → {model.dim} numbers"
    if vectors is None:
        return said
    with atomic_path(out.with_suffix(".npz")) as temporary, temporary.open("wb") as file:
        np.savez(file, names=np.array(names, str), vectors=vectors, logit_scale=np.float32(model.config["logit_scale"]))
    return f"{said}; {out.with_suffix('.npz')}: vectors of {len(names)} names"


def _graph(encoder: MirrorMean, n_points: int) -> Any:
    """
    Raises:
        InputError: it has an operator that ONNX has not.
    """
    crops = torch.export.Dim("crops")
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                encoder.eval(),
                _crops(n_points),
                dynamo=True,
                verbose=False,
                opset_version=OPSET,
                input_names=["points", "count"],
                output_names=["vectors"],
                dynamic_shapes=({0: crops}, {0: crops}),
                custom_translation_table={torch.ops.clip2.farthest_points.default: farthest_points},
            )
        graph = program.model_proto  # type: ignore[union-attr]
        onnx.checker.check_model(graph, full_check=True)
    except Exception as error:  # whatever the exporter comes upon
        why = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise InputError(f"onnx: {type(encoder.encoder).__name__} cannot be exported ({why[:200]})") from error
    return graph


def _check(graph: Any, encoder: nn.Module, n_points: int) -> None:
    """Run the graph, and compare its vectors with the encoder's.

    Raises:
        InputError: it computes something else.
    """
    points, count = _crops(n_points)
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"points": points.numpy(), "count": count.numpy()})
    with torch.inference_mode():
        error = float((encoder(points, count) - torch.from_numpy(found)).abs().max())
    if not error < LARGEST_ERROR:
        raise InputError(f"onnx: the graph's vectors differ from the encoder's by {error:.2g}; please report it")


def _crops(n_points: int) -> tuple[Tensor, Tensor]:
    """Three crops of all, a few and one point."""
    count = torch.tensor([n_points, min(5, n_points), 1])
    points = torch.randn(3, n_points, 3, generator=torch.Generator().manual_seed(0))
    index = torch.arange(n_points) % count[:, None]
    return points.gather(1, index[..., None].expand(-1, -1, 3)), count
