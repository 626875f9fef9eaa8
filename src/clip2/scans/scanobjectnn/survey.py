"""What of a ScanObjectNN data set is there, for ``clip2 check``."""

from pathlib import Path

from clip2.scans.object_survey import count_objects
from clip2.scans.scanobjectnn.objects import object_set
from clip2.scans.scanobjectnn.settings import ScanobjectnnSettings
from clip2.scans.survey import Survey

OFFICIAL = {
    "OBJ_ONLY": {"train": 2309, "val": 581},
    "OBJ_BG": {"train": 2309, "val": 581},
    "PB_T50_RS": {"train": 11416, "val": 2882},
}
"""Objects of the release, by variant and role."""
HOW_TO_GET = (
    "h5_files.zip comes by mail when you fill in the form with the terms of use on the project page "
    "(hkust-vgd.github.io/scanobjectnn); unpack it in the data root"
)


def survey(root: Path, settings: ScanobjectnnSettings) -> Survey:
    """Files and numbers of objects of the variant that the settings ask for."""
    return count_objects(object_set(root, settings), root, OFFICIAL[settings.variant], HOW_TO_GET)
