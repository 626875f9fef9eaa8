"""What all kinds of result file have in common: no unknown keys, and the same errors when they are read."""

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from clip2.errors import InputError
from clip2.store.atomic import read_json

M = TypeVar("M", bound=BaseModel)


class ResultPart(BaseModel):
    """A part of a result file; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid")


def read_result_file(path: Path, model: type[M], what: str) -> M:
    """A result file of one form; ``what`` it should be, for the message.

    Raises:
        InputError: missing, not JSON, or not such a result.
    """
    try:
        return model.model_validate(read_json(path))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; make it with `snakemake {path}`") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise InputError(f"{path}: not a {what} ({key}: {first['msg']}); make it again") from None
    except ValueError as error:
        raise InputError(f"{path}: not readable as JSON ({error}); make it again") from None
