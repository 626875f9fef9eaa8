"""The frame that nuScenes' boxes are in: the global one of its maps, or, of other sources, each scene's own."""

import numpy as np
from numpy.typing import NDArray

from clip2.export.scans import LabelledScans, Sample
from clip2.scans.nuscenes.tables import LIDAR, Recordings, table_folder

Matrix = NDArray[np.float64]


class GlobalFrame:
    """Poses of samples in the global frame."""

    def __init__(self, scans: LabelledScans) -> None:
        """
        Raises:
            InputError: a nuScenes source's tables are not there.
        """
        self._recordings: Recordings | None = None
        if scans.dataset == "nuscenes":
            folder = table_folder(scans.data_root, scans.made_by["settings"]["version"])
            self._recordings = Recordings(folder, scans.sample_names, (LIDAR,))

    def T_global_from_points(self, sample: Sample) -> Matrix:
        """(4, 4)."""
        if self._recordings is None:
            return sample.T_scene_from_points
        return self._recordings.T_global_from_sensor(self._recordings.of_sample(sample.name)[LIDAR])
