"""Bytes of a file, or of a range of one: data sets pack thousands of images into a file, which stays packed."""

import re
from pathlib import Path

_RANGE = re.compile(r"^(?P<file>.+)#(?P<offset>\d+)\+(?P<size>\d+)$")


def byte_range(path: str, offset: int, size: int) -> str:
    """The path of ``size`` bytes from ``offset`` on in a file, as :func:`read_bytes` takes it."""
    return f"{path}#{offset}+{size}"


def read_bytes(path: Path) -> bytes:
    """All bytes of a file, or those of a range (``FILE#OFFSET+SIZE``); fewer where the file ends before.

    Raises:
        FileNotFoundError: no such file.
    """
    found = _RANGE.match(str(path))
    if found is None:
        if not path.is_file():
            raise FileNotFoundError(path)
        return path.read_bytes()
    with Path(found["file"]).open("rb") as file:
        file.seek(int(found["offset"]))
        return file.read(int(found["size"]))
