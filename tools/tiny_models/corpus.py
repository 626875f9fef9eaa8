"""Rendered material for the two tiny models: images with boxes, and object crops.

python -m tools.tiny_models.corpus --out data/train --scenes 400
python -m tools.tiny_models.corpus --out data/val --scenes 32 --first-seed 900000
"""

import argparse
import multiprocessing
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from clip2_world.seeds import FIRST_WORLD_SEED
from clip2_world.streets import rig
from clip2_world.streets.inventory import COLOURS
from clip2_world.streets.render import take_picture
from clip2_world.streets.scan import sweep
from clip2_world.streets.street import Street
from clip2_world.streets.traffic import make_street
from clip2_world.streets.visibility import Shot, Silhouettes, seen_actors
from clip2_world.tracing import NOBODY, Tracer
from tools.tiny_models.crops import square_crop
from tools.tiny_models.vocabulary import BACKGROUND, CLASSES

HELD_OUT_SEED = 900_000
"""Seeds from here on measure the models; those below train them; the world's own start at ``FIRST_WORLD_SEED``."""
SOURCE_WIDTH = 800.0
"""Pixels; width of the pictures that boxes are given for."""
MAX_BOXES = 64
MIN_PIXELS = 30
Job = TypeVar("Job")
Material = dict[str, NDArray[np.generic]]
"""Arrays by name: ``images``, ``boxes``, ``crops``, ``labels``."""
BOX_FIELDS = ("x0", "y0", "x1", "y1", "class", "colour", "lidar_points", "visible")


@dataclass(frozen=True)
class LabelledImage:
    """An RGB image after JPEG, the actor at each pixel, and rows of ``BOX_FIELDS`` (N, 8) for those it shows."""

    image: NDArray[np.uint8]
    owners: NDArray[np.int32]
    boxes: NDArray[np.float32]


def labelled_images(street: Street, moment: float, rng: np.random.Generator, quality: int) -> Iterator[LabelledImage]:
    """The six images of a street at one moment (seconds)."""
    tracer, silhouettes = Tracer(street), Silhouettes(street)
    _, owners = sweep(tracer, rig.lidar(), moment, rng)
    points = np.bincount(owners[owners != NOBODY], minlength=len(street.actors))
    for camera in rig.cameras():
        picture = take_picture(tracer, camera, moment, rng)
        shot, rows = Shot(street, camera, moment, picture), []
        for seen in seen_actors(picture, MIN_PIXELS):
            visible, unhidden = silhouettes.visible_share(seen.actor, shot)
            actor = street.actors[seen.actor]
            label = (CLASSES.index(actor.kind), COLOURS.index(actor.colour), points[seen.actor])
            rows.append((*seen.box, *label, visible / unhidden if unhidden else 1.0))
        boxes = np.array(rows, np.float32).reshape(-1, len(BOX_FIELDS))
        yield LabelledImage(through_jpeg(picture.image, quality), picture.owners, boxes)


def padded(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """The largest ``MAX_BOXES`` boxes, filled up with rows of -1."""
    out = np.full((MAX_BOXES, len(BOX_FIELDS)), -1, np.float32)
    largest = boxes[np.argsort(-(boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))][:MAX_BOXES]
    out[: len(largest)] = largest
    return out


def through_jpeg(image: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    coded = cv2.imencode(".jpg", image[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, quality))[1]
    decoded: NDArray[np.uint8] = np.ascontiguousarray(cv2.imdecode(coded, cv2.IMREAD_COLOR)[..., ::-1])
    return decoded


def background_crop(image: LabelledImage, rng: np.random.Generator) -> NDArray[np.uint8] | None:
    """A crop that shows next to nothing of any actor, or None where a few tries found none."""
    height, width = image.owners.shape
    for _ in range(3):
        side = int(rng.integers(24, 160))
        x, y = int(rng.integers(0, width - side)), int(rng.integers(0, height - side))
        if (image.owners[y : y + side, x : x + side] != NOBODY).mean() < 0.03:
            return square_crop(image.image, (x, y, x + side, y + side))
    return None


def render_scene(job: tuple[int, int, int]) -> Material:
    """Images (resized to the detector's width), boxes, crops and crop labels of one scene: (seed, moments, width)."""
    seed, moments, out_width = job
    cv2.setNumThreads(1)
    rng = np.random.default_rng(seed + 10_000_019)
    street = make_street(seed, density=rng.uniform(0.6, 1.3))
    times = np.linspace(0, 4, moments) if moments > 1 else [2.0]
    items = (item for time in times for item in labelled_images(street, float(time), rng, int(rng.integers(80, 96))))
    return material(items, rng, out_width)


def material(items: Iterable[LabelledImage], rng: np.random.Generator, out_width: int) -> Material:
    """What the trainers read: images at ``out_width``, boxes in units of a picture ``SOURCE_WIDTH`` wide, and crops of
    a little inexact boxes with their labels."""
    images, boxes, crops, labels = [], [], [], []
    for item in items:
        for row in item.boxes:
            width, height = row[2] - row[0], row[3] - row[1]
            if max(width, height) < 12 or row[7] < 0.3:
                continue
            crops.append(square_crop(item.image, row[:4] + rng.normal(0, 0.04, 4) * (width, height, width, height)))
            labels.append((*row[4:8], min(width, height)))
        background = background_crop(item, rng)
        if background is not None:
            crops.append(background)
            labels.append((BACKGROUND, -1, 0, 1, 64))
        height, width = item.image.shape[:2]
        scaled = item.boxes.copy()
        scaled[:, :4] *= SOURCE_WIDTH / width
        boxes.append(padded(scaled))
        size = (out_width, round(height * out_width / width))
        images.append(cv2.resize(item.image, size, interpolation=cv2.INTER_AREA))
    return {
        "images": np.stack(images),
        "boxes": np.stack(boxes),
        "crops": np.stack(crops),
        "labels": np.array(labels, np.float32),
    }


def render_all(render: Callable[[Job], Material], jobs: list[Job], out: Path, workers: int) -> None:
    """Render in other processes and save everything together."""
    start = time.time()
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        parts = list(pool.imap(render, jobs))
    out.mkdir(parents=True, exist_ok=True)
    for key in parts[0]:
        np.save(out / f"{key}.npy", np.concatenate([part[key] for part in parts]))
    print(f"{len(parts)} scenes, {sum(len(p['crops']) for p in parts)} crops in {time.time() - start:.0f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scenes", type=int, default=400)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--moments", type=int, default=3)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--workers", type=int, default=multiprocessing.cpu_count())
    args = parser.parse_args()
    if args.first_seed + args.scenes > FIRST_WORLD_SEED:
        parser.error(f"seeds from {FIRST_WORLD_SEED} on belong to the world itself")
    jobs = [(args.first_seed + i, args.moments, args.width) for i in range(args.scenes)]
    render_all(render_scene, jobs, args.out, args.workers)


if __name__ == "__main__":
    main()
