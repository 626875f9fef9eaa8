"""What to look for: a text file of names."""

from dataclasses import dataclass
from pathlib import Path

from clip2.errors import InputError


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


def read_vocabulary(path: Path) -> Vocabulary:
    """Read a vocabulary file: a name a line, ``#`` starts a comment, ``name | synonym, synonym`` adds words for it.

    Underscores become spaces. A box found by a synonym gets the name.

    Raises:
        InputError: the file is missing, not text or empty, or a name or synonym stands in it twice.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(
            f"{path}: no such vocabulary; set `vocabulary` to a text file with one name a line "
            "(resources/vocabularies/ holds some; relative paths start at the working directory)"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a readable UTF-8 text file ({error})") from None
    names: list[str] = []
    phrases: list[str] = []
    owner: list[int] = []
    line_of: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        name, _, synonyms = (_clean(part) for part in line.partition("#")[0].partition("|"))
        if not name:
            if synonyms:
                raise InputError(f"{path}, line {number}: synonyms without a name before the `|`")
            continue
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
