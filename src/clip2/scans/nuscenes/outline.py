"""How much a nuScenes data set holds, by its table of scenes."""

from collections.abc import Mapping
from pathlib import Path

from clip2.scans.nuscenes.rows import records, rows
from clip2.scans.nuscenes.samples import names_nothing, scene_filter
from clip2.scans.nuscenes.settings import NuscenesSettings
from clip2.scans.nuscenes.tables import CAMERAS, read_scenes, table_folder
from clip2.scans.outline import Outline, Part
from clip2.scans.shards import ROLES

SAMPLES_A_SCENE = 40
"""Twenty seconds with two key frames each: for tables that do not say it."""


def outline(root: Path, settings: NuscenesSettings) -> Outline:
    """What each role holds.

    Raises:
        InputError: no such tables, or a split names nothing in them.
    """
    folder = table_folder(root, settings.version)
    lengths = {
        name: number or SAMPLES_A_SCENE
        for name, number in rows(folder / "scene.json", "name", optional=("nbr_samples",))
    }
    return {role: _part(folder, lengths, getattr(settings, role)) for role in ROLES}


def _part(folder: Path, lengths: Mapping[str, int], split: str) -> Part:
    names, tokens = scene_filter(lengths, split)
    found = {name: length for name, length in lengths.items() if name in names}
    if tokens:
        for scene, samples in read_scenes(folder).items():
            if scene not in found and (own := tokens.intersection(samples)):
                found[scene] = len(own)
    if not found:
        raise names_nothing(folder, split, lengths)
    return Part(frozenset(found), len(found), len(CAMERAS) * sum(found.values()))


def missing_labels(root: Path, settings: NuscenesSettings, role: str) -> str | None:
    """Why nothing can be measured on a role; None where there are human boxes."""
    table = table_folder(root, settings.version) / "sample_annotation.json"
    if next(records(table), None):
        return None
    return f"{table} holds no boxes"
