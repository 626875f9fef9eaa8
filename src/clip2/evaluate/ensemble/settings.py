"""Settings of the ensemble stage."""

from pydantic import Field

from clip2.runtime.settings import Settings


class EnsembleSettings(Settings):
    """On how much the ensemble's weights are fitted, and how finely."""

    max_triplets: int = Field(
        2000,
        ge=2,
        description="size of the sample of triplets, thinned evenly: of scenes kept aside, else of all",
    )
    min_points: int = Field(5, ge=1, description="crops with fewer points are not used")
    grid: int = Field(10, ge=1, le=50, description="steps from 0 to 1 of each weight")
    batch_size: int = Field(64, ge=1, description="triplets in memory at a time")
