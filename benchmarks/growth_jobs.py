"""Whole stages on inputs of a given size, for :mod:`benchmarks.growth`. Each runs in a process of its own."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.keyframe import SIZE, boxes_like_real, key_frame
from benchmarks.made import TINY_CLIP, TINY_OWL, shard_in, write_frames, write_triplets, write_words
from benchmarks.scale.tables import Base, Size, write_tables
from clip2.detect.settings import DetectSettings
from clip2.detect.stage import run as detect
from clip2.lift import lift_boxes
from clip2.pretrain.pack import build_pack
from clip2.pretrain.settings import PretrainSettings
from clip2.pretrain.stage import run as pretrain
from clip2.scans.nuscenes.frames import run as ingest
from clip2.scans.nuscenes.settings import NuscenesSettings
from clip2.teach.settings import TeachSettings
from clip2.teach.stage import run as embed
from clip2_world.streets.nuscenes_settings import WorldSettings
from clip2_world.streets.nuscenes_stage import run as make_world

TRAINING = PretrainSettings(encoder="pointnet2-tiny", n_points=128, max_points=512, batch_size=128, epochs=1)


@dataclass(frozen=True)
class Job:
    """Some work whose size can be chosen.

    Attributes:
        unit: what there is more and more of.
        base: the smallest size, quick and else.
        prepare: writes inputs of a size into a folder.
        work: does it; folder and device. Its time and memory are what is measured.
    """

    unit: str
    base: tuple[int, int]
    prepare: Callable[[Path, int], object]
    work: Callable[[Path, str], object]


def write_nuscenes(folder: Path, scenes: int) -> None:
    """Tables of so many scenes, each with as many rows as one of nuScenes; no pictures, which ingest never opens."""
    one = folder.parent / "one_scene_each"
    if not one.exists():
        make_world(one, WorldSettings(train_scenes=1, val_scenes=1, key_frames=2, image_width=64))
    whole = Size()
    rows = (round(n * scenes / 850) for n in (whole.samples, whole.sample_data, whole.boxes))
    base = Base(one / "v1.0-trainval")
    write_tables(base, folder / "raw" / "v1.0-trainval", Size(scenes - 1, 1, *rows))


def _detect(folder: Path, device: str) -> None:
    settings = DetectSettings(model=str(TINY_OWL), vocabulary=folder / "words.txt")
    detect(folder / "frames.parquet", folder, folder / "found.parquet", settings, device)


def _prepare_frames(folder: Path, frames: int, n_words: int = 35) -> None:
    write_frames(folder, frames)
    write_words(folder / "words.txt", n_words)


def _ingest(folder: Path, _device: str) -> None:
    ingest(folder / "raw", folder / "frames", "made", NuscenesSettings())


def _embed(folder: Path, device: str) -> None:
    settings = TeachSettings(model=str(TINY_CLIP), batch_size=32)  # so that even the smallest size has several batches
    embed(shard_in(folder).triplets, folder / "embedded.h5", settings, device)


def _prepare_lift(folder: Path, n_boxes: int) -> None:
    frame = key_frame(None)
    T, K = (np.stack(matrices) for matrices in zip(*frame.cameras))
    boxes = np.stack([boxes_like_real(n_boxes, seed) for seed in range(len(T))])
    np.savez(folder / "frame.npz", points=frame.points, T=T, K=K, boxes=boxes)


def _lift(folder: Path, _device: str) -> None:
    with np.load(folder / "frame.npz", allow_pickle=False) as frame:
        points, cameras = frame["points"], list(zip(frame["T"], frame["K"], frame["boxes"]))
    for _ in range(10):
        for T, K, boxes in cameras:
            lift_boxes(points, T, K, boxes, SIZE, "frustum")


def _pack(folder: Path, _device: str) -> None:
    build_pack([shard_in(folder)], folder / "pack", TRAINING)


def _pretrain(folder: Path, device: str) -> None:
    pretrain([shard_in(folder)], folder / "model", TRAINING, device)


JOBS = {
    "ingest": Job("scenes", (2, 10), write_nuscenes, _ingest),
    "detect": Job("images", (2, 8), _prepare_frames, _detect),
    "detect, words": Job("words", (75, 75), lambda folder, n: _prepare_frames(folder, 2, n), _detect),
    "lift, ten key frames": Job("boxes an image", (10, 10), _prepare_lift, _lift),
    "embed": Job("crops", (48, 128), write_triplets, _embed),
    "pack": Job("triplets", (256, 2048), write_triplets, _pack),
    "pretrain, an epoch": Job("triplets", (256, 512), write_triplets, _pretrain),
}
"""Sizes are base, 4 × base and 16 × base; 16 × 75 words is a vocabulary of LVIS's size."""
