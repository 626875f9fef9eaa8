"""``clip2 check SOURCE``: what of a data set is there, how much of it will be used, and do its numbers make sense?"""

import tempfile
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from snakemake.utils import update_config

from clip2.config import check_config
from clip2.console import console
from clip2.errors import InputError
from clip2.scans.clouds import CloudError, load_points
from clip2.scans.sanity import complaints, frame_facts
from clip2.scans.survey import Survey, print_survey
from clip2.sources import MODULES, PairsSource
from clip2.store.tables import iterate_rows, read_header

LOOKED_AT = 12
"""Frames whose points are read."""


def check(name: str, overlays: Sequence[Path], dataroot: Path | None) -> None:
    """Print what a source holds.

    Args:
        name: key of `sources` in config.yaml and the files laid over it.
        dataroot: as ``--config dataroot=…``.

    Raises:
        InputError: the configuration is wrong, or the data set cannot be used.
    """
    config = check_config(read_config([Path("config.yaml"), *overlays]))
    if name not in config.sources:
        raise InputError(f"no source {name!r}; the configuration has: {', '.join(config.sources)}")
    source = config.sources[name]
    modules = MODULES[source.kind]
    if modules.survey is None or isinstance(source, PairsSource):
        raise InputError(f"source {name!r} is of kind {source.kind!r}, which has nothing to check")
    root = Path(f"results/{name}/raw") if source.world else Path(source.root or dataroot or config.dataroot or "")
    if not root.is_dir() or root == Path():
        hint = f"make it with `snakemake {root}/world.json`" if source.world else "give its data root with --dataroot"
        raise InputError(f"{root}: no such folder; {hint}")
    survey: Survey = import_module(modules.survey).survey(root, source.settings)
    print_survey(survey)
    if survey.fatal:
        raise InputError(f"{root}: {survey.fatal[0]}")
    if modules.frames:
        _look(modules.frames, root, name, source.settings)


def read_config(paths: Sequence[Path]) -> dict[str, Any]:
    """Configuration files laid over one another, as Snakemake does it."""
    merged: dict[str, Any] = {}
    for path in paths:
        try:
            update_config(merged, yaml.safe_load(path.read_text()) or {})
        except FileNotFoundError:
            raise InputError(f"{path}: no such file; run this in the checkout's folder") from None
        except yaml.YAMLError as error:
            raise InputError(f"{path}: not readable as YAML ({error})") from None
    return merged


def _look(frames_module: str, root: Path, name: str, settings: Any) -> None:
    """Make the frames in a temporary folder, read some of their points, print what they say."""
    with tempfile.TemporaryDirectory() as folder:
        import_module(frames_module).run(root, Path(folder), name, settings)
        shards = sorted(Path(folder).glob("*.parquet"))
        sensor = read_header(shards[0])["sensor"]
        rows = [row for shard in shards for row in iterate_rows(shard)]
    chosen = [rows[i] for i in np.unique(np.linspace(0, len(rows) - 1, LOOKED_AT).astype(int))] if rows else []
    facts = []
    for row in chosen:
        try:
            facts.append(frame_facts(row, load_points(row["clouds"][:1], root)))
        except CloudError as error:
            console().print(f"note: {error}", style="yellow")
    for what in ("upright", "distance", "above", "seen"):
        values = [getattr(fact, what) for fact in facts]
        if values:
            console().print(f"{what}: {min(values):.3g} to {max(values):.3g} over {len(values)} frames")
    found = complaints(facts, sensor)
    if found:
        raise InputError(f"{root}: {'; '.join(found)}")
    console().print("axes, units and calibration make sense", style="green")
