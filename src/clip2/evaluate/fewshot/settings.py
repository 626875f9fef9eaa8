"""Settings of the `fewshot` stage."""

from typing import Literal, Self

from pydantic import Field, model_validator

from clip2.evaluate.settings import MeasuredSettings
from clip2.runtime.settings import Template, Words

FewshotMethod = Literal["zeroshot", "clip2_linear", "clip2_finetune", "teacher_2d_linear"]


class FewshotSettings(MeasuredSettings):
    """How many annotated objects are learnt from, and how."""

    methods: tuple[FewshotMethod, ...] = Field(
        ("zeroshot", "clip2_linear", "clip2_finetune", "teacher_2d_linear"),
        min_length=1,
        description="methods, all on the same shots and the same objects",
    )
    classes: Words = Field((), description="the classes to choose from; () those of the data set's benchmark")
    names: dict[str, str] = Field(
        {}, description="words for a class in the prompts; a class that is not here is its name, underscores as spaces"
    )
    templates: tuple[Template, ...] = Field(
        (), description="prompt templates, averaged; () those that the model was trained with"
    )
    shots: tuple[int, ...] = Field((1, 2, 4, 8, 16), min_length=1, description="training objects a class, rising")
    n_seeds: int = Field(5, ge=1, description="draws of the training objects; results are mean and spread over them")
    seed: int = Field(0, ge=0, description="of the first draw; the others follow")
    linear_c: float = Field(
        10.0, gt=0, description="inverse L2 strength of the linear probes, as scikit-learn's C; never tuned on val"
    )
    finetune_steps: int = Field(100, ge=1, description="optimiser steps of a fine-tuning, for every number of shots")
    finetune_batch: int = Field(64, ge=2, description="training objects a step, at most")
    finetune_lr: float = Field(1e-4, gt=0, description="learning rate at the start; half a cosine down to 0")
    batch_size: int = Field(256, ge=1, description="objects in a forward pass")

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if list(self.shots) != sorted(set(self.shots)) or self.shots[0] < 1:
            raise ValueError("shots must be rising numbers from 1 on")
        return self
