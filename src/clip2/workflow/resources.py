"""What jobs ask for, growing with each attempt: a job that ran out of memory or time is tried again with more."""

from collections.abc import Callable, Mapping
from typing import Any

Amount = Callable[[Mapping[str, str], int], int]
"""Of a job's wildcards and the number of its attempt, from 1 on."""


def growing(amount: int) -> Amount:
    """So much on the first attempt, twice as much on the second, and so on."""
    return lambda wildcards, attempt: amount * attempt


def needs(mem_mb: int, hours: int = 0, minutes: int = 0, **others: Any) -> dict[str, Any]:
    """A rule's resources.

    Args:
        mem_mb: memory in MB on the first attempt.
        hours, minutes: time limit on the first attempt.
        others: what does not grow, like ``gpu``.
    """
    return {"mem_mb": growing(mem_mb), "runtime": growing(60 * hours + minutes), **others}
