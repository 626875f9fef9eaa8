"""What several test files share: the repository, and the folder of real sample frames."""

import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of this checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def realdata() -> Path:
    """Folder of real sample frames: CLIP2_REALDATA, else shared/realdata beside the checkout. Without: a loud skip."""
    folder = Path(os.environ.get("CLIP2_REALDATA", REPOSITORY.parent / "shared" / "realdata"))
    if not (folder / "frames.json").is_file():
        message = f"REAL DATA NOT TESTED: no sample frames in {folder}; set CLIP2_REALDATA"
        warnings.warn(message, stacklevel=1)
        pytest.skip(message)
    return folder


def copy_checkout(folder: Path) -> Path:
    """What a run needs of this checkout, copied into a new folder (with times, without results)."""
    folder.mkdir(parents=True)
    for name in ("Snakefile", "rules", "config.yaml", "config", "schemas", "envs", "profiles", "src", "resources"):
        if (REPOSITORY / name).is_dir():
            shutil.copytree(
                REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
            )
        else:
            shutil.copy2(REPOSITORY / name, folder / name)
    return folder


def snakemake(folder: Path, *arguments: str, check: bool = True) -> str:
    """Run Snakemake in a folder; what it printed."""
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if check and done.returncode:
        raise AssertionError(done.stdout + done.stderr)
    return done.stdout + done.stderr
