"""Data sets of single objects (no scenes, no images): HDF5 files of labelled points → the evaluation's objects.

Both that are read here keep ``data`` (n, m, 3), y up, and ``label`` (n,) or (n, 1); ScanObjectNN also ``mask`` (n, m).
"""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clip2.runtime.console import progress
from clip2.runtime.errors import InputError
from clip2.scans.files import absent
from clip2.scans.marker import source_kind
from clip2.scans.shards import ROLES, shard_names, shard_of
from clip2.scans.splits import SplitSettings
from clip2.store.bad_frames import BadFrames
from clip2.store.hdf5 import Data, Hdf5, open_hdf5
from clip2.store.provenance import provenance
from clip2.store.ragged import RaggedWriter, ragged_writer
from clip2.store.schemas import OBJECTS
from clip2.store.tables import TableWriter, table_writer

log = logging.getLogger(__name__)

Z_UP_FROM_Y_UP = np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])
"""(x, y, z) with y up → (z, x, y) with z up, a rotation. PointCLIP's views (evaluate.rivals) undo just this."""
AXES = {"points": "x, y, z are z, x, y of the set's files: z up", "up": "z"}
BACKGROUND = -1
"""In ``mask``: the point belongs to what stands around the object."""
NO_PICTURE: dict[str, Any] = {"camera": None, "box": [float("nan")] * 4, "image": None}
"""As evaluate.objects.NO_CAMERA: nobody took a picture of these."""
CHUNK = 256
"""Objects read at a time."""
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class ObjectSet:
    """A set on disk.

    Attributes:
        classes: names in the order of the labels.
        files: role ("train", "val") → its HDF5 files.
        units: of the points, in words.
        drop_background: leave out points that ``mask`` calls background.
        variant: which of several versions of the set; figures on different ones do not compare.
    """

    dataset: str
    classes: tuple[str, ...]
    files: Mapping[str, Sequence[Path]]
    units: str
    drop_background: bool = False
    variant: str | None = None


def data_folder(root: Path, name: str, content: Iterable[str]) -> Path:
    """The folder ``name`` in a data root, or the root itself where some of its ``content`` lies right there."""
    return root if any((root / entry).exists() for entry in content) else root / name


def write_objects(root: Path, out: Path, source: str, settings: SplitSettings, found: ObjectSet) -> None:
    """Write ``out/{shard}.parquet`` (store.schemas.OBJECTS) and ``.h5`` (points, z up) for every shard of both roles.

    Raises:
        InputError: a file is missing or not what it should be, or a role has no object.
    """
    check_files(found)
    for role in ROLES:
        protocol = settings.model_dump(mode="json")
        inputs = {path.name: path for path in found.files[role]}
        total = sum(len(read_labels(path, len(found.classes))) for path in found.files[role])
        header = {
            "kind": "objects",
            "source": source,
            "source_kind": source_kind(root),
            "dataset": found.dataset,
            "split": getattr(settings, role),
            "sensor": "objects",
            "units": found.units,
            "axes": AXES,
            "protocol": protocol,
            "classes": list(found.classes),
            "queries": "the object's own points",
            **({"variant": found.variant} if found.variant else {}),
            "clouds_per_sample": 1,
            "bad_frames": BadFrames(0).header(),
            "provenance": provenance("objects", protocol, inputs, ("h5py",)),
        }
        with ExitStack() as stack:
            shards = {
                name: stack.enter_context(_shard(out, name, header))
                for name in shard_names(role, settings.n_shards[role])
            }
            for path, number, points, label in progress(_read_all(found, role), f"{role} objects", total):
                name = f"{path.stem}/{number:05d}"
                shards[shard_of(name, role, settings.n_shards)].add(name, points, found.classes[label])
            if not any(shard.table.n_rows for shard in shards.values()):
                lost = f"each of {total} is without a point" if total else "the files are empty"
                raise InputError(f"{found.files[role][0]}: gives no object ({lost}); copy the file again"
                                 f"{', or leave drop_background off' if found.drop_background else ''}")  # fmt: skip
        log.info("%s, %s: %d objects", source, role, total)


def check_files(found: ObjectSet) -> None:
    """Look whether a set lists a file twice.

    Raises:
        InputError: it does.
    """
    roles: dict[Path, str] = {}
    for role, paths in found.files.items():
        for path in paths:
            if (before := roles.setdefault(path, role)) != role:
                raise InputError(f"{path}: is listed for {before} and for {role}; list it for one of them")
        if repeated := [path for path, number in Counter(paths).items() if number > 1]:
            raise InputError(f"{repeated[0]}: is listed more than once for {role}; list it once")


class _Shard:
    """One shard while it is written."""

    def __init__(self, table: TableWriter, points: RaggedWriter) -> None:
        self.table, self.points = table, points
        self.skipped: Counter[str] = Counter()

    def add(self, name: str, points: Floats, class_name: str) -> None:
        """Add an object's points (N, 3), z up, or count it as skipped where none is left."""
        if not len(points):
            self.skipped["no_points"] += 1
            return
        self.points.append(points)
        # An object is a scene of its own: the bootstrap then draws objects.
        self.table.append(
            {
                **dict.fromkeys(("object_id", "scene", "sample"), name),
                **dict.fromkeys(("category", "class_name"), class_name),
                "fine_name": None,
                "n_points": len(points),
                "ego_distance_m": 0.0,
                "size_lwh": np.ptp(points, axis=0).tolist(),
                **NO_PICTURE,
            }
        )


@contextmanager
def _shard(out: Path, name: str, header: Mapping[str, Any]) -> Iterator[_Shard]:
    with (
        ragged_writer(out / f"{name}.h5") as points,
        table_writer(out / f"{name}.parquet", OBJECTS) as table,
    ):
        shard = _Shard(table, points)
        yield shard
        n_objects, skipped = table.n_rows, dict(shard.skipped)
        table.header = points.header = {
            **header,
            "counts": {"annotations": n_objects + shard.skipped.total(), "objects": n_objects},
            "skipped": skipped,
        }


def _read_all(found: ObjectSet, role: str) -> Iterator[tuple[Path, int, Floats, int]]:
    """(file, number in it, points (N, 3) z up, label) of all objects of a role."""
    for path in found.files[role]:
        labels = read_labels(path, len(found.classes))
        for number, points in enumerate(_points(path, len(labels), found.drop_background)):
            yield path, number, points @ Z_UP_FROM_Y_UP.T.astype(np.float32), int(labels[number])


def read_labels(path: Path, n_classes: int) -> NDArray[np.int64]:
    """(n,) labels of one file.

    Raises:
        InputError: missing, not HDF5, no ``label``, or a label that is no class.
    """
    with _open(path) as file:
        values = _key(path, file, "label")[()].reshape(-1)
        data = _key(path, file, "data")
        if data.ndim != 3 or data.shape[2] != 3:
            raise InputError(f"{path}: `data` has shape {data.shape}, not (objects, points, 3); copy the file again")
        if len(values) != len(data):
            raise InputError(f"{path}: {len(values)} in `label`, but {len(data)} in `data`; copy the file again")
    # The numbers as they are: large ones and NaN are no int64. NaN is none of these either.
    wrong = np.flatnonzero(~((values >= 0) & (values < n_classes) & (values == np.floor(values))))
    if len(wrong):
        raise InputError(
            f"{path}: `label` of object {wrong[0]} is {values[wrong[0]]}, not 0 to {n_classes - 1}; "
            "is this the right data set?"
        )
    return values.astype(np.int64)


def _points(path: Path, n_objects: int, drop_background: bool) -> Iterator[Floats]:
    """Points (N, 3) of each object, as in the file; ``CHUNK`` objects in memory.

    Raises:
        InputError: numbers are missing or not finite, or there is no background to drop.
    """
    n_background = 0
    with _open(path) as file:
        data = _key(path, file, "data")
        mask = _key(path, file, "mask") if drop_background else None
        if mask is not None and mask.shape != data.shape[:2]:
            raise InputError(f"{path}: `mask` has shape {mask.shape}, `data` {data.shape}; copy the file again")
        for start in range(0, n_objects, CHUNK):
            with np.errstate(over="ignore"):  # too large is not finite
                chunk = data[start : start + CHUNK].astype(np.float32)
            broken = np.flatnonzero(~np.isfinite(chunk).all((1, 2)))
            if len(broken):
                raise InputError(
                    f"{path}: `data` of object {start + broken[0]} has numbers that are not finite; copy the file again"
                )
            if mask is None:
                yield from chunk
                continue
            kept = mask[start : start + CHUNK] != BACKGROUND
            n_background += int((~kept).sum())
            yield from (points[chosen] for points, chosen in zip(chunk, kept, strict=True))
        if mask is not None and n_objects and not n_background:
            raise InputError(f"{path}: `mask` calls no point background ({BACKGROUND}), so there is none to drop; "
                             "leave drop_background off")  # fmt: skip


@contextmanager
def _open(path: Path) -> Iterator[Hdf5]:
    try:
        with open_hdf5(path, "HDF5 file", "copy it again") as file:
            yield file
    except FileNotFoundError:
        raise InputError(f"{absent(path)}; `clip2 check` tells what is missing") from None


def _key(path: Path, file: Hdf5, key: str) -> Data:
    if key not in list(file):
        raise InputError(f"{path}: has no `{key}`, only {sorted(file)}; is this the right data set?")
    data = file[key]
    if data.dtype.kind not in "fiu" or not data.shape:
        raise InputError(f"{path}: `{key}` is {data.dtype} {data.shape}, not numbers; is this the right data set?")
    return data
