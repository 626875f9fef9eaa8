"""What an artefact was made from. No clock: the same inputs give the same bytes, and a file knows its own time."""

import hashlib
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from clip2 import __version__
from clip2.runtime.errors import InputError
from clip2.runtime.guard import check_planned, use_input


def file_digest(path: Path) -> str:
    """SHA-256 of a file, read in blocks."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def provenance(
    stage: str,
    settings: dict[str, Any],
    inputs: dict[str, Path],
    packages: tuple[str, ...] = (),
    seed: int | None = None,
) -> dict[str, Any]:
    """The provenance block of an artefact's header.

    Args:
        stage: name of the stage that writes it.
        settings: the part of the configuration that the stage read.
        inputs: name → file whose content went in; stored as digests, so that moving a folder changes nothing.
        packages: distributions whose version can change the outcome.

    Raises:
        InputError: an input that is not there, or is another than the run was planned with.
    """
    for path in inputs.values():
        if not path.is_file():
            raise InputError(f"{path}: no such file; make it with `snakemake {path}`")
        use_input(path)
    digests = {name: file_digest(path) for name, path in inputs.items()}
    for name, path in inputs.items():
        check_planned(path, digests[name])
    return {
        "stage": stage,
        "clip2": __version__,
        "packages": {name: _version(name) for name in ("numpy", *packages)},
        "settings": settings,
        "inputs": digests,
        "seed": seed,
    }


def git_state() -> dict[str, Any]:
    """Commit of this checkout and whether it has uncommitted changes; None where there is no git repository."""

    def git(*arguments: str) -> str | None:
        try:
            root = Path(__file__).resolve().parent
            return subprocess.run(
                ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True, timeout=20
            ).stdout.strip()
        except (OSError, subprocess.SubprocessError):
            return None

    status = git("status", "--porcelain", "--untracked-files=no")
    return {"commit": git("rev-parse", "HEAD"), "dirty": None if status is None else bool(status)}
