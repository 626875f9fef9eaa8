"""Settings of the segment stage."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from clip2.runtime.settings import Settings, no_braces


class SegmentSettings(Settings):
    """What gives each detected box a mask."""

    kind: Literal["huggingface", "stored"] = Field(
        "huggingface", description="huggingface: prompt a model with the boxes; stored: take masks that are on disk"
    )
    model: str = Field(
        "facebook/sam2.1-hiera-base-plus",
        description="promptable segmenter (SAM, SAM-HQ, SAM 2, EdgeTAM …): hub id (org/name) or folder",
    )
    revision: str | None = Field(None, description="branch, tag or commit of the hub repository; null is its newest")
    masks: Path | None = Field(None, description="for kind stored: a COCO-style JSON file, docs/lifting.md")
    min_box_iou: float = Field(
        0.5,
        gt=0,
        le=1,
        description="for kind stored: a mask is a box's if its own box overlaps it so much (intersection over union)",
    )
    batch_size: int = Field(8, ge=1, description="images a forward pass on a GPU; a CPU takes one at a time")
    precision: Literal["auto", "float32", "float16", "bfloat16"] = Field(
        "auto", description="auto is float16 on a GPU, float32 on a CPU"
    )
    max_bad_share: float = Field(0.01, ge=0, le=1, description="share of unreadable images above which the stage fails")

    _paths = field_validator("model", "masks")(no_braces)

    @model_validator(mode="after")
    def _masks_given(self) -> Self:
        if self.kind == "stored" and self.masks is None:
            raise ValueError("kind stored needs `masks`: the file that holds them")
        return self
