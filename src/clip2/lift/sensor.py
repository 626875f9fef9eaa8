"""Whether a view's points come from a depth camera or from a LiDAR, and which lifting method that calls for."""

import numpy as np
from numpy.typing import NDArray

from clip2.lift.view import View

METHOD_OF_SENSOR = {"lidar": "frustum", "rgbd": "depth"}
"""Method for the ``sensor`` in the header of a shard's frames."""

_SEEN = 0.8
_DEPTH_CAMERA_RANGE = 12.0
_BEYOND_RANGE = 0.02


def method_for(cloud: NDArray[np.generic], view: View) -> str:
    """Guess the method from a cloud (N, 3+) and what one camera sees of it.

    A depth camera looks where the picture camera looks and not far: 80 % of the finite points are in the picture, and
    at most 2 % of those beyond 12 m (depth cameras measure up to 5 to 10 m). A full turn of a LiDAR fails the first, a
    LiDAR cloud cropped to the picture (KITTI's "reduced") the second. A LiDAR's cloud of a small room, cropped to the
    picture, is taken for a depth camera's: name the method then.
    """
    n_finite = int(np.isfinite(cloud[:, :3]).all(1).sum()) if cloud.ndim == 2 and len(cloud) else 0
    n_seen = len(view.index)
    if not n_seen or n_seen < _SEEN * n_finite:
        return "frustum"
    return "depth" if (view.depth > _DEPTH_CAMERA_RANGE).mean() <= _BEYOND_RANGE else "frustum"
