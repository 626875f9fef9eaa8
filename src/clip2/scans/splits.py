"""Settings that every source of frames has: what is mined, what is evaluated, and into how many files it is dealt."""

from pydantic import Field

from clip2.runtime.settings import Settings

MOST_SHARDS = 10_000
"""Ten times as many take a run ten times as long to plan: with so many, a quarter of an hour."""


class SplitSettings(Settings):
    """Which scenes are used, and as what; each source says which words ``train`` and ``val`` take."""

    train: str = Field("train", description="what triplets are mined from")
    val: str = Field("val", description="what the evaluation is done on")
    train_shards: int | None = Field(
        None,
        ge=1,
        le=MOST_SHARDS,
        description="files (and jobs) that the mining scenes are dealt out to; null: by the number of frames",
    )
    val_shards: int | None = Field(None, ge=1, le=MOST_SHARDS, description="the same of the evaluation scenes")

    @property
    def n_shards(self) -> dict[str, int]:
        """Role → number of shards. The workflow counts frames and says it; a stage that is run by hand writes one."""
        return {"train": self.train_shards or 1, "val": self.val_shards or 1}
