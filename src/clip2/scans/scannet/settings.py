"""Settings of the ScanNet source."""

from pydantic import Field

from clip2.scans.splits import SplitSettings

SPLIT_HELP = "an official list (train, val, test), `all`, or `scene:ID`; several with commas"


class ScannetSettings(SplitSettings):
    """What of a ScanNet v2 data set is used, and as what."""

    train: str = Field("train", description=f"what triplets are mined from: {SPLIT_HELP}")
    val: str = Field("val", description=f"what the evaluation is done on: {SPLIT_HELP}")
    frame_skip: int = Field(20, ge=1, description="one frame in so many is used; scans have 30 a second")
    max_bad_share: float = Field(0.01, ge=0, le=1, description="share of missing frames above which the stage fails")
