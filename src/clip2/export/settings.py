"""Settings of the command `export`."""

from typing import Literal

from pydantic import Field

from clip2.runtime.settings import Settings


class ExportSettings(Settings):
    """What an export calls things, and what it does with the recordings."""

    names: dict[str, str] = Field(
        {}, description="what the export calls a label, where that is another word: `{person: pedestrian}`"
    )
    files: Literal["link", "copy", "none"] = Field(
        "link",
        description="pictures and clouds beside the labels: links to those of the data root, copies that can be taken "
        "elsewhere, or none; what a tool cannot read as it is stored is written anew. Formats in one file do not ask",
    )
    max_bad_share: float = Field(
        0.01, ge=0, le=1, description="share of unreadable pictures and clouds above which nothing is exported"
    )
