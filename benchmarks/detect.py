"""Detection, end to end from JPEG files of 1600×900: ours; transformers' own example; the image tower alone."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from benchmarks.made import OWLV2_B16, TINY_OWL, words, write_frames, write_owl
from benchmarks.options import Options
from benchmarks.timing import Comparison, cores_of, in_turns, wait_for
from benchmarks.usual import UsualDetector
from clip2.detect.found import Found
from clip2.detect.models import load_detector
from clip2.detect.runner import Frame, detect_on_cpu, detect_on_gpu
from clip2.detect.select import select
from clip2.detect.settings import DetectSettings
from clip2.store.bad_frames import BadFrames
from clip2.store.tables import iterate_rows

VOCABULARIES = (35, 1203)
BOXES = 40
"""The threshold is set so that the first picture keeps about so many boxes, as a street's picture does."""
GOAL = 200.0
"""Images a second with OWLv2-B/16 at 960², on one H100."""


def run(options: Options) -> Iterator[Comparison]:
    """OWLv2-B/16 with random weights on a GPU, the tiny OWLv2 on a CPU."""
    if options.gpu:
        model, name, goal = write_owl(options.scratch / "owl", OWLV2_B16), "OWLv2-B/16 960²", {"per_second": GOAL}
        counts = {"ours": 128 if options.quick else 1024, "usual": 8 if options.quick else 32, "limit": 256}
    else:
        model, name, goal = TINY_OWL, "tiny OWLv2 512²", {}
        counts = dict.fromkeys(("ours", "usual", "limit"), 2 if options.quick else 4)
    frames = write_frames(options.scratch / "pictures", counts["ours"])
    for n_words in VOCABULARIES:
        yield compare(model, f"{name}, {n_words} words", frames, counts, n_words, options, goal)


def compare(
    model: Path,
    name: str,
    frames: Path,
    counts: dict[str, int],
    n_words: int,
    options: Options,
    goal: dict[str, float],
    batch_size: int = 16,
) -> Comparison:
    """Time ours, the usual way and the bare image tower on the pictures of a frames table."""
    device, root = options.device, frames.parent
    rows = list(iterate_rows(frames))
    vocabulary = words(n_words)
    detector, _ = load_detector(str(model), None, device)
    detector.encode_vocabulary(vocabulary, None)
    usual = UsualDetector(model, device)

    def found(some: list[Frame]) -> Iterator[tuple[Frame, Found]]:
        bad = BadFrames(0)
        if device.type == "cpu":
            return detect_on_cpu(some, root, detector, 1, bad)
        return detect_on_gpu(some, root, detector, batch_size, options.threads, bad)

    ((_, first),) = found(rows[:1])
    threshold = _threshold(first.scores)
    settings = DetectSettings(score_threshold=threshold)

    def ours() -> None:
        for frame, proposed in found(rows[: counts["ours"]]):
            select(proposed, frame["width"], frame["height"], settings, Counter())

    def others() -> None:
        for frame in rows[: counts["usual"]]:
            usual(root / frame["image_path"], vocabulary.names, threshold)

    tower = detector._network.base_model.vision_model  # type: ignore[attr-defined]  # in the precision that ours uses
    side = tower.config.image_size
    batch = 1 if device.type == "cpu" else batch_size
    pixels = torch.rand(batch, 3, side, side, device=device)

    @torch.inference_mode()
    def limit() -> None:
        for _ in range(counts["limit"] // batch):
            tower(pixels)
        wait_for(device)

    with cores_of(device):
        seconds = in_turns({"ours": ours, "usual": others, "limit": limit}, options.turns, device)
    sizes = {"words": n_words, "image": [rows[0]["width"], rows[0]["height"]], "network": side, "batch": batch}
    return Comparison("detect", name, sizes, counts, "images", str(device), seconds, goal)


def _threshold(scores: np.ndarray) -> float:
    """Score of the box number :data:`BOXES`."""
    return float(np.sort(scores)[-min(BOXES, len(scores))])
