"""What stages read that no rule makes, as digests among their parameters, so that content decides what runs again.

Inputs of rules (source files, models, vocabularies, indexes) each have one: Snakemake goes by their dates, and an edit
may have an older one (``cp -p``, a clock set back). Of a data set there may be a million files, too many to be inputs:
there the names of recordings decide, and the contents of what people write (labels, poses, calibrations), as one
digest. A folder is listed, and a file read, only when its entry says that it changed since the last time; that is kept
in ``.snakemake``. What is only touched changes no digest.
"""

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from clip2.scans.once.files import sensors_of
from clip2.store.atomic import write_json

KNOWN = Path(".snakemake/clip2_listing.json")
"""Folder or file → its entry, and what it held then. Lost, it is made again, and the digests are the same."""
CONTENTS = "contents"
"""Key of the digests among a job's parameters."""
DEEPEST = 5
"""Folders below the data root that are listed."""
RECORDINGS = (".jpg", ".jpeg", ".png", ".bin", ".npy", ".pcd", ".ply", ".las")


class Watched(NamedTuple):
    """What decides of a stage: endings of files, in lower case.

    Attributes:
        names: whose names decide.
        states: whose size and time of change decide: they are large.
        contents: whose contents decide.
        within: folder that these have to lie in, at any depth; "" for any.
        part: what of a content decides.
    """

    names: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    contents: tuple[str, ...] = ()
    within: str = ""
    part: Callable[[bytes], bytes] = bytes


_MARKS = Watched(states=(".aggregation.json", ".segs.json", ".ply"), contents=(".txt",))
WATCHED: dict[tuple[str, str], tuple[Watched, ...]] = {
    ("folder", "frames"): (Watched(names=RECORDINGS, contents=(".txt",)),),
    ("folder", "annotations"): (Watched(names=RECORDINGS), Watched(contents=(".json",), within="labels")),
    ("once", "frames"): (Watched(names=(".jpg", ".bin"), contents=(".json",), within="data", part=sensors_of),),
    ("once", "annotations"): (Watched(contents=(".json",), within="data"),),
    ("argoverse2", "frames"): (
        Watched(names=(".jpg",), within="cameras"),
        Watched(names=(".feather",), within="lidar"),
        Watched(contents=("city_se3_egovehicle.feather",)),
        Watched(contents=(".feather",), within="calibration"),
    ),
    ("argoverse2", "annotations"): (
        Watched(names=(".feather",), within="lidar"),
        Watched(contents=("annotations.feather",)),
    ),
    ("scannet", "frames"): (Watched(states=(".sens",), contents=(".txt",)),),
    ("scannet", "annotations"): (_MARKS,),
    ("scannet", "objects"): (_MARKS,),
    ("sunrgbd", "frames"): (Watched(names=(".jpg", ".mat")), Watched(contents=(".txt",), within="calib")),
    ("sunrgbd", "annotations"): tuple(Watched(contents=(".txt",), within=name) for name in ("label", "label_v1")),
}
"""(kind of source, stage) → what decides. nuScenes' tables and the files of object sets are inputs of their rules."""


@cache  # a run asks for every job
def listing_digest(root: Path, kind: str, stage: str) -> str:
    """A digest of what a stage reads of a data root beside the index; "" where that is nothing."""
    watched = WATCHED.get((kind, stage), ())
    if not watched:
        return ""
    known, digest = _known(), hashlib.sha256()
    waiting = [(str(root), 0)]
    while waiting:
        folder, depth = waiting.pop()
        folders = known.folders(folder)
        for one in watched:
            if one.within and one.within not in folder[len(str(root)) :].split(os.sep):
                continue
            held = [known.names(folder, one.names)]
            for name in known.files(folder, one.states + one.contents):
                path = os.path.join(folder, name)
                large = one.states and name.lower().endswith(one.states)
                held.append(f"{name} {known.state(path) if large else known.content(path, one.part)}")
            if any(held):
                digest.update("\0".join([folder[len(str(root)) :], *held]).encode("utf-8", "surrogateescape"))
        if depth < DEEPEST:
            waiting += [(os.path.join(folder, name), depth + 1) for name in reversed(folders)]
    known.keep()
    return digest.hexdigest()[:16]


planned: dict[str, str] = {}
"""All that :func:`contents` has told in this process."""


@cache  # jobs of a rule share them
def contents(paths: tuple[str, ...]) -> str:
    """JSON object: path of a file → digest of what it holds. ``snakemake -n`` names those that changed."""
    known = _known()
    digests = {path: known.content(path) for path in sorted(set(paths))}
    known.keep()
    planned.update(digests)
    return json.dumps({CONTENTS: digests})


@cache
def _known() -> "_Known":
    return _Known()


class _Known:
    """What folders and files held when they were last looked at."""

    def __init__(self) -> None:
        self._held: dict[str, Any] = {}
        self._changed = False
        with suppress(OSError, ValueError):
            held = json.loads(KNOWN.read_text(encoding="utf-8"))
            self._held = held if isinstance(held, dict) else {}

    def _get(self, what: str, path: str, look: Callable[[], Any]) -> Any:
        """What a path holds: as it is known, where its entry in its folder is the same; None where it is not there."""
        try:
            status = os.stat(path)
            stamp = [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
            key = f"{what} {path}"
            if self._held.get(key, [None])[0] != stamp:
                self._held[key] = [stamp, look()]
                self._changed = True
            return self._held[key][1]
        except OSError:
            return None

    def folders(self, folder: str) -> list[str]:
        """Names of its folders, sorted; none of one that cannot be read, and no hidden ones."""
        return self._get("folders", folder, lambda: [name for name, inner in _entries(folder) if inner]) or []

    def files(self, folder: str, endings: tuple[str, ...]) -> list[str]:
        """Names of its files with these endings, sorted."""
        if not endings:
            return []
        return self._get(f"files {' '.join(endings)}", folder, lambda: _files(folder, endings)) or []

    def names(self, folder: str, endings: tuple[str, ...]) -> str:
        """A digest of :meth:`files`, which is all that is kept of many; "" where there is none."""

        def look() -> str:
            found = _files(folder, endings)
            return _digest("\n".join(found)) if found else ""

        return str(self._get(f"names {' '.join(endings)}", folder, look) or "") if endings else ""

    def content(self, path: str, part: Callable[[bytes], bytes] = bytes) -> str:
        """A digest of a file's content, or of what of it decides."""

        def look() -> str:
            if part is not bytes:
                return _digest(part(Path(path).read_bytes()))
            with open(path, "rb") as file:  # weights are large
                return hashlib.file_digest(file, "sha256").hexdigest()[:16]

        return str(self._get(f"content {part.__name__}", path, look))

    @staticmethod
    def state(path: str) -> str:
        """A file's size and time of change."""
        with suppress(OSError):
            status = os.stat(path)
            return f"{status.st_size} {status.st_mtime_ns}"
        return "None"

    def keep(self) -> None:
        """Write it down for the next time, where that can be done."""
        if self._changed and KNOWN.parent.is_dir():
            with suppress(Exception):  # without it the next look takes longer
                write_json(KNOWN, self._held)
            self._changed = False


def _entries(folder: str) -> list[tuple[str, bool]]:
    with os.scandir(folder) as found:
        return sorted((entry.name, entry.is_dir()) for entry in found if not entry.name.startswith("."))


def _files(folder: str, endings: tuple[str, ...]) -> list[str]:
    return [name for name, inner in _entries(folder) if not inner and name.lower().endswith(endings)]


def _digest(content: bytes | str) -> str:
    data = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
    return hashlib.sha256(data).hexdigest()[:16]
