"""Settings of the built-in object sets."""

from pydantic import Field

from clip2.runtime.settings import Settings
from clip2_world.seeds import FIRST_WORLD_SEED


class ShapesSettings(Settings):
    """How many objects to make. The same settings give the same bytes."""

    train_objects: int = Field(20, ge=1, description="training objects of each class")
    val_objects: int = Field(10, ge=1, description="test objects of each class")
    pairs: int = Field(40, ge=1, description="pairs of each fine name")
    first_seed: int = Field(
        6_000_000, ge=FIRST_WORLD_SEED, description="what all objects are drawn from; others with another number"
    )
