"""Settings of the lift stage."""

from typing import Any, Literal

from pydantic import Field

from clip2.runtime.settings import Settings


class LiftSettings(Settings):
    """How 2D boxes become point crops, and which crops are kept."""

    method: Literal["auto", "depth", "frustum", "frustum-dbscan"] = Field(
        "auto",
        description="depth: ours for depth cameras; frustum: ours for LiDAR; auto: the one for the source's sensor; "
        "frustum-dbscan: the paper's recipe, for comparison",
    )
    parameters: dict[str, Any] = Field({}, description="keyword arguments of the method, see docs/lifting.md")
    fill: bool = Field(
        False,
        description="depth cameras: crops hold all points of the upright box around an object, as people's boxes do; "
        "else its surface and what is near to it, from which encoders learn better",
    )
    min_points: int = Field(5, ge=1, description="crops with fewer points are dropped")
    max_points: int = Field(
        4096, ge=1, description="a crop with more points is thinned evenly to this many before it is written"
    )
    views: Literal["keep", "merge"] = Field(
        "keep",
        description="merge: crops of one object in several pictures whose points share a frame become one triplet; "
        "keep: they stay apart",
    )
    max_range: float = Field(80.0, gt=0, description="metres; crops farther from the camera (median) are dropped")
    min_sweep_range: float = Field(
        1.0,
        ge=0,
        description="metres; of earlier sweeps, points nearer to the sensor are the recording car and left out",
    )
    max_bad_share: float = Field(0.01, ge=0, le=1, description="share of unreadable frames above which the stage fails")
