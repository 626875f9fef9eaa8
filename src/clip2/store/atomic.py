"""Writes that either happen or do not: a temporary file beside the target, fsync, rename."""

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from clip2.runtime.errors import NoRoom, no_room
from clip2.runtime.guard import check_publishing, is_gone, owner


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path in the same folder; on success it replaces ``path``, on an exception it is removed.

    Raises:
        NoRoom: there is no room for it, or it may not be written there.
        InputError: this job may not publish (clip2.runtime.guard); ``path`` stays as it was.
    """
    temporary = _beside(path, "part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        check_publishing()
        os.replace(temporary, path)
    except Exception as error:
        denied = isinstance(error, PermissionError) and error.filename in (str(temporary), str(path.parent))
        if reason := "no permission" if denied else no_room(error):
            raise NoRoom(f"{path}: cannot be written: {reason}; make room, or write elsewhere") from None
        raise
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder beside ``path``; on success it takes its place, on an exception it is removed.

    Whether what is there may go is the caller's to decide before.
    """
    path = path.absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary, old = _beside(path, "part"), _beside(path, "old")
    temporary.mkdir()
    try:
        yield temporary
        if path.exists():
            os.replace(path, old)
        os.replace(temporary, path)
    finally:
        for folder in (temporary, old):
            shutil.rmtree(folder, ignore_errors=True)


def _beside(path: Path, word: str) -> Path:
    return path.with_name(f".{path.name}.{owner()}.{word}")


_LEFT_OVER = re.compile(r"\.(?P<name>.+)\.(?P<owner>\d+-\d*-[^/]+)\.(?P<word>part|old)")
FORGOTTEN = 7 * 24 * 3600.0
"""Seconds after which a file that a job of another machine left as it is has been given up: no job takes a day."""


def remove_left_over(folder: Path) -> int:
    """Remove what jobs that were killed had not finished; how many files and folders that were.

    What belongs to a process that lives stays, and what belongs to one of another machine, unless it was forgotten. A
    folder that was being replaced is put back.
    """
    found = 0
    for at, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            if not (match := _LEFT_OVER.fullmatch(name)):
                continue
            path, gone = Path(at, name), is_gone(match["owner"])
            with suppress(OSError):
                if not (gone or (gone is None and _unchanged_for(path) > FORGOTTEN)):
                    continue
                if match["word"] == "old" and not (target := path.with_name(match["name"])).exists():
                    os.replace(path, target)
                elif path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()
                found += 1
        folders[:] = [name for name in folders if not _LEFT_OVER.fullmatch(name)]
    return found


def _unchanged_for(path: Path) -> float:
    """Seconds, by the clock that the file's own times are of: a file server has another than this machine."""
    with tempfile.NamedTemporaryFile(dir=path.parent) as now:
        last = max(inner.stat().st_mtime for inner in (path, *path.rglob("*")))
        return os.stat(now.name).st_mtime - last


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically: indented, keys in the order given, NaN refused."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False) + "\n")


SEAL = "sha256"
"""Last key of a sealed JSON object: the digest of all the others."""


def sealed(value: dict[str, Any]) -> dict[str, Any]:
    """A JSON object with a digest of itself."""
    value = json.loads(json.dumps(value, allow_nan=False))
    return value | {SEAL: _digest(value)}


def unsealed(value: Any) -> Any:
    """The same without its digest, which is compared; what has none is taken as it is.

    Raises:
        ValueError: it is not what its digest was taken of: one flipped bit is enough.
    """
    if isinstance(value, dict) and SEAL in value and value.pop(SEAL) != _digest(value):
        raise ValueError(f"it is not what was written: damaged, or edited by hand and its key {SEAL!r} not removed")
    return value


def _digest(value: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def write_sealed(path: Path, value: dict[str, Any]) -> None:
    """Write a JSON object with a digest of itself, which :func:`read_json` compares."""
    write_json(path, sealed(value))


def read_json(path: Path) -> Any:
    """Read a JSON file; of a sealed one, all but its digest.

    Raises:
        ValueError: it is no JSON, or not what its digest was taken of.
    """
    return unsealed(json.loads(Path(path).read_text(encoding="utf-8")))
