"""The frozen vision-language model: any open_clip model by name, hub id or folder."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import open_clip
import torch
from torch import Tensor

from clip2.runtime.device import resolve_device
from clip2.runtime.errors import InputError
from clip2.runtime.prefetch import ahead, batches, one_behind, to_host
from clip2.teach.pixels import Picture, Pixels, pixels_for
from clip2.teach.soundness import check_config, complaint, why_not

log = logging.getLogger(__name__)

DEFAULT_TEMPLATES = ("a photo of a {}.",)
CPU_BATCH = 16
"""Pictures that go through a tower at a time, for each thread of a CPU: with 256 the activations leave the cache, and
it takes a third longer."""


@dataclass(frozen=True)
class Teacher:
    """A frozen CLIP. Features are float32 unit vectors; towers run in half precision on a GPU.

    ``preprocess`` is the model's own, for one picture; ``pixels`` does the same to batches.
    """

    model: str
    pretrained: str | None
    network: Any = field(repr=False)
    tokenizer: Any = field(repr=False)
    preprocess: Any = field(repr=False)
    pixels: Pixels = field(repr=False)
    device: torch.device
    dim: int
    image_size: int
    logit_scale: float

    @property
    def spec(self) -> dict[str, Any]:
        """What identifies it in artefacts; :func:`load_teacher` takes ``model`` and ``pretrained`` back."""
        return {"model": self.model, "pretrained": self.pretrained, "dim": self.dim}

    @property
    def _dtype(self) -> torch.dtype:
        return torch.float16 if self.device.type == "cuda" else torch.float32

    @torch.inference_mode()
    def encode_text(self, prompts: Sequence[str], batch_size: int = 256) -> Tensor:
        """Prompts → (T, D) on ``device``."""
        parts = [torch.empty(0, self.dim, device=self.device)]
        for start in range(0, len(prompts), batch_size):
            tokens = self.tokenizer(list(prompts[start : start + batch_size])).to(self.device)
            parts.append(self.network.encode_text(tokens, normalize=True).float())
        return torch.cat(parts)

    def encode_labels(self, labels: Sequence[str], templates: Sequence[str] = DEFAULT_TEMPLATES) -> Tensor:
        """Labels → (L, D) on ``device``: the templates' mean unit vector, normalised (CLIP's prompt ensembling)."""
        if not labels:
            return torch.empty(0, self.dim, device=self.device)
        per_prompt = self.encode_text([template.format(label) for label in labels for template in templates])
        return torch.nn.functional.normalize(per_prompt.view(len(labels), len(templates), -1).mean(1), dim=-1)

    @torch.inference_mode()
    def encode_pixels(self, pixels: Tensor, batch_size: int = 256) -> Tensor:
        """Pixels (n, 3, S, S), already as the network takes them, → (n, D) on ``device``."""
        parts = [torch.empty(0, self.dim, device=self.device)]
        for batch in pixels.split(batch_on(self.device, batch_size)):
            batch = batch.to(self.device, self._dtype, non_blocking=True)
            parts.append(self.network.encode_image(batch, normalize=True).float())
        return torch.cat(parts)

    def encode_images(self, images: Iterable[Picture], threads: int = 1, batch_size: int = 256) -> Tensor:
        """RGB pictures of any size, or the content of image files, → (n, D) on the CPU."""
        parts = [torch.empty(0, self.dim), *self.encode_batches(images, threads, batch_size)]
        return torch.cat(parts)

    def encode_batches(self, images: Iterable[Picture], threads: int = 1, batch_size: int = 256) -> Iterator[Tensor]:
        """As :meth:`encode_images`, a batch at a time.

        Args:
            images: read one by one, as they are needed; about three batches are in memory at a time.
            threads: for decoding and what else of the preprocessing the CPU does, while the network runs.
        """
        prepared = (future.result() for _, future in ahead(images, self.pixels.prepare, threads, batch_size))
        started = (
            to_host(self.encode_pixels(self.pixels.batch(batch), batch_size)) for batch in batches(prepared, batch_size)
        )
        for (features,) in one_behind(started):
            yield torch.from_numpy(features)


def same_teacher(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two specs (``Teacher.spec``) name the same model; a folder may be written in several ways."""
    places = [str(Path(m).resolve()) if Path(m).is_dir() else m for m in (one["model"], other["model"])]
    return places[0] == places[1] and one["pretrained"] == other["pretrained"]


def batch_on(device: torch.device, batch_size: int) -> int:
    """How many pictures go through a tower at a time."""
    return min(batch_size, CPU_BATCH * torch.get_num_threads()) if device.type == "cpu" else batch_size


def load_teacher(model: str, pretrained: str | None = None, device: str = "auto") -> Teacher:
    """Load a frozen teacher.

    Args:
        model: an open_clip architecture ("ViT-L-14"), a hub id ("hf-hub:org/name"), or a folder that holds
            ``open_clip_config.json`` and ``open_clip_model.safetensors``.
        pretrained: for an architecture, the name or file of its weights ("openai", "datacomp_xl_s13b_b90k" …).

    Raises:
        InputError: unknown model, weights that cannot be had, or a folder that is not a model.
    """
    name = f"local-dir:{model}" if Path(model).is_dir() else model
    if ":" not in name and name not in open_clip.list_models():
        raise InputError(
            f"teacher {model!r}: neither a folder, nor a hub id (hf-hub:org/name), nor an open_clip architecture; "
            "`python -c 'import open_clip; print(open_clip.list_models())'` lists those"
        )
    if ":" not in name and pretrained is None:
        raise InputError(
            f"teacher {model!r}: an architecture needs `pretrained`; open_clip.list_pretrained() lists them"
        )
    if Path(model).is_dir():
        check_config(Path(model))
    where = resolve_device(device)
    quick_gelu = _quick_gelu(name, pretrained)
    try:
        network, preprocess = open_clip.create_model_from_pretrained(
            name, pretrained=pretrained, device=where, force_quick_gelu=quick_gelu
        )
        tokenizer = open_clip.get_tokenizer(name)
    except Exception as error:  # of weights that are none, open_clip and torch raise what they come upon
        raise InputError(
            f"teacher {model!r} (weights {pretrained!r}) cannot be loaded: {why_not(model, pretrained, error)}"
        ) from error
    network.eval().requires_grad_(False)
    if where.type == "cuda":
        network.half()
    size = network.visual.image_size
    teacher = Teacher(
        model=model,
        pretrained=pretrained,
        network=network,
        tokenizer=tokenizer,
        preprocess=preprocess,
        pixels=pixels_for(preprocess, where),
        device=where,
        dim=_dim(network, tokenizer, where),
        image_size=size[0] if isinstance(size, tuple) else size,
        logit_scale=float(network.logit_scale.exp()),
    )
    if found := complaint(teacher):
        raise InputError(f"teacher {model!r} (weights {pretrained!r}): {found}; get it again")
    return teacher


def _dim(network: Any, tokenizer: Any, device: torch.device) -> int:
    """D of the vectors."""
    with torch.inference_mode():
        return int(network.encode_text(tokenizer(["a"]).to(device)).shape[-1])


def _quick_gelu(model: str, pretrained: str | None) -> bool:
    """Whether to load an architecture with QuickGELU, since its weights were trained so (OpenAI's all were).

    open_clip itself only warns, and runs such weights with the architecture's GELU: worse vectors, and no error.

    Raises:
        InputError: weights that were trained without, in a "-quickgelu" architecture.
    """
    if ":" in model or pretrained is None:  # a folder or a hub id says itself what it needs
        return False
    weights = open_clip.get_pretrained_cfg(model, pretrained)
    if not weights:  # a file, which does not say
        if f"{model}-quickgelu" in open_clip.list_models():
            log.warning("teacher %r: weights from a file, run with GELU; OpenAI's were trained with QuickGELU: "
                        "name '%s-quickgelu' if these are theirs", model, model)  # fmt: skip
        return False
    trained_so = bool(weights.get("quick_gelu"))
    if not trained_so and open_clip.get_model_config(model).get("quick_gelu"):
        raise InputError(f"teacher {model!r}: weights {pretrained!r} were trained without QuickGELU; "
                         f"name {model.removesuffix('-quickgelu')!r}")  # fmt: skip
    return trained_so
