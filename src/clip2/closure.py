"""Which source files a stage runs, for Snakemake to compare: the transitive closure of its clip2 imports.

Snakemake sees the text of a rule, not the Python behind it. Declaring these files as inputs makes it re-run a stage
when, and only when, the content of one of them changed. Imports by string are invisible here: ``clip2.__init__`` relies
on that, registries must avoid it.
"""

import os
from functools import cache
from modulefinder import ModuleFinder
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1]


@cache
def source_closure(module: str) -> tuple[str, ...]:
    """Files of ``module`` and of all clip2 modules that it imports, sorted, relative to the working directory.

    Relative, because Snakemake compares input *paths* too: absolute ones would re-run everything in a moved checkout.

    Raises:
        ModuleNotFoundError: there is no such module under ``src``.
    """
    finder = ModuleFinder(path=[str(SOURCE)])
    target = SOURCE.joinpath(*module.split("."))
    file = target / "__init__.py" if target.is_dir() else target.with_suffix(".py")
    if not file.is_file():
        raise ModuleNotFoundError(f"{module} is not a module of {SOURCE}")
    finder.import_hook(module)
    files = (getattr(found, "__file__", None) for found in finder.modules.values())
    found = {Path(file) for file in files if file}
    return tuple(sorted(os.path.relpath(path) for path in found if path.is_relative_to(SOURCE)))
