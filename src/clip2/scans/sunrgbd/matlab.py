"""MATLAB files (version 5) as arrays. ``scipy.io`` unpickles nothing."""

import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from clip2.errors import InputError
from clip2.scans.files import read_bytes


class MatlabError(Exception):
    """A file that is damaged, or none of MATLAB's."""


def load(path: Path, *names: str) -> dict[str, Any]:
    """The variables of these names that the file has.

    Raises:
        MatlabError: it cannot be read.
        FileNotFoundError: no such file.
    """
    data = read_bytes(path)  # scipy itself would go on to try NAME.mat
    try:
        return {name: value for name, value in loadmat(BytesIO(data), variable_names=names).items() if name in names}
    except (MatReadError, zlib.error, ValueError, TypeError, IndexError, NotImplementedError, OSError) as error:
        raise MatlabError(f"{path}: not a readable MATLAB 5 file ({error})") from None


def read_variables(path: Path, *names: str, optional: tuple[str, ...] = ()) -> dict[str, NDArray]:
    """Variables by name: a cell array is an object array, a struct array a structured one; ``[]`` may be of any type.

    Args:
        names: must be there.
        optional: are left out where they are not.

    Raises:
        InputError: missing, damaged or without one of ``names``.
    """
    try:
        variables = load(path, *names, *optional)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; unpack SUN RGB-D's metadata again") from None
    except MatlabError as error:
        raise InputError(f"{error}; download it again") from None
    for name in names:
        if name not in variables:
            raise InputError(f"{path}: holds no variable {name!r}; it is not the file that its name says")
    return {name: np.asarray(value) for name, value in variables.items()}


def text(value: ArrayLike) -> str:
    """A MATLAB string; "" for an empty one."""
    parts = np.ravel(np.asarray(value))
    return str(parts[0]) if len(parts) else ""


def numbers(value: ArrayLike, size: int) -> NDArray[np.float64] | None:
    """``size`` finite numbers as a vector in row-major order, or None where the field is empty or something else."""
    array = np.asarray(value)
    if array.dtype.kind not in "fiu" or array.size != size or not np.isfinite(array).all():
        return None
    return array.astype(np.float64).ravel()
