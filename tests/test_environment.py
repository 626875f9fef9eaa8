"""Pins that have to agree, and the order in which packages may import one another."""

import ast
import re
from importlib.metadata import distribution
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet

from clip2.workflow.source_files import source_files

ORDER = (
    *(
        "runtime",
        "geometry",
        "store",
        "scans",
        "imports",
        "detect",
        "segment",
        "lift",
        "teach",
        "track",
        "pretrain",
        "label",
    ),
    *("search", "export", "explore", "evaluate", "report", "workflow"),
)
"""As data flows: a package imports only itself and those before it."""


def test_conda_pins_equal_pip_pins(repository: Path) -> None:
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)$", (repository / "requirements.txt").read_text(), re.M))
    environment = yaml.safe_load((repository / "envs" / "clip2.yaml").read_text())
    conda = dict(line.split("==") for line in environment["dependencies"][-1]["pip"])
    assert conda
    for name, version in conda.items():
        own = {key.lower().replace("_", "-"): value for key, value in pins.items()}
        assert own[name] == version, name


@pytest.mark.parametrize("python", ["3.11.2", "3.12.0"])
def test_pins_take_the_pythons_that_the_readme_names(repository: Path, python: str) -> None:
    """3.11.2 is Debian 12's: a pin that wants 3.11.5 cannot be installed there."""
    pins = re.findall(r"^([\w.-]+)==\S+$", (repository / "requirements.txt").read_text(), re.M)
    wanted = {name: distribution(name).metadata["Requires-Python"] for name in pins}
    assert len(wanted) > 50
    assert [name for name, range in wanted.items() if range and python not in SpecifierSet(range)] == []


def test_torch_scatter_is_pinned_once(repository: Path) -> None:
    found = {
        re.search(r"torch-scatter==(\S+)", (repository / file).read_text())[1]  # type: ignore[index]
        for file in ("Makefile", "envs/clip2.post-deploy.sh")
    }
    assert len(found) == 1


def _imported(file: Path) -> list[str]:
    """Names of the modules that a file imports, wherever the statement stands."""
    names: list[str] = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    return names


@pytest.mark.parametrize("package", ORDER)
def test_packages_import_only_those_above(repository: Path, package: str) -> None:
    allowed = ORDER[: ORDER.index(package) + 1]
    for file in (repository / "src" / "clip2" / package).rglob("*.py"):
        for name in _imported(file):
            parts = name.split(".")
            if parts[0] == "clip2" and len(parts) > 1:
                assert parts[1] in allowed, f"{file} imports {name}"


def test_closure_follows_imports_and_nothing_else() -> None:
    lift = {Path(p).as_posix().split("src/clip2/")[1] for p in source_files("clip2.lift.stage")}
    assert {"lift/frustum.py", "geometry/camera.py", "store/tables.py", "lift/settings.py"} <= lift
    assert not [p for p in lift if p.startswith(("detect/", "teach/", "pretrain/", "evaluate/")) or "annotations" in p]
    assert not any(Path(p).is_absolute() for p in source_files("clip2.lift.stage"))


def test_closure_of_nothing() -> None:
    with pytest.raises(ModuleNotFoundError):
        source_files("clip2.nothing")


@pytest.mark.parametrize("stage", ["detect.stage", "lift.stage", "teach.stage", "track.stage", "pretrain.stage"])
def test_mining_never_runs_code_that_reads_human_boxes(stage: str) -> None:
    assert not [p for p in source_files(f"clip2.{stage}") if "annotations" in p or "/evaluate/" in p]


def test_the_product_never_imports_the_built_in_world(repository: Path) -> None:
    for file in (repository / "src" / "clip2").rglob("*.py"):
        assert not [name for name in _imported(file) if name.split(".")[0] == "clip2_world"], file


def test_the_screen_imports_nothing_of_the_checkout_that_it_shows(repository: Path) -> None:
    """Else the Snakefile of another checkout would find this one's ``clip2`` imported already."""
    for file in (repository / "src" / "snakemake_logger_plugin_clip2").rglob("*.py"):
        own = [name for name in _imported(file) if name.split(".")[0] in ("clip2", "clip2_world")]
        assert own == [], file


def test_the_built_in_world_stands_on_geometry_and_files_only(repository: Path) -> None:
    allowed = {"runtime", "geometry", "store"}
    for file in (repository / "src" / "clip2_world").rglob("*.py"):
        own = [name.split(".") for name in _imported(file) if name.split(".")[0] == "clip2"]
        assert all(len(parts) > 1 and parts[1] in allowed for parts in own), f"{file} imports {own}"
