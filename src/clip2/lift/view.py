"""What all boxes of an image share: its points, projected once and sorted by pixel column."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clip2.geometry import in_image, project_points

MIN_VIEW_DEPTH = 0.5
"""Metres in front of the camera; nearer points are the recording vehicle itself."""


@dataclass(frozen=True)
class View:
    """The M points of a cloud that one camera sees, in order of their pixel column.

    Attributes:
        index: (M,) int64, rows of the cloud.
        xyz: (M, 3) in the cloud's frame, metres.
        uv: (M, 2) pixels; ``uv[:, 0]`` ascends.
        depth: (M,) metres along the optical axis.
        K: (3, 3) intrinsics, pixels.
        image_size: (width, height) pixels.
    """

    index: NDArray[np.int64]
    xyz: NDArray[np.float64]
    uv: NDArray[np.float64]
    depth: NDArray[np.float64]
    K: NDArray[np.float64]
    image_size: tuple[int, int]

    @property
    def focal(self) -> NDArray[np.float64]:
        """(2,) focal lengths, horizontal and vertical, pixels."""
        return np.abs(self.K[[0, 1], [0, 1]])

    def in_camera(self) -> NDArray[np.float64]:
        """(M, 3) the points in the camera's frame (x right, y down, z forward), metres.

        From pixels and depths rounded far below any sensor's resolution, so that the axes in which the points came
        make no difference to what is computed from this.
        """
        rays = np.column_stack([self.uv.round(6), np.ones(len(self.uv))]) @ np.linalg.inv(self.K).T
        return np.asarray(rays * self.depth.round(6)[:, None])

    def in_boxes(self, boxes: NDArray[np.float64]) -> list[NDArray[np.int64]]:
        """For each box (B, 4) xyxy, the positions in this view of the points whose pixel lies in or on it.

        The columns of a box are found by bisection, so a box costs its share of the image and not the whole cloud.
        """
        begin = np.searchsorted(self.uv[:, 0], boxes[:, 0], "left").tolist()
        end = np.searchsorted(self.uv[:, 0], boxes[:, 2], "right").tolist()
        v = np.ascontiguousarray(self.uv[:, 1])
        return [
            first + np.flatnonzero((v[first:last] >= top) & (v[first:last] <= bottom))
            for first, last, top, bottom in zip(begin, end, boxes[:, 1].tolist(), boxes[:, 3].tolist())
        ]

    def all_of_boxes(self, boxes: NDArray[np.float64]) -> "Searched":
        """What is searched for each box (B, 4) without a mask: all of its points."""
        return Searched(self.in_boxes(boxes), np.ones(len(boxes)))

    def original(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Positions in this view as sorted rows of the cloud."""
        return np.sort(self.index[positions])


@dataclass(frozen=True)
class Searched:
    """Where the things of B boxes are looked for.

    Attributes:
        inside: for each box, positions in the view.
        share: (B,) of the box's area in the image that these points may lie in: 1 without a mask.
    """

    inside: list[NDArray[np.int64]]
    share: NDArray[np.float64]


def view_of(points: ArrayLike, T_cam_from_points: ArrayLike, K: ArrayLike, image_size: tuple[int, int]) -> View:
    """Project a cloud (N, 3+) into an image; what is not finite, behind the camera or outside the image is left out."""
    cloud = np.asarray(points)
    cloud = cloud[:, :3] if cloud.ndim == 2 and cloud.shape[1] >= 3 else cloud.reshape(-1, 3)
    T, K = np.asarray(T_cam_from_points, np.float64), np.asarray(K, np.float64)
    index = _possibly_seen(cloud, T, K, image_size)
    xyz = cloud[index].astype(np.float64)
    uv, depth = project_points(xyz, T, K)
    seen = np.flatnonzero(in_image(uv, image_size) & (depth > MIN_VIEW_DEPTH))
    seen = seen[np.argsort(uv[seen, 0])]
    return View(index[seen], xyz[seen], uv[seen], depth[seen], K, image_size)


def _possibly_seen(
    cloud: NDArray[np.floating], T: NDArray[np.float64], K: NDArray[np.float64], image_size: tuple[int, int]
) -> NDArray[np.int64]:
    """Rows of a cloud (N, 3) that may lie in the image: a cheap first pass, one plane of the frustum after the other.

    Most points of a full turn are dropped here, so the exact projection that follows handles a fraction of the cloud.
    """
    row = K @ T[:3]  # (3, 4): a point's pixel times its depth; the last row gives the depth
    width, height = image_size
    slack = 1.0  # pixels, so that rounding cannot drop what the exact test keeps
    planes = (
        row[2] - [0, 0, 0, MIN_VIEW_DEPTH / 2],
        row[0] + slack * row[2],
        (width + slack) * row[2] - row[0],
        row[1] + slack * row[2],
        (height + slack) * row[2] - row[1],
    )
    if cloud.dtype not in (np.float32, np.float64):
        cloud = cloud.astype(np.float64)
    index = np.arange(len(cloud))
    for plane in planes:
        with np.errstate(invalid="ignore", over="ignore"):
            side = cloud @ plane[:3].astype(cloud.dtype)
            keep = np.flatnonzero(side > -plane[3])  # not where a coordinate is NaN
        index, cloud = index[keep], cloud[keep]
    return index[np.isfinite(cloud).all(1)]
