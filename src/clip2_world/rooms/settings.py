"""Settings of the built-in world's rooms."""

from pydantic import Field

from clip2.runtime.settings import Settings
from clip2_world.seeds import FIRST_WORLD_SEED

MAX_SCENES = 5_000
"""Rooms of a split, at most: their four-digit numbers are from 0 on in train, from here on in val."""


class RoomsSettings(Settings):
    """How many rooms to scan, and how. The same settings give the same bytes."""

    train_scenes: int = Field(60, ge=0, le=MAX_SCENES, description="rooms of the train split")
    val_scenes: int = Field(20, ge=0, le=MAX_SCENES, description="rooms of the val split")
    frames_per_scene: int = Field(
        1, ge=1, le=200, description="pictures of each room: 1 or 2 in SUN RGB-D's form, about 8 in ScanNet's"
    )
    image_width: int = Field(560, ge=64, le=1296, description="pixels; images are 4:3")
    first_seed: int = Field(
        3_000_000, ge=FIRST_WORLD_SEED, description="room N has seed first_seed + N, and + 500,000 more in val"
    )
