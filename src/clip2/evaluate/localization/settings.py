"""Settings of the `localization` stage. Defaults are the nuScenes detection benchmark's."""

from typing import Literal

from pydantic import Field

from clip2.evaluate.settings import NUSCENES_CLASS_RANGE, MeasuredSettings
from clip2.label.settings import BoxSettings
from clip2.runtime.settings import Positive, Template

LocalizeMethod = Literal["clip2", "teacher_2d", "detector", "chance"]


class LocalizeSettings(MeasuredSettings, BoxSettings):
    """How proposals become boxes, how they are named, and what they are compared with."""

    methods: tuple[LocalizeMethod, ...] = Field(
        ("clip2", "teacher_2d", "detector", "chance"), min_length=1, description="who names the proposals"
    )
    names: dict[str, str] = Field(
        {}, description="words for a class in the prompts; a class that is not here is its name, underscores as spaces"
    )
    other_names: tuple[str, ...] = Field(
        (), description="names of other things, which compete with the classes for a proposal and are then left out"
    )
    templates: tuple[Template, ...] = Field(
        (), description="prompt templates, averaged; () those that the model was trained with"
    )
    synonyms: dict[str, str] = Field(
        {}, description="detector's label → class, for words that no annotation of the class has"
    )
    class_range: dict[str, Positive] = Field(
        NUSCENES_CLASS_RANGE,
        description="metres from the sensor; boxes of the class beyond are left out, annotated or not",
    )
    official: bool = Field(True, description="for nuScenes: also run the devkit's own evaluation (docs)")
    version: str = Field("v1.0-trainval", description="for nuScenes: name of the table folder under the data root")
