"""The kinds of source: what each is configured by, and which modules read it (named here, imported when they run)."""

from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from clip2.errors import InputError
from clip2.scans.folder.settings import FolderSettings
from clip2.scans.modelnet40.settings import Modelnet40Settings
from clip2.scans.nuscenes.settings import NuscenesSettings
from clip2.scans.once.settings import OnceSettings
from clip2.scans.scannet.settings import ScannetSettings
from clip2.scans.scanobjectnn.settings import ScanobjectnnSettings
from clip2.scans.sunrgbd.settings import SunrgbdSettings
from clip2.scans.world.rooms.settings import RoomsSettings
from clip2.scans.world.shapes.settings import ShapesSettings
from clip2.scans.world.streets.nuscenes_settings import WorldSettings
from clip2.scans.world.streets.once_settings import OnceWorldSettings
from clip2.store.settings import Settings

WORLD_HELP = "when given, the data set is generated in this format by the built-in world, with these settings"


class _Source(Settings):
    """What every source has."""

    root: str | None = Field(None, description="data root; null: the `dataroot` key (built-in worlds need none)")


class NuscenesSource(_Source):
    """nuScenes: LiDAR and six cameras."""

    kind: Literal["nuscenes"] = Field(description="what the data root holds")
    settings: NuscenesSettings = NuscenesSettings()
    world: WorldSettings | None = Field(None, description=WORLD_HELP)


class OnceSource(_Source):
    """ONCE: LiDAR and seven cameras."""

    kind: Literal["once"] = Field(description="what the data root holds")
    settings: OnceSettings = OnceSettings()
    world: OnceWorldSettings | None = Field(None, description=WORLD_HELP)


class SunrgbdSource(_Source):
    """SUN RGB-D: single RGB-D pictures of rooms."""

    kind: Literal["sunrgbd"] = Field(description="what the data root holds")
    settings: SunrgbdSettings = SunrgbdSettings()
    world: RoomsSettings | None = Field(None, description=WORLD_HELP)


class ScannetSource(_Source):
    """ScanNet v2: RGB-D video of rooms with poses."""

    kind: Literal["scannet"] = Field(description="what the data root holds")
    settings: ScannetSettings = ScannetSettings()
    world: RoomsSettings | None = Field(None, description=WORLD_HELP)


class FolderSource(_Source):
    """Your own recordings, as docs/your_own_data.md lays them out."""

    kind: Literal["folder"] = Field(description="what the data root holds")
    settings: FolderSettings = FolderSettings()
    world: None = Field(None, description="there is no built-in world of this kind")


class ScanobjectnnSource(_Source):
    """ScanObjectNN: scanned objects, for evaluation only."""

    kind: Literal["scanobjectnn"] = Field(description="what the data root holds")
    settings: ScanobjectnnSettings = ScanobjectnnSettings()
    world: ShapesSettings | None = Field(None, description=WORLD_HELP)


class Modelnet40Source(_Source):
    """ModelNet40: CAD models, for evaluation only."""

    kind: Literal["modelnet40"] = Field(description="what the data root holds")
    settings: Modelnet40Settings = Modelnet40Settings()
    world: ShapesSettings | None = Field(None, description=WORLD_HELP)


class PairsSource(_Source):
    """Rendered CAD models with their points, which CLIP2Point is pre-trained on: triplet shards in the data root."""

    kind: Literal["pairs"] = Field(description="what the data root holds")
    world: ShapesSettings | None = Field(None, description=WORLD_HELP)


Source = Annotated[
    NuscenesSource
    | OnceSource
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
        world: makes a built-in one in this format.
        survey: what of it is there.
        frames, annotations: write the shards of recordings and of human boxes.
        objects: makes a shard's objects to recognise, of its frames (and human boxes).
        object_set: writes the objects of a set that has nothing else.
    """

    world: str | None
    survey: str | None = None
    frames: str | None = None
    annotations: str | None = None
    objects: str | None = None
    object_set: str | None = None


BY_BOXES = "clip2.evaluate.objects"
"""Cuts objects out by the human boxes."""


def _frames_of(kind: str, world: str | None, objects: str = BY_BOXES) -> Modules:
    package = f"clip2.scans.{kind}"
    return Modules(world, f"{package}.survey", f"{package}.frames", f"{package}.annotations", objects)


def _object_set(kind: str) -> Modules:
    package = f"clip2.scans.{kind}"
    return Modules("clip2.scans.world.shapes.stage", f"{package}.survey", object_set=f"{package}.objects")


MODULES: dict[str, Modules] = {
    "nuscenes": _frames_of("nuscenes", "clip2.scans.world.streets.nuscenes_stage"),
    "once": _frames_of("once", "clip2.scans.world.streets.once_stage"),
    "sunrgbd": _frames_of("sunrgbd", "clip2.scans.world.rooms.stage"),
    "scannet": _frames_of("scannet", "clip2.scans.world.rooms.stage", "clip2.evaluate.scannet.objects"),
    "folder": _frames_of("folder", None),
    "scanobjectnn": _object_set("scanobjectnn"),
    "modelnet40": _object_set("modelnet40"),
    "pairs": Modules("clip2.scans.world.shapes.stage"),
}


INDEXES: dict[str, tuple[str, ...]] = {
    "once": ("ImageSets/*.txt",),
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
        InputError: nuScenes without its table folder.
    """
    if not isinstance(source, NuscenesSource):
        return sorted(path for pattern in INDEXES[source.kind] for path in _within(root, pattern))
    version = source.settings.version
    if not (root / version).is_dir():
        found = ", ".join(sorted(path.parent.name for path in root.glob("*/sample_data.json"))) or "none"
        raise InputError(f"{root}: holds no version {version!r} (found: {found}); set the source's settings.version")
    return [root / version / f"{name}.json" for name in NUSCENES_TABLES]


def _within(root: Path, pattern: str) -> list[Path]:
    """As ``root.glob``, but ``**`` goes two folders down at most: below lie millions of recordings."""
    if not pattern.startswith("**/"):
        return list(root.glob(pattern))
    return [path for depth in ("", "*/", "*/*/") for path in root.glob(depth + pattern.removeprefix("**/"))]
