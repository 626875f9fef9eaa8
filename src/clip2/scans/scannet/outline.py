"""How much a ScanNet data set holds, by its lists of scenes."""

from pathlib import Path

from clip2.scans.outline import Outline, Part
from clip2.scans.scannet.files import has_scene, role_scenes, scene_file
from clip2.scans.scannet.mesh import AGGREGATION, is_marked
from clip2.scans.scannet.sens import read_header
from clip2.scans.scannet.settings import ScannetSettings
from clip2.scans.shards import ROLES


def outline(root: Path, settings: ScannetSettings) -> Outline:
    """What each role holds, as if all its recordings were as long as the first.

    Raises:
        InputError: no such data set, a split names no scene that is there, or the first recording cannot be read.
    """
    parts = {}
    for role in ROLES:
        scenes = [scene for scene in role_scenes(root, settings, role) if has_scene(root, scene)]
        recordings = (path for scene in scenes if (path := scene_file(root, scene, ".sens")).is_file())
        first = next(recordings, None)
        length = len(range(0, read_header(first).n_frames, settings.frame_skip)) if first else 0
        parts[role] = Part(frozenset(scenes), len(scenes), len(scenes) * length)
    return parts


def missing_labels(root: Path, settings: ScannetSettings, role: str) -> str | None:
    """Why nothing can be measured on a role; None where people marked objects in a scene."""
    scenes = role_scenes(root, settings, role)
    if any(is_marked(root, scene) for scene in scenes):
        return None
    return f"none of its {len(scenes)} scenes has a file ID{AGGREGATION}"
