"""Lifting: a 2D box and a point cloud become the points of the object in the box, without any 3D label."""

from __future__ import annotations  # so that help() shows `ArrayLike`

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clip2.lift.dbscan import lift_frustum_dbscan
from clip2.lift.depth import lift_depth
from clip2.lift.frustum import lift_frustum
from clip2.lift.masks import MARGIN, within_masks
from clip2.lift.sensor import method_for
from clip2.lift.view import view_of

METHODS: dict[str, Callable[..., list[NDArray[np.int64]]]] = {
    "depth": lift_depth,
    "frustum": lift_frustum,
    "frustum-dbscan": lift_frustum_dbscan,
}


def lift_boxes(
    points: ArrayLike,
    T_cam_from_points: ArrayLike,
    K: ArrayLike,
    boxes_xyxy: ArrayLike,
    image_size: tuple[int, int],
    method: str = "auto",
    masks: Iterable[ArrayLike | None] | None = None,
    mask_margin: float = MARGIN,
    mask_counts: Counter[str] | None = None,
    **parameters: Any,
) -> list[NDArray[np.int64]]:
    """Find the points of the object in each 2D box of one image.

    Args:
        points: (N, 3+) cloud in any frame and axis convention, metres; rows with NaN or inf are never returned.
        T_cam_from_points: (4, 4) from that frame to the camera's (x right, y down, z forward).
        K: (3, 3) intrinsics of the undistorted image, pixels.
        boxes_xyxy: (B, 4) left, top, right, bottom in pixels; may leave the image; without area or not finite: empty.
        image_size: (width, height) in pixels.
        method: "frustum" (ours for LiDAR), "depth" (ours for depth cameras), "auto" (one of the two, guessed from the
            cloud by `clip2.lift.sensor.method_for`) or "frustum-dbscan" (the recipe of CLIP²).
        masks: one for each box, (height, width), true where the thing is seen, or None for a box without. A crop then
            holds no point whose pixel is outside of its mask; where that would leave fewer than
            `clip2.lift.masks.LEAST`, the whole box is searched. They are taken one at a time.
        mask_margin: shares of the picture's longer side by which masks are widened.
        mask_counts: ``boxes_without_mask`` and ``masks_too_small`` are added to.
        parameters: keyword arguments of the method: `clip2.lift.frustum.FrustumParameters`,
            `clip2.lift.depth.DepthParameters` or those of `clip2.lift.dbscan.lift_frustum_dbscan`.

    Returns:
        One sorted int64 array of indices into ``points`` for each box; empty where nothing is left.

    Raises:
        ValueError: unknown method; not one mask for each box, or one of another size than the picture.
        TypeError: a parameter that the method does not have.
    """
    if method not in ("auto", *METHODS):
        raise ValueError(f"unknown lifting method {method!r}; choose one of auto, {', '.join(sorted(METHODS))}")
    boxes = np.asarray(boxes_xyxy, np.float64).reshape(-1, 4)
    sound = np.isfinite(boxes).all(1) & (boxes[:, 2:] > boxes[:, :2]).all(1)
    boxes = np.where(sound[:, None], boxes, np.nan)  # a NaN box holds nothing
    view = view_of(points, T_cam_from_points, K, image_size)
    if method == "auto":
        method = method_for(np.asarray(points), view)
    searched = view.all_of_boxes(boxes)
    if masks is not None:
        searched = within_masks(
            view, boxes, searched, masks, mask_margin, Counter() if mask_counts is None else mask_counts
        )
    return METHODS[method](view, boxes, searched, **parameters)


__all__ = ["METHODS", "lift_boxes"]
