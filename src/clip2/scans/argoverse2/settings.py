"""Settings of the Argoverse 2 source."""

from pydantic import Field

from clip2.scans.splits import SplitSettings

SPLIT_HELP = "a split's folder (train, val, test), `all` or `scene:LOG`; several with commas"


class Argoverse2Settings(SplitSettings):
    """What of an Argoverse 2 sensor data set is used, and as what."""

    train: str = Field("train", description=f"what triplets are mined from: {SPLIT_HELP}")
    val: str = Field("val", description=f"what the evaluation is done on: {SPLIT_HELP}")
    every: int = Field(
        5, ge=1, description="take each n-th sweep of a log; of ten a second, five give two samples a second"
    )
