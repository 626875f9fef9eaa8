"""Python reads this file when it starts (it lies on PYTHONPATH): times the checks of CLIP² in whatever process this is.

Each process adds a line of JSON to the file that CHECKS_TO names: seconds by function, without those that another
timed one called.
"""

import atexit
import functools
import importlib.abc
import importlib.machinery
import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

CHECKS = {
    "clip2.store.provenance": ("file_digest",),
    "clip2.store.tables": ("_seal", "check_seal"),
    "clip2.store.atomic": ("sealed", "unsealed"),
    "clip2.store.hdf5": ("_try", "try_together"),
    "clip2.evaluate.rivals.towers": ("_digest_of",),
    "clip2.scans.sanity": ("FrameCheck.add", "FrameCheck.finish"),
    "clip2.runtime.guard": ("begin_job", "use_input", "check_planned", "check_publishing"),
    "clip2.workflow.listing": ("listing_digest", "contents"),
}
"""Digests, tries in a child process, sense of frames, locks, contents of inputs. Checksums of Parquet pages and HDF5
chunks are the libraries' own, and are not timed."""
seconds: dict[str, float] = defaultdict(float)
_busy = False


def timed(name: str, check: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, whose time counts where no other timed one runs."""

    @functools.wraps(check)
    def run(*args: Any, **keywords: Any) -> Any:
        global _busy
        if _busy:
            return check(*args, **keywords)
        _busy, start = True, time.perf_counter()
        try:
            return check(*args, **keywords)
        finally:
            seconds[name] += time.perf_counter() - start
            _busy = False

    return run


class _Finder(importlib.abc.MetaPathFinder):
    """Wraps the functions of a module when it has been loaded, before others import them from it."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in CHECKS or (spec := importlib.machinery.PathFinder.find_spec(name, path, target)) is None:
            return None
        loader = spec.loader
        assert isinstance(loader, importlib.machinery.SourceFileLoader)
        load = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            load(module)
            for function in CHECKS[name]:
                *owner, last = function.split(".")
                holder = getattr(module, owner[0]) if owner else module
                setattr(holder, last, timed(f"{name}.{function}", getattr(holder, last)))

        loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _report() -> None:
    with open(os.environ["CHECKS_TO"], "a") as file:
        file.write(json.dumps(seconds) + "\n")


if "CHECKS_TO" in os.environ:
    sys.meta_path.insert(0, _Finder())
    atexit.register(_report)
