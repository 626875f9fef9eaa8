"""How much of SUN RGB-D a split option means."""

from pathlib import Path

from clip2.scans.outline import Outline, Part
from clip2.scans.shards import ROLES
from clip2.scans.sunrgbd.official import release_folder
from clip2.scans.sunrgbd.settings import SunrgbdSettings
from clip2.scans.sunrgbd.votenet import FOLDER, INDEX_FILES, LABELS, read_index

OFFICIAL = {"trainval_train": 2666, "trainval_val": 2619, "val": 5050}
"""Pictures of the release by split. Its own list, a MATLAB file of ten thousand names, takes a second to read."""
UNIONS = {"train": ("trainval_train", "trainval_val"), "all": tuple(OFFICIAL)}


def outline(root: Path, settings: SunrgbdSettings) -> Outline:
    """What each role holds; where the release is the official one, its splits stand for their pictures' names."""
    of_role = _official if release_folder(root) else _votenet
    return {role: of_role(root, [part.strip() for part in getattr(settings, role).split(",")]) for role in ROLES}


def _official(root: Path, words: list[str]) -> Part:
    names = {name for word in words for name in UNIONS.get(word, (word,))}
    n_frames = sum(OFFICIAL.get(name, 1) for name in names)
    return Part(frozenset(names), n_frames, n_frames)


def _votenet(root: Path, words: list[str]) -> Part:
    names: set[str] = set()
    for word in words:
        if word in INDEX_FILES and (index := root / FOLDER / INDEX_FILES[word]).is_file():
            names.update(read_index(index))
        elif word == "all":
            names.update(path.stem for path in (root / FOLDER / "image").glob("*.jpg"))
        elif word.startswith("frame:"):
            names.add(word.removeprefix("frame:"))
    return Part(frozenset(names), len(names), len(names))


def missing_labels(root: Path, settings: SunrgbdSettings, role: str) -> str | None:
    """Why nothing can be measured; None where there are human boxes, or where only the whole metadata would tell."""
    folder = root / FOLDER / LABELS[settings.labels]
    if release_folder(root) or any(folder.glob("*.txt")):
        return None
    return f"{folder} holds no boxes"
