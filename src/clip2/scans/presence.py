"""Which files that frames name are really there: links that lead nowhere, pointers, other files and halves are not.

Of each file, its size, its first bytes and its last are looked at; nothing is decoded.
"""

import os
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from clip2.scans.clouds import cloud_complaint
from clip2.scans.files import MOST_BYTES, absent, file_of
from clip2.scans.images import picture_complaint

Look = Callable[[Path], str | None]
"""A file that is there → what speaks against it being what it should be."""


class Files:
    """Looks at files below a data root, each once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._found: dict[Path, tuple[str | None, int]] = {}

    def problem(self, name: str, look: Look) -> str | None:
        """Why a file, or a range of one, cannot be what it should be; None where nothing speaks against it."""
        path, end = file_of(self._root / name)
        if path not in self._found:
            self._found[path] = _problem(path, None if end else look)
        reason, size = self._found[path]
        return reason or (f"{path}: is cut short ({size:,} bytes of {end:,})" if size < end else None)


def _problem(path: Path, look: Look | None) -> tuple[str | None, int]:
    """What is wrong with a file, and its size; of one that holds many things, only whether it is there."""
    try:
        facts = os.stat(path)
        if not stat.S_ISREG(facts.st_mode):  # opening a pipe would wait for ever
            return absent(path), 0
        if look and facts.st_size > MOST_BYTES:
            return f"{path}: {facts.st_size:,} bytes, more than any scan or picture has", facts.st_size
        return (look(path) if look else None), facts.st_size
    except OSError as error:
        return (f"{path}: cannot be read ({error.strerror})" if path.exists() else absent(path)), 0
    except ValueError:
        return absent(path), 0


@dataclass
class Tally:
    """Files of one kind that some frames name."""

    wanted: set[str] = field(default_factory=set)
    missing: dict[str, str] = field(default_factory=dict)  # name → why
    bad_frames: int = 0

    def add(self, named: Iterable[tuple[str, Look]], files: Files) -> None:
        """Look at the files of this kind that one more frame names."""
        bad = False
        for name, look in named:
            self.wanted.add(name)
            if reason := files.problem(name, look):
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
        size = (frame["width"], frame["height"])
        picture: tuple[str, Look] = (frame["image_path"], partial(picture_complaint, size=size))
        clouds: list[tuple[str, Look]] = [(cloud["path"], _cloud_look(cloud)) for cloud in frame["clouds"]]
        for kind, named in zip(KINDS, ([picture], clouds[:1], clouds[1:]), strict=True):
            tallies[kind].add(named, files)
    return n, tallies


def _cloud_look(cloud: Mapping[str, Any]) -> Look:
    depth = cloud["depth"]
    if depth is None:
        return partial(cloud_complaint, format=cloud["format"])
    return partial(picture_complaint, size=(depth["width"], depth["height"]))
