"""Lifting of one key frame with six cameras, on one core: ours; the recipe as it is usually written."""

from collections.abc import Iterator
from functools import partial

import torch

from benchmarks.keyframe import SIZE, KeyFrame, boxes_like_real, key_frame, several_sweeps
from benchmarks.options import Options
from benchmarks.timing import Comparison, Way, cores_of, in_turns
from benchmarks.usual import lift_box
from clip2.lift import lift_boxes

GOAL = 10.0
"""Times the speed of the recipe, at 40 boxes an image and one sweep."""


def run(options: Options) -> Iterator[Comparison]:
    """2, 10 and 40 boxes an image in one sweep; 40 in five and ten, but for a quick run."""
    frame = key_frame(options.realdata)
    for sweeps, n_boxes in ((1, 2), (1, 10), (1, 40), (5, 40), (10, 40))[: 3 if options.quick else 5]:
        turns = options.turns if n_boxes < 40 else max(1, options.turns // 2)
        yield compare(frame, sweeps, n_boxes, turns, {"ratio": GOAL} if (sweeps, n_boxes) == (1, 40) else {})


def compare(frame: KeyFrame, sweeps: int, n_boxes: int, turns: int, goal: dict[str, float]) -> Comparison:
    """Time ours, the recipe box by box, and the recipe with our projection, which all boxes of an image share."""
    points = several_sweeps(frame.points, sweeps)
    boxes = [boxes_like_real(n_boxes, seed) for seed in range(len(frame.cameras))]

    def ours(method: str) -> None:
        for (T, K), found in zip(frame.cameras, boxes):
            lift_boxes(points, T, K, found, SIZE, method)

    def usual() -> None:
        for (T, K), found in zip(frame.cameras, boxes):
            for box in found:
                lift_box(points, T, K, box)

    cpu = torch.device("cpu")
    ways: dict[str, Way] = {
        "ours": partial(ours, "frustum"),
        "usual": usual,
        "usual, shared projection": partial(ours, "frustum-dbscan"),
    }
    with cores_of(cpu):
        seconds = in_turns(ways, turns, cpu)
    sizes = {"cameras": len(boxes), "boxes an image": n_boxes, "sweeps": sweeps, "points": len(points)}
    name = f"{n_boxes} boxes an image, {sweeps} sweep{'s' * (sweeps > 1)}, {frame.source}"
    counts = dict.fromkeys(ways, 1)
    return Comparison("lift", name, sizes, counts, "key frames", "cpu, one core", seconds, goal)
