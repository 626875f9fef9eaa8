"""Boxes that are already on disk: a Parquet table or COCO-style JSON. docs/detectors.md describes both."""

import logging
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clip2.detect.coco import annotation_rows, annotations, coco_named, coco_table, is_real, not_coco, told
from clip2.detect.found import Found
from clip2.detect.names import Names
from clip2.detect.vocabulary import Vocabulary
from clip2.runtime.errors import InputError
from clip2.runtime.trial import try_reading
from clip2.scans.texts import read_json

log = logging.getLogger(__name__)


class Row(NamedTuple):
    """One box: where it stands in the file, frame id, box xyxy, label, score or None."""

    place: str
    frame: str
    box: list[float]
    label: str
    score: float | None


EMPTY = Found(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))
BEYOND = 0.1
"""Share of the picture's side by which a box may reach beyond it: detectors' boxes do, a little."""
FAR = 1e9
"""Pixels; what is further out is there, which single precision can hold."""
OTHER_SCORES = ("confidence", "conf", "prob", "probability")
"""What detectors call a score, too; taken where there is none of that name."""
ROUNDING = 1e-6
"""By which a score may be beyond 0 and 1."""
MOST_IMPOSSIBLE = 0.05
"""Share of boxes that cannot be boxes of their pictures, above which they are boxes of another convention."""


def read_boxes(
    path: Path,
    frames: Mapping[str, str],
    vocabulary: Vocabulary,
    sizes: Mapping[str, tuple[int, int]] | None = None,
    known: Collection[str] = (),
    counts: Counter[str] | None = None,
) -> dict[str, Found]:
    """The boxes of some frames.

    Args:
        path: ``.parquet`` or ``.json``.
        frames: frame id → image path, of one shard. The file may hold other shards' boxes too.
        sizes: frame id → (width, height) of its picture, pixels.
        known: frame ids and image paths of other shards: boxes that belong to no frame at all are counted.
        counts: ``of_no_frame``, ``without_score``, ``without_side``, ``below_a_pixel`` and ``beyond_the_picture``; of
            COCO files also those of :func:`clip2.detect.coco.annotations`.

    Returns:
        frame id → boxes, in the order of the file.

    Raises:
        InputError: missing or not of a known form, a label that the vocabulary lacks, boxes of another convention or of
            other pictures, or no box is of any known frame.
    """
    path, counts = Path(path), Counter() if counts is None else counts
    if not frames:
        return {}
    if not path.is_file():
        raise InputError(f"{path}: no such file of boxes; check `boxes`")
    names = Names(path, frames, known)
    parquet = path.suffix == ".parquet"
    index = vocabulary.index()
    columns: dict[str, tuple[list[list[float]], list[float], list[int]]] = defaultdict(lambda: ([], [], []))
    for row in _parquet_rows(path, names) if parquet else _coco_rows(path, names, sizes or {}, counts):
        label = index.get(row.label.replace("_", " ").lower())
        if label is None:
            raise InputError(
                f"{path}: label “{row.label}” is not in the vocabulary ({row.place}); add it to the file that "
                "`vocabulary` names"
            )
        if not np.isfinite(row.box).all():
            raise InputError(f"{path}, {row.place}: the box is not finite: {row.box}; drop it")
        if row.score is not None and not -ROUNDING <= row.score <= 1 + ROUNDING:
            raise InputError(f"{path}, {row.place}: score {row.score:g} is not from 0 to 1; divide percents by 100")
        counts["without_score"] += row.score is None
        boxes, scores, labels = columns[row.frame]
        boxes.append(row.box)
        scores.append(1.0 if row.score is None else min(max(row.score, 0.0), 1.0))
        labels.append(label)
    counts["of_no_frame"] += names.n_of_none
    of_known = columns or names.n_of_others or counts["crowd_or_ignored"]
    if not of_known:  # not one is of a frame: a mistake in the names
        frame, image = next(iter(frames.items()))
        if not names.n_of_none:
            raise InputError(f"{path}: holds no box at all; make it again")
        raise InputError(
            f"{path}: no box in it belongs to a frame of this shard; frames go by their frame_id ({frame}) "
            f"or image path ({image}){names.examples()}"
        )
    found = {
        frame: Found(np.clip(np.array(b), -FAR, FAR).astype(np.float32), np.array(s, np.float32), np.array(n, np.int64))
        for frame, (b, s, n) in columns.items()
    }
    _check_convention(path, found, sizes or {}, counts)
    if counts["of_no_frame"]:
        log.warning("%s: %d boxes belong to no frame%s", path, counts["of_no_frame"], names.examples())
    for what in told(counts):
        log.warning("%s: of the boxes, %s", path, what)
    if counts["without_score"]:
        log.warning("%s: %d boxes have no score: 1 is taken, as for what people drew", path, counts["without_score"])
    return found


def _check_convention(
    path: Path, found: Mapping[str, Found], sizes: Mapping[str, tuple[int, int]], counts: Counter[str]
) -> None:
    """Count boxes that cannot be boxes xyxy of their pictures, in pixels; stop where they are many."""
    n = 0
    for frame, of_frame in found.items():
        sides = of_frame.boxes[:, 2:] - of_frame.boxes[:, :2]
        negative = (sides <= 0).any(1)
        n += len(sides)
        counts["without_side"] += int(negative.sum())
        small = ~negative & (sides < 1).any(1)
        counts["below_a_pixel"] += int(small.sum())
        if frame in sizes:
            size = np.array(sizes[frame] * 2, np.float32)
            reaches = np.abs(of_frame.boxes - np.clip(of_frame.boxes, 0, size)) > BEYOND * size
            counts["beyond_the_picture"] += int((reaches.any(1) & ~negative & ~small).sum())
    kinds = {key: counts[key] for key in ("without_side", "below_a_pixel", "beyond_the_picture") if counts[key]}
    if sum(kinds.values()) > MOST_IMPOSSIBLE * n:
        told = ", ".join(f"{number} {kind.replace('_', ' ')}" for kind, number in kinds.items())
        hint = "multiply them by the picture's width and height" if counts["below_a_pixel"] == n else "convert them"
        raise InputError(
            f"{path}: of {n} boxes, {told}: they are not in pixels of these pictures, or of another convention (a "
            f"table's are x0 y0 x1 y1, COCO's are x y width height); {hint}"
        )


# --- Parquet ---------------------------------------------------------------------------------------------------------


def _parquet_rows(path: Path, names: Names) -> Iterator[Row]:
    try_reading(path, _read_parquet, "Parquet file", "write it again")
    try:
        with pq.ParquetFile(path) as file:
            yield from _file_rows(path, file, names)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a readable Parquet file ({' '.join(str(error).split())})") from None


def _read_parquet(path: Path) -> None:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(use_threads=False):
            batch.validate(full=True)


def _file_rows(path: Path, file: pq.ParquetFile, names: Names) -> Iterator[Row]:
    have = {field.name: field.type for field in file.schema_arrow}
    key = next((name for name in ("frame_id", "image_path") if name in have), None)
    box = ["box"] if "box" in have else ["x0", "y0", "x1", "y1"]
    if key is None or not {*box, "label"} <= have.keys():
        raise InputError(
            f"{path}: has columns {', '.join(sorted(have))}; "
            "needs frame_id or image_path, box or x0 y0 x1 y1, label, and score where there is one"
        )
    score = ["score"] if "score" in have else [name for name in OTHER_SCORES if name in have and _is_number(have[name])]
    if score and (score := score[:1]) != ["score"]:
        _tell_other_score(path, score[0])
    for name in (key, "label"):
        _expect(path, name, have[name], _is_text(have[name]), "text" if name == key else "names")
    for name in score + (box if box != ["box"] else []):
        _expect(path, name, have[name], _is_number(have[name]), "numbers")
    if box == ["box"]:
        lists = pa.types.is_list(have["box"]) or pa.types.is_large_list(have["box"])
        good = (lists or pa.types.is_fixed_size_list(have["box"])) and _is_number(have["box"].value_type)
        _expect(path, "box", have["box"], good, "lists of four numbers, x0 y0 x1 y1")
    number = 0
    for batch in file.iter_batches(columns=[key, *box, "label", *score], use_threads=False):
        rows = _of_shard(path, batch, key, names, number)
        for row, values in zip(rows, batch.take(pa.array(rows, pa.int64())).to_pylist(), strict=True):
            place = f"row {number + row}"
            corners = values["box"] if box == ["box"] else [values[name] for name in box]
            if corners is None or len(corners) != 4 or None in corners:
                raise InputError(f"{path}, {place}: column box is {corners}, not four numbers x0 y0 x1 y1")
            for name in ("label", *score):
                if values[name] is None or values[name] != values[name]:  # NaN, as pandas has it
                    raise InputError(f"{path}, {place}: column {name} is empty; drop the row, or fill it in")
            frame = names.frame_of(values[key]) or ""
            given = values[score[0]] if score else None
            yield Row(place, frame, list(map(float, corners)), values["label"], given)
        number += batch.num_rows


def _of_shard(path: Path, batch: pa.RecordBatch, key: str, names: Names, first: int) -> list[int]:
    """Numbers of a batch's rows whose frame is in the shard; the others are counted. Each name is looked up once."""
    column = batch.column(key)
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    if encoded.null_count:
        row = first + encoded.is_null().to_pylist().index(True)
        raise InputError(f"{path}, row {row}: column {key} is empty; drop the row, or fill it in")
    distinct = encoded.dictionary.to_pylist()
    wanted = [name is not None and names.frame_of(name) is not None for name in distinct]
    rows = []
    for row, number in enumerate(encoded.indices.to_pylist()):
        if wanted[number]:
            rows.append(row)
        else:
            names.count_other(distinct[number] or "")
    return rows


def _expect(path: Path, column: str, type: pa.DataType, good: bool, expected: str) -> None:
    if not good:
        raise InputError(f"{path}: column {column} holds {type}, but has to hold {expected}")


def _is_text(type: pa.DataType) -> bool:
    inner = type.value_type if pa.types.is_dictionary(type) else type
    return bool(pa.types.is_string(inner) or pa.types.is_large_string(inner))


def _is_number(type: pa.DataType) -> bool:
    return bool(pa.types.is_floating(type) or pa.types.is_integer(type))


# --- COCO ------------------------------------------------------------------------------------------------------------


def _coco_rows(path: Path, names: Names, sizes: Mapping[str, tuple[int, int]], counts: Counter[str]) -> Iterator[Row]:
    """A COCO data set, or a plain list of results with names instead of numbers."""
    data = read_json(path)
    table = coco_table(path, data, "categories", "name") if isinstance(data, dict) else {}
    categories = {key: category["name"] for key, category in table.items()}
    rows = [row for row in annotation_rows(path, data) if isinstance(row, dict)]
    key = "score"
    if not (scored := any(row.get(key) is not None for row in rows)):
        others = (other for other in OTHER_SCORES if any(_is_finite(row.get(other)) for row in rows))
        if other := next(others, None):
            key, scored = other, True
            _tell_other_score(path, key)
    for place, frame, row, (across, down) in annotations(path, data, names, sizes, counts):
        given = row["category"] if row.get("category_id") is None and "category" in row else row.get("category_id")
        box = row.get("bbox")
        if not isinstance(box, list) or len(box) != 4 or not all(map(is_real, box)):
            raise not_coco(path, f"{place}: bbox is {box!r}, not four numbers x y width height")
        score = row.get(key)
        if score is None and scored:
            raise not_coco(path, f"{place} has no {key}, but others have")
        if score is not None and not _is_finite(score):
            raise not_coco(path, f"{place}: {key} is {score!r}, not a number")
        x, y, width, height = map(float, box)
        corners = [x * across, y * down, (x + width) * across, (y + height) * down]
        label = coco_named(path, place, given, categories, "category")
        yield Row(place, frame, corners, label, None if score is None else float(score))


def _is_finite(value: Any) -> bool:
    return is_real(value) and value == value


def _tell_other_score(path: Path, key: str) -> None:
    log.warning("%s: has no score, so `%s` is taken for it", path, key)
