"""Command `import`: recordings of another form become folders that the source `folder` reads (docs/imports.md)."""

from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from clip2.imports.formats import FORMATS
from clip2.imports.scene_folder import SceneFolder
from clip2.imports.settings import ImportSettings
from clip2.runtime.errors import InputError
from clip2.scans.folder.files import CALIBRATION, Scene
from clip2.scans.folder.survey import try_scene
from clip2.store.atomic import atomic_folder


class Recording(NamedTuple):
    """One recording: what its folder is called, and what writes it.

    Attributes:
        write: raises InputError where the recording cannot be right.
    """

    name: str
    write: Callable[[SceneFolder], None]


def import_recordings(
    format: str, source: Path, out: Path, settings: ImportSettings, replace: bool = False
) -> Iterator[str]:
    """Write ``out/NAME`` of each recording, whole or not at all; what was written, left out and looks odd, a line each.

    Args:
        format: a key of ``FORMATS``.
        source: what the format is read from.
        out: data root of a source `folder`; recordings that it has stay.
        replace: whether recordings of the same names may go.

    Raises:
        InputError: a recording cannot be right, or is there already.
    """
    if (out / CALIBRATION).exists():
        raise InputError(f"{out / CALIBRATION}: is there, so that {out} is a recording itself; name another --out")
    found: Sequence[Recording] = import_module(FORMATS[format].module).recordings(source, settings)
    there = [recording.name for recording in found if (out / recording.name).exists()]
    if there and not replace:
        raise InputError(f"{out / there[0]}: is there already; --replace writes it anew, or name another --out")
    for recording in found:
        with atomic_folder(out / recording.name) as folder:
            scene = SceneFolder(folder)
            recording.write(scene)
            scene.finish()
        yield from _said(out, recording.name, scene)


def _said(out: Path, name: str, scene: SceneFolder) -> Iterator[str]:
    counts = scene.counts
    wrote = [f"{counts[key]:,} {key}" for key in ("clouds", "pictures", "poses")]
    wrote += [f"{counts['labels']:,} labels"] if "labels" in counts else []
    yield f"{out / name}: {', '.join(wrote)}"
    yield from (f"  {line}" for line in scene.said)
    yield from (f"  left out: {n:,} {what}" for what, n in sorted(scene.left_out.items()) if n)
    yield from (f"  note: {remark}" for remark in try_scene(Scene(out, name)))
