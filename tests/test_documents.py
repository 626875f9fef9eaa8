"""What people read says nothing that is not so: links, files, commands and versions are there, and pages build."""

import argparse
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from clip2 import __version__
from clip2.cli import build_parser

PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/*.md")
FOLDERS = ("src", "tests", "config", "docs", "rules", "profiles", "schemas", "tools", "benchmarks", "envs", ".github")


def _pages(repository: Path) -> dict[Path, str]:
    """Each page without its comments, which nobody sees."""
    paths = [path for pattern in PAGES for path in sorted(repository.glob(pattern))]
    return {path: re.sub(r"<!--.*?-->", "", path.read_text(encoding="utf-8"), flags=re.S) for path in paths}


def _commands(page: str) -> list[list[str]]:
    """Words of each `clip2 …` in blocks and sentences, without trailing comments."""
    blocks = [line for block in re.findall(r"^```\n(.*?)^```", page, re.M | re.S) for line in block.splitlines()]
    inline = re.findall(r"`(clip2 [^`]+)`", re.sub(r"^```.*?^```", "", page, flags=re.M | re.S))
    lines = [re.sub(r"\s+#.*", "", line) for line in blocks] + [" ".join(text.split()) for text in inline]
    return [shlex.split(line) for line in lines if line.startswith("clip2 ")]


def _unknown(parser: argparse.ArgumentParser, words: list[str]) -> str | None:
    """The first sub-command or flag that a parser does not have."""
    if not words:
        return None
    nested = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if nested:
        placeholder = words[0].isupper() or words[0].startswith("-") or words[0] == "…"
        return None if placeholder else _unknown_in(nested[0].choices, words)
    return next((word for word in words if word.startswith("--") and word not in parser._option_string_actions), None)


def _unknown_in(choices: dict[str, argparse.ArgumentParser], words: list[str]) -> str | None:
    return _unknown(choices[words[0]], words[1:]) if words[0] in choices else words[0]


def test_every_command_and_flag_that_is_written_down_exists(repository: Path) -> None:
    found = 0
    for path, page in _pages(repository).items():
        for words in _commands(page):
            found += 1
            assert _unknown(build_parser(), words[1:]) is None, f"{path.name}: {' '.join(words)}"
    assert found > 20


@pytest.mark.parametrize(
    ("line", "unknown"),
    [("show a.json", None), ("shew a.json", "shew"), ("detect --frames a --fames b", "--fames"), ("ingest XYZ", None)],
)
def test_an_unknown_command_or_flag_is_noticed(line: str, unknown: str | None) -> None:
    assert _unknown(build_parser(), line.split()) == unknown


def test_every_file_that_is_named_is_there(repository: Path) -> None:
    """Paths in `code`, and `--configfile` arguments; those with a placeholder in them are ignored."""
    found = 0
    for path, page in _pages(repository).items():
        names = re.findall(rf"(?<![\w/.])((?:{'|'.join(map(re.escape, FOLDERS))})/[\w./-]*\w\.\w+)", page)
        for name in names:
            found += 1
            assert (repository / name).is_file() or (path.parent / name).is_file(), f"{path.name} names {name}"
    assert found > 50


def test_links_outside_the_site_lead_somewhere(repository: Path) -> None:
    for path, page in _pages(repository).items():
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page):
            if "://" not in target:
                assert (path.parent / target).is_file(), f"{path.name} links to {target}"


def test_the_site_builds_strictly_and_loads_nothing_from_elsewhere(repository: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = sorted(tmp_path.glob("*.html"))
    assert len(pages) > 10
    for page in pages:
        loaded = re.findall(r"<(?:script|img|link|iframe)\b[^>]*?(?:src|href)=\"?(https?:|//)", page.read_text())
        assert not loaded, page.name


def test_the_picture_of_the_packages_is_up_to_date(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(repository))
    from tools.rooms import PICTURE, draw, imports_of_rooms

    drawn = draw(imports_of_rooms(repository / "src"))
    assert PICTURE.read_text(encoding="utf-8") == drawn, "run: python -m tools.rooms"


def test_the_picture_shows_imports_and_leaves_out_what_follows_from_others(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(repository))
    from tools.rooms import columns, draw, imports_of_rooms, without_shortcuts

    files = {
        "clip2/__init__.py": "",
        "clip2/low/a.py": "import os",
        "clip2/middle/b.py": "from clip2.low import a\nfrom clip2 import __version__",
        "clip2/top/c.py": "def f():\n    from clip2 import middle\n    import clip2.low.a",
        "clip2/cli.py": "from clip2.top import c",
        "beside/d.py": "import clip2.low.a",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = imports_of_rooms(tmp_path)
    assert found == {"low": set(), "middle": {"low"}, "top": {"middle", "low"}, "cli": {"top"}, "beside": {"low"}}
    assert without_shortcuts(found)["top"] == {"middle"}
    assert columns(found) == {"low": 0, "middle": 1, "beside": 1, "top": 2, "cli": 3}
    assert draw(found).count("<path") == 4


def test_versions_agree(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((repository / "CITATION.cff").read_text())
    assert project["version"] == citation["version"] == __version__
    assert citation["license"] == project["license"]


def test_the_hooks_run_tools_that_make_lint_runs(repository: Path) -> None:
    lint = re.search(r"^lint:.*\n((?:\t.*\n)+)", (repository / "Makefile").read_text(), re.M)
    assert lint is not None
    hooks = yaml.safe_load((repository / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    for hook in hooks:
        tool = hook["entry"].removeprefix(".venv/bin/").split(" --")[0]
        assert tool in lint[1], hook["id"]


def test_the_workflow_runs_ci_on_the_supported_versions(repository: Path) -> None:
    job = yaml.safe_load((repository / ".github" / "workflows" / "ci.yml").read_text())["jobs"]["checks"]
    assert any("bash .ci/run" in step.get("run", "") for step in job["steps"])
    classifiers = tomllib.loads((repository / "pyproject.toml").read_text())["project"]["classifiers"]
    supported = [text.rsplit(" ", 1)[1] for text in classifiers if re.search(r":: 3\.\d+$", text)]
    assert job["strategy"]["matrix"]["python"] == supported
