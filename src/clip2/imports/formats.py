"""The formats of `clip2 import`, and the modules that read them: named here, imported when they run."""

from typing import NamedTuple

from clip2.imports.settings import ImportSettings, KittiRawSettings, McapSettings, WaymoSettings


class Format(NamedTuple):
    """One format.

    Attributes:
        module: with a function ``recordings(source, settings)``, which gives clip2.imports.stage's recordings.
        settings: model of its settings.
        given: what ``--from`` takes.
        summary: what is read.
    """

    module: str
    settings: type[ImportSettings]
    given: str
    summary: str


FORMATS = {
    "mcap": Format(
        "clip2.imports.mcap.recordings",
        McapSettings,
        "an .mcap file, a bag's folder, or a folder of recordings",
        "ROS 2 recordings (.mcap), or Foxglove's, such as `clip2 export mcap` writes",
    ),
    "kitti-raw": Format(
        "clip2.imports.kitti_raw.recordings",
        KittiRawSettings,
        "a drive (…/2011_09_26/2011_09_26_drive_0001_sync), or a day's folder with all its drives",
        "drives of KITTI's raw data, synchronised and rectified",
    ),
    "waymo": Format(
        "clip2.imports.waymo.recordings",
        WaymoSettings,
        "a split's folder (training, validation), with a folder a component",
        "segments of Waymo's Open Dataset, version 2 (Parquet)",
    ),
}
