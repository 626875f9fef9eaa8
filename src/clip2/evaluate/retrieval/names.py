"""Which names are searched for, and what has one."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from clip2.label.words import canonical


def own_names(row: Mapping[str, Any]) -> tuple[str, ...]:
    """The names that an annotation or an object has by itself, the finest first: its fine name, its category's end."""
    given = (row["fine_name"], row["category"].split(".")[-1])
    return tuple(canonical(name) for name in given if name)


def choose_queries(
    names: Sequence[tuple[str, ...]], in_benchmark: Sequence[bool], asked: Sequence[str], min_objects: int
) -> list[str]:
    """The names to search for, in alphabetical order; each has at least ``min_objects`` objects.

    By default the finest name of everything outside the benchmark's classes: "tire" and not "debris", unless something
    is known as debris only.

    Args:
        names: of each object, the finest first.
        in_benchmark: of each object, whether it is of a class of the benchmark.
        asked: names to search for instead; () the default.
    """
    counts = Counter(name for mine in names for name in set(mine))
    if asked:
        wanted = {canonical(query) for query in asked}
    else:
        wanted = {mine[0] for mine, known in zip(names, in_benchmark, strict=True) if not known}
    return sorted(query for query in wanted if counts[query] >= min_objects)
