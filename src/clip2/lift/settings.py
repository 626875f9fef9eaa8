"""Settings of the lift stage."""

from typing import Any, Literal

from pydantic import Field

from clip2.store.settings import Settings


class LiftSettings(Settings):
    """How 2D boxes become point crops, and which crops are kept."""

    method: Literal["frustum", "frustum-dbscan"] = Field(
        "frustum", description="frustum: ours; frustum-dbscan: the paper's recipe, for comparison"
    )
    parameters: dict[str, Any] = Field({}, description="keyword arguments of the method, see docs/lifting.md")
    min_points: int = Field(5, ge=1, description="crops with fewer points are dropped")
    max_range: float = Field(80.0, gt=0, description="metres; crops whose median point is farther are dropped")
    min_sweep_range: float = Field(
        1.0,
        ge=0,
        description="metres; of earlier sweeps, points nearer to the sensor are the recording car and left out",
    )
    max_bad_share: float = Field(0.01, ge=0, le=1, description="share of unreadable frames above which the stage fails")
