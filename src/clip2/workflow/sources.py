"""The kinds of source: what each is configured by, and which modules read it (named here, imported when they run)."""

from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from clip2.runtime.errors import InputError
from clip2.runtime.settings import Settings
from clip2.scans.argoverse2.settings import Argoverse2Settings
from clip2.scans.folder.settings import FolderSettings
from clip2.scans.modelnet40.settings import Modelnet40Settings
from clip2.scans.nuscenes.settings import NuscenesSettings
from clip2.scans.once.settings import OnceSettings
from clip2.scans.scannet.settings import ScannetSettings
from clip2.scans.scanobjectnn.settings import ScanobjectnnSettings
from clip2.scans.sunrgbd.settings import SunrgbdSettings


class _Source(Settings):
    """What every source has."""

    root: str | None = Field(None, description="data root; null: the `dataroot` key (built-in worlds need none)")
    world: dict[str, Any] | None = Field(
        None,
        description="when given, `python -m clip2_world KIND` generates the data set in this form, with these settings "
        "(its `--help` lists them)",
    )


class NuscenesSource(_Source):
    """nuScenes: LiDAR and six cameras."""

    kind: Literal["nuscenes"] = Field(description="what the data root holds")
    settings: NuscenesSettings = NuscenesSettings()


class OnceSource(_Source):
    """ONCE: LiDAR and seven cameras."""

    kind: Literal["once"] = Field(description="what the data root holds")
    settings: OnceSettings = OnceSettings()


class Argoverse2Source(_Source):
    """Argoverse 2's sensor data set: LiDAR and seven cameras around."""

    kind: Literal["argoverse2"] = Field(description="what the data root holds")
    settings: Argoverse2Settings = Argoverse2Settings()


class SunrgbdSource(_Source):
    """SUN RGB-D: single RGB-D pictures of rooms."""

    kind: Literal["sunrgbd"] = Field(description="what the data root holds")
    settings: SunrgbdSettings = SunrgbdSettings()


class ScannetSource(_Source):
    """ScanNet v2: RGB-D video of rooms with poses."""

    kind: Literal["scannet"] = Field(description="what the data root holds")
    settings: ScannetSettings = ScannetSettings()


class FolderSource(_Source):
    """Your own recordings, as docs/your_own_data.md lays them out."""

    kind: Literal["folder"] = Field(description="what the data root holds")
    settings: FolderSettings = FolderSettings()


class ScanobjectnnSource(_Source):
    """ScanObjectNN: scanned objects, for evaluation only."""

    kind: Literal["scanobjectnn"] = Field(description="what the data root holds")
    settings: ScanobjectnnSettings = ScanobjectnnSettings()


class Modelnet40Source(_Source):
    """ModelNet40: CAD models, for evaluation only."""

    kind: Literal["modelnet40"] = Field(description="what the data root holds")
    settings: Modelnet40Settings = Modelnet40Settings()


class PairsSource(_Source):
    """Rendered CAD models with their points, which CLIP2Point is pre-trained on: triplet shards in the data root."""

    kind: Literal["pairs"] = Field(description="what the data root holds")


Source = Annotated[
    NuscenesSource
    | OnceSource
    | Argoverse2Source
    | SunrgbdSource
    | ScannetSource
    | FolderSource
    | ScanobjectnnSource
    | Modelnet40Source
    | PairsSource,
    Field(discriminator="kind"),
]


SOURCES: dict[str, type[_Source]] = {
    "nuscenes": NuscenesSource,
    "once": OnceSource,
    "argoverse2": Argoverse2Source,
    "sunrgbd": SunrgbdSource,
    "scannet": ScannetSource,
    "folder": FolderSource,
    "scanobjectnn": ScanobjectnnSource,
    "modelnet40": Modelnet40Source,
    "pairs": PairsSource,
}


class Modules(NamedTuple):
    """Modules of a kind of source; None where it has no such stage.

    Attributes:
        survey: what of it is there.
        outline: how much of it is there, at a glance, and whether human boxes are.
        frames, annotations: write the shards of recordings and of human boxes.
        objects: makes a shard's objects to recognise, of its frames (and human boxes).
        object_set: writes the objects of a set that has nothing else.
    """

    survey: str | None = None
    outline: str | None = None
    frames: str | None = None
    annotations: str | None = None
    objects: str | None = None
    object_set: str | None = None


BY_BOXES = "clip2.evaluate.objects"
"""Cuts objects out by the human boxes."""


def _frames_of(kind: str, objects: str = BY_BOXES) -> Modules:
    package = f"clip2.scans.{kind}"
    return Modules(f"{package}.survey", f"{package}.outline", f"{package}.frames", f"{package}.annotations", objects)


def _object_set(kind: str) -> Modules:
    package = f"clip2.scans.{kind}"
    return Modules(f"{package}.survey", object_set=f"{package}.objects")


MODULES: dict[str, Modules] = {
    "nuscenes": _frames_of("nuscenes"),
    "once": _frames_of("once"),
    "argoverse2": _frames_of("argoverse2"),
    "sunrgbd": _frames_of("sunrgbd"),
    "scannet": _frames_of("scannet", "clip2.evaluate.scannet.objects"),
    "folder": _frames_of("folder"),
    "scanobjectnn": _object_set("scanobjectnn"),
    "modelnet40": _object_set("modelnet40"),
    "pairs": Modules(),
}


INDEXES: dict[str, tuple[str, ...]] = {
    "once": ("ImageSets/*.txt",),
    "argoverse2": (),  # a thousand logs: clip2.workflow.listing
    "sunrgbd": ("**/SUNRGBDMeta3DBB_v2.mat", "**/allsplit.mat", "sunrgbd_trainval/*.txt"),
    "scannet": ("**/scannetv2_*.txt", "**/scannetv2-labels.combined.tsv"),
    "folder": ("calibration.json", "*/calibration.json", "splits/*.txt"),
    "scanobjectnn": ("**/*_objectdataset*.h5",),
    "modelnet40": ("**/*_files.txt", "**/shape_names.txt", "**/ply_data_*.h5"),
    "pairs": ("*.parquet",),
}
"""Kind → patterns, relative to the data root, of the files that say what a data set on disk holds."""
NUSCENES_TABLES = (
    *("attribute", "calibrated_sensor", "category", "ego_pose", "instance", "log", "map", "sample"),
    *("sample_annotation", "sample_data", "scene", "sensor", "visibility"),
)


def index_files(source: Source, root: Path) -> list[Path]:
    """Files that say what a data set on disk holds.

    Raises:
        InputError: nuScenes without its table folder, or a path that Snakemake cannot take.
    """
    if isinstance(source, NuscenesSource):
        paths = _table_files(root, source.settings.version)
    else:
        paths = sorted(path for pattern in INDEXES[source.kind] for path in _within(root, pattern))
    if braced := next((path for path in (root, *paths) if set("{}") & set(str(path))), None):
        raise InputError(f"{braced}: Snakemake takes braces in a path for wildcards; rename it, or give a link to it")
    return paths


def _table_files(root: Path, version: str) -> list[Path]:
    if not (root / version).is_dir():
        found = ", ".join(sorted(path.parent.name for path in root.glob("*/sample_data.json"))) or "none"
        raise InputError(f"{root}: holds no version {version!r} (found: {found}); set the source's settings.version")
    return [root / version / f"{name}.json" for name in NUSCENES_TABLES]


def _within(root: Path, pattern: str) -> list[Path]:
    """As ``root.glob``, but ``**`` goes two folders down at most: below lie millions of recordings."""
    if not pattern.startswith("**/"):
        return list(root.glob(pattern))
    return [path for depth in ("", "*/", "*/*/") for path in root.glob(depth + pattern.removeprefix("**/"))]
