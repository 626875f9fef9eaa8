"""A pretrained model, ready to use: ``clip2.load(folder)``."""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from clip2.device import resolve_device
from clip2.pretrain.encoder import PointEncoder
from clip2.pretrain.modelfiles import read_model
from clip2.pretrain.precision import mixed_precision
from clip2.pretrain.sampling import sample_rows

Floats = NDArray[np.float32]
BATCH = 256
ARTICLE = re.compile(r"^(a|an|the)\s+", re.IGNORECASE)


class Clip2Model:
    """Points and texts into one space. Made by :func:`load`; the same input always gives the same output.

    Vectors are float32 and of length one, so that a dot product is the cosine. D is the teacher's dimension.
    """

    def __init__(
        self, encoder: PointEncoder, config: dict[str, Any], device: torch.device, folder: Path | None = None
    ) -> None:
        self.config = config
        self._folder = folder
        self.device = device
        self._encoder = encoder.to(device)
        self._texts: dict[tuple[str, tuple[str, ...]], Tensor] = {}

    @property
    def dim(self) -> int:
        """D."""
        return self._encoder.config.dim

    def encode_points(self, points: ArrayLike | Sequence[ArrayLike]) -> Floats:
        """Vector of one crop, (N, 3 or more) → (D,), or of several, a list of such → (B, D).

        Points are in metres, z up, anywhere in space; further columns are not used. Points that are not finite numbers
        are left out.

        Raises:
            ValueError: an array of another shape, or a crop without a single usable point.
        """
        if len(points) and not isinstance(points, np.ndarray | Tensor) and np.ndim(points[0]) < 2:  # type: ignore[arg-type, index]
            points = np.asarray(points)  # one crop, as nested lists
        single = isinstance(points, np.ndarray | Tensor) and points.ndim == 2
        crops = [_check_crop(crop, i) for i, crop in enumerate([points] if single else points)]  # type: ignore[arg-type]
        if not crops:
            return np.empty((0, self.dim), np.float32)
        offsets = np.concatenate([[0], np.cumsum([len(crop) for crop in crops])])
        vectors = self._encode(np.concatenate(crops), offsets)
        return vectors[0] if single else vectors

    def encode_text(self, texts: Sequence[str], templates: Sequence[str] | None = None) -> Floats:
        """Vectors of texts, (T, D): each the mean over prompt templates ("a photo of a {}."), by default those that
        the model was trained with. Those bring an article of their own, so there "a tire" means the same as "tire";
        with ``templates=["{}"]`` a text is taken as it is."""
        if isinstance(texts, str):
            raise ValueError("texts must be a list of strings, not one string")
        wording = tuple(self.config["templates"] if templates is None else templates)
        if templates is None:
            texts = [ARTICLE.sub("", text) for text in texts]
        new = [text for text in dict.fromkeys(texts) if (text, wording) not in self._texts]
        for text, vector in zip(new, self._teacher.encode_labels(new, wording) if new else [], strict=True):
            self._texts[text, wording] = vector.float().cpu()
        if not texts:
            return np.empty((0, self.dim), np.float32)
        return torch.stack([self._texts[text, wording] for text in texts]).numpy()

    def classify(
        self, points: ArrayLike | Sequence[ArrayLike], names: Sequence[str], templates: Sequence[str] | None = None
    ) -> Floats:
        """Probabilities of ``names``, in their order: (C,) for one crop, (B, C) for a list of crops.

        A softmax over cosines times the training's inverse temperature: they add up to one over what was asked for,
        so that an object of none of the names gets some of them all the same.
        """
        logits = self.config["logit_scale"] * self.encode_points(points) @ self.encode_text(names, templates).T
        odds = np.exp(logits - logits.max(-1, keepdims=True))
        return odds / odds.sum(-1, keepdims=True)

    @cached_property
    def _teacher(self) -> Any:
        # Only texts need it, and it may be large.
        from clip2.teach.teacher import load_teacher

        spec = self.config["teacher"]
        return load_teacher(_locate(spec["model"], self._folder), spec.get("pretrained"), str(self.device))

    @torch.inference_mode()
    def _encode(self, points: NDArray[np.floating], offsets: NDArray[np.integer]) -> Floats:
        """Crops end to end: (ΣN, 3) finite points and (B+1,) offsets → (B, D)."""
        xyz = torch.from_numpy(np.ascontiguousarray(points[:, :3], np.float32))
        starts, lengths = (
            torch.from_numpy(offsets[:-1].astype(np.int64)),
            torch.from_numpy(np.diff(offsets).astype(np.int64)),
        )
        parts = [torch.empty(0, self.dim)]
        for begin in range(0, len(starts), BATCH):
            part = slice(begin, begin + BATCH)
            index, count = sample_rows(starts[part], lengths[part], self._encoder.config.n_points)
            with mixed_precision(self.device):
                vectors = self._encoder(xyz[index].to(self.device), count.to(self.device))
            parts.append(vectors.float().cpu())
        return torch.cat(parts).numpy()


def _locate(teacher: str, folder: Path | None) -> str:
    """A teacher's relative folder, from here or else from a folder above the model: that of the checkout it lies in."""
    bases = [] if folder is None or Path(teacher).is_dir() else folder.resolve().parents
    return next((str(base / teacher) for base in bases if (base / teacher).is_dir()), teacher)


def load(folder: str | Path, device: str = "auto") -> Clip2Model:
    """Open a model folder, as the pretrain stage writes it.

    Args:
        folder: has model.safetensors and config.json.
        device: "auto" is the GPU where there is one.

    Raises:
        InputError: files missing or unreadable, or no such device.
    """
    encoder, config = read_model(Path(folder))
    return Clip2Model(encoder, config, resolve_device(device), Path(folder))


def encode_crops(model: Clip2Model, chunks: Iterable[tuple[NDArray[Any], NDArray[Any]]]) -> Floats:
    """Vectors of many crops, (n, D), in order; memory holds one chunk.

    Args:
        chunks: (points, offsets from 0) pairs, as ``RaggedReader.chunks()`` gives.

    Raises:
        ValueError: a crop without points, or points that are not finite.
    """
    return np.concatenate([np.empty((0, model.dim), np.float32), *_encode_chunks(model, chunks)])


def _encode_chunks(model: Clip2Model, chunks: Iterable[tuple[NDArray[Any], NDArray[Any]]]) -> Iterator[Floats]:
    done = 0
    for points, offsets in chunks:
        if (np.diff(offsets) < 1).any():
            raise ValueError(f"crop {done + int(np.argmin(np.diff(offsets)))} has no points")
        if not np.isfinite(points[:, :3]).all():
            raise ValueError(f"crops {done} to {done + len(offsets) - 2}: points that are not finite numbers")
        yield model._encode(points, offsets)
        done += len(offsets) - 1


def _check_crop(crop: ArrayLike, number: int) -> Floats:
    array = np.asarray(crop, np.float32)
    if array.ndim != 2 or array.shape[1] < 3:
        raise ValueError(f"crop {number}: an array of shape {array.shape}, where (N, 3 or more) is needed")
    array = array[np.isfinite(array[:, :3]).all(1), :3]
    if not len(array):
        raise ValueError(f"crop {number} has no points that are finite numbers")
    return array
