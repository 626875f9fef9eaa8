"""The stage that makes the built-in object sets: ScanObjectNN, ModelNet40 and CLIP2Point's pre-training pairs."""

import logging
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from clip2.runtime.console import progress
from clip2.runtime.errors import InputError
from clip2.runtime.workers import each
from clip2.store.atomic import write_json
from clip2_world.resume import COMPLETE, prepare
from clip2_world.shapes import modelnet40_writer, pairs_writer, scanobjectnn_writer
from clip2_world.shapes.settings import ShapesSettings

log = logging.getLogger(__name__)

FORMATS = {"scanobjectnn": "ScanObjectNN", "modelnet40": "ModelNet40", "pairs": "CLIP2Point's ShapeNet pairs"}


def run(root: Path, kind: str, settings: ShapesSettings, workers: int = 1) -> None:
    """Make one object set.

    Args:
        root: folder to make it in; it must be new, empty or a built-in world already.
        kind: "scanobjectnn" (all three variants), "modelnet40" or "pairs".
        settings: how much to make. The same settings give the same bytes, whatever ``workers``.
        workers: processes that make objects.

    Raises:
        InputError: ``root`` holds something else, or there is no such kind.
    """
    if kind not in FORMATS:
        raise InputError(f"no built-in objects in the form {kind!r}: choose one of {', '.join(FORMATS)}")
    prepare(root, FORMATS[kind])
    (root / COMPLETE).unlink(missing_ok=True)
    if kind == "pairs":
        names = list(pairs_writer.KINDS)
        pairs_writer.write(root, _made(pairs_writer.make_class, names, settings, workers), settings)
    elif kind == "modelnet40":
        names = list(modelnet40_writer.KINDS)
        modelnet40_writer.write(root, _made(modelnet40_writer.make_class, names, settings, workers))
    else:
        names = list(scanobjectnn_writer.KINDS)
        scanobjectnn_writer.write(root, _made(scanobjectnn_writer.make_class, names, settings, workers))
    write_json(root / COMPLETE, {"kind": kind, "classes": names, "settings": settings.model_dump(mode="json")})
    log.info("built-in %s: %d classes in %s", kind, len(names), root)


def _made(make: Callable[..., Any], names: list[str], settings: ShapesSettings, workers: int) -> Iterator[Any]:
    """What ``make`` gives for each name, in their order, made in this process or in others."""
    yield from progress(each(partial(make, settings=settings), names, workers), "classes", len(names))
