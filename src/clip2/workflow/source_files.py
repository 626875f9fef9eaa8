"""Which source files a stage runs, for Snakemake to compare: the transitive closure of its imports under ``src``.

Snakemake sees the text of a rule, not the Python behind it. Declaring these files as inputs makes it re-run a stage
when, and only when, the content of one of them changed. Imports by string are invisible here: ``clip2.__init__`` relies
on that, registries must avoid it.
"""

import ast
import os
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]


@cache
def source_files(module: str) -> tuple[str, ...]:
    """Files of ``module`` and of all modules under ``src`` that it imports, sorted, relative to the working directory.

    Relative, because Snakemake compares input *paths* too: absolute ones would re-run everything in a moved checkout.

    Raises:
        ModuleNotFoundError: there is no such module under ``src``.
    """
    if _file(module) is None:
        raise ModuleNotFoundError(f"{module} is not a module of {SOURCE}")
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        file = _file(name)
        if file is not None and name not in found:
            found[name] = file
            waiting += _imports(name, file)
    return tuple(sorted(os.path.relpath(file) for file in found.values()))


@cache
def _file(module: str) -> Path | None:
    """The file of a module under ``src``; None where there is none, as for other packages and for names in modules."""
    target = SOURCE.joinpath(*module.split("."))
    for file in (target / "__init__.py", target.with_suffix(".py")):
        if file.is_file():
            return file
    return None


@cache
def _imports(name: str, file: Path) -> tuple[str, ...]:
    """What a module may import: its package, and what its import statements name, wherever they stand."""
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    named = {name.rpartition(".")[0]}
    for node in _statements(ast.parse(file.read_bytes()).body):
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: package.count(".") + 2 - node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            # `from a import b` is the module a.b or something in a.
            named |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return tuple(sorted(named - {""}))


def _statements(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Statements and those inside of them."""
    for node in nodes:
        yield node
        for part in ("body", "orelse", "handlers", "finalbody", "cases"):
            yield from _statements(getattr(node, part, ()))
