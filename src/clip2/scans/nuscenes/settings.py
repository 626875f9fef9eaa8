"""Settings of the nuScenes source."""

from pydantic import Field

from clip2.scans.splits import SplitSettings

SPLIT_HELP = (
    "an official split (train, val, test, mini_train, mini_val), `all`, `scene:NAME` or `sample:TOKEN`; "
    "several with commas"
)


class NuscenesSettings(SplitSettings):
    """What of a nuScenes data set is used, and as what."""

    version: str = Field("v1.0-trainval", description="name of the table folder under the data root")
    train: str = Field("train", description=f"what triplets are mined from: {SPLIT_HELP}")
    val: str = Field("val", description=f"what the evaluation is done on: {SPLIT_HELP}")
    categories: dict[str, str] = Field(
        {},
        description="for tables of other data sets in this form: their category → nuScenes' category or detection "
        "class, e.g. {car: vehicle.car} for Lyft's",
    )
    n_sweeps: int = Field(1, ge=1, description="LiDAR sweeps put together for a key frame; 1 is the key frame's own")
