"""A pretrained model, ready to use: ``clip2.load(folder)``."""

from __future__ import annotations  # so that help() shows `ArrayLike`, not what numpy writes out for it

import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from clip2.pretrain import hub
from clip2.pretrain.encoder import PointEncoder
from clip2.pretrain.mirror import MirrorMean
from clip2.pretrain.modelfiles import FILES, label_cosines, read_model
from clip2.pretrain.precision import mixed_precision
from clip2.pretrain.sampling import sample_rows
from clip2.runtime.device import resolve_device
from clip2.runtime.errors import InputError
from clip2.store.atomic import atomic_path
from clip2.store.crops import points_by_place

Floats = NDArray[np.float32]
BATCH = 256
SAME_TEACHER = 0.02
"""By which cosines of one teacher's vectors may differ: half precision on a GPU makes a few thousandths."""
ARTICLE = re.compile(r"^(a|an|the)\s+", re.IGNORECASE)


class Clip2Model:
    """Points and texts into one space. Made by :func:`load`; the same input always gives the same output.

    Vectors are float32 and of length one, so that a dot product is the cosine. D is the teacher's dimension.

    Attributes:
        config: config.json of its folder; device: where it runs; folder: where its files are.
    """

    def __init__(
        self, encoder: PointEncoder, config: dict[str, Any], device: torch.device, folder: Path, teacher: str | None
    ) -> None:
        self.config = config
        self.device = device
        self.folder = folder
        self.encoder = encoder.to(device)
        self._both_sides = MirrorMean(self.encoder)
        self._given_teacher = teacher
        self._texts: dict[tuple[str, tuple[str, ...]], Tensor] = {}

    @property
    def dim(self) -> int:
        """D, the dimension of the vectors."""
        return self.encoder.config.dim

    def encode_points(self, points: ArrayLike | Sequence[ArrayLike]) -> Floats:
        """Vector of one crop, (N, 3 or more) → (D,), or of several, a list of such → (B, D).

        Points are in metres, z up, anywhere in space; further columns are not used. Points that are not finite numbers
        are left out. The vector of a crop without a single usable point is NaN, and no other crop's is.

        Raises:
            ValueError: an array of another shape.
        """
        given: Any = points
        if not isinstance(given, np.ndarray | Tensor) and len(given) and np.ndim(given[0]) == 1 and len(given[0]):
            given = np.asarray(given)  # one crop, as nested lists
        single = isinstance(given, np.ndarray | Tensor) and given.ndim == 2
        crops = [_usable_points(crop, i) for i, crop in enumerate([given] if single else given)]
        vectors = np.full((len(crops), self.dim), np.nan, np.float32)
        seen = [i for i, crop in enumerate(crops) if len(crop)]
        if seen:
            offsets = np.concatenate([[0], np.cumsum([len(crops[i]) for i in seen])])
            vectors[seen] = self._encode(np.concatenate([crops[i] for i in seen]), offsets)
        return vectors[0] if single else vectors

    def encode_text(self, texts: Sequence[str], templates: Sequence[str] | None = None) -> Floats:
        """Vectors of texts, (T, D): each the mean over prompt templates ("a photo of a {}."), by default those that
        the model was trained with. Those bring an article of their own, so there "a tire" means the same as "tire";
        with ``templates=["{}"]`` a text is taken as it is.

        Raises:
            ValueError: one string in place of a list.
            InputError: the teacher is not there (see :func:`load`), or is not the one that the model was trained with.
        """
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
        so that an object of none of the names gets some of them all the same. Of a crop without points they are NaN.

        Raises:
            ValueError: no names, or points as :meth:`encode_points` does not take them.
            InputError: as :meth:`encode_text`.
        """
        if not len(names):
            raise ValueError("names is empty; give one at least")
        logits = self.config["logit_scale"] * self.encode_points(points) @ self.encode_text(names, templates).T
        odds = np.exp(logits - logits.max(-1, keepdims=True))
        return odds / odds.sum(-1, keepdims=True)

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path,
        device: str = "auto",
        *,
        teacher: str | Path | None = None,
        revision: str | None = None,
    ) -> Clip2Model:
        """The same as :func:`load`, by the name that users of Hugging Face know."""
        return load(model, device, teacher=teacher, revision=revision)

    def save_pretrained(self, folder: str | Path) -> None:
        """Copy the model's files into a folder, which is made if need be: weights, configuration, card, training log.

        The teacher is not among them; see :func:`load`.
        """
        for name in FILES:
            if (self.folder / name).is_file():
                with atomic_path(Path(folder) / name) as temporary:
                    shutil.copyfile(self.folder / name, temporary)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool | None = None,
        commit_message: str = "Upload a CLIP² model",
        token: str | None = None,
    ) -> str:
        """Upload the model's files to the Hugging Face hub, with the model card as its page; ``clip2.load(repo_id)``
        reads them from there.

        Args:
            repo_id: "owner/name"; made if it is not there.
            private: whether others may not see it; None is the owner's default.
            token: else the one that ``hf auth login`` stored.

        Returns:
            The commit's address.

        Raises:
            InputError: the hub refuses or cannot be reached.
        """
        return hub.push(self.folder, repo_id, private, commit_message, token)

    @cached_property
    def _teacher(self) -> Any:
        # Only texts need it, and it may be large.
        from clip2.teach.teacher import load_teacher

        spec = self.config["teacher"]
        model, pretrained = self._given_teacher, None
        if model is None:
            model, pretrained = _locate(spec["model"], self.folder), spec.get("pretrained")
            if ":" not in model and "/" in model and not Path(model).is_dir():
                raise InputError(f"{self.folder}: its teacher, the folder {model}, is not there; say where it is now: "
                                 "clip2.load(…, teacher=FOLDER)")  # fmt: skip
        teacher = load_teacher(model, pretrained, str(self.device))
        if self._given_teacher is not None and not self._trained_with(teacher):
            raise InputError(f"teacher {model}: not the one that {self.folder} was trained with; that was "
                             f"{spec['model']} (weights {spec.get('pretrained')!r})")  # fmt: skip
        return teacher

    def _trained_with(self, teacher: Any) -> bool:
        """Whether a teacher sees the training's labels as far from one another as the training's own did."""
        expected = self.config.get("label_cosines", [])  # older files have none
        labels = self.config.get("labels", [])[: len(expected) + 1]
        if teacher.dim != self.dim:
            return False
        found = label_cosines(teacher.encode_labels(labels, self.config["templates"]))
        return not expected or bool(np.abs(np.subtract(found, expected)).max() < SAME_TEACHER)

    @torch.inference_mode()
    def _encode(self, points: NDArray[np.floating], offsets: NDArray[np.integer]) -> Floats:
        """Crops end to end: (ΣN, 3) finite points and (B+1,) offsets → (B, D)."""
        points, offsets = points_by_place(points, offsets)
        xyz = torch.from_numpy(np.ascontiguousarray(points[:, :3], np.float32))
        starts, lengths = (
            torch.from_numpy(offsets[:-1].astype(np.int64)),
            torch.from_numpy(np.diff(offsets).astype(np.int64)),
        )
        parts = [torch.empty(0, self.dim)]
        for begin in range(0, len(starts), BATCH):
            part = slice(begin, begin + BATCH)
            index, count = sample_rows(starts[part], lengths[part], self.encoder.config.n_points)
            with mixed_precision(self.device):
                vectors = self._both_sides(xyz[index].to(self.device), count.to(self.device))
            parts.append(vectors.float().cpu())
        return torch.cat(parts).numpy()


def _locate(teacher: str, folder: Path) -> str:
    """A teacher's relative folder, from here or else from a folder above the model: that of the checkout it lies in."""
    bases = [] if Path(teacher).is_dir() else folder.resolve().parents
    return next((str(base / teacher) for base in bases if (base / teacher).is_dir()), teacher)


def load(
    model: str | Path,
    device: str = "auto",
    *,
    teacher: str | Path | None = None,
    revision: str | None = None,
) -> Clip2Model:
    """Open a pretrained model.

    Args:
        model: a folder that holds model.safetensors and config.json, as the pretrain stage writes it, wherever it was
            copied to; or an id of the Hugging Face hub, "owner/name", which is downloaded once. Nothing is unpickled.
        device: "auto" is the GPU where there is one; "cpu", "cuda", "cuda:1" …
        teacher: the vision-language model that it was trained with, through which texts go: a folder, or a hub id
            ("hf-hub:owner/name"). Only needed for texts, and where config.json names a folder that is not there any
            more; one that is relative is looked for here and in all folders above the model.
        revision: branch, tag or commit of a hub id.

    Raises:
        InputError: files missing or unreadable, no such device, or a hub id that cannot be had.
        ValueError: a revision of a folder.
    """
    if isinstance(model, str) and hub.is_hub_id(model) and not Path(model).exists():
        folder = hub.fetch(model, revision)
    elif revision is not None:
        raise ValueError(f"revision {revision!r}: {model} is no id of the hub")
    else:
        folder = Path(model)
    encoder, config = read_model(folder)
    return Clip2Model(encoder, config, resolve_device(device), folder, None if teacher is None else str(teacher))


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


def _usable_points(crop: ArrayLike, number: int) -> Floats:
    """Its finite points (N, 3); none where there are none."""
    array = np.asarray(crop, np.float32)
    if array.ndim == 1 and not array.size:
        return np.empty((0, 3), np.float32)
    if array.ndim != 2 or array.shape[1] < 3:
        raise ValueError(f"crop {number}: an array of shape {array.shape}, where (N, 3 or more) is needed")
    return array[np.isfinite(array[:, :3]).all(1), :3]
