"""What several test files share: the repository, and the folder of real sample frames."""

import os
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
