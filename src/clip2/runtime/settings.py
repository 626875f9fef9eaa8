"""Base of every stage's settings: immutable, typed, and unknown keys are refused by name."""

from collections import Counter
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

P = TypeVar("P", str, Path, None)
V = TypeVar("V")


class Settings(BaseModel):
    """A stage's slice of the configuration. Its fields become keys of config.yaml and flags of the command line."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _no_flag_for_a_number(cls, data: Any) -> Any:
        """YAML reads yes and on as true, which pydantic would take for 1."""
        for name, value in data.items() if isinstance(data, dict) else ():
            field = cls.model_fields.get(name)
            kinds = {field.annotation, *get_args(field.annotation)} if field else set()
            if isinstance(value, bool) and kinds & {int, float} and bool not in kinds:
                raise ValueError(f"{name} is {value}, and has to be a number")
        return data


def no_braces(path: P) -> P:
    """For validators of files that rules have as inputs: Snakemake takes braces in a path for wildcards.

    Raises:
        ValueError: it has braces.
    """
    if path is not None and set("{}") & set(str(path)):
        raise ValueError("Snakemake takes braces in a path for wildcards; rename it, or give a link to it")
    return path


def one_gap(template: str) -> str:
    """For validators of prompt templates.

    Raises:
        ValueError: not exactly one {}: without it, all names would get the same prompt.
    """
    if template.count("{}") != 1 or template.count("{") != 1 or template.count("}") != 1:
        raise ValueError(f"{template!r}: a prompt template holds exactly one {{}} and no other brace")
    return template


def distinct(values: tuple[V, ...]) -> tuple[V, ...]:
    """For validators of lists in which nothing may stand twice.

    Raises:
        ValueError: something does.
    """
    if twice := [value for value, n in Counter(values).items() if n > 1]:
        raise ValueError(f"{twice[0]!r} stands there twice")
    return values


Template = Annotated[str, AfterValidator(one_gap)]
"""A prompt in which a name takes the place of {}."""
Words = Annotated[tuple[str, ...], AfterValidator(distinct)]
Positive = Annotated[float, Field(gt=0)]
