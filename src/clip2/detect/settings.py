"""Settings of the detect stage."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from clip2.runtime.settings import Settings, Template, no_braces


class DetectSettings(Settings):
    """Which detector looks for which names, and which of its boxes are kept."""

    kind: Literal["huggingface", "stored"] = Field(
        "huggingface", description="huggingface: run a zero-shot detector; stored: take boxes that are already on disk"
    )
    model: str = Field(
        "google/owlv2-base-patch16-ensemble", description="zero-shot detector: hub id (org/name) or folder"
    )
    revision: str | None = Field(None, description="branch, tag or commit of the hub repository; null is its newest")
    boxes: Path | None = Field(
        None, description="for kind stored: a Parquet or COCO-style JSON file, docs/detectors.md"
    )
    vocabulary: Path = Field(
        Path("resources/vocabularies/driving.txt"), description="text file, one name a line: `name | synonym, synonym`"
    )
    prompt: Template | None = Field(
        None, description="prompt template with one {}; null is the family's own: 'a photo of a {}' for OWL, else '{}'"
    )
    score_threshold: float = Field(0.3, ge=0, le=1, description="boxes with this score or a lower one are dropped")
    nms_iou: float = Field(
        0.5, ge=0, le=1, description="of two boxes of one label that overlap more, the worse is dropped; 1 keeps all"
    )
    cross_class_nms_iou: float = Field(
        0.8, ge=0, le=1, description="the same whatever the labels: one object, two names; 1 keeps all"
    )
    min_box_px: float = Field(16, ge=0, description="pixels; boxes whose shorter side is smaller are dropped")
    max_box_share: float = Field(0.9, gt=0, le=1, description="boxes that cover more of the image's area are dropped")
    max_boxes: int = Field(200, ge=1, description="the best so many boxes of an image are kept")
    batch_size: int = Field(16, ge=1, description="images a forward pass on a GPU; a CPU takes one at a time")
    precision: Literal["auto", "float32", "float16", "bfloat16"] = Field(
        "auto", description="of the image tower; auto is float16 on a GPU, float32 on a CPU"
    )
    max_bad_share: float = Field(0.01, ge=0, le=1, description="share of unreadable images above which the stage fails")

    _paths = field_validator("model", "boxes", "vocabulary")(no_braces)

    @model_validator(mode="after")
    def _boxes_given(self) -> Self:
        if self.kind == "stored" and self.boxes is None:
            raise ValueError("kind stored needs `boxes`: the file that holds them")
        return self
