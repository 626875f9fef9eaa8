"""How lifted crops become named boxes."""

from typing import Literal

from pydantic import Field

from clip2.runtime.settings import Positive, Settings, Words


class BoxSettings(Settings):
    """How a box is fitted to a crop, and which named boxes are kept."""

    classes: Words = Field((), description="the classes to find; () those of the data set's benchmark")
    class_range: dict[str, Positive] = Field(
        {}, description="metres from the sensor; boxes of the class beyond are left out"
    )
    box_fit: Literal["l-shape", "axis-aligned"] = Field(
        "l-shape", description="yaw searched so that points lie near two sides, or boxes along the axes of the points"
    )
    trim: float = Field(0.02, ge=0, lt=0.5, description="share of points left out at either end of each box axis")
    min_size_m: float = Field(0.1, gt=0, description="smallest side of a fitted box")
    nms_iou: float = Field(
        0.25, ge=0, le=1, description="of two boxes of a class that overlap more in 3D, the worse is dropped"
    )
    min_score: float = Field(0.01, ge=0, le=1, description="boxes of a class with a lower score are left out")
    max_boxes: int = Field(500, ge=1, le=500, description="best boxes kept of a sample; nuScenes takes at most 500")
    batch_size: int = Field(256, ge=1, description="proposals in memory at a time")


class LabelSettings(Settings):
    """How tracks become named boxes."""

    names: tuple[str, ...] = Field(
        (),
        description="what things may be called; (): the names that the detector gave, which compete in any case",
    )
    points_weight: float = Field(
        0.3, ge=0, description="how much the point encoder's view of a thing counts beside the pictures' (1: as much)"
    )
    min_score: float = Field(0.1, ge=0, le=1, description="things whose best name is less probable are left out")
    trim: float = Field(0.02, ge=0, lt=0.5, description="share of points left out at either end of each box axis")
    surroundings: bool = Field(
        True,
        description="LiDAR: look into the whole clouds for the ground, and for points of things that no crop holds",
    )
    gap_m: float = Field(0.3, gt=0, description="metres between points of one thing that no crop holds and its others")
    reach_m: float = Field(4.0, ge=0, description="metres beyond its crops where a thing ends at the latest")
    usual_size: float = Field(
        0.8, gt=0, lt=1, description="quantile of well-seen things of a name: its height; its width where it is long"
    )
    well_seen_points: int = Field(40, ge=1, description="a thing with so many points shows how large its kind is")
    same_iou: float = Field(
        0.3, ge=0, le=1, description="of two things in a sample that overlap more in 3D, the less probable is left out"
    )
    batch_size: int = Field(256, ge=1, description="things in memory at a time")
