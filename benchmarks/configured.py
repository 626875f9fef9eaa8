"""The configurations that ship with the project."""

from pathlib import Path
from typing import Any

import yaml
from snakemake.utils import update_config

REPOSITORY = Path(__file__).resolve().parents[1]


def configuration(*overlays: str) -> dict[str, Any]:
    """config.yaml, and files laid over it as Snakemake does; names relative to the checkout."""
    merged: dict[str, Any] = {}
    for name in ("config.yaml", *overlays):
        update_config(merged, yaml.safe_load((REPOSITORY / name).read_text()))
    return merged
