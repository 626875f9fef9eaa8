"""Stage `publish`: a result or picture under its fixed name, and a word when that held another experiment's."""

import shutil
import sys
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from clip2.evaluate.result_file import made_from
from clip2.report.named import write_page
from clip2.runtime.errors import InputError
from clip2.store.atomic import atomic_path, read_json

_END = b"IEND\xaeB`\x82"
"""Of every PNG, and not verified by pillow."""
DESCRIPTION = "Description"
"""Key of a PNG's text that says what it was made from."""


def run(made: Path, out: Path, table: Path | None = None) -> None:
    """Copy a file to its fixed name; on standard error, say so if that held another experiment's.

    Args:
        table: page (.html) to write what a result says to, for people.

    Raises:
        InputError: the file is damaged.
    """
    try:
        read_json(made) if made.suffix == ".json" else _verify_picture(made)
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(f"{made}: damaged ({error}); delete it and run again") from None
    before, now = holds(out), holds(made)
    with atomic_path(out) as temporary:
        shutil.copyfile(made, temporary)
    if table is not None:
        write_page(out, table)
    if before and before != now:
        print(f"clip2: note: {out}: {_without(now, before)} in place of {_without(before, now)}", file=sys.stderr)


def _verify_picture(path: Path) -> None:
    with Image.open(path) as picture:
        picture.verify()
    if not path.read_bytes().endswith(_END):
        raise ValueError("it has no end")


def _without(one: str | None, other: str | None) -> str:
    """What of one experiment is not in another, too."""
    common = (other or "").split(", ")
    return ", ".join(part for part in (one or "unknown").split(", ") if part not in common) or "nothing else"


def holds(path: Path) -> str | None:
    """What a result (JSON) or picture (PNG) was made from; None where it does not say or is not there."""
    try:
        if path.suffix == ".json":
            return made_from(read_json(path)) or None
        with Image.open(path) as picture:
            return picture.info.get(DESCRIPTION)
    except (OSError, ValueError, AttributeError, UnidentifiedImageError):
        return None
