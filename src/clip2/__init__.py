"""CLIP²: open-world 3D recognition learnt from unlabelled scans.

``clip2.load`` is resolved on first use, by name, so that importing any one stage does not import (or, for Snakemake's
source closure, depend on) the model code.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
__all__ = ["__version__", "load"]


def __getattr__(name: str) -> Any:
    if name == "load":
        return import_module("clip2.pretrain.model").load
    raise AttributeError(f"module 'clip2' has no attribute {name!r}")
