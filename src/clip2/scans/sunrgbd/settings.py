"""Settings of the SUN RGB-D source."""

from typing import Literal

from pydantic import Field

from clip2.scans.splits import SplitSettings

SPLIT_HELP = (
    "train (alltrain, 5285 frames), val (alltest, 5050), trainval_train, trainval_val (the halves of trainvalsplit), "
    "`all` or `frame:NAME`; several with commas"
)


class SunrgbdSettings(SplitSettings):
    """What of SUN RGB-D is used, and as what."""

    train: str = Field("train", description=f"what triplets are mined from: {SPLIT_HELP}")
    val: str = Field("val", description=f"what the evaluation is done on: {SPLIT_HELP}")
    labels: Literal["v2", "v1"] = Field("v2", description="version of the human boxes; v2 is the corrected one")
    max_bad_share: float = Field(0.01, ge=0, le=1, description="share of missing frames above which the stage fails")
