"""Settings of the built-in world's streets in ONCE's form."""

from typing import Annotated, Literal

from pydantic import Field

from clip2.runtime.settings import Settings
from clip2_world.seeds import FIRST_WORLD_SEED

CameraName = Literal["cam01", "cam03", "cam05", "cam06", "cam07", "cam08", "cam09"]


class OnceWorldSettings(Settings):
    """How much to make. The same settings give the same bytes."""

    train_scenes: int = Field(6, ge=0, le=400, description="sequences listed in ImageSets/train.txt")
    val_scenes: int = Field(4, ge=0, le=400, description="sequences listed in ImageSets/val.txt")
    frames: int = Field(6, ge=1, le=80, description="frames of each sequence, half a second apart")
    image_width: int = Field(768, ge=64, le=1920, description="pixels; images are 1920:1020")
    cameras: Annotated[tuple[CameraName, ...], Field(min_length=1)] = Field(
        ("cam01", "cam06", "cam08"), description="cameras that are written, of ONCE's seven"
    )
    first_seed: int = Field(
        4_000_000,
        ge=FIRST_WORLD_SEED,
        description="sequence number N has seed first_seed + N, and + 500,000 more in val",
    )
