"""Any other zero-shot detector that transformers knows (OmDet-Turbo, and what comes), by its own processor."""

import inspect
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clip2.detect.found import Found
from clip2.detect.vocabulary import Vocabulary
from clip2.runtime.prefetch import to_device

PROMPT = "{}"
PHRASES_A_PASS = 128  # bounds the memory that a long vocabulary takes


class GenericDetector:
    """The model's own processor, forward pass and post-processing; slower than families with a file of their own."""

    def __init__(self, network: Any, processor: Any, device: torch.device, dtype: torch.dtype) -> None:
        self._network, self._processor = network.to(device), processor
        self.device, self._dtype = device, dtype
        self._lock = threading.Lock()  # a model's own caches (OmDet-Turbo's texts) need not stand several threads
        known = inspect.signature(processor.post_process_grounded_object_detection).parameters
        # All of it, unfiltered: what is dropped is decided and counted in one place for every detector.
        self._options = {key: value for key, value in {"threshold": 0.0, "nms_threshold": 1.0}.items() if key in known}

    def encode_vocabulary(self, vocabulary: Vocabulary, prompt: str | None) -> None:
        phrases = [(prompt or PROMPT).format(phrase) for phrase in vocabulary.phrases]
        starts = range(0, len(phrases), PHRASES_A_PASS)
        self._chunks = [phrases[start : start + PHRASES_A_PASS] for start in starts]
        self._name_of_phrase = np.array(vocabulary.name_of_phrase, np.int64)

    @torch.inference_mode()
    def __call__(self, images: Sequence[Tensor]) -> Callable[[], list[Found]]:
        on_device = [to_device(image, self.device) for image in images]
        sizes = [(image.shape[1], image.shape[2]) for image in images]
        found: list[list[Found]] = [[] for _ in images]
        for number, phrases in enumerate(self._chunks):
            texts = [phrases] * len(images)
            inputs = self._processor(images=on_device, text=texts, return_tensors="pt").to(self.device)
            with self._lock, torch.autocast(self.device.type, self._dtype, enabled=self._dtype != torch.float32):
                output = self._network(**inputs)
            for key, value in output.items():
                if torch.is_tensor(value) and value.is_floating_point():
                    output[key] = value.float()
            results = self._processor.post_process_grounded_object_detection(
                output, target_sizes=sizes, text_labels=texts, **self._options
            )
            for one, result in zip(found, results):
                phrase = torch.as_tensor(result["labels"]).cpu().numpy().astype(np.int64) + number * PHRASES_A_PASS
                boxes, scores = (result[key].float().cpu().numpy() for key in ("boxes", "scores"))
                one.append(Found(boxes.reshape(-1, 4), scores, self._name_of_phrase[phrase]))
        return lambda: [
            Found(*(np.concatenate([getattr(part, key) for part in parts]) for key in ("boxes", "scores", "labels")))
            for parts in found
        ]
