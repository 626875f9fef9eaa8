"""What is searched for."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from clip2.runtime.errors import InputError


@dataclass(frozen=True)
class Query:
    """Phrases (a thing is as good as the best of them), what it must not be, or else examples to be like.

    Attributes:
        like: pictures on disk, or ids of mined tracks or triplets.
    """

    phrases: tuple[str, ...] = ()
    negatives: tuple[str, ...] = ()
    like: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """All of it in one line: "tire|wheel, not car"."""
        parts = ["|".join(self.phrases)] if self.phrases else ["like " + "|".join(self.like)]
        return ", ".join([*parts, *(f"not {word}" for word in self.negatives)])

    @property
    def file_name(self) -> str:
        """Letters and digits of it, the words joined by underscores: "plastic_bag"."""
        return re.sub(r"[\W_]+", "_", self.text.lower()).strip("_")[:120]


def make_query(phrases: Sequence[str], negatives: Sequence[str] = (), like: Sequence[str] = ()) -> Query:
    """A query of what was typed; in a phrase, `|` stands between several.

    Raises:
        InputError: nothing to search for, or both words and examples.
    """
    query = Query(_split(phrases), _split(negatives), tuple(like))
    if bool(query.phrases) == bool(query.like):
        raise InputError('give either words, as in `clip2 search "plastic bag"`, or examples, with --like')
    if query.like and query.negatives:
        raise InputError("--not goes with words; with --like there are none to weigh it against")
    return query


def _split(texts: Sequence[str]) -> tuple[str, ...]:
    phrases = (" ".join(part.replace("_", " ").split()) for text in texts for part in text.split("|"))
    return tuple(dict.fromkeys(filter(None, phrases)))
