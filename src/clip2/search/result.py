"""The file of a search: what was asked for, where, and what was found."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Hit(_Part):
    """A thing that was found, where its best view saw it."""

    rank: int = Field(ge=1)
    score: float = Field(description="0 to 1; of an example, the cosine")
    track_id: str = Field(description="the thing; where there are no tracks, its triplet")
    triplet_id: str = Field(description="the view that scores best")
    n_views: int = Field(ge=1, description="triplets that show it")
    source: str
    scene: str
    sample: str
    timestamp_us: int | None
    label: str = Field(description="what the track is called, or the detector's word for a single triplet")
    center: list[float] = Field(description="of its 3D box, metres, in the frame of the sample's points")
    size_lwh: list[float] = Field(description="metres, full sizes")
    yaw: float = Field(description="of the length, radians about z, counter-clockwise from x")
    n_points: int = Field(ge=1, description="points of the best view")
    frame_id: str
    box: list[float] = Field(description="xyxy, pixels of that picture")


class SearchResult(_Part):
    """All of a search."""

    kind: Literal["search"] = "search"
    query: str
    phrases: list[str]
    negatives: list[str]
    like: list[str] = Field(description="examples: pictures, tracks or triplets")
    source: str = Field(description="sources, joined by plus signs")
    source_kind: Literal["real", "built-in world"]
    mined_by: str = Field(description="detector.lifter")
    teacher: dict[str, Any]
    model: str | None = Field(None, description="the point encoder that took part")
    background: list[str] = Field(description="words that a thing may be instead")
    boxes_from: Literal["labels", "points"] = Field(description="where centers and sizes come from")
    counts: dict[str, int]
    hits: list[Hit]
    provenance: dict[str, Any]
