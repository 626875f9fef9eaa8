"""The one error that users are meant to read."""

import errno
import re

_NO_ROOM = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the disk is read-only",
    errno.EFBIG: "the file is larger than is allowed here",
}
_WORDS = re.compile(
    r"(?:errno = |os error )(\d+)|No space left|PytorchStreamWriter failed|file write failed|unexpected pos"
)
"""What libraries say that lose the number."""


class InputError(Exception):
    """Something the user gave is missing or wrong. The message names the file or key, what is wrong and what to do.

    The command line prints it on one line, without a traceback, and exits with status 2.
    """


class NoRoom(InputError):
    """Nothing can be written. The process had better end without tidying up: HDF5 crashes on files it cannot finish."""


def no_room(error: BaseException) -> str | None:
    """Why nothing can be written, where that is what an error says; None where it says something else."""
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return _NO_ROOM[error.errno]
    of_library = isinstance(error, OSError | RuntimeError) or type(error).__name__ == "SafetensorError"
    found = _WORDS.search(str(error)) if of_library else None
    if found is None:
        return None
    return _NO_ROOM.get(int(found[1])) if found[1] else "the disk is full"
