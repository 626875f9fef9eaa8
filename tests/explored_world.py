"""A tiny street with detections, triplets, embeddings, labels and the explorer of them: for tests of the explorer."""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from made_labels import make_labels

from clip2.detect import stage as detect
from clip2.detect.settings import DetectSettings
from clip2.explore.settings import ExplorerSettings
from clip2.explore.stage import Inputs, run
from clip2.lift import stage as lift
from clip2.lift.settings import LiftSettings
from clip2.scans.nuscenes import annotations, frames
from clip2.scans.nuscenes.settings import NuscenesSettings
from clip2.store.tables import iterate_rows
from clip2.teach import stage as teach
from clip2.teach.settings import TeachSettings
from clip2_world.streets import nuscenes_stage
from clip2_world.streets.nuscenes_settings import WorldSettings

REPOSITORY = Path(__file__).resolve().parents[1]
MODELS = REPOSITORY / "resources/models"
WORLD = WorldSettings(train_scenes=2, val_scenes=1, key_frames=2, image_width=512, sweeps_per_key_frame=1)
SETTINGS = NuscenesSettings(version=WORLD.version, train="train", val="val", train_shards=1, val_shards=1, n_sweeps=2)
SHARD, MADE_BY = "train-000of001", "tiny_owl.auto.tiny_clip"


class Explored(NamedTuple):
    """Files of the street, under one folder."""

    folder: Path

    @property
    def root(self) -> Path:
        """The data set."""
        return self.folder / "raw"

    @property
    def mined(self) -> Path:
        """What was mined, where the workflow puts it."""
        return self.folder / "results" / "world"

    @property
    def frames(self) -> Path:
        """Frames of two scenes."""
        return self.mined / "frames" / f"{SHARD}.parquet"

    @property
    def triplets(self) -> Path:
        """Views."""
        return self.mined / "triplets" / "tiny_owl.auto" / f"{SHARD}.parquet"

    @property
    def tracks(self) -> Path:
        """Tracks."""
        return self.mined / "tracks" / MADE_BY / f"{SHARD}.parquet"

    @property
    def embeddings(self) -> Path:
        """What the teacher sees of the views."""
        return self.mined / "embeddings" / MADE_BY / f"{SHARD}.h5"

    @property
    def detections(self) -> Path:
        """2D boxes."""
        return self.mined / "detections" / "tiny_owl" / f"{SHARD}.parquet"

    @property
    def members(self) -> Path:
        """Which triplets the tracks are made of."""
        return self.tracks.with_suffix(".members.parquet")

    @property
    def labels(self) -> Path:
        """Named boxes."""
        return self.folder / "labels.parquet"

    @property
    def page(self) -> Path:
        """The explorer."""
        return self.folder / "explorer" / "index.html"

    @property
    def data(self) -> Path:
        """Its data."""
        return self.page.parent / "data"

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The labels' rows."""
        return list(iterate_rows(self.labels))

    @property
    def index(self) -> dict[str, Any]:
        """The page's index."""
        found: dict[str, Any] = json.loads(re.findall(r'id="index">(.*?)</script>', self.page.read_text(), re.S)[0])
        return found

    def write(self, page: Path, threads: int = 1) -> None:
        """Write the explorer."""
        inputs = Inputs(
            labels=self.labels,
            frames=[self.frames],
            triplets=[self.triplets],
            tracks=[self.tracks],
            embeddings=[self.embeddings],
            detections=[self.detections],
        )
        run(inputs, self.root, page, ExplorerSettings(max_points=12000, picture_width=320), threads)


def explored_world(folder: Path) -> Explored:
    """Make all of it: half a minute on one core."""
    made = Explored(folder)
    nuscenes_stage.run(made.root, WORLD)
    frames.run(made.root, made.mined / "frames", "world", SETTINGS)
    annotations.run(made.root, made.mined / "annotations", "world", SETTINGS)
    words = REPOSITORY / "resources/vocabularies/world.txt"
    detecting = DetectSettings(
        model=str(MODELS / "tiny_owl"), vocabulary=str(words), score_threshold=0.4, nms_iou=0.4, cross_class_nms_iou=0.6
    )
    detect.run(made.frames, made.root, made.detections, detecting, "cpu")
    points = made.triplets.with_suffix(".h5")
    lift.run(made.frames, made.detections, made.root, made.triplets, points, LiftSettings(min_points=2))
    teach.run(made.triplets, made.embeddings, TeachSettings(model=str(MODELS / "tiny_clip")), "cpu")
    boxes = made.mined / "annotations" / made.frames.name
    make_labels([boxes], [made.frames], [made.triplets], made.labels, made.tracks.parent)
    made.write(made.page)
    return made
