"""VoteNet's point files: MATLAB, variable ``instance`` (N, 6): x y z in the upright depth frame, then r g b in 0…1."""

from pathlib import Path

import numpy as np

from clip2.scans.depth import Cloud, CloudError
from clip2.scans.sunrgbd.matlab import MatlabError, load


def read_points(path: Path) -> Cloud:
    """All points as (N, 4) float32 x y z 0, metres.

    Raises:
        CloudError: damaged, or of another form.
        FileNotFoundError: no such file.
    """
    try:
        points = load(path, "instance").get("instance")
    except MatlabError as error:
        raise CloudError("cloud_unreadable", f"{error}; copy it again") from None
    if points is None or points.dtype.kind != "f" or points.ndim != 2 or points.shape[1] < 3:
        raise CloudError("cloud_unreadable", f"{path}: holds no (N, 6) variable `instance`; make it again")
    return np.column_stack([points[:, :3], np.zeros(len(points))]).astype(np.float32)
