"""Settings of the `retrieval` stage."""

from typing import Literal

from pydantic import Field

from clip2.evaluate.settings import MeasuredSettings
from clip2.runtime.settings import Template, Words

RetrievalMethod = Literal["clip2", "teacher_2d", "chance"]


class RetrievalSettings(MeasuredSettings):
    """What is searched for by name among all annotated objects."""

    methods: tuple[RetrievalMethod, ...] = Field(
        ("clip2", "teacher_2d", "chance"), min_length=1, description="who ranks the objects"
    )
    queries: Words = Field(
        (), description="names to search for; () every fine name or category outside the benchmark's classes"
    )
    names: dict[str, str] = Field({}, description="other words for a name in the prompts")
    templates: tuple[Template, ...] = Field(
        (), description="prompt templates, averaged; () those that the model was trained with"
    )
    ks: tuple[int, ...] = Field(
        (1, 5, 10, 20, 50), min_length=1, description="recall is reported after so many objects"
    )
    min_objects: int = Field(1, ge=1, description="names with fewer objects are not searched for")
    batch_size: int = Field(256, ge=1, description="objects in memory at a time")
