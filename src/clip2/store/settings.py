"""Base of every stage's settings: immutable, typed, and unknown keys are refused by name."""

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """A stage's slice of the configuration. Its fields become keys of config.yaml and flags of the command line."""

    model_config = ConfigDict(extra="forbid", frozen=True)
