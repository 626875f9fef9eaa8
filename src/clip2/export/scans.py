"""Labels with the recordings that they belong to, a scene at a time."""

import logging
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clip2.export.settings import ExportSettings
from clip2.label.words import canonical
from clip2.runtime.console import progress
from clip2.runtime.errors import InputError
from clip2.store.by_scene import ByScene
from clip2.store.tables import read_header, read_table

log = logging.getLogger(__name__)

Row = dict[str, Any]
Matrix = NDArray[np.float64]
STEP_US = 100_000
"""Between samples whose times are not known."""


@dataclass(frozen=True)
class Sample:
    """One time stamp of a scene.

    Attributes:
        time_us: of the clouds; made up, in steps of 0.1 s, where the recording has no times.
        frames: its pictures (store.schemas.FRAMES), one or more, of the same clouds.
        labels: the boxes in it (store.schemas.LABELS), best first; their ``label`` is the export's name.
    """

    scene: str
    name: str
    time_us: int
    frames: list[Row]
    labels: list[Row]

    @property
    def T_scene_from_points(self) -> Matrix:
        """(4, 4); the identity where the sample has no pose."""
        T = self.frames[0]["T_scene_from_points"]
        return np.eye(4) if T is None else np.reshape(T, (4, 4))


class LabelledScans:
    """Labels and the frames that they were made of.

    Attributes:
        header: the labels' header.
        dataset: kind of the source ("nuscenes", "folder" …).
        made_by: provenance of the frames.
        counts: labels and samples; formats add what they leave out, as ``left_out_{reason}``.
    """

    def __init__(self, labels: Path, frames: Sequence[Path], data_root: Path, settings: ExportSettings) -> None:
        """
        Args:
            labels: a file of store.schemas.LABELS.
            frames: shards of the labels' source; all their samples are exported.
            data_root: folder that the frames' paths are relative to.

        Raises:
            InputError: a file is missing or of another kind, or nothing is labelled.
        """
        if not labels.is_file():
            raise InputError(f"{labels}: no such file; make it with `snakemake --cores 8 labels`")
        self.header = read_header(labels)
        if self.header.get("kind") != "labels":
            raise InputError(f"{labels}: holds {self.header.get('kind')}, not labels; give the file of `labels`")
        if not frames:
            raise InputError(f"{labels}: its frames are not given; name them with --frames")
        headers = [read_header(path) for path in frames]
        others = sorted({header["source"] for header in headers} - {self.header["source"]})
        if others:
            raise InputError(f"{labels}: is of {self.header['source']!r}, but the frames are of {', '.join(others)}")
        if not read_table(labels, columns=[]).num_rows:
            raise InputError(f"{labels}: holds no label, so there is nothing to export; look at `labels` in the log")
        self.dataset, self.made_by = headers[0]["dataset"], headers[0]["provenance"]
        self.data_root, self.settings = data_root, settings
        self.counts: Counter[str] = Counter(labels=0, samples=0)
        self._names = {canonical(label): name for label, name in settings.names.items()}
        self._labels, self._path = ByScene(labels), labels
        self._frames = [ByScene(path) for path in frames]

    def scenes(self) -> Iterator[list[Sample]]:
        """The samples of each scene in time order; a scene is in memory at a time."""
        scenes = dict.fromkeys(scene for file in self._frames for scene in file.scenes)
        for scene in progress(scenes, "scenes", len(scenes)):
            samples = self._scene(scene)
            self.counts.update(
                scenes=1,
                samples=len(samples),
                pictures=sum(len(sample.frames) for sample in samples),
                labels=sum(len(sample.labels) for sample in samples),
            )
            yield samples

    @property
    def sample_names(self) -> list[str]:
        """Names of all samples of all scenes."""
        return list(dict.fromkeys(name for file in self._frames for name in file.values("sample")))

    def leave_out(self, reason: str, n: int = 1) -> None:
        """Count labels that the format cannot hold."""
        self.counts[f"left_out_{reason}"] += n

    def _scene(self, scene: str) -> list[Sample]:
        frames: dict[str, dict[str, Row]] = {}
        for file in self._frames:
            for row in file.rows(scene):  # a scene can be of both roles: the same frame twice
                frames.setdefault(row["sample"], {})[row["frame_id"]] = row
        labels: dict[str, list[Row]] = {}
        for row in self._labels.rows(scene):
            row["label"] = self._names.get(canonical(row["label"]), row["label"])
            labels.setdefault(row["sample"], []).append(row)
        strangers = labels.keys() - frames.keys()
        if strangers:
            raise InputError(
                f"{self._path}: sample {min(strangers)} of scene {scene} is not in the frames; make the labels again"
            )
        times = {name: _time_us(labels.get(name, []), rows.values()) for name, rows in frames.items()}
        names = sorted(frames, key=lambda name: (times[name] or 0, name))
        return [
            Sample(
                scene,
                name,
                number * STEP_US if (time := times[name]) is None else time,
                list(frames[name].values()),
                sorted(labels.get(name, []), key=lambda row: -row["score"]),
            )
            for number, name in enumerate(names)
        ]


def known(numbers: Sequence[float] | None) -> list[float] | None:
    """Numbers of a column that may be empty: None where it is null or not finite."""
    return None if numbers is None or not all(map(math.isfinite, numbers)) else list(numbers)


def _time_us(labels: Sequence[Row], frames: Any) -> int | None:
    times = [row["timestamp_us"] for row in labels] or [row["timestamp_us"] for row in frames]
    return min((time for time in times if time is not None), default=None)


def size_of(row: Mapping[str, Any]) -> list[float]:
    """Full length, width and height of a label's box, metres."""
    return [float(side) for side in row["size_lwh"]]


def pose_of(row: Mapping[str, Any]) -> Matrix:
    """(4, 4) points' frame from box of a label."""
    return np.reshape(np.asarray(row["T_points_from_box"], np.float64), (4, 4))


def yaw_of(T: Matrix) -> float:
    """Radians about z, counter-clockwise from x, of a transform's x axis."""
    return float(np.arctan2(T[1, 0], T[0, 0]))
