"""Rows of nuScenes' tables, one at a time: 2.6 million of them as dictionaries would take several gigabytes."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from clip2.errors import InputError

Record = dict[str, Any]
BLOCK = 1 << 20
"""Characters read at a time; no single row of any table comes near it."""
_BEGINNING = re.compile(r"\s*\[\s*")
_AFTER_ROW = re.compile(r"\s*([,\]])\s*")


def rows(path: Path, *keys: str, optional: tuple[str, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The values of ``keys``, then of ``optional`` (None where a row has no such key), of each row of a table.

    Raises:
        InputError: the table is missing or cut short, or a row lacks one of ``keys``.
    """
    for number, record in enumerate(records(path)):
        try:
            values = [record[key] for key in keys]
        except KeyError as error:
            raise InputError(f"{path}: row {number} has no {error}; unpack the table again") from None
        yield (*values, *(record.get(key) for key in optional))


def records(path: Path, block: int = BLOCK) -> Iterator[Record]:
    """The objects of a file that holds one JSON array of them; memory holds two ``block`` of text at most.

    Raises:
        InputError: the file is missing, cut short or something else.
    """
    try:
        with path.open(encoding="utf-8") as file:
            yield from _objects(file, block)
    except FileNotFoundError:
        raise InputError(f"{path.parent}: table {path.name} is missing; unpack it again") from None
    except ValueError as error:
        raise InputError(f"{path.parent}: table {path.name} is not readable ({error}); unpack it again") from None


def _objects(file: TextIO, block: int) -> Iterator[Record]:
    decode = json.JSONDecoder().raw_decode
    text, at, n = file.read(block), 0, 0
    if not (beginning := _BEGINNING.match(text)):
        raise ValueError("it does not begin with '['")
    text = text[beginning.end() :]
    while True:
        try:
            record, end = decode(text, at)
            after = _AFTER_ROW.match(text, end)
        except json.JSONDecodeError:
            after = None
        if after:
            yield record
            n, at = n + 1, after.end()
            if after[1] == "]":
                return
            continue
        # The row goes on in the next block, or else it is broken.
        rest = text[at:].lstrip()
        if n == 0 and rest.startswith("]"):
            return
        following = file.read(block)
        if not following or len(rest) > block:
            raise ValueError(f"row {n} is broken or cut short")
        text, at = (rest + following).lstrip(), 0
