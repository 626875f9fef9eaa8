"""What is peculiar about the files of a recording: told once, of the first one, and again by ``clip2 check``."""

import logging

log = logging.getLogger(__name__)
_TOLD: dict[str, str] = {}


def peculiarities() -> list[str]:
    """What was peculiar about the files read so far, in words."""
    return list(_TOLD.values())


def tell_once(what: str, words: str) -> None:
    """Of all files of a recording, the first says it."""
    if what not in _TOLD:
        _TOLD[what] = words
        log.warning("%s", words)
