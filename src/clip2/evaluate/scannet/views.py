"""Which frame of a moving RGB-D camera shows an object best: the one in which most of its points are unoccluded."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clip2.geometry import in_image, invert, project_points
from clip2.scans.depth import CloudError, read_depth
from clip2.scans.images import ImageError, read_frame_image
from clip2.scans.windows import square_window_jpeg
from clip2.store.bad_frames import BadFrames

Row = dict[str, Any]
Points = NDArray[np.float32]
NO_FRAME: Row = {"camera": None, "box": [float("nan")] * 4, "image": None, "ego_distance_m": float("nan")}
"""Parquet holds no null where a list's length is fixed: the box of an unseen object is NaN."""
SAMPLED = 256
"""Points an object that the frames are compared by."""
SHARES = 8
"""Frames are ranked by the visible share in so many steps, within a step by the box's area: a near view of most of an
object beats a far view of a little more of it."""
DEPTH_TOLERANCE_M, DEPTH_TOLERANCE_SHARE = 0.10, 0.02
"""A point is unoccluded where it is so near to the measured depth: mesh and depth images differ by a few centimetres,
more at a distance."""


def scene_pictures(objects: list[Points], frames: list[Row], root: Path, min_share: float, bad: BadFrames) -> list[Row]:
    """The best picture of each object of a scene; every frame's depth is read at most once for this, one at a time.

    Args:
        objects: (n, 3) points of each, in the frames' points' frame.
        frames: rows of store.schemas.FRAMES, each with a depth image as its only cloud.
        min_share: a frame sees an object when it shows this share of its points.

    Returns:
        ``camera`` (the frame's id), ``box``, ``image`` and ``ego_distance_m`` (horizontal, from the camera to the
        middle of the points) of each, or ``NO_FRAME``.
    """
    if not objects or not frames:
        return [NO_FRAME] * len(objects)
    ranks, areas = _rank(objects, frames, root, min_share, bad)
    order = np.lexsort((-areas, -ranks), axis=0)  # (F, objects): best first; ties: the earlier frame
    pictures: list[Row] = [NO_FRAME] * len(objects)
    images = Images(root, bad)
    # In the order of the frames, so that one decoded frame serves all objects that it shows best.
    for index in sorted(range(len(objects)), key=lambda index: order[0, index]):
        for number in order[:, index]:
            if ranks[number, index] <= 0:
                break
            image = images.read(frames[number])
            if image is not None:
                pictures[index] = _picture(objects[index], frames[number], image, images)
                break
    return pictures


def _rank(
    objects: list[Points], frames: list[Row], root: Path, min_share: float, bad: BadFrames
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(F, objects) rank of each frame, 0 where it does not see the object, and area of the visible box in pixels."""
    sampled = [points[np.linspace(0, len(points) - 1, min(len(points), SAMPLED)).astype(int)] for points in objects]
    starts = np.cumsum([0, *map(len, sampled)])[:-1]
    sizes = np.array([len(points) for points in sampled])
    points = np.concatenate(sampled)
    ranks, areas = np.zeros((len(frames), len(objects))), np.zeros((len(frames), len(objects)))
    for number, frame in enumerate(frames):
        uv, inside = _in_picture(points, frame)
        most = np.add.reduceat(inside, starts, dtype=np.int64) / sizes
        if not ((most > 0) & (most >= min_share)).any():  # no need to read its depth
            continue
        try:
            depth = _read_depth(frame, root)
        except CloudError as error:
            bad.add(frame["frame_id"], error.reason, str(error))
            continue
        visible = inside & _unoccluded(points, frame, depth)
        share = np.add.reduceat(visible, starts, dtype=np.int64) / sizes
        low = np.minimum.reduceat(np.where(visible[:, None], uv, np.inf), starts)
        high = np.maximum.reduceat(np.where(visible[:, None], uv, -np.inf), starts)
        seen = (share >= min_share) & (share > 0)
        areas[number, seen] = np.prod((high - low)[seen], axis=1)
        ranks[number, seen] = 1 + np.round(share[seen] * SHARES)
    return ranks, areas


def _in_picture(points: Points, frame: Row) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Pixels (n, 2) of points in a frame's picture, and which of them lie in it."""
    T, K = np.reshape(frame["T_cam_from_points"], (4, 4)), np.reshape(frame["K"], (3, 3))
    uv, _ = project_points(points, T, K)
    return uv, in_image(uv, (frame["width"], frame["height"]))


def _unoccluded(points: Points, frame: Row, depth: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(n,) whether the depth camera measured a surface at each point."""
    cloud = frame["clouds"][0]
    T_depth_from_points = invert(np.reshape(cloud["T_points_from_cloud"], (4, 4)))
    uv, z = project_points(points, T_depth_from_points, np.reshape(cloud["depth"]["K"], (3, 3)))
    pixel = np.where(np.isfinite(uv), np.round(uv), -1).astype(np.int64)
    inside = in_image(pixel, (depth.shape[1], depth.shape[0]))
    measured = np.zeros(len(points), np.float32)
    measured[inside] = depth[pixel[inside, 1], pixel[inside, 0]]
    return (measured > 0) & (np.abs(measured - z) <= DEPTH_TOLERANCE_M + DEPTH_TOLERANCE_SHARE * z)


def _read_depth(frame: Row, root: Path) -> NDArray[np.float32]:
    cloud = frame["clouds"][0]
    try:
        return read_depth(root / cloud["path"], cloud["format"], cloud["depth"])
    except FileNotFoundError:
        raise CloudError("cloud_missing", f"{root / cloud['path']}: no such depth image; check the data root") from None


class Images:
    """Pictures and depths of frames, the last one kept; what cannot be read is reported once."""

    def __init__(self, root: Path, bad: BadFrames) -> None:
        self._root, self._bad = root, bad
        self._frame: str | None = None
        self._image: NDArray[np.uint8] | None = None
        self.depth: NDArray[np.float32] = np.empty((0, 0), np.float32)
        self._unreadable: set[str] = set()

    def read(self, frame: Row) -> NDArray[np.uint8] | None:
        """The picture (H, W, 3), its depth in ``depth``; None where the picture cannot be read."""
        name = frame["frame_id"]
        if name in self._unreadable:
            return None
        if name != self._frame:
            try:
                self._image = read_frame_image(self._root, frame)
            except ImageError as error:
                self._bad.add(name, error.reason, str(error))
                self._unreadable.add(name)
                return None
            self._frame, self.depth = name, _read_depth(frame, self._root)
        return self._image


def _picture(points: Points, frame: Row, image: NDArray[np.uint8], images: Images) -> Row:
    """The window around an object's visible points in a frame that shows it."""
    uv, inside = _in_picture(points, frame)
    visible = uv[inside & _unoccluded(points, frame, images.depth)]
    box = np.concatenate([visible.min(0), visible.max(0)])
    camera = invert(np.reshape(frame["T_cam_from_points"], (4, 4)))[:2, 3]
    middle = (points.min(0) + points.max(0))[:2] / 2
    return {
        "camera": frame["frame_id"],
        "box": box.tolist(),
        "image": square_window_jpeg(image, box),
        "ego_distance_m": float(np.hypot(*(middle - camera))),
    }
