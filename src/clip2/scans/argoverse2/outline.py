"""How much an Argoverse 2 data set holds, by its folders."""

from pathlib import Path

from clip2.scans.argoverse2.annotations import BOXES
from clip2.scans.argoverse2.files import named_logs
from clip2.scans.argoverse2.settings import Argoverse2Settings
from clip2.scans.outline import Outline, Part
from clip2.scans.shards import ROLES


def outline(root: Path, settings: Argoverse2Settings) -> Outline:
    """What each role holds, as if all its logs were as long as the first.

    Raises:
        InputError: no such data set, or a split names nothing that is there.
    """
    parts = {}
    for role in ROLES:
        logs = named_logs(root, getattr(settings, role))
        of_first = sum(len(sample.pictures) for sample in logs[0].samples(settings.every))
        parts[role] = Part(frozenset(log.name for log in logs), len(logs), len(logs) * of_first)
    return parts


def missing_labels(root: Path, settings: Argoverse2Settings, role: str) -> str | None:
    """Why nothing can be measured on a role; None where a log has human boxes."""
    logs = named_logs(root, getattr(settings, role))
    if any((log.folder / BOXES).is_file() for log in logs):
        return None
    return f"none of its {len(logs)} logs has {BOXES} (those of `test` are not public)"
