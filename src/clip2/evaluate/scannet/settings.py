"""Settings of the ScanNet recognition benchmark."""

from pydantic import Field

from clip2.runtime.settings import Settings


class ScannetObjectsSettings(Settings):
    """Which marked objects are recognised, and which picture they get."""

    min_points: int = Field(1, ge=1, description="objects with fewer mesh vertices are left out")
    min_visible_share: float = Field(
        0.1, ge=0, le=1, description="a frame sees an object when this share of its vertices is unoccluded in it"
    )
    in_camera_only: bool = Field(False, description="leave out objects that no frame sees")
    max_bad_share: float = Field(0.01, ge=0, le=1, description="share of unreadable frames above which the stage fails")
