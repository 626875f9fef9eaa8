"""CLIP²: open-world 3D recognition learnt from unlabelled scans.

The parts that one uses from Python (docs/python.md):

* ``load``: a pretrained model, from a folder or from the Hugging Face hub; points and words → vectors, probabilities
* ``lift_boxes``: 2D boxes and a point cloud → the points of the object in each box
* ``fit_box``: an upright 3D box around an object's points
* ``Labels``: the named 3D boxes of results/labels/labels.parquet
* ``Crops``: mined triplets: a name, a picture, points
* ``InputError``: what they raise when a file is missing or wrong; its message says which, and what to do

Units are metres, radians and pixels; points have z up.

Names are resolved on first use, by name, so that importing any one stage does not import (or, for Snakemake's
source closure, depend on) the others' code. Type checkers find them in ``__init__.pyi``.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
_MODULES = {
    "Clip2Model": "clip2.pretrain.model",
    "Crops": "clip2.store.readers",
    "InputError": "clip2.runtime.errors",
    "Labels": "clip2.store.readers",
    "fit_box": "clip2.label.box_fit",
    "lift_boxes": "clip2.lift",
    "load": "clip2.pretrain.model",
}
__all__ = ["__version__", *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'clip2' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
