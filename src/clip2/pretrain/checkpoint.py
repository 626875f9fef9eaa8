"""Checkpoints of a training run: atomic, and only taken up by the run that they belong to."""

import hashlib
import json
import logging
import pickle
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
    """The state, or None where there is none of this run; says in the log why one is passed over."""
    if not path.exists():
        return None
    try:
        found = torch.load(path, map_location=device, weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        log.warning("%s cannot be read (%s); training starts from the beginning", path, str(error).splitlines()[0])
        return None
    if found["digest"] != digest:
        log.warning("%s was made with other settings or data; training starts from the beginning", path)
        return None
    state: dict[str, Any] = found["state"]
    return state
