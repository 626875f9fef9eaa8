"""What of a ModelNet40 data set is there, for ``clip2 check``."""

from pathlib import Path

from clip2.runtime.errors import InputError
from clip2.scans.benchmark_classes import MODELNET40_CLASSES
from clip2.scans.marker import REAL, source_kind
from clip2.scans.modelnet40.objects import FOLDER, NAMES, object_set
from clip2.scans.modelnet40.settings import Modelnet40Settings
from clip2.scans.object_survey import count_objects
from clip2.scans.survey import Survey

OFFICIAL = {"train": 9840, "val": 2468}
"""Objects of the HDF5 release, by role."""
TERMS = "its models are free for academic use (modelnet.cs.princeton.edu)"


def survey(root: Path, settings: Modelnet40Settings) -> Survey:
    """Files and numbers of objects; a missing list of files is fatal, and then nothing else is known."""
    try:
        found = object_set(root)
    except InputError as error:
        return Survey("modelnet40", root, source_kind(root), [], dict.fromkeys(settings.n_shards, 0), "objects",
                      fatal=[f"{error}; {TERMS}"])  # fmt: skip
    remarks = []
    if source_kind(root) == REAL and found.classes != MODELNET40_CLASSES:
        remarks.append(
            f"{NAMES} has {len(found.classes)} names, which are not the release's {len(MODELNET40_CLASSES)} in their "
            "order: labels may mean other classes"
        )
    return count_objects(found, root, OFFICIAL, f"unpack {FOLDER}.zip in the data root; {TERMS}", remarks)
