"""The classes of each benchmark, in their usual order, and how they are worded."""

from collections.abc import Mapping, Sequence
from typing import Any

from clip2.evaluate.settings import NUSCENES_CLASSES
from clip2.runtime.errors import InputError
from clip2.scans.benchmark_classes import (
    ARGOVERSE2_CLASSES,
    MODELNET40_CLASSES,
    ONCE_CLASSES,
    SCANNET_CLASSES,
    SCANOBJECTNN_CLASSES,
    SUNRGBD_CLASSES,
)

BENCHMARK_CLASSES: dict[str, tuple[str, ...]] = {
    "nuscenes": NUSCENES_CLASSES,
    "sunrgbd": SUNRGBD_CLASSES,
    "scannet": SCANNET_CLASSES,
    "once": ONCE_CLASSES,
    "argoverse2": ARGOVERSE2_CLASSES,
    "scanobjectnn": SCANOBJECTNN_CLASSES,
    "modelnet40": MODELNET40_CLASSES,
}
"""Data set → its classes."""


def choose_classes(asked: Sequence[str], header: Mapping[str, Any]) -> tuple[str, ...]:
    """The classes to choose from: those asked for, else those that the header names, else the benchmark's own.

    Args:
        header: of the objects, or of the human boxes.

    Raises:
        InputError: none of these says.
    """
    classes = tuple(asked) or tuple(header.get("classes") or ()) or BENCHMARK_CLASSES.get(header["dataset"], ())
    if not classes:
        raise InputError(
            f"setting 'classes': the human boxes of dataset {header['dataset']!r} name no classes and it is none of "
            f"{', '.join(BENCHMARK_CLASSES)}; set `classes` to the names to choose from"
        )
    return classes


def class_words(classes: Sequence[str], names: Mapping[str, str]) -> list[str]:
    """What each class is called in prompts: its entry in ``names``, else its name with spaces for underscores."""
    return [names.get(name, name.replace("_", " ")) for name in classes]
