"""Rendered material for the two tiny models from the built-in rooms, in the form of ``corpus``.

python -m tools.tiny_models.room_corpus --out data/rooms --rooms 400
python -m tools.tiny_models.room_corpus --out data/rooms_val --rooms 32 --first-seed 900000
"""

import argparse
import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from clip2_world.rgbd import NOTHING, RoomObject
from clip2_world.rooms.camera import take_poses, take_rgbd
from clip2_world.rooms.room import make_room
from clip2_world.seeds import FIRST_WORLD_SEED
from tools.tiny_models.corpus import BOX_FIELDS, LabelledImage, Material, material, render_all, through_jpeg
from tools.tiny_models.vocabulary import CLASSES

MIN_PIXELS = 60
MANY_POINTS = 1000
"""Stands for the LiDAR points of a street's object: with a depth camera, every object has plenty."""


def labelled_frame(
    image: NDArray[np.uint8], owners: NDArray[np.int32], objects: list[RoomObject], quality: int
) -> LabelledImage:
    """A room's picture with the boxes of what it shows, in pixels of the picture."""
    rows = []
    for number in np.unique(owners[owners != NOTHING]):
        v, u = np.nonzero(owners == number)
        if len(u) < MIN_PIXELS:
            continue
        # Edges between the 1st and the 99th percentile: a few pixels seen through a gap make no box.
        x0, x1 = np.percentile(u, (0.5, 99.5))
        y0, y1 = np.percentile(v, (0.5, 99.5))
        filled = len(u) / ((x1 - x0 + 1) * (y1 - y0 + 1))
        label = (CLASSES.index(objects[number].kind), -1, MANY_POINTS)
        rows.append((x0, y0, x1 + 1, y1 + 1, *label, 1.0 if filled > 0.12 else 0.2))
    boxes = np.array(rows, np.float32).reshape(-1, len(BOX_FIELDS))
    return LabelledImage(through_jpeg(image, quality), owners, boxes)


def room_images(seed: int, n_frames: int, width: int, rng: np.random.Generator) -> Iterator[LabelledImage]:
    """Some pictures of one room."""
    room = make_room(seed)
    for pose in take_poses(room, n_frames, rng):
        frame = take_rgbd(room, pose, width, rng)
        yield labelled_frame(frame.image, frame.owners, room.objects, int(rng.integers(80, 96)))


def render_room(job: tuple[int, int, int, int]) -> Material:
    """Material of one room: (seed, pictures, their width, width of the images)."""
    seed, n_frames, width, out_width = job
    cv2.setNumThreads(1)
    rng = np.random.default_rng(seed + 20_000_033)
    return material(room_images(seed, n_frames, width, rng), rng, out_width)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rooms", type=int, default=400)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--frames", type=int, default=4)
    parser.add_argument("--width", type=int, default=560)
    parser.add_argument("--out-width", type=int, default=512)
    parser.add_argument("--workers", type=int, default=multiprocessing.cpu_count())
    args = parser.parse_args()
    if args.first_seed + args.rooms > FIRST_WORLD_SEED:
        parser.error(f"seeds from {FIRST_WORLD_SEED} on belong to the world itself")
    jobs = [(args.first_seed + i, args.frames, args.width, args.out_width) for i in range(args.rooms)]
    render_all(render_room, jobs, args.out, args.workers)


if __name__ == "__main__":
    main()
