"""Settings of the ModelNet40 source."""

from typing import Literal

from pydantic import Field

from clip2.scans.splits import SplitSettings


class Modelnet40Settings(SplitSettings):
    """How a ModelNet40 data set (the HDF5 variant with 2,048 points) is dealt out."""

    train: Literal["train"] = Field("train", description="what train_files.txt lists, for few-shot learning")
    val: Literal["test"] = Field("test", description="what test_files.txt lists, for evaluation")
    train_shards: int | None = Field(1, ge=1, description="files that the training objects are dealt out to")
    val_shards: int | None = Field(1, ge=1, description="files that the test objects are dealt out to")
