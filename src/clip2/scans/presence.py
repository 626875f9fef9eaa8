"""Which files that frames name are really there: links that lead nowhere, pointers and empty files are not.

Nothing is opened but small files: an entry of a folder says how large a file is.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clip2.scans.files import HEAD, absent, file_of, what_is

SMALL = 1024
"""Bytes; pictures and clouds are larger, pointers and error pages often are not."""


class Files:
    """Looks at files below a data root, each once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._found: dict[Path, tuple[str | None, int]] = {}

    def problem(self, name: str) -> str | None:
        """Why a file, or a range of one, cannot be what it should be; None where nothing speaks against it."""
        path, end = file_of(self._root / name)
        if path not in self._found:
            self._found[path] = _look(path)
        reason, size = self._found[path]
        return reason or (f"{path}: is cut short ({size:,} bytes of {end:,})" if size < end else None)


def _look(path: Path) -> tuple[str | None, int]:
    try:
        size = os.stat(path).st_size
    except (OSError, ValueError):
        return absent(path), 0
    if size >= SMALL:
        return None, size
    try:
        with path.open("rb") as file:
            kind = what_is(file.read(HEAD))
    except OSError as error:
        return f"{path}: cannot be read ({error.strerror})", size
    wrong = kind and not kind.endswith(("picture", "cloud", "PLY file", "MATLAB file", "(.npy)", "(.feather)"))
    return (f"{path}: is {kind}" if wrong else None), size


@dataclass
class Tally:
    """Files of one kind that some frames name."""

    wanted: set[str] = field(default_factory=set)
    missing: dict[str, str] = field(default_factory=dict)  # name → why
    bad_frames: int = 0

    def add(self, names: Iterable[str], files: Files) -> None:
        """Look at the files of this kind that one more frame names."""
        bad = False
        for name in names:
            self.wanted.add(name)
            if reason := files.problem(name):
                self.missing[name] = reason
                bad = True
        self.bad_frames += bad


KINDS = ("pictures", "clouds", "earlier sweeps")


def tally_of(frames: Iterable[Mapping[str, Any]], files: Files) -> tuple[int, dict[str, Tally]]:
    """Number of frames (store.schemas.FRAMES), and of each of ``KINDS`` what of their files is there."""
    tallies = {kind: Tally() for kind in KINDS}
    n = 0
    for frame in frames:
        n += 1
        clouds = [cloud["path"] for cloud in frame["clouds"]]
        for kind, names in zip(KINDS, ([frame["image_path"]], clouds[:1], clouds[1:]), strict=True):
            tallies[kind].add(names, files)
    return n, tallies
