"""COCO-style JSON: what boxes and masks on disk have in common. docs/detectors.md describes it."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

from clip2.detect.names import Names
from clip2.runtime.errors import InputError

Record = dict[str, Any]
MOST_CROWDS = 0.3
"""Share of annotations that may be crowds; exporters of painted masks mark each of them as one."""
OTHER_SHAPE = 0.01
"""Share by which a picture's sides may be in another ratio than its frame's, for rounding and a few lines cut off."""


class Annotation(NamedTuple):
    """One that belongs to a frame of the shard."""

    place: str  # where it stands in the file
    frame: str  # frame id
    row: Record
    scale: tuple[float, float]  # pixels of the frame for one of the picture that it was drawn in: across, down


def annotation_rows(path: Path, data: Any) -> list[Any]:
    """The annotations of a COCO data set, or a plain list of them.

    Raises:
        InputError: neither, or all are to be ignored.
    """
    rows, what = (data.get("annotations"), "annotation") if isinstance(data, dict) else (data, "result")
    if not isinstance(rows, list):
        raise not_coco(path, f"no list of {what}s")
    if rows and _marked(rows, "ignore") == len(rows):
        raise InputError(
            f"{path}: all of its {len(rows)} {what}s are to be ignored (`ignore`), which are left out; set this to 0"
        )
    return rows


def _marked(rows: list[Any], mark: str) -> int:
    return sum(isinstance(row, dict) and row.get(mark) == 1 for row in rows)


def annotations(
    path: Path, data: Any, names: Names, sizes: Mapping[str, tuple[int, int]], counts: Counter[str]
) -> Iterator[Annotation]:
    """The annotations of a shard's frames; the others are counted by ``names``.

    Args:
        data: the file's content: a COCO data set, or a list of results with names instead of numbers.
        sizes: frame id → (width, height) of its picture, pixels.
        counts: ``crowd_or_ignored`` (left out), ``crowd_as_thing`` and ``scaled`` (drawn in a picture of another size)
            are added to.

    Raises:
        InputError: not of the form, or pictures that are not the frames'.
    """
    rows, what = annotation_rows(path, data), "annotation" if isinstance(data, dict) else "result"
    images = coco_table(path, data, "images", "file_name") if isinstance(data, dict) else {}
    file_names = {key: image["file_name"] for key, image in images.items()}
    left_out = ("ignore", "iscrowd") if _marked(rows, "iscrowd") <= MOST_CROWDS * len(rows) else ("ignore",)
    for number, row in enumerate(rows):
        place = f"{what} {number}"
        if not isinstance(row, dict):
            raise not_coco(path, f"{place} is no object")
        name = coco_named(path, place, row.get("image_id"), file_names, "image_id")
        frame = names.frame_of(name)
        if frame is None:
            names.count_other(name)
        elif any(row.get(mark) == 1 for mark in left_out):
            counts["crowd_or_ignored"] += 1
        else:
            counts["crowd_as_thing"] += row.get("iscrowd") == 1
            image = images.get(_as_text(row["image_id"]), {})
            scale = _scale(path, image, sizes[frame]) if frame in sizes else (1.0, 1.0)
            counts["scaled"] += scale != (1, 1)
            yield Annotation(place, frame, row, scale)


def told(counts: Counter[str]) -> Iterator[str]:
    """What to warn of, of the counts of :func:`annotations`."""
    if n := counts["crowd_or_ignored"]:
        yield f"{n} are crowds or to be ignored and are left out"
    if n := counts["crowd_as_thing"]:
        yield f"{n} are marked as crowds, as exporters of painted masks do, and are taken for single things"
    if n := counts["scaled"]:
        yield f"{n} were drawn in pictures of another size, as `images` says, and are scaled to their frames"


def _scale(path: Path, image: Record, size: tuple[int, int]) -> tuple[float, float]:
    width, height = image.get("width"), image.get("height")
    if not (is_real(width) and is_real(height) and width > 0 and height > 0) or (width, height) == size:
        return 1.0, 1.0
    across, down = size[0] / width, size[1] / height
    if abs(across / down - 1) > max(OTHER_SHAPE, 1 / min(width, height)):
        raise InputError(
            f"{path}: {image['file_name']} is of {width:g} x {height:g} pixels there, but its frame of {size[0]} x "
            f"{size[1]}: another shape; give boxes and masks in pixels of the frames"
        )
    return across, down


def coco_table(path: Path, data: Mapping[str, Any], key: str, value: str) -> dict[str, Record]:
    """Id (as text: exporters mix 7 and "7") → row of a COCO table whose rows have ``value``, a text.

    Raises:
        InputError: not of the form, or an id stands for two things.
    """
    rows = data.get(key)
    if not isinstance(rows, list):
        raise not_coco(path, f"no list of {key}")
    table: dict[str, Record] = {}
    for number, row in enumerate(rows):
        if not isinstance(row, dict) or not isinstance(row.get(value), str) or not _is_id(row.get("id")):
            raise not_coco(path, f"{key}, number {number}, has no id or no {value}")
        first = table.setdefault(_as_text(row["id"]), row)
        sizes = [column for column in ("width", "height") if column in first and column in row]
        if any(first[column] != row[column] for column in (value, *sizes)):
            raise InputError(
                f"{path}: {key} has the id {row['id']} twice, for “{first[value]}” and for “{row[value]}”; give each "
                "an id of its own, also where files were joined"
            )
    return table


def coco_named(path: Path, place: str, given: Any, table: Mapping[str, str], what: str) -> str:
    """What a table says of an id, or a name that stands in its place."""
    if _is_id(given):
        if (found := table.get(_as_text(given))) is not None:
            return found
        if isinstance(given, str):
            return given
        raise InputError(
            f"{path}, {place}: {what} {given!r} is a number that no table explains; give an object with images, "
            "categories and annotations, or frame ids and names instead of numbers"
        )
    raise not_coco(path, f"{place}: {what} is {given!r}")


def is_real(value: Any) -> TypeGuard[float]:
    """Whether it is a number, or NaN, and not beyond all measure."""
    return (isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300) or value != value


def _is_id(value: Any) -> bool:
    return isinstance(value, int | float | str) and not isinstance(value, bool)


def _as_text(given: int | float | str) -> str:
    """Ids that went through pandas are 7.0."""
    return str(int(given)) if isinstance(given, float) and given.is_integer() else str(given)


def not_coco(path: Path, reason: str) -> InputError:
    """For what is in another form."""
    return InputError(f"{path}: not COCO-style JSON ({reason}); see docs/detectors.md")
