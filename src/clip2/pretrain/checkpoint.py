"""Checkpoints of a training run: atomic, and only taken up by the run that they belong to."""

import hashlib
import json
import logging
import zipfile
from pathlib import Path
from typing import Any

import torch

from clip2.store.atomic import atomic_path

log = logging.getLogger(__name__)


def digest_of(made_from: dict[str, Any]) -> str:
    """By which a run knows its own checkpoint, from its provenance block."""
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()


def save_checkpoint(path: Path, digest: str, state: dict[str, Any]) -> None:
    """Write ``state`` (tensors, numbers, strings, dictionaries and lists of them)."""
    with atomic_path(path) as temporary:
        torch.save({"digest": digest, "state": state}, temporary)


def load_checkpoint(path: Path, digest: str, device: torch.device) -> dict[str, Any] | None:
    """The state, or None where there is none of this run; the log says why one is ignored."""
    if not path.exists():
        return None
    try:
        with zipfile.ZipFile(path) as archive:  # torch.load does not compare the checksums
            if damaged := archive.testzip():
                raise OSError(f"{damaged} in it is damaged")
        found = torch.load(path, map_location=device, weights_only=True)
        made_by, state = found["digest"], found["state"]
    except Exception as error:  # of a damaged file, torch's own unpickler raises what it likes
        words = str(error).splitlines() or [type(error).__name__]
        log.warning("%s cannot be read (%s); training starts from the beginning", path, words[0])
        return None
    if made_by != digest:
        log.warning("%s was made with other settings or data; training starts from the beginning", path)
        return None
    if not isinstance(state, dict):
        log.warning("%s holds no state; training starts from the beginning", path)
        return None
    return state
