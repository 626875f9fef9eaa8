"""What to look for: a text file of names."""

import csv
import re
from dataclasses import dataclass
from pathlib import Path

from clip2.runtime.errors import InputError
from clip2.scans.texts import read_json, read_text


@dataclass(frozen=True)
class Vocabulary:
    """Names, and the phrases (each name itself and its synonyms) by which they are looked for."""

    names: tuple[str, ...]
    phrases: tuple[str, ...]
    name_of_phrase: tuple[int, ...]  # phrase number → index into ``names``

    def index(self) -> dict[str, int]:
        """Name or synonym, lower case → index into ``names``."""
        return {phrase.lower(): name for phrase, name in zip(self.phrases, self.name_of_phrase)}


def _clean(text: str) -> str:
    """LVIS writes ``chest_of_drawers_(furniture)``: words are what a text encoder knows."""
    return " ".join(text.replace("_", " ").split())


_NAME_COLUMNS = {"name", "names", "class", "class_name", "category", "label"}
_NOT_A_NAME = re.compile(
    r"[,;\t<>{}\[\]=\x00-\x08\x0e-\x1f]|^[-*+•] |^\d+\s*[:)]\s*\D|^\d+\s*\.\s|:\s*$|^.{200}"
    r"|^[^\W\d_]{2,}(\s*\.\s+[^\W\d_]{2,}){2,}"
)
"""Signs of other forms: several names in a line, HTML, JSON, YAML, protobuf text, lists with numbers or bullets."""
_DOT = re.compile(r"\s+\.\s*|(?<=[^\W\d_]{2})\.(?:\s+|(?=[^\W\d_]{2})|$)")
"""Between the names of a prompt such as ``car. bus.``; not that of ``U.S. mailbox``."""


def read_vocabulary(path: Path) -> Vocabulary:
    """Read a vocabulary file: a name a line, ``#`` starts a comment, ``name | synonym, synonym`` adds words for it.

    Underscores become spaces. A box found by a synonym gets the name. Names alone may also be quoted, a JSON list, one
    line with commas, semicolons or full stops between, the column ``name`` of a CSV file, or a COCO data set's
    ``categories``.

    Raises:
        InputError: the file is missing, not text or empty, a line is of another form, or a name stands in it twice.
    """
    path = Path(path)
    try:
        text = read_text(path)
    except FileNotFoundError:
        raise InputError(
            f"{path}: no such vocabulary; set `vocabulary` to a text file with one name a line "
            "(resources/vocabularies/ holds some; relative paths start at the working directory)"
        ) from None
    except OSError as error:
        raise InputError(f"{path}: not a readable text file ({error})") from None
    names: list[str] = []
    phrases: list[str] = []
    owner: list[int] = []
    line_of: dict[str, int] = {}
    for number, line in enumerate(_lines(path, text), 1):
        name, _, synonyms = (part.strip() for part in line.partition("#")[0].partition("|"))
        if len(name) > 2 and name[0] == name[-1] and name[0] in "\"'":
            name = name[1:-1].strip()
        if _NOT_A_NAME.search(name):
            raise _not_a_name(path, number, name)
        if not _clean(name):
            if synonyms:
                raise InputError(f"{path}, line {number}: synonyms without a name before the `|`")
            continue
        name = _clean(name)
        for phrase in (name, *filter(None, map(_clean, synonyms.split(",")))):
            if first := line_of.get(phrase.lower()):
                raise InputError(f"{path}, line {number}: “{phrase}” already stands in line {first}; keep one of them")
            line_of[phrase.lower()] = number
            phrases.append(phrase)
            owner.append(len(names))
        names.append(name)
    if not names:
        raise InputError(f"{path}: holds no name; write one a line")
    return Vocabulary(tuple(names), tuple(phrases), tuple(owner))


def _lines(path: Path, text: str) -> list[str]:
    """The lines of a vocabulary; a line a name where the file is of one of the other forms."""
    if text.lstrip().startswith(("[", "{")):
        found = read_json(path)
        if isinstance(found, dict):
            found = found.get("categories")  # of COCO
        names = [entry.get("name") if isinstance(entry, dict) else entry for entry in found or ()]
        if not isinstance(found, list) or not all(isinstance(name, str) for name in names):
            raise InputError(f"{path}: is JSON, but not a list of names; write one name a line")
        return [str(name) for name in names]
    lines = text.split("\n")
    filled = [line for line in lines if line.partition("#")[0].strip()]
    head = [word.strip("\"' ").lower() for word in filled[0].split(",")] if filled else []
    if len(filled) == 1 and "|" not in filled[0]:
        only = filled[0].partition("#")[0]
        parts = re.split(r"[,;]", only) if re.search(r"[,;]", only) else _DOT.split(only)
        return [part.strip(" \t\"'") for part in parts]
    if len(head) > 1 and (columns := [i for i, word in enumerate(head) if word in _NAME_COLUMNS]):
        return ["", *(row[columns[0]] if len(row) > columns[0] else "" for row in list(csv.reader(filled))[1:])]
    written = [line.partition("#")[0].strip() for line in filled]
    if _are_numbered(written):
        raise _not_a_name(path, lines.index(filled[0]) + 1, written[0])
    if len(written) > 1 and all(name.endswith(".") for name in written):
        return [line.partition("#")[0].strip().removesuffix(".") for line in lines]
    return lines


def _are_numbered(names: list[str]) -> bool:
    """``0 car``, ``1 bus`` …, or ``1.car``, ``2.bus``; not ``1 euro coin``, ``2 euro coin``."""
    found = [re.match(r"(\d+)(?:\s+|\.(?!\d)\s*)(.+)", name) for name in names]
    numbered = [(int(match[1]), match[2]) for match in found if match]
    first = numbered[0][0] if numbered else -1
    return (
        len(names) > 1
        and first in (0, 1)
        and [number for number, _ in numbered] == list(range(first, first + len(names)))
        and len({rest for _, rest in numbered}) == len(names)
    )


def _not_a_name(path: Path, number: int, text: str) -> InputError:
    return InputError(
        f"{path}, line {number}: “{text[:60]}” is not one name; write one a line, without numbers or bullets, synonyms "
        "behind a `|`"
    )
