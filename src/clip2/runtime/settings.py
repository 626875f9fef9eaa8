"""Base of every stage's settings: immutable, typed, and unknown keys are refused by name."""

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

P = TypeVar("P", str, Path, None)


class Settings(BaseModel):
    """A stage's slice of the configuration. Its fields become keys of config.yaml and flags of the command line."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def no_braces(path: P) -> P:
    """For validators of files that rules have as inputs: Snakemake takes braces in a path for wildcards.

    Raises:
        ValueError: it has braces.
    """
    if path is not None and set("{}") & set(str(path)):
        raise ValueError("Snakemake takes braces in a path for wildcards; rename it, or give a link to it")
    return path
