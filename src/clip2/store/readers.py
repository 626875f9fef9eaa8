"""What a run made, to read in Python: ``clip2.Labels`` and ``clip2.Crops``. A thousand rows are in memory at a time."""

import io
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from clip2.geometry import upright_boxes
from clip2.runtime.errors import InputError
from clip2.store.ragged import RaggedReader
from clip2.store.schemas import TRIPLETS
from clip2.store.tables import read_header, read_rows, read_table

Floats = NDArray[np.float64]
AT_A_TIME = 1024
"""Rows that are read at a time: as many as the files' row groups have."""


@dataclass(frozen=True)
class _Choice:
    """Which rows of a table: all, or those of some names and scenes that are sure enough."""

    names: tuple[str, ...] | None = None
    min_score: float = 0.0
    scenes: tuple[str, ...] | None = None

    def narrowed(
        self, names: str | Collection[str] | None, min_score: float, scenes: str | Collection[str] | None
    ) -> Self:
        """Those that another choice takes, too."""
        return type(self)(_both(self.names, names), max(self.min_score, min_score), _both(self.scenes, scenes))

    def rows(self, path: Path) -> NDArray[np.int64]:
        """Their numbers, in order."""
        table = read_table(path, ["label", "score", "scene"])
        chosen = np.ones(len(table), bool)
        for column, values in (("label", self.names), ("scene", self.scenes)):
            if values is not None:
                chosen &= pc.is_in(table[column], pa.array(values, pa.string())).to_numpy()
        if self.min_score > 0:
            chosen &= table["score"].to_numpy() >= np.float32(self.min_score)
        return np.flatnonzero(chosen)


def _both(one: tuple[str, ...] | None, other: str | Collection[str] | None) -> tuple[str, ...] | None:
    if other is None:
        return one
    given = (other,) if isinstance(other, str) else tuple(other)
    return given if one is None else tuple(name for name in given if name in one)


def _checked(path: Path, kind: str) -> dict[str, Any]:
    header = read_header(path)
    if header.get("kind") != kind:
        raise InputError(f"{path}: holds {header.get('kind')}, not {kind}")
    return header


@dataclass(frozen=True)
class Label:
    """One thing at one sample: a named 3D box that no human drew.

    Attributes:
        scene, sample: where it is; timestamp_us: when, microseconds, None where the source has no times.
        track_id: the thing, the same in all samples of a scene.
        label: its name; score: the probability of that, 0 to 1; names: all its names → probability, best first.
        T_points_from_box: (4, 4) from the box's axes (x length, y width, z height; origin in its middle) to the frame
            of the sample's points, metres.
        size_lwh: (3,) full length, width and height, metres.
        size_from: "measured", or "word" where a side that nothing saw is as long as in other things of that name.
        velocity: (3,) metres a second along the axes of the points, None where unknown.
        n_points: how many of the sample's points are the thing's.
        range_m: from the origin of the points to the middle of the box, horizontal, metres.
        triplet_id, frame_id, box_2d: the best view of it in this sample, its picture, and its box (4,) there, left top
            right bottom in pixels; None where only other samples saw it.
    """

    scene: str
    sample: str
    timestamp_us: int | None
    track_id: str
    label: str
    score: float
    names: dict[str, float]
    T_points_from_box: Floats
    size_lwh: Floats
    size_from: str
    velocity: Floats | None
    n_points: int
    range_m: float
    triplet_id: str | None
    frame_id: str | None
    box_2d: NDArray[np.float32] | None

    @property
    def box(self) -> Floats:
        """(7,) x y z l w h yaw, metres and radians, in the frame of the sample's points: as ``clip2.fit_box`` gives."""
        return upright_boxes(self.T_points_from_box, self.size_lwh)


class Labels:
    """The named 3D boxes that ``snakemake labels`` made: a :class:`Label` a thing and sample, in the file's order.

    >>> labels = clip2.Labels().where(names=["car", "truck"], min_score=0.5)
    >>> labels.boxes                           # (n, 7) x y z l w h yaw
    >>> for label in labels:
    ...     print(label.sample, label.label, label.score, label.box)

    Attributes:
        path: the file; header: its JSON header (source, axes, counts of what was left out, provenance).
    """

    def __init__(self, path: str | Path = "results/labels/labels.parquet") -> None:
        """
        Raises:
            InputError: the file is missing, damaged, or holds something else.
        """
        self.path = Path(path)
        self.header = _checked(self.path, "labels")
        self._choice = _Choice()

    def where(
        self,
        names: str | Collection[str] | None = None,
        min_score: float = 0.0,
        scenes: str | Collection[str] | None = None,
    ) -> "Labels":
        """Those of some names, with at least that score, in some scenes; None is any. What is left out stays out.

        Args:
            names: as they stand in the file; what is in none of its rows is not found.
        """
        found = Labels(self.path)
        found._choice = self._choice.narrowed(names, min_score, scenes)
        return found

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Label]:
        for row in _read(self.path, self._rows):
            own = {**row, "box_2d": None if row["frame_id"] is None else np.array(row["box"], np.float32)}
            del own["box"]
            yield Label(
                **own
                | {
                    "names": {name["name"]: name["probability"] for name in row["names"] or ()},
                    "T_points_from_box": np.reshape(np.array(row["T_points_from_box"], float), (4, 4)),
                    "size_lwh": np.array(row["size_lwh"], float),
                    "velocity": None if row["velocity"] is None else np.array(row["velocity"], float),
                }
            )

    @property
    def boxes(self) -> Floats:
        """(n, 7) x y z l w h yaw, metres and radians, each in the frame of its sample's points."""
        table = self.table(["T_points_from_box", "size_lwh"])
        T, size = (np.asarray(pc.list_flatten(column), float) for column in table.columns)
        return upright_boxes(T.reshape(-1, 4, 4), size.reshape(-1, 3))

    @property
    def scores(self) -> NDArray[np.float32]:
        """(n,) probabilities of the names."""
        return np.asarray(self.table(["score"])["score"])

    def table(self, columns: list[str] | None = None) -> pa.Table:
        """The rows as an Arrow table (``.to_pandas()`` makes a DataFrame), with the columns of
        ``clip2.store.schemas.LABELS`` or some of them.

        Raises:
            InputError: no such column.
        """
        return read_table(self.path, columns).take(pa.array(self._rows))

    @cached_property
    def _rows(self) -> NDArray[np.int64]:
        return self._choice.rows(self.path)


@dataclass(frozen=True)
class Crop:
    """One mined triplet: a name, a picture, points.

    Attributes:
        source, scene, sample, frame_id: where it comes from; frame_id is the picture's.
        label: the detector's name of it; score: how sure it was, 0 to 1.
        box_2d: (4,) left top right bottom in pixels of the frame's picture.
        points: (N, 4) x y z in metres, z up, in the frame of the sample's points, and the intensity as recorded.
        range_m: median distance of the points from the camera, metres.
        jpeg: the picture, a square window around the box, as a file's content.
    """

    triplet_id: str
    source: str
    scene: str
    sample: str
    frame_id: str
    label: str
    score: float
    box_2d: NDArray[np.float32]
    points: NDArray[np.float32]
    range_m: float
    jpeg: bytes

    @property
    def picture(self) -> NDArray[np.uint8]:
        """(S, S, 3) RGB."""
        from PIL import Image

        return np.asarray(Image.open(io.BytesIO(self.jpeg)).convert("RGB"))


class Crops:
    """Mined triplets, a :class:`Crop` each, shard by shard in the order of the files.

    >>> crops = clip2.Crops("results/world/triplets/tiny_owl.auto").where(names="car", min_score=0.3)
    >>> for crop in crops:
    ...     print(crop.label, crop.points.shape, crop.picture.shape)

    Attributes:
        paths: the Parquet files; headers: their JSON headers. The points are in ``.h5`` files beside them.
    """

    def __init__(self, paths: str | Path | Iterable[str | Path]) -> None:
        """
        Args:
            paths: a folder of triplets (``results/SOURCE/triplets/DETECTOR.LIFTER``), a Parquet file of it, or several.

        Raises:
            InputError: there are none, or a file is missing, damaged, or holds something else.
        """
        given = [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]
        self.paths = [file for path in given for file in (sorted(path.glob("*.parquet")) if path.is_dir() else [path])]
        if not self.paths:
            raise InputError(
                f"{', '.join(map(str, given)) or 'no path'}: no triplets; make them with `snakemake triplets`"
            )
        self.headers = [_checked(path, "triplets") for path in self.paths]
        self._choice = _Choice()

    def where(
        self,
        names: str | Collection[str] | None = None,
        min_score: float = 0.0,
        scenes: str | Collection[str] | None = None,
    ) -> "Crops":
        """Those of some names, with at least that score, in some scenes; None is any. What is left out stays out."""
        found = Crops(self.paths)
        found._choice = self._choice.narrowed(names, min_score, scenes)
        return found

    def __len__(self) -> int:
        return sum(map(len, self._rows))

    def __iter__(self) -> Iterator[Crop]:
        """
        Raises:
            InputError: a file is damaged, or its points are another's.
        """
        columns = [name for name in TRIPLETS.names if name not in ("n_points", "extent")]
        for path, header, numbers in zip(self.paths, self.headers, self._rows, strict=True):
            with RaggedReader(path.with_suffix(".h5")) as reader:
                if len(reader) != (n := header["counts"]["triplets"]):
                    raise InputError(f"{path}: {n} triplets, but {len(reader)} in the .h5 file beside it; "
                                     "delete both and run again")  # fmt: skip
                rows = _read(path, numbers, columns)
                for start in range(0, len(numbers), AT_A_TIME):
                    for points in reader.crops(numbers[start : start + AT_A_TIME]):
                        row = next(rows)
                        box, jpeg = np.array(row.pop("box"), np.float32), row.pop("image")
                        yield Crop(**row, source=header["source"], box_2d=box, points=points, jpeg=jpeg)

    @cached_property
    def _rows(self) -> list[NDArray[np.int64]]:
        return [self._choice.rows(path) for path in self.paths]


def _read(path: Path, numbers: NDArray[np.int64], columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
    for start in range(0, len(numbers), AT_A_TIME):
        yield from read_rows(path, numbers[start : start + AT_A_TIME].tolist(), columns)
