"""Settings of the command `import`."""

from typing import Literal

from pydantic import Field

from clip2.runtime.settings import Settings


class ImportSettings(Settings):
    """What every import is asked."""

    every: int = Field(
        1, ge=1, description="take each n-th cloud only; of ten a second, five give two samples a second"
    )


class McapSettings(ImportSettings):
    """Which messages of a recording are taken, and how they belong together."""

    cameras: str | None = Field(
        None,
        description="topics of pictures, several with commas; default: one of each camera that has its calibration",
    )
    lidar: str | None = Field(None, description="topic of the clouds; default: the one with the most points")
    tolerance_s: float = Field(
        0.05, gt=0, le=1, description="seconds that a picture and its cloud may be apart; the nearest one is taken"
    )
    points_frame: str | None = Field(
        None,
        description="frame, fixed to the lidar and with z up, that clouds are written in (base_link); "
        "default: the clouds' own",
    )
    scene_frame: str | None = Field(
        None, description="frame that stands still, which poses lead to; default: the one that all others hang from"
    )
    stamps: Literal["header", "log"] = Field(
        "header", description="times of messages: the sensor's own, or when they were recorded"
    )


class KittiRawSettings(ImportSettings):
    """Which cameras of a drive are taken, and what becomes of the files."""

    cameras: str | None = Field(
        None, description="cameras, several with commas (image_00 … image_03); default: the colour ones that are there"
    )
    files: Literal["link", "copy"] = Field(
        "link", description="pictures and clouds: links to those of the drive, or copies that can be taken elsewhere"
    )


class WaymoSettings(ImportSettings):
    """Which segments are taken."""

    segment: str | None = Field(None, description="one segment only, by its name; default: all that are there")
