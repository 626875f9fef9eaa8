"""Reading result files: the same errors for every kind of result."""

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from clip2.errors import InputError
from clip2.store.atomic import read_json

M = TypeVar("M", bound=BaseModel)


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
