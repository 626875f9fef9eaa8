"""Settings of the `localization` stage. Defaults are the nuScenes detection benchmark's."""

from typing import Literal

from pydantic import Field

from clip2.evaluate.settings import NUSCENES_CLASS_RANGE
from clip2.store.settings import Settings

LocalizeMethod = Literal["clip2", "teacher_2d", "detector", "chance"]


class LocalizeSettings(Settings):
    """How proposals become boxes, how they are named, and what they are held against."""

    methods: tuple[LocalizeMethod, ...] = Field(
        ("clip2", "teacher_2d", "detector", "chance"), min_length=1, description="who names the proposals"
    )
    classes: tuple[str, ...] = Field((), description="the classes to find; () those of the data set's benchmark")
    names: dict[str, str] = Field(
        {}, description="words for a class in the prompts; a class that is not here is its name, underscores as spaces"
    )
    other_names: tuple[str, ...] = Field(
        (), description="names of other things, which compete with the classes for a proposal and are then left out"
    )
    templates: tuple[str, ...] = Field(
        (), description="prompt templates, averaged; () those that the model was trained with"
    )
    synonyms: dict[str, str] = Field(
        {}, description="detector's label → class, for words that no annotation of the class has"
    )
    class_range: dict[str, float] = Field(
        NUSCENES_CLASS_RANGE,
        description="metres from the sensor; boxes of the class beyond are left out, annotated or not",
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
    official: bool = Field(True, description="for nuScenes: also run the devkit's own evaluation (docs)")
    version: str = Field("v1.0-trainval", description="for nuScenes: name of the table folder under the data root")
    batch_size: int = Field(256, ge=1, description="proposals in memory at a time")
