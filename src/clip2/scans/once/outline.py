"""How much a ONCE data set holds, by its lists of sequences."""

from pathlib import Path

from clip2.scans.once.files import LIDAR, json_path, role_sequences, stems
from clip2.scans.once.settings import OnceSettings
from clip2.scans.outline import Outline, Part
from clip2.scans.shards import ROLES


def outline(root: Path, settings: OnceSettings) -> Outline:
    """What each role holds, as if all its sequences were as long as the first.

    Raises:
        InputError: no such data set, or a split names no sequence that is there.
    """
    parts = {}
    for role in ROLES:
        sequences = role_sequences(root, settings, role)
        cameras = [path for path in (root / "data" / sequences[0]).glob("cam*") if path.is_dir()]
        n_frames = len(sequences) * len(stems(root, sequences[0], LIDAR)) * len(cameras)
        parts[role] = Part(frozenset(sequences), len(sequences), n_frames)
    return parts


def missing_labels(root: Path, settings: OnceSettings, role: str) -> str | None:
    """Why nothing can be measured on a role; None where a sequence has human boxes."""
    sequences = role_sequences(root, settings, role)
    if any(b'"annos"' in json_path(root, sequence).read_bytes() for sequence in sequences):
        return None
    return f"none of its {len(sequences)} sequences has boxes in its JSON"
