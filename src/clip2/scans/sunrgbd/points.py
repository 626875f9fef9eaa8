"""VoteNet's point files: MATLAB, variable ``instance`` (N, 6): x y z in the upright depth frame, then r g b in 0…1."""

import numpy as np
from numpy.typing import NDArray

from clip2.scans.sunrgbd.matlab import parse


def votenet_rows(data: bytes) -> NDArray[np.floating]:
    """All points as (N, 4) x y z 0, metres.

    Raises:
        ValueError: damaged, or of another form.
    """
    points = parse(data, "instance").get("instance")
    if points is None or points.dtype.kind != "f" or points.ndim != 2 or points.shape[1] < 3:
        raise ValueError("holds no (N, 6) variable `instance`; make it again")
    return np.column_stack([points[:, :3], np.zeros(len(points))])
