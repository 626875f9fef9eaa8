"""Settings that every source of frames has: what is mined, what is evaluated, and into how many files it is dealt."""

from pydantic import Field

from clip2.store.settings import Settings


class SplitSettings(Settings):
    """Which scenes are used, and as what; each source says which words ``train`` and ``val`` take."""

    train: str = Field("train", description="what triplets are mined from")
    val: str = Field("val", description="what the evaluation is done on")
    train_shards: int = Field(8, ge=1, description="files (and jobs) that the mining scenes are dealt out to")
    val_shards: int = Field(4, ge=1, description="files (and jobs) that the evaluation scenes are dealt out to")

    @property
    def n_shards(self) -> dict[str, int]:
        """Role → number of shards."""
        return {"train": self.train_shards, "val": self.val_shards}
