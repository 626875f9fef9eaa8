"""Settings of the embed stage."""

from pydantic import Field, field_validator

from clip2.runtime.settings import Settings, Template, no_braces


class TeachSettings(Settings):
    """Which frozen vision-language model teaches, and how its texts are worded."""

    model: str = Field("ViT-L-14", description="open_clip architecture, hub id (hf-hub:org/name) or folder")
    pretrained: str | None = Field(None, description="name or file of the weights; only for an architecture")
    templates: tuple[Template, ...] = Field(
        ("a photo of a {}.",), min_length=1, description="prompt templates; a label's vector is the mean over them"
    )
    batch_size: int = Field(256, ge=1, description="crops a forward pass")

    _paths = field_validator("model")(no_braces)
