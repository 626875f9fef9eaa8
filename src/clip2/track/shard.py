"""The files of one shard, and from them the views of one scene after the other."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clip2.runtime.errors import InputError
from clip2.store.ragged import RaggedReader
from clip2.store.tables import iterate_rows, read_header, read_table
from clip2.teach.embeddings import read_embeddings
from clip2.track.views import CUBE_M, Floats, Ints, Views, eye_of, in_scene, thinned

Row = dict[str, Any]
FRAME_COLUMNS = ["frame_id", "scene", "sample", "timestamp_us", "T_cam_from_points", "T_scene_from_points"]
TRIPLET_COLUMNS = ["triplet_id", "frame_id", "box", "score"]
MOST_POINTS = 2048
"""Of a view: more are thinned evenly."""


@dataclass(frozen=True)
class Scene:
    """Samples that share a frame, in time order.

    Attributes:
        samples, times, timestamps_us: their names, seconds, and microseconds where the source has times.
        frames: names of their pictures.
        origin: (3,) in the scene's frame, near the sensor: poses may be on a map, far from its origin.
    """

    name: str
    samples: list[str]
    times: Floats
    timestamps_us: list[int | None]
    frames: list[str]
    origin: Floats


class Shard:
    """What tracking needs of a shard: the small columns of all triplets; points are read scene by scene.

    Attributes:
        ids, score: (n,) of the triplets; weight: (n,) how much each says about the name of what it shows.
        label: (n,) number of each triplet's name; labels: the names; cosine: (n, V) with what the teacher sees.
        image: (n, D) what the teacher sees.
        scenes: in the order of the frames; a sample without a pose is a scene of its own.
    """

    def __init__(self, frames: Path, triplets: Path, embeddings: Path, seconds_per_sample: float) -> None:
        """
        Args:
            seconds_per_sample: where the source has no times.

        Raises:
            InputError: the files do not belong together.
        """
        self.header = read_header(triplets)
        self._points_path = triplets.with_suffix(".h5")
        table = read_table(triplets, TRIPLET_COLUMNS)
        self.ids: list[str] = table["triplet_id"].to_pylist()
        self.score = np.array(table["score"].to_pylist(), np.float64)
        self._frame: list[str] = table["frame_id"].to_pylist()
        box = np.array(table["box"].to_pylist(), np.float64).reshape(-1, 4)
        # The larger a picture of a thing and the surer the detector, the more a view says about what the thing is.
        self.weight = np.prod(box[:, 2:] - box[:, :2], axis=1) ** 0.25 * self.score
        said = read_embeddings(embeddings)
        if len(said.image) != len(self.ids):
            raise InputError(f"{embeddings}: {len(said.image)} rows, but {triplets} has {len(self.ids)}; "
                             "delete the embeddings and run again")  # fmt: skip
        self.image, self.label, self.labels = said.image.astype(np.float32), said.label_index, said.labels
        self.cosine = self.image @ said.text.astype(np.float32).T
        self._frames = {row["frame_id"]: row for row in iterate_rows(frames, FRAME_COLUMNS, 4096)}
        if missing := next((name for name in self._frame if name not in self._frames), None):
            raise InputError(f"{triplets}: frame {missing} is not in {frames}; give shards of the same name")
        self.scenes = scenes_of(self._frames.values(), seconds_per_sample)

    def usual_cosine(self) -> float:
        """Mean cosine between what the teacher sees in two boxes of one picture: of any two things."""
        _, picture = np.unique(np.array(self._frame, dtype=str), return_inverse=True)
        n = np.bincount(picture)
        total = np.zeros((len(n), self.image.shape[1]))
        np.add.at(total, picture, self.image)
        alone = (self.image**2).sum(dtype=np.float64)  # each with itself
        n_pairs = (n * (n - 1)).sum()
        return float(((total**2).sum() - alone) / n_pairs) if n_pairs else 0.0

    def views(self, names: Floats) -> Iterator[tuple[Scene, Views]]:
        """The scenes that have triplets, and these.

        Args:
            names: (n, V) probabilities of the names of all triplets of the shard.
        """
        rows_of: dict[str, list[int]] = defaultdict(list)
        for number, frame in enumerate(self._frame):
            rows_of[frame].append(number)
        with RaggedReader(self._points_path) as points:
            if len(points) != len(self.ids):
                raise InputError(f"{self._points_path}: {len(points)} crops for {len(self.ids)} triplets; "
                                 "delete both files and run again")  # fmt: skip
            for scene in self.scenes:
                rows = np.array([row for frame in scene.frames for row in rows_of[frame]], np.int64)
                if len(rows):
                    yield scene, self._views_of(scene, rows, points, names)

    def _views_of(self, scene: Scene, rows: Ints, points: RaggedReader, names: Floats) -> Views:
        sample_number = {name: number for number, name in enumerate(scene.samples)}
        frames = {name: self._frames[name] for name in scene.frames}
        eyes = {name: eye_of(frame, scene.origin) for name, frame in frames.items()}
        in_file = np.sort(rows)
        crops = {
            row: in_scene(thinned(crop, MOST_POINTS), frames[self._frame[row]], scene.origin)
            for row, crop in zip(in_file.tolist(), points.crops(in_file), strict=True)
        }
        sample = np.array([sample_number[frames[self._frame[row]]["sample"]] for row in rows])
        ids = [self.ids[row] for row in rows]
        order = np.array(sorted(range(len(rows)), key=lambda k: (sample[k], ids[k])))
        rows = rows[order]
        own = [self._frame[row] for row in rows]
        return Views(
            ids=[ids[k] for k in order],
            rows=rows,
            picture=np.unique(np.array(own, dtype=str), return_inverse=True)[1],
            sample=sample[order],
            times=scene.times,
            score=self.score[rows],
            image=self.image[rows],
            names=names[rows],
            points=[crops[row] for row in rows.tolist()],
            eye=np.array([eyes[frame] for frame in own]),
            cube_m=CUBE_M[self.header["sensor"]],
        )


def scenes_of(frames: Iterable[Row], seconds_per_sample: float) -> list[Scene]:
    """Which samples make a scene, by time; in the order of the frames where they have no times, or the same ones."""
    found: dict[tuple[str, str | None], dict[str, list[Row]]] = {}
    for frame in frames:
        alone = frame["sample"] if frame["T_scene_from_points"] is None else None
        found.setdefault((frame["scene"], alone), {}).setdefault(frame["sample"], []).append(frame)
    return [_scene(name, samples, seconds_per_sample) for (name, _), samples in found.items()]


def _scene(name: str, samples: dict[str, list[Row]], seconds_per_sample: float) -> Scene:
    stamps = {
        sample: min((frame["timestamp_us"] for frame in own if frame["timestamp_us"] is not None), default=None)
        for sample, own in samples.items()
    }
    known = [stamp for stamp in stamps.values() if stamp is not None]
    if len(set(known)) == len(stamps):
        order = sorted(stamps, key=lambda sample: stamps[sample] or 0)
        times = np.array([1e-6 * ((stamps[sample] or 0) - min(known)) for sample in order])
    else:
        order, times = list(stamps), seconds_per_sample * np.arange(len(stamps))
    frames = [frame for sample in order for frame in samples[sample]]
    T = frames[0]["T_scene_from_points"]
    origin = np.zeros(3) if T is None else np.reshape(T, (4, 4))[:3, 3]
    return Scene(
        name, order, times, [stamps[sample] for sample in order], [frame["frame_id"] for frame in frames], origin
    )
