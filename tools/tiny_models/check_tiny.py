"""Measure the two demo models on held-out streets and rooms, through open_clip's and transformers' own loaders.

    python -m tools.tiny_models.check_tiny --models resources/models --streets 12 --rooms 24

CLIP: top-1 among all names, on crops with at least 12 pixels and 5 LiDAR points, of which more than 0.3 is visible.
OWLv2: AP50 (see ``average_precision``) on whole frames, for nuScenes' ten classes and for the long tail.
"""

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torchvision.ops import batched_nms
from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor

from clip2_world.streets.nuscenes_writer import JPEG_QUALITY
from clip2_world.streets.traffic import make_street
from tools.tiny_models.average_precision import Detections, average_precision
from tools.tiny_models.corpus import HELD_OUT_SEED, LabelledImage, labelled_images, padded
from tools.tiny_models.crops import square_crop
from tools.tiny_models.room_corpus import room_images
from tools.tiny_models.vocabulary import CLASSES, detection_of

FIRST_SEED = HELD_OUT_SEED + 10_000
MOMENT = 1.5


class TinyClip:
    """The tiny CLIP with the embeddings of all class names."""

    def __init__(self, folder: Path) -> None:
        name = f"local-dir:{folder}"
        self.model, self.preprocess = open_clip.create_model_from_pretrained(name)
        self.model.eval()
        tokenizer = open_clip.get_tokenizer(name)
        with torch.no_grad():
            prompts = [
                self.model.encode_text(tokenizer([f"a photo of a {c}", c, f"a {c}"]), normalize=True) for c in CLASSES
            ]
        self.text = F.normalize(torch.stack([p.mean(0) for p in prompts]), dim=-1)

    @torch.no_grad()
    def classify(self, crops: list[NDArray[np.uint8]]) -> NDArray[np.int64]:
        """Class number of each crop."""
        from PIL import Image

        pixels = torch.stack([self.preprocess(Image.fromarray(crop)) for crop in crops])
        return (self.model.encode_image(pixels, normalize=True) @ self.text.T).argmax(1).numpy()


class TinyOwl:
    """The tiny OWLv2 with the prompts of all class names."""

    def __init__(self, folder: Path) -> None:
        self.processor = AutoProcessor.from_pretrained(folder)
        self.model = AutoModelForZeroShotObjectDetection.from_pretrained(folder, dtype=torch.float32).eval()
        self.prompts = [[f"a photo of a {c}" for c in CLASSES]]

    @torch.no_grad()
    def detect(self, image: NDArray[np.uint8], threshold: float = 0.05) -> Detections:
        """Boxes xyxy, scores and class numbers, after non-maximum suppression in each class."""
        inputs = self.processor(text=self.prompts, images=image, return_tensors="pt")
        found = self.processor.post_process_grounded_object_detection(
            self.model(**inputs), threshold=threshold, target_sizes=[image.shape[:2]]
        )[0]
        keep = batched_nms(found["boxes"], found["scores"], found["labels"], 0.5)[:100]
        return found["boxes"][keep].numpy(), found["scores"][keep].numpy(), found["labels"][keep].numpy()


def usable(row: NDArray[np.float32]) -> bool:
    """Whether a box (a row of ``BOX_FIELDS``) counts for the CLIP figure."""
    return bool(min(row[2] - row[0], row[3] - row[1]) >= 12 and row[6] >= 5 and row[7] > 0.3)


def check(title: str, images: Iterable[LabelledImage], clip: TinyClip, owl: TinyOwl) -> None:
    """Print both models' figures on some images."""
    found, truth, labels, guesses = [], [], [np.empty(0, int)], [np.empty(0, int)]
    for item in images:
        truth.append(padded(item.boxes))
        found.append(owl.detect(item.image))
        rows = [row for row in item.boxes if usable(row)]
        if rows:
            guesses.append(clip.classify([square_crop(item.image, row) for row in rows]))
            labels.append(np.array([int(row[4]) for row in rows]))
    label, right = np.concatenate(labels), np.concatenate(labels) == np.concatenate(guesses)
    ten = np.array([detection_of(i) >= 0 for i in label])
    precision = average_precision(found, np.stack(truth), len(CLASSES))
    known = [v for c, v in precision.items() if detection_of(c) >= 0]
    rest = [v for c, v in precision.items() if detection_of(c) < 0]
    print(f"{title}: {len(found)} images, {len(label)} crops")
    print(f"CLIP top-1 of {len(CLASSES)} names: {right.mean():.3f}" + (f", ten {right[ten].mean():.3f}" * ten.any()))
    print(
        "OWLv2 AP50: " + (f"{np.mean(known):.3f} on the ten classes, " if known else "") + f"{np.mean(rest):.3f} others"
    )


def street_images(first: int, count: int) -> Iterator[LabelledImage]:
    """The six pictures of each of some streets."""
    for seed in range(first, first + count):
        yield from labelled_images(make_street(seed), MOMENT, np.random.default_rng(seed), JPEG_QUALITY)


def rooms_images(first: int, count: int) -> Iterator[LabelledImage]:
    """Three pictures of each of some rooms."""
    for seed in range(first, first + count):
        yield from room_images(seed, 3, 560, np.random.default_rng(seed))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=Path("resources/models"))
    parser.add_argument("--streets", type=int, default=12)
    parser.add_argument("--rooms", type=int, default=24)
    parser.add_argument("--first", type=int, default=FIRST_SEED)
    args = parser.parse_args()
    clip, owl = TinyClip(args.models / "tiny_clip"), TinyOwl(args.models / "tiny_owl")
    check("streets", street_images(args.first, args.streets), clip, owl)
    check("rooms", rooms_images(args.first, args.rooms), clip, owl)


if __name__ == "__main__":
    main()
