"""Rows of nuScenes' tables, one at a time: 2.6 million of them as dictionaries would take several gigabytes."""

import json
import re
from collections.abc import Callable, Iterator
from operator import itemgetter
from pathlib import Path
from typing import Any, TextIO

from clip2.runtime.errors import InputError

Record = dict[str, Any]
BLOCK = 1 << 20
"""Characters read at a time; no single row of any table comes near it."""
_BEGINNING = re.compile(r"\s*\[\s*")
_AFTER_ROW = re.compile(r"\s*([,\]])\s*")


def _is_text(value: Any) -> bool:
    return type(value) is str and (value.isascii() or _encodes(value))


def _encodes(text: str) -> bool:
    """JSON can hold half a character."""
    try:
        return bool(text.encode())
    except UnicodeEncodeError:
        return False


def _is_text_or_none(value: Any) -> bool:
    return value is None or value == "" or _is_text(value)


def _is_count(value: Any) -> bool:
    return type(value) is int and abs(value) < 2**31


def _is_time(value: Any) -> bool:
    return type(value) is int and abs(value) < 2**62


def _is_size(value: Any) -> bool:
    return value is None or _is_count(value)


def _are_numbers(n: int) -> Callable[[Any], bool]:
    def check(value: Any) -> bool:
        if type(value) is not list or len(value) != n:
            return False
        return all(type(number) in _NUMBERS and -1e12 < number < 1e12 for number in value)  # NaN is in no range

    return check


_NUMBERS = (float, int)
_are_three, _are_four = _are_numbers(3), _are_numbers(4)


def _is_rotation(value: Any) -> bool:
    return _are_four(value) and 0.5 < sum(number * number for number in value) < 2


def _is_camera(value: Any) -> bool:
    """Three rows of three numbers; nothing for a LiDAR."""
    return type(value) is list and (not value or (len(value) == 3 and all(map(_are_three, value))))


_CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(("visibility_token", "prev", "next", "fine_name"), (_is_text_or_none, "text, or empty")),
    "is_key_frame": (lambda value: type(value) is bool, "true or false"),
    "timestamp": (_is_time, "a whole number"),
    **dict.fromkeys(("width", "height", "nbr_samples"), (_is_size, "a whole number, or null")),
    **dict.fromkeys(("num_lidar_pts", "num_radar_pts"), (_is_count, "a whole number")),
    **dict.fromkeys(("translation", "size"), (_are_three, "three numbers")),
    "rotation": (_is_rotation, "four numbers, a unit quaternion"),
    "camera_intrinsic": (_is_camera, "three rows of three numbers, or an empty list"),
}
"""Key → what its values have to be; all others are text."""


def rows(path: Path, *keys: str, optional: tuple[str, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The values of ``keys``, then of ``optional`` (None where a row has no such key), of each row of a table.

    Raises:
        InputError: the table is missing or cut short, or a row lacks one of ``keys`` or has a value of another kind.
    """
    wanted = (*keys, *optional)
    values_of = itemgetter(*keys) if len(keys) > 1 else lambda record: (record[keys[0]],)
    texts = [i for i, key in enumerate(wanted) if key not in _CHECKS]
    texts_of = itemgetter(*texts, *texts[:1]) if texts else lambda values: ()
    others = [(i, _CHECKS[key][0]) for i, key in enumerate(wanted) if key in _CHECKS]
    for number, record in enumerate(records(path)):
        try:
            values = values_of(record)
        except KeyError as error:
            raise InputError(f"{path}: row {number} has no {error}; unpack the table again") from None
        if optional:
            values += tuple(record.get(key) for key in optional)
        try:  # of millions of rows, nearly all pass here
            good = "".join(texts_of(values)).isascii()
        except TypeError:
            good = False
        if not good or not all(check(values[i]) for i, check in others):
            _refuse(path, number, wanted, values)
        yield values


def _refuse(path: Path, number: int, keys: tuple[str, ...], values: tuple[Any, ...]) -> None:
    """Name what is wrong with a row, if something is."""
    for key, value in zip(keys, values):
        check, expected = _CHECKS.get(key, (_is_text, "text"))
        if not check(value):
            told = json.dumps(value)[:80]
            raise InputError(f"{path}: row {number}: {key} has to be {expected}, not {told}; unpack the table again")


def records(path: Path, block: int = BLOCK) -> Iterator[Record]:
    """The objects of a file that holds one JSON array of them; memory holds two ``block`` of text at most.

    Raises:
        InputError: the file is missing, cut short or something else.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
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
        except (json.JSONDecodeError, RecursionError):
            after = None
        if after:
            if type(record) is not dict:
                raise ValueError(f"row {n} is no object")
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
