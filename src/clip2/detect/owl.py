"""OWL-ViT and OWLv2: texts and images meet only in a dot product, so the texts are encoded once a run."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clip2.detect.detector import corners, found_in_pixels
from clip2.detect.found import Found
from clip2.detect.pixels import owl_pixels
from clip2.detect.vocabulary import Vocabulary
from clip2.runtime.prefetch import to_host

log = logging.getLogger(__name__)
PROMPT = "a photo of a {}"
TEXT_BATCH = 256


class OwlDetector:
    """One box a patch; a box's name is the one whose best phrase scores highest.

    The transformer blocks of the image tower, where the time goes, run in ``dtype``; the heads stay in float32, because
    half precision would move boxes by pixels.
    """

    def __init__(self, network: Any, processor: Any, device: torch.device, dtype: torch.dtype) -> None:
        self._network = network.to(device)
        self._tokenizer = processor.tokenizer
        self._pixels = owl_pixels(processor.image_processor, device)
        self._square = network.config.model_type == "owlv2"  # pads to a square; OWL-ViT squeezes into one
        self.device = device
        if dtype != torch.float32:
            tower = network.base_model.vision_model
            (tower.pre_layernorm if hasattr(tower, "pre_layernorm") else tower.pre_layrnorm).to(dtype)
            tower.embeddings.to(dtype)
            tower.encoder.to(dtype)
            tower.encoder.register_forward_hook(_to_float32)

    @torch.inference_mode()
    def encode_vocabulary(self, vocabulary: Vocabulary, prompt: str | None) -> None:
        prompts = [(prompt or PROMPT).format(phrase) for phrase in vocabulary.phrases]
        window = self._network.config.text_config.max_position_embeddings
        if long := [text for text in prompts if len(self._tokenizer(text)["input_ids"]) > window]:
            log.warning(
                "%d prompts are longer than the %d tokens of the model and are cut: %s …", len(long), window, long[0]
            )
        parts = []
        for start in range(0, len(prompts), TEXT_BATCH):
            tokens = self._tokenizer(
                prompts[start : start + TEXT_BATCH],
                padding="max_length",
                max_length=window,
                truncation=True,
                return_tensors="pt",
            ).to(self.device)
            features = self._network.base_model.get_text_features(tokens.input_ids, tokens.attention_mask).pooler_output
            parts.append(features / features.norm(dim=-1, keepdim=True))
        self._queries = torch.cat(parts)
        self._name_of_phrase = torch.tensor(vocabulary.name_of_phrase, device=self.device)

    @torch.inference_mode()
    def __call__(self, images: Sequence[Tensor]) -> Callable[[], list[Found]]:
        features, _ = self._network.image_embedder(self._pixels(images))
        patches = features.flatten(1, 2)
        logits, _ = self._network.class_predictor(patches, self._queries.expand(len(images), -1, -1))
        best, phrase = logits.max(-1)
        boxes = corners(self._network.box_predictor(patches, features))
        wait = to_host(boxes, best.sigmoid(), self._name_of_phrase[phrase])
        extents = self._extents(images)
        return lambda: found_in_pixels(extents, *wait())

    def _extents(self, images: Sequence[Tensor]) -> NDArray[np.float32]:
        """(B, 4) pixels that a box coordinate of 1 stands for."""
        sizes = np.array([[image.shape[2], image.shape[1]] * 2 for image in images], np.float32)
        return np.maximum(sizes, sizes[:, [1, 0, 3, 2]]) if self._square else sizes


def _to_float32(_module: Any, _inputs: Any, output: Any) -> Any:
    output.last_hidden_state = output.last_hidden_state.float()
    return output
