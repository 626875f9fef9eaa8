"""How much your own recordings hold, by the names of their files."""

from pathlib import Path

from clip2.scans.folder.files import LABELS, find_scenes, role_samples
from clip2.scans.folder.settings import FolderSettings
from clip2.scans.outline import Outline, Part
from clip2.scans.shards import ROLES


def outline(root: Path, settings: FolderSettings) -> Outline:
    """What each role holds.

    Raises:
        InputError: the folder cannot be used, or a split names nothing of it.
    """
    scenes = find_scenes(root)
    parts = {}
    for role in ROLES:
        chosen = role_samples(scenes, settings, role)
        units = frozenset(scene.unit(stem) for scene, stem in chosen)
        n_frames = sum(stem in pictures for scene, stem in chosen for pictures in scene.pictures.values())
        parts[role] = Part(units, len(units), n_frames)
    return parts


def missing_labels(root: Path, settings: FolderSettings, role: str) -> str | None:
    """Why nothing can be measured on a role; None where one of its samples has labels."""
    chosen = role_samples(find_scenes(root), settings, role)
    if not chosen:
        return (
            f"no scene falls into it (a share `val_share` of {settings.val_share} by a hash of their names, or splits/)"
        )
    labels = {scene.name: scene.files(LABELS, (".json",)) for scene, _ in chosen}
    if any(stem in labels[scene.name] for scene, stem in chosen):
        return None
    return f"none of its {len(chosen)} samples has a file {LABELS}/STEM.json"
