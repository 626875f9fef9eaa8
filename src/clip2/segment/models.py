"""Any promptable segmenter of transformers: SAM and what is called as it is: SAM-HQ, SAM 2, EdgeTAM, SAM 3."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import AutoModelForMaskGeneration
from transformers.models.auto.modeling_auto import MODEL_FOR_MASK_GENERATION_MAPPING_NAMES

from clip2.detect.detector import Precision, resolve_precision
from clip2.detect.models import load_pretrained, model_spec
from clip2.runtime.prefetch import to_device, to_host

BOXES_A_PASS = 32
"""Bounds the memory that an image with many boxes takes: their masks are of its full size."""
Masks = tuple[NDArray[np.bool_], NDArray[np.float32]]
"""(B, H, W) masks of an image's boxes, and (B,) how well each fits in the model's own opinion (predicted IoU)."""


class Segmenter:
    """The image encoder runs over a batch of images, the mask decoder over each image's boxes.

    One mask is asked for a box, not three: a box, unlike a point, says what is meant, and the model has a mask of its
    own for that case. transformers' examples with boxes do so, too.
    """

    def __init__(self, network: Any, processor: Any, device: torch.device, dtype: torch.dtype) -> None:
        self._network, self._processor = network.to(device), processor
        self.device, self._dtype = device, dtype

    def __call__(
        self, images: Sequence[Tensor], boxes: Sequence[NDArray[np.float32]]
    ) -> Iterator[Iterator[Callable[[], Masks]]]:
        """For each image (3, H, W) uint8 RGB, in order, an iterator over groups of its boxes (B, 4) xyxy, pixels.

        Each step starts on a group; the function that it gives waits for the masks.
        """
        inputs = [self._inputs(image, own) for image, own in zip(images, boxes, strict=True)]
        with self._inference():
            seen = self._network.get_image_embeddings(torch.cat([one["pixel_values"] for one in inputs]))
        for number, one in enumerate(inputs):
            yield self._masks(one, _of_image(seen, number))

    def _inputs(self, image: Tensor, boxes: NDArray[np.float32]) -> Any:
        given = to_device(image, self.device)
        return self._processor(images=given, input_boxes=[boxes.tolist()], return_tensors="pt").to(self.device)

    def _masks(self, inputs: Any, seen: dict[str, Any]) -> Iterator[Callable[[], Masks]]:
        sizes = {key: inputs[key].cpu() for key in ("original_sizes", "reshaped_input_sizes") if key in inputs}
        for boxes in inputs["input_boxes"].to(torch.float32).split(BOXES_A_PASS, 1):
            with self._inference():
                output = self._network(**seen, input_boxes=boxes, multimask_output=False)
                logits = output.pred_masks.float()
                masks = self._processor.post_process_masks(logits, **sizes)[0][:, 0]
            yield partial(_pair, to_host(masks, output.iou_scores[0, :, 0].float()))

    @contextmanager
    def _inference(self) -> Iterator[None]:
        autocast = torch.autocast(self.device.type, self._dtype, enabled=self._dtype != torch.float32)
        with torch.inference_mode(), autocast:
            yield


def _pair(wait: Callable[[], list[NDArray[Any]]]) -> Masks:
    masks, scores = wait()
    return masks, scores


def _of_image(seen: Any, number: int) -> dict[str, Any]:
    """What the decoder gets of one image of a batch. SAM gives a tensor, SAM 2 one for each scale, SAM-HQ its own and
    those of inner layers."""
    one = slice(number, number + 1)
    if isinstance(seen, tuple):
        return {"image_embeddings": seen[0][one], "intermediate_embeddings": [layer[one] for layer in seen[1]]}
    return {"image_embeddings": [scale[one] for scale in seen] if isinstance(seen, list) else seen[one]}


def load_segmenter(
    model: str, revision: str | None, device: torch.device, precision: Precision = "auto"
) -> tuple[Segmenter, dict[str, Any]]:
    """Load a promptable segmenter: hub id or folder. Gives it and what identifies it.

    Raises:
        InputError: no such folder, the hub cannot be reached, or it is none.
    """
    known = MODEL_FOR_MASK_GENERATION_MAPPING_NAMES
    loaded = load_pretrained(
        model, revision, AutoModelForMaskGeneration, known, "segmenter", "segmenter that boxes can prompt"
    )
    network, processor, config = loaded
    dtype = resolve_precision(precision, device)
    return Segmenter(network, processor, device, dtype), model_spec(model, config, dtype)
