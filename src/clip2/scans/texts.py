"""Text that people wrote or exported, whatever their editor and system: lists of names, JSON."""

import codecs
import difflib
import json
import re
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from clip2.runtime.errors import InputError
from clip2.scans.files import HEAD, SURE, absent, what_is

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Byte order mark → encoding; UTF-32's little-endian mark begins with UTF-16's, so it comes first."""
_ASCII = re.compile(r"[\w\n]", re.ASCII)
_BETWEEN = re.compile(r"[\s,;]+")
ENDINGS = (".jpg", ".jpeg", ".png", ".bin", ".npy", ".pcd", ".ply", ".las", ".mat", ".json", ".txt", ".sens")
"""Which a name in a list may have or lack."""
TOLD = 3


class Name(NamedTuple):
    """One name of a list, and the line that it stands in."""

    text: str
    line: int


def read_text(path: Path) -> str:
    """A text file: UTF-8 or, by its mark, UTF-16 or UTF-32; with or without a mark; lines end with ``\\n``.

    Raises:
        FileNotFoundError: no such file; its text says what is there instead.
        InputError: not text, or it may not be read.
    """
    try:
        if path.is_file():
            return decoded(path, path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    raise FileNotFoundError(absent(path))


def decoded(path: Path, data: bytes) -> str:
    """The text of a file whose bytes are there already; as :func:`read_text`."""
    encoding = next((encoding for mark, encoding in _MARKS if data.startswith(mark)), "utf-8")
    if encoding == "utf-8" and b"\0" in data[:4]:  # UTF-16 without its mark: a name's first letter is ASCII
        encoding = "utf-16-le" if data[1:2] == b"\0" else "utf-16-be"
    try:
        text = data.decode(encoding)
        # UTF-16 without one ASCII letter, digit or line end is no list of names.
        wrong = (
            "zero bytes" if "\0" in text else "" if encoding == "utf-8" or _ASCII.search(text) or not text else encoding
        )
    except UnicodeDecodeError as error:
        wrong = f"byte {error.start}: {error.reason}"
    if wrong:
        reason = f"is {kind}" if (kind := what_is(data)) else f"not a readable UTF-8 text file ({wrong})"
        raise InputError(f"{path}: {reason}")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_names(path: Path, known: Collection[str] = ()) -> list[Name]:
    """The names in a list, in order: one a line, or with blanks, commas or semicolons between; ``#`` begins a comment.

    Args:
        known: names that hold such signs themselves; one of them stands in a line of its own.

    Raises:
        FileNotFoundError: no such file.
        InputError: not text, or without a name.
    """
    text = read_text(path)
    if text and (kind := what_is(text[:HEAD].encode(), SURE)):
        raise InputError(f"{path}: is {kind}, and no list of names")
    names = [
        Name(word, number)
        for number, line in enumerate(text.split("\n"), 1)
        for word in ([line.strip()] if line.strip() in known else _words(line))
    ]
    if not names:
        raise InputError(f"{path}: is a list without a name; write one a line")
    return names


def _words(line: str) -> list[str]:
    words = (word.strip("\"'") for word in _BETWEEN.split(line.partition("#")[0]))
    return [word for word in words if word]


def plain(name: str) -> str:
    """A name as systems agree on it: forward slashes, and none at its ends; without the ending of a file."""
    name = name.replace("\\", "/").removeprefix("./").strip("/")
    return name[: -len(end)] if (end := PurePosixPath(name).suffix) and end.lower() in ENDINGS else name


def unknown_names(path: Path, unknown: Sequence[Name], known: Collection[str]) -> str:
    """What to say of names that mean nothing: the first few, where they stand and what may have been meant."""
    told = []
    for name in unknown[:TOLD]:
        near = [k for k in known if k.lower() == name.text.lower()] or difflib.get_close_matches(name.text, known, 1)
        told.append(f"line {name.line}: “{name.text}”" + (f" (is it “{near[0]}”?)" if near else ""))
    more = f", and {len(unknown) - TOLD} more" if len(unknown) > TOLD else ""
    return f"{path}: {'; '.join(told)}{more}"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = Counter(key for key, _ in pairs)
    if twice := [key for key, n in keys.items() if n > 1]:
        raise ValueError(f"the key {twice[0]!r} is there twice")
    return dict(pairs)


def read_json(path: Path, unique: bool = False) -> Any:
    """The content of a JSON file.

    Args:
        unique: refuse a key that is there twice, of which JSON's readers drop the first.

    Raises:
        FileNotFoundError: no such file.
        InputError: not JSON, or text in it that is none (half a character).
    """
    text = read_text(path)
    try:
        content = json.loads(text, object_pairs_hook=_unique if unique else None)
        if "\\u" in text:
            json.dumps(content, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise InputError(f"{path}: holds half a character (a lone \\ud800 to \\udfff); save it again") from None
    except (ValueError, RecursionError) as error:
        kind = what_is(text[:200].encode())
        reason = f"is {kind}" if kind else f"not JSON ({str(error) or 'nested too deeply'})"
        raise InputError(f"{path}: {reason}") from None
    return content
