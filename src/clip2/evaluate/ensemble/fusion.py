"""The ensemble of point, image and depth scores: how they are combined. Fitting is the stage's (evaluate.ensemble)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from clip2.runtime.errors import InputError
from clip2.store.atomic import read_json

Array = NDArray[Any]
MODALITIES = ("point", "image", "depth")


class Member(BaseModel):
    """One modality of the ensemble."""

    model_config = ConfigDict(extra="forbid")

    method: str = Field(description="the method whose scores these are")
    weight: float = Field(ge=0, le=1)
    scale: float = Field(gt=0, description="standard deviation of its centred scores on the sample")


class Fusion(BaseModel):
    """What the ensemble stage writes."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["ensemble"]
    members: dict[str, Member] = Field(description="by modality: point, image, depth")
    fitted_on: dict[str, Any] = Field(description="the sample of triplets, the grid and its best figures, a caution")
    provenance: dict[str, Any]


def read_fusion(path: Path) -> Fusion:
    """Read an ensemble file.

    Raises:
        InputError: missing or not such a file.
    """
    try:
        return Fusion.model_validate(read_json(path))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; make it with `clip2 ensemble`") from None
    except (ValidationError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: not an ensemble file ({reason}); make it with `clip2 ensemble`") from None


def fused(scores: Mapping[str, Array], fusion: Fusion) -> Array:
    """(n, C) scores of an ensemble from those of its methods, by method."""
    members = {name: (member.weight, member.scale) for name, member in fusion.members.items()}
    return combine({name: scores[member.method] for name, member in fusion.members.items()}, members)


def centre(scores: Array) -> Array:
    """(n, C) scores less their mean over the classes."""
    return np.asarray(scores - scores.mean(1, keepdims=True))


def combine(scores: Mapping[str, Array], members: Mapping[str, tuple[float, float]]) -> Array:
    """Σ weight · centred score / scale, over the modalities that could answer.

    Args:
        scores: modality → (n, C), rows of NaN where it could not answer.
        members: modality → (weight, scale).

    Returns:
        (n, C) float64; NaN where no modality answered. Where the weights of those that did are all 0, they count alike.
    """
    names = [name for name in members if name in scores]
    stacked = np.stack([centre(np.asarray(scores[name], np.float64)) / members[name][1] for name in names])
    answered = ~np.isnan(stacked).any(2)  # (modalities, n)
    weights = answered * np.array([members[name][0] for name in names])[:, None]
    weights = np.where(weights.sum(0) > 0, weights, answered)
    total = (np.where(np.isnan(stacked), 0, stacked) * weights[..., None]).sum(0)
    total[~answered.any(0)] = np.nan
    return np.asarray(total)
