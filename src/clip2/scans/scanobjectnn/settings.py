"""Settings of the ScanObjectNN source."""

from typing import Literal

from pydantic import Field

from clip2.scans.splits import SplitSettings

Variant = Literal["OBJ_ONLY", "OBJ_BG", "PB_T50_RS"]


class ScanobjectnnSettings(SplitSettings):
    """Which variant of ScanObjectNN is asked about. The published zero-shot figures differ in just this."""

    variant: Variant = Field(
        "OBJ_ONLY",
        description="OBJ_ONLY: objects without background, what most zero-shot figures are for; OBJ_BG: with it; "
        "PB_T50_RS: cut with perturbed boxes, the hardest",
    )
    drop_background: bool = Field(False, description="leave out the points that the files mark as background")
    train: Literal["train"] = Field("train", description="the training files of the main split, for few-shot learning")
    val: Literal["test"] = Field("test", description="the test files of the main split, for evaluation")
    train_shards: int | None = Field(1, ge=1, description="files that the training objects are dealt out to")
    val_shards: int | None = Field(1, ge=1, description="files that the test objects are dealt out to")
