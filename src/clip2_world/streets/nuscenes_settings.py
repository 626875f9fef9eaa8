"""Settings of the built-in world."""

from pydantic import Field

from clip2.runtime.settings import Settings
from clip2_world.seeds import FIRST_WORLD_SEED


class WorldSettings(Settings):
    """How much of the world to make. The same settings give the same bytes."""

    version: str = Field("v1.0-trainval", pattern=r"^v1\.0-\w+$", description="nuScenes version folder to write")
    train_scenes: int = Field(10, ge=0, le=700, description="scenes with names of nuScenes' official train split")
    val_scenes: int = Field(4, ge=0, le=150, description="scenes with names of nuScenes' official val split")
    key_frames: int = Field(8, ge=1, le=80, description="key frames in each scene, half a second apart")
    image_width: int = Field(800, ge=64, le=1600, description="pixels; images are 16:9")
    sweeps_per_key_frame: int = Field(
        0, ge=0, le=9, description="LiDAR sweeps between two key frames; 9 is 20 a second, as in nuScenes"
    )
    first_seed: int = Field(
        2_000_000, ge=FIRST_WORLD_SEED, description="scene-NNNN has seed first_seed + NNNN, and + 500,000 more in val"
    )
