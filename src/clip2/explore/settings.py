"""Settings of the explorer: how much of each scan the page carries."""

from pydantic import Field

from clip2.runtime.settings import Settings


class ExplorerSettings(Settings):
    """How much of each scan the page carries. The defaults make a page of 25 MB of 150 samples with six cameras."""

    max_points: int | None = Field(
        None,
        ge=100,
        description="points of a sample; those in boxes are kept first, of the rest evenly in space. null: 16,000, and "
        "up to 60,000 where there are fewer than 150 samples",
    )
    picture_width: int = Field(800, ge=64, description="pixels; wider camera pictures are made this wide")
    picture_quality: int = Field(55, ge=1, le=95, description="WebP quality of camera pictures and crops")
    max_views: int = Field(12, ge=1, description="crops shown of a thing, the best first")
    max_bad_share: float = Field(0.01, ge=0, le=1, description="share of unreadable frames above which the stage fails")

    def points_of(self, n_samples: int) -> int:
        """Points kept of each of so many samples."""
        return self.max_points or min(60000, max(16000, 2_400_000 // max(1, n_samples)))
