"""Grounding DINO and MM Grounding DINO: texts and images attend to each other, so texts are in every forward pass."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from clip2.detect.detector import corners, found_in_pixels
from clip2.detect.found import Found
from clip2.detect.vocabulary import Vocabulary
from clip2.runtime.errors import InputError
from clip2.runtime.prefetch import to_device, to_host

PROMPT = "{}"


class Remember(nn.Module):
    """A module that gives its last output again while its first argument is the very same tensor (one entry a key)."""

    def __init__(self, module: nn.Module, entries: int) -> None:
        super().__init__()
        self.module, self._entries = module, entries
        self._seen: list[tuple[Tensor, Any]] = []

    def forward(self, first: Tensor, *rest: Any, **options: Any) -> Any:
        for tensor, output in self._seen:
            if tensor is first:
                return output
        output = self.module(first, *rest, **options)
        self._seen = [*self._seen, (first, output)][-self._entries :]
        return output


@dataclass(frozen=True)
class _Chunk:
    """As many phrases as fit the text window: "car. traffic cone." as tokens."""

    tokens: Tensor  # (1, L) int64
    spans: Tensor  # (L, P) float32: 1 / (tokens of phrase p) where token l belongs to it
    name_of_phrase: Tensor  # (P,) index into the vocabulary's names


class GroundingDetector:
    """A box's score: the best token, as in the model's own post-processing. Its name: the phrase with the best mean.

    (The model's own post-processing spells labels out of the single tokens above a threshold: "traffic", "cone truck".)
    Phrases that do not fit the text window are looked for in further passes. The image backbone runs once an image, the
    text encoder once a run.
    """

    def __init__(self, network: Any, processor: Any, device: torch.device, dtype: torch.dtype) -> None:
        self._network = network.to(device)
        self._tokenizer, self._pixels = processor.tokenizer, processor.image_processor
        self._window: int = network.config.max_text_len
        self.device, self._dtype = device, dtype

    def encode_vocabulary(self, vocabulary: Vocabulary, prompt: str | None) -> None:
        # A dot ends a phrase for this model, so none may be inside.
        phrases = [
            " ".join((prompt or PROMPT).format(phrase).lower().replace(".", " ").split())
            for phrase in vocabulary.phrases
        ]
        self._chunks = [self._chunk(phrases, group, vocabulary) for group in self._groups(phrases)]
        self._batches: dict[tuple[int, int], Tensor] = {}
        model = self._network.model
        # Within the backbone, whose position embedding the model also asks for, and whose list of them it adds to.
        model.backbone.conv_encoder = Remember(_bare(model.backbone.conv_encoder), 1)
        # Two batch sizes occur: the full one and the rest at the end.
        model.text_backbone = Remember(_bare(model.text_backbone), 2 * len(self._chunks))

    def _groups(self, phrases: list[str]) -> list[list[int]]:
        groups: list[list[int]] = [[]]
        used = 2  # [CLS] and [SEP]
        for number, phrase in enumerate(phrases):
            need = len(self._tokenizer(phrase, add_special_tokens=False)["input_ids"]) + 1  # the dot
            if need + 2 > self._window:
                raise InputError(
                    f"“{phrase}” is longer than the detector's text window of {self._window} tokens; shorten it"
                )
            if used + need > self._window:
                groups.append([])
                used = 2
            groups[-1].append(number)
            used += need
        return groups

    def _chunk(self, phrases: list[str], group: list[int], vocabulary: Vocabulary) -> _Chunk:
        text = ". ".join(phrases[number] for number in group) + "."
        encoded = self._tokenizer(text, return_offsets_mapping=True)
        spans = torch.zeros(len(encoded["input_ids"]), len(group))
        start = 0
        for column, number in enumerate(group):
            end = start + len(phrases[number])
            for row, (low, high) in enumerate(encoded["offset_mapping"]):
                spans[row, column] = float(start <= low < high <= end)
            start = end + len(". ")
        names = torch.tensor([vocabulary.name_of_phrase[number] for number in group])
        tokens = torch.tensor([encoded["input_ids"]])
        return _Chunk(*(t.to(self.device) for t in (tokens, spans / spans.sum(0).clamp(min=1), names)))

    def _tokens(self, number: int, batch: int) -> Tensor:
        """The same tensor object each time, which is what :class:`Remember` goes by."""
        if (number, batch) not in self._batches:
            self._batches[number, batch] = self._chunks[number].tokens.expand(batch, -1).contiguous()
        return self._batches[number, batch]

    @torch.inference_mode()
    def __call__(self, images: Sequence[Tensor]) -> Callable[[], list[Found]]:
        on_device = [to_device(image, self.device) for image in images]
        inputs = self._pixels(on_device, device=self.device, return_tensors="pt")
        parts = []
        for number, chunk in enumerate(self._chunks):
            tokens = self._tokens(number, len(images))
            with torch.autocast(self.device.type, self._dtype, enabled=self._dtype != torch.float32):
                output = self._network(pixel_values=inputs.pixel_values, pixel_mask=inputs.pixel_mask, input_ids=tokens)
            scores = output.logits[..., : tokens.shape[1]].float().sigmoid()
            phrase = (scores @ chunk.spans).argmax(-1)
            parts.append((corners(output.pred_boxes.float()), scores.amax(-1), chunk.name_of_phrase[phrase]))
        wait = to_host(*(torch.cat(column, 1) for column in zip(*parts)))
        extents = np.array([[i.shape[2], i.shape[1]] * 2 for i in images], np.float32)
        return lambda: found_in_pixels(extents, *wait())


def _bare(module: nn.Module) -> nn.Module:
    return module.module if isinstance(module, Remember) else module
