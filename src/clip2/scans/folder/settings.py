"""Settings of the source `folder`: your own recordings."""

from pydantic import Field

from clip2.scans.splits import SplitSettings

SPLIT_HELP = "a list of splits/ (NAME for splits/NAME.txt), `train` or `val` without such lists, `all` or `scene:NAME`"


class FolderSettings(SplitSettings):
    """What of a folder of recordings is used, and as what."""

    train: str = Field("train", description=f"what triplets are mined from: {SPLIT_HELP}; several with commas")
    val: str = Field("val", description=f"what the evaluation is done on: {SPLIT_HELP}; several with commas")
    val_share: float = Field(
        0.2, ge=0, le=1, description="share of the scenes that is `val` where splits/ has no lists, by a stable hash"
    )
