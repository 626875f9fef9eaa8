"""Settings of the tune stage."""

from typing import Literal

from pydantic import Field

from clip2.runtime.settings import Settings, Template


class TuneSettings(Settings):
    """Which baseline is tuned, on what, and how."""

    method: Literal["pointclip", "pointclip_v2", "clip2point"] = Field(
        "clip2point", description="the baseline: pointclip and pointclip_v2 get an adapter, clip2point a tower"
    )
    pre_trained_on: Literal["triplets", "pairs"] = Field(
        "triplets",
        description="mined triplets make the method's _tp variant; pairs (shapes and their pictures, in the form of "
        "triplets) make clip2point itself, and texts are not used",
    )
    model: str = Field("ViT-L-14", description="teacher: open_clip architecture, hub id (hf-hub:org/name) or folder")
    pretrained: str | None = Field(None, description="teacher's weights, by name or file; only for an architecture")
    templates: tuple[Template, ...] = Field((), description="prompt templates for the labels; () the method's own")
    max_triplets: int = Field(100_000, ge=0, description="more than these are thinned evenly; 0 takes all")
    min_points: int = Field(5, ge=1, description="crops with fewer points are not used")
    agreement: Literal["off", "drop"] = Field(
        "off", description="drop: leave out triplets whose picture the teacher calls another label, as in pretrain"
    )
    holdout: float = Field(
        0.05,
        ge=0,
        lt=1,
        description="share of the scenes that is kept aside: on them the ensemble's weights are fitted",
    )
    epochs: int = Field(20, ge=1, description="passes over the triplets")
    batch_size: int = Field(256, ge=2, description="triplets a step")
    forward_batch: int = Field(
        32,
        ge=1,
        description="pictures through the tower at a time; changes memory (about 0.26 GB each with ViT-L/14) and time, "
        "not the result",
    )
    lr: float | None = Field(
        None, gt=0, description="peak learning rate; null: 0.001 for an adapter, 0.00005 for a tower"
    )
    weight_decay: float = Field(0.05, ge=0, description="AdamW's weight decay, on matrices only")
    temperature: float = Field(0.07, gt=0, description="of all contrastive terms at the start")
    seed: int = Field(0, ge=0, description="of weights, order and views")
