"""Settings of the pretrain stage."""

from typing import Literal, Self

from pydantic import Field, model_validator

from clip2.runtime.settings import Settings


class PretrainSettings(Settings):
    """Which encoder, on which triplets, trained how."""

    encoder: Literal["pointnet2-tiny", "pointnet2-small", "pointnet2-base"] = Field(
        "pointnet2-base", description="preset of widths and group sizes; tiny trains on a CPU in minutes"
    )
    centroids: Literal["farthest", "strided"] = Field(
        "farthest", description="group centres: farthest point sampling, or points at even steps of their order"
    )
    size_input: bool = Field(True, description="give the encoder the crop's metric size")
    n_points: int = Field(1024, ge=8, le=8192, description="points a crop that the encoder sees")
    max_points: int = Field(1024, ge=8, le=65536, description="points a crop that are kept for training")

    min_points: int = Field(5, ge=1, description="crops with fewer points are not trained on")
    min_score: float = Field(0.0, ge=0, le=1, description="detections below this score are not trained on")
    names_from: Literal["views", "tracks"] = Field(
        "views",
        description="a triplet's label: the detector's for this view, or its track's, by detector and teacher over all "
        "views of the thing; views of one track are then not each other's negatives",
    )
    agreement: Literal["off", "drop-text", "drop", "relabel"] = Field(
        "off",
        description="where the teacher, shown the image crop, picks another label of the shard than the detector did: "
        "nothing / leave out of the text loss / drop the triplet / take the teacher's label",
    )
    holdout: float = Field(
        0.05,
        ge=0,
        lt=1,
        description="share of the scenes that is kept aside: on them the ensemble's weights are fitted",
    )
    balance: float = Field(
        0.0, ge=0, le=1, description="labels are drawn with frequency^(1-balance): 0 as they come, 1 all equally often"
    )

    epochs: int = Field(50, ge=1, description="passes over the triplets (as many draws as there are triplets)")
    batch_size: int = Field(1024, ge=2, description="triplets a step, of all processes together")
    lr: float = Field(1e-3, gt=0, description="peak learning rate")
    weight_decay: float = Field(0.05, ge=0, description="AdamW's weight decay, on matrices only")
    warmup: float = Field(0.05, ge=0, lt=1, description="share of the steps in which the learning rate rises")
    ema_decay: float = Field(0.999, ge=0, lt=1, description="decay of the averaged weights, which are those saved")
    text_weight: float = Field(0.5, ge=0, description="weight of the text-point loss")
    image_weight: float = Field(0.5, ge=0, description="weight of the image-point loss")
    temperature: float = Field(0.07, gt=0, description="both temperatures at the start")
    max_scale: float = Field(100.0, gt=1, description="upper limit of 1 / temperature")

    rotate_deg: float = Field(180.0, ge=0, le=180, description="random rotation about the vertical, either way")
    mirror: float = Field(0.5, ge=0, le=1, description="probability of mirroring")
    scale_min: float = Field(0.8, gt=0, description="smallest random scale")
    scale_max: float = Field(1.25, gt=0, description="largest random scale")
    jitter_m: float = Field(0.01, ge=0, description="standard deviation of the noise on coordinates, metres")
    dropout: float = Field(0.2, ge=0, lt=1, description="largest share of points left out at random")
    occlusion: float = Field(0.1, ge=0, lt=1, description="largest share of a crop's width that is hidden")

    seed: int = Field(0, ge=0, description="of weights, order and augmentation")
    checkpoint_seconds: float = Field(120.0, ge=0, description="time between checkpoints")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.scale_min > self.scale_max:
            raise ValueError("scale_min is above scale_max")
        if self.text_weight + self.image_weight == 0:
            raise ValueError("text_weight and image_weight are both 0: there is nothing to learn from")
        return self
