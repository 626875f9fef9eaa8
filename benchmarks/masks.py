"""What masks are worth to lifting, and what their errors cost: ``python -m benchmarks.masks``.

The built-in world knows what each pixel and each point belongs to. Boxes are those of a thing's visible pixels, its
mask is these pixels, its truth the points on it. Masks are then eroded, widened and shifted. Real frames have no masks:
``--realdata`` makes pseudo-masks of what is also the truth; they say what masks would be worth at best, and not more.
"""

import argparse
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import describe_machine
from clip2.geometry import in_image, invert, project_points, rigid, yaw_rotation
from clip2.lift import lift_boxes
from clip2.lift.masks import MARGIN
from clip2.store.atomic import write_json
from clip2_world.rooms.surface import take_frames
from clip2_world.streets import rig
from clip2_world.streets.render import camera_pose, take_picture
from clip2_world.streets.scan import sweep
from clip2_world.streets.traffic import make_street
from clip2_world.streets.visibility import seen_actors
from clip2_world.tracing import Tracer

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
PIXELS = (2, 4, 8)
POINTS_A_PICTURE = 50_000
LEAST_PIXELS, LEAST_POINTS = 100, 5
"""Things that show fewer are not asked about."""


@dataclass(frozen=True)
class Case:
    """One picture: its cloud (N, 3), and for each thing its box (B, 4), its mask and which points are on it."""

    points: NDArray[np.float64]
    T_cam_from_points: NDArray[np.float64]
    K: NDArray[np.float64]
    size: tuple[int, int]
    boxes: NDArray[np.float64]
    masks: list[Mask]
    truth: list[Mask]


def streets(scenes: int, width: int, first_seed: int = 9_000_000) -> Iterator[Case]:
    """Six pictures of one sweep of each built-in street; the things move between sweep and picture, as real ones do."""
    lidar = rig.lidar()
    for seed in range(first_seed, first_seed + scenes):
        street = make_street(seed, duration=2.0)
        tracer, now = Tracer(street), 1.0
        rng = np.random.default_rng(seed)
        points, owners = sweep(tracer, lidar, now, rng)
        ego, yaw = street.ego_pose(now)
        T_street_from_points = rigid(yaw_rotation(yaw), ego) @ rigid(lidar.rotation, lidar.position)
        for camera in rig.cameras(width):
            time = now + camera.delay
            picture = take_picture(tracer, camera, time, rng)
            T_cam = invert(rigid(*camera_pose(street, camera, time))) @ T_street_from_points
            found = [
                (np.array(s.box, float), picture.owners == s.actor, owners == s.actor)
                for s in seen_actors(picture, LEAST_PIXELS)
            ]
            size = (camera.width, camera.height)
            yield from _case(points[:, :3].astype(float), T_cam, camera.intrinsic, size, found)


def rooms(scenes: int, width: int, first_seed: int = 9_500_000) -> Iterator[Case]:
    """Two pictures of a depth camera in each built-in room, thinned to POINTS_A_PICTURE."""
    for seed in range(first_seed, first_seed + scenes):
        _, frames = take_frames(seed, 2, width)
        for frame in frames:
            v, u = np.nonzero(frame.depth)
            keep = np.sort(np.random.default_rng(seed).permutation(len(u))[:POINTS_A_PICTURE])
            u, v = u[keep], v[keep]
            rays = np.stack([u, v, np.ones(len(u))], 1) @ np.linalg.inv(frame.K).T
            owner = frame.owners[v, u]
            found = []
            for number in np.unique(owner[owner >= 0]):
                mask = frame.owners == number
                rows, columns = np.nonzero(mask)
                if len(rows) >= LEAST_PIXELS:
                    box = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], float)
                    found.append((box, mask, owner == number))
            points = rays * frame.depth[v, u, None]
            yield from _case(points, np.eye(4), frame.K, (width, len(frame.depth)), found)


def real(folder: Path, kind: str) -> Iterator[Case]:
    """Real frames with pseudo-masks: the convex hull of the projected returns in an annotated 3D box.

    Boxes are the projected 3D boxes, and the truth all points in the 3D box plus 0.1 m, as in docs/lifting.md.
    """
    for frame in json.loads((folder / "frames.json").read_text())["frames"]:
        if frame["set"] != kind:
            continue
        columns = int(frame["cloud"]["format"].removeprefix("f32x"))
        points = np.fromfile(folder / frame["cloud"]["path"], "<f4").reshape(-1, columns)[:, :3].astype(np.float64)
        points = points[np.isfinite(points).all(1)]
        for camera in frame["cameras"].values():
            T, K = np.array(camera["T_cam_from_points"]), np.array(camera["K"])
            size = int(camera["width"]), int(camera["height"])
            uv, depth = project_points(points, T, K)
            seen = in_image(uv, size) & (depth > 0.5)
            found = []
            for b in frame["boxes"]:
                R, lengths, centre = np.array(b["R"]), np.array(b["size_lwh"]), np.array(b["center"])
                signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) / 2
                pixels, corner_depth = project_points(signs * lengths @ R.T + centre, T, K)
                whole = np.array([*pixels.min(0), *pixels.max(0)])
                box = whole.clip(0, [*size, *size])
                sides = box[2:] - box[:2]
                if (corner_depth < 0.5).any() or (sides < 8).any() or sides.prod() < np.prod(whole[2:] - whole[:2]) / 2:
                    continue
                truth = seen & (np.abs((points - centre) @ R) <= lengths / 2 + 0.1).all(1)
                mask = np.zeros(size[::-1], np.uint8)
                if truth.any():
                    cv2.fillConvexPoly(mask, cv2.convexHull(np.floor(uv[truth]).astype(np.int32)), 1)
                found.append((box, mask > 0, truth))
            yield from _case(points, T, K, size, found)


def _case(points: Array, T: Array, K: Array, size: tuple[int, int], found: list[tuple[Array, Mask, Mask]]) -> Any:
    """The picture with those of its things that show points enough; nothing without any."""
    uv, depth = project_points(points, T, K)
    seen = in_image(uv, size) & (depth > 0.5)
    asked = [(box, mask, on & seen) for box, mask, on in found if (on & seen).sum() >= LEAST_POINTS]
    if asked:
        boxes, masks, truth = (list(column) for column in zip(*asked, strict=True))
        yield Case(points, T, K, size, np.array(boxes), masks, truth)


def morphed(pixels: int) -> Callable[[Mask], Mask]:
    """Masks widened by so many pixels, or eroded by as many where negative."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * abs(pixels) + 1,) * 2)
    change = cv2.dilate if pixels > 0 else cv2.erode
    return lambda mask: change(mask.astype(np.uint8), kernel) > 0 if pixels else mask


def shifted(pixels: int) -> Callable[[Mask], Mask]:
    """Masks moved by so many pixels to the right and down."""

    def move(mask: Mask) -> Mask:
        moved = np.zeros_like(mask)
        moved[pixels:, pixels:] = mask[:-pixels, :-pixels]
        return moved

    return move


def errors(width: int) -> dict[str, Callable[[Mask], Mask]]:
    """What is done to masks; numbers are pixels of a picture 800 wide."""
    changes: dict[str, Callable[[Mask], Mask]] = {"true": morphed(0)}
    for name, change, sign in (("eroded", morphed, -1), ("widened", morphed, 1), ("shifted", shifted, 1)):
        changes |= {f"{name} {n}": change(sign * max(1, round(n * width / 800))) for n in PIXELS}
    return changes


def scores(cases: list[Case], method: str, changed: str | None, **parameters: Any) -> tuple[Array, Counter[str]]:
    """(things, 3) precision, recall and IoU of points, and what was counted; ``changed`` is None for no masks."""
    found, counts = [], Counter[str]()
    for case in cases:
        change = errors(max(case.size))[changed] if changed else None
        masks = map(change, case.masks) if change else None
        given = (case.points, case.T_cam_from_points, case.K, case.boxes, case.size, method)
        crops = lift_boxes(*given, masks=masks, mask_counts=counts, **parameters)
        for crop, truth in zip(crops, case.truth, strict=True):
            hit = truth[crop].sum()
            found.append((hit / max(len(crop), 1), hit / truth.sum(), hit / (len(crop) + truth.sum() - hit)))
    return np.array(found), counts


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=8, help="streets, and half as many rooms again")
    parser.add_argument("--realdata", type=Path, help="folder of real sample frames with a frames.json")
    parser.add_argument("--margin", type=float, default=MARGIN, help="shares of the longer side: mask_margin")
    parser.add_argument("--out", type=Path, default=Path("results/masks.json"), help="figures (.json)")
    a = parser.parse_args()
    depth = {"fill": False, "margin": 0.0}
    kinds: dict[str, tuple[list[Case], dict[str, dict[str, Any]]]] = {
        "streets": (list(streets(a.scenes, 800)), {"frustum": {}, "frustum-dbscan": {}}),
        "rooms": (list(rooms(a.scenes, 640)), {"depth": depth, "frustum-dbscan": {}}),
    }
    for kind in ("nuscenes", "kitti") if a.realdata else ():
        kinds[f"{kind}, pseudo-masks"] = (list(real(a.realdata, kind)), {"frustum": {}, "frustum-dbscan": {}})
    rows = []
    for kind, (cases, methods) in kinds.items():
        for method, parameters in methods.items():
            for changed in (None, *errors(800)):
                found, counts = scores(cases, method, changed, mask_margin=a.margin, **parameters)
                row = {"data": kind, "method": method, "masks": changed or "none", "things": len(found)}
                row |= dict(zip(("precision", "recall", "iou"), found.mean(0).round(3).tolist())) | counts
                rows.append(row)
                print(*row.values(), flush=True)
    write_json(a.out, {"kind": "masks", "machine": describe_machine(), "rows": rows})


if __name__ == "__main__":
    main()
