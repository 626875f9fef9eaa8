"""The frozen vision-language model: any open_clip model by name, hub id or folder."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import open_clip
import torch
from PIL import Image
from torch import Tensor

from clip2.device import resolve_device
from clip2.errors import InputError

DEFAULT_TEMPLATES = ("a photo of a {}.",)


@dataclass(frozen=True)
class Teacher:
    """A frozen CLIP. Features are float32 unit vectors on ``device``; towers run in half precision on a GPU."""

    model: str
    pretrained: str | None
    network: Any = field(repr=False)
    tokenizer: Any = field(repr=False)
    preprocess: Any = field(repr=False)
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
        """Prompts → (T, D)."""
        parts = [torch.empty(0, self.dim, device=self.device)]
        for start in range(0, len(prompts), batch_size):
            tokens = self.tokenizer(list(prompts[start : start + batch_size])).to(self.device)
            parts.append(self.network.encode_text(tokens, normalize=True).float())
        return torch.cat(parts)

    def encode_labels(self, labels: Sequence[str], templates: Sequence[str] = DEFAULT_TEMPLATES) -> Tensor:
        """Labels → (L, D): the mean over the templates' unit vectors, normalised again (CLIP's prompt ensembling)."""
        if not labels:
            return torch.empty(0, self.dim, device=self.device)
        per_prompt = self.encode_text([template.format(label) for label in labels for template in templates])
        return torch.nn.functional.normalize(per_prompt.view(len(labels), len(templates), -1).mean(1), dim=-1)

    @torch.inference_mode()
    def encode_pixels(self, pixels: Tensor, batch_size: int = 256) -> Tensor:
        """Pixels (n, 3, S, S), already as the network takes them, → (n, D)."""
        parts = [torch.empty(0, self.dim, device=self.device)]
        for batch in pixels.split(batch_size):
            batch = batch.to(self.device, self._dtype, non_blocking=True)
            parts.append(self.network.encode_image(batch, normalize=True).float())
        return torch.cat(parts)

    def encode_images(self, images: Iterable[Image.Image], threads: int = 1, batch_size: int = 256) -> Tensor:
        """RGB images of any size, preprocessed as the model prescribes, → (n, D). Holds one batch at a time."""
        parts = [torch.empty(0, self.dim, device=self.device)]
        with ThreadPoolExecutor(max(1, threads)) as pool:
            for batch in _batched(images, batch_size):
                pixels = torch.stack(list(pool.map(self.preprocess, batch)))
                parts.append(self.encode_pixels(pixels, batch_size))
        return torch.cat(parts)


def _batched(items: Iterable[Image.Image], size: int) -> Iterator[list[Image.Image]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


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
    where = resolve_device(device)
    try:
        network, preprocess = open_clip.create_model_from_pretrained(name, pretrained=pretrained, device=where)
        tokenizer = open_clip.get_tokenizer(name)
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"teacher {model!r} (weights {pretrained!r}) cannot be loaded: {reason}; without a network, "
                         "download it first and give its folder") from error  # fmt: skip
    network.eval().requires_grad_(False)
    if where.type == "cuda":
        network.half()
    with torch.inference_mode():
        dim = network.encode_text(tokenizer(["a"]).to(where)).shape[-1]
    size = network.visual.image_size
    return Teacher(
        model=model,
        pretrained=pretrained,
        network=network,
        tokenizer=tokenizer,
        preprocess=preprocess,
        device=where,
        dim=dim,
        image_size=size[0] if isinstance(size, tuple) else size,
        logit_scale=float(network.logit_scale.exp()),
    )
