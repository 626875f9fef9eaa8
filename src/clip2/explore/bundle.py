"""The page's JavaScript modules → one script: browsers load no modules from disk (``file://``).

Each module becomes a function that runs once, in the order of the imports, and returns what it exports. Only the forms
of ``import`` and ``export`` that the page uses are understood; any other is refused. Exports are values at the end of
their module, not live bindings.
"""

import os
import re
from pathlib import Path

from clip2.runtime.errors import InputError

PAGE = Path(__file__).with_name("page")
"""The page's own files."""
THREE = "vendor/three.module.min.js"
"""What ``import … from 'three'`` means."""

_IMPORT = re.compile(r"^import\s*\{(?P<names>[^}]*)\}\s*from\s*['\"](?P<module>[^'\"]+)['\"];?", re.M)
_EXPORT_LIST = re.compile(r"(?:^|(?<=[;}]))\s*export\s*\{(?P<names>[^}]*)\};?", re.M)
_EXPORT = re.compile(r"^export\s+(?P<kind>(?:async\s+)?function|class|const)\s+(?P<name>[\w$]+)", re.M)
_LEFT = re.compile(r"^\s*(?:import\b(?!\s*\()|export\b).*$", re.M)


def page_files() -> list[str]:
    """Files that the page is made from, relative to the working directory, as Snakemake compares them."""
    return sorted(os.path.relpath(path) for path in PAGE.rglob("*") if path.is_file())


def bundle(folder: Path, entry: str) -> str:
    """One script that runs module ``entry`` of a folder, with all that it imports.

    Raises:
        InputError: a module that is not there, that imports itself in a circle, or uses a form that is not understood.
    """
    done: dict[str, str] = {}
    _add(folder, entry, done, ())
    modules = "".join(f"M[{name!r}] = (() => {{\n{source}\n}})();\n" for name, source in done.items())
    return f"(() => {{\n'use strict';\nconst M = {{}};\n{modules}}})();\n"


def _add(folder: Path, name: str, done: dict[str, str], path: tuple[str, ...]) -> None:
    """Put a module behind those that it imports."""
    if name in done:
        return
    if name in path:
        raise InputError(f"{folder / name}: imports itself in a circle: {' → '.join((*path, name))}")
    try:
        source = (folder / name).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(
            f"{folder / name}: no such module, but {path[-1] if path else 'the page'} imports it"
        ) from None
    exported: list[str] = []

    def imported(found: re.Match[str]) -> str:
        module = _module(name, found["module"])
        _add(folder, module, done, (*path, name))
        names = ", ".join(": ".join(_renamed(part)) for part in _parts(found["names"]))
        return f"const {{ {names} }} = M[{module!r}];"

    def listed(found: re.Match[str]) -> str:
        exported.extend(": ".join(reversed(_renamed(part))) for part in _parts(found["names"]))
        return "\n"

    def declared(found: re.Match[str]) -> str:
        exported.append(found["name"])
        return f"{found['kind']} {found['name']}"

    source = _IMPORT.sub(imported, source)
    source = _EXPORT_LIST.sub(listed, source)
    source = _EXPORT.sub(declared, source)
    if left := _LEFT.search(source):
        raise InputError(f"{folder / name}: a form of import or export that is not understood: {left[0].strip()[:80]}")
    done[name] = f"{source}\nreturn {{ {', '.join(exported)} }};"


def _module(importer: str, target: str) -> str:
    """The file that an import names, relative to the page's folder."""
    if target == "three":
        return THREE
    return (Path(importer).parent / target).as_posix()


def _parts(names: str) -> list[str]:
    return [part.strip() for part in names.split(",") if part.strip()]


def _renamed(part: str) -> list[str]:
    """``a as b`` → [a, b]; ``a`` → [a]."""
    return re.split(r"\s+as\s+", part)
