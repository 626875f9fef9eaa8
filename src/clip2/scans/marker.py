"""The mark of a data set that was generated and not recorded, so that nobody takes its figures for real ones."""

from pathlib import Path

MARKER = "BUILT_IN_WORLD"
"""A file of this name at the data root says that the data set is procedurally generated (``clip2_world`` writes it)."""
BUILT_IN, REAL = "built-in world", "real"


def source_kind(root: Path) -> str:
    """``BUILT_IN`` where the marker file says so, else ``REAL``."""
    return BUILT_IN if (root / MARKER).exists() else REAL
