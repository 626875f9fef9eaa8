"""Embedding of picture crops, end to end from JPEG bytes: ours; open_clip's own example; the image tower alone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import open_clip
import torch

from benchmarks.made import TINY_CLIP, crop_jpegs, write_clip
from benchmarks.options import Options
from benchmarks.timing import Comparison, cores_of, in_turns, wait_for
from benchmarks.usual import UsualTeacher
from clip2.teach.teacher import load_teacher

GOAL = 2000.0
"""Crops a second with ViT-L/14, on one H100."""


def run(options: Options) -> Iterator[Comparison]:
    """ViT-L/14 with random weights on a GPU, the tiny CLIP on a CPU."""
    if options.gpu:
        sizes: dict[str, Any] = open_clip.get_model_config("ViT-L-14")
        model, name, goal = write_clip(options.scratch / "clip", sizes), "ViT-L/14", {"per_second": GOAL}
        counts = {"ours": 1024 if options.quick else 8192, "usual": 32 if options.quick else 128, "limit": 2048}
    else:
        model, name, goal = TINY_CLIP, "tiny CLIP", {}
        counts = dict.fromkeys(("ours", "usual", "limit"), 32 if options.quick else 128)
    yield compare(model, name, counts, options, goal)


def compare(model: Path, name: str, counts: dict[str, int], options: Options, goal: dict[str, float]) -> Comparison:
    """Time ours, the usual way and the bare image tower on crops of many sizes."""
    device, jpegs = options.device, crop_jpegs(max(counts.values()))
    teacher, usual = load_teacher(str(model), None, str(device)), UsualTeacher(model, device)
    batch = min(256, counts["limit"])
    pixels = torch.rand(batch, 3, teacher.image_size, teacher.image_size, device=device)
    threads = options.threads if options.gpu else 1

    def ours() -> None:
        teacher.encode_images(jpegs[: counts["ours"]], threads, batch)

    def others() -> None:
        for data in jpegs[: counts["usual"]]:
            usual(data)

    def limit() -> None:
        for _ in range(counts["limit"] // batch):
            teacher.encode_pixels(pixels, batch)
        wait_for(device)

    with cores_of(device):
        seconds = in_turns({"ours": ours, "usual": others, "limit": limit}, options.turns, device)
    sizes = {"network": teacher.image_size, "batch": batch, "crop_bytes": sum(map(len, jpegs)) // len(jpegs)}
    return Comparison("embed", name, sizes, counts, "crops", str(device), seconds, goal)
