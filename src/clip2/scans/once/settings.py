"""Settings of the ONCE source."""

from pydantic import Field

from clip2.scans.splits import SplitSettings

SPLIT_HELP = (
    "a list of ImageSets (train, val, test, raw_small, raw_medium, raw_large), `all` or `scene:SEQUENCE`; "
    "several with commas"
)


class OnceSettings(SplitSettings):
    """What of a ONCE data set is used, and as what."""

    train: str = Field("train", description=f"what triplets are mined from: {SPLIT_HELP}")
    val: str = Field("val", description=f"what the evaluation is done on: {SPLIT_HELP}")
    annotated_only: bool = Field(True, description="leave frames without human boxes out of the evaluation's frames")
    undistort: bool = Field(
        True, description="take out the lens distortion that the calibration gives; false where the pictures have none"
    )
