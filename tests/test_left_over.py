"""What killed jobs had not finished is removed by the next run, and what living ones are writing is not."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from conftest import copy_checkout, snakemake

from clip2.runtime import guard
from clip2.store.atomic import FORGOTTEN, remove_left_over

WRITE = """
import sys, time
from pathlib import Path
from clip2.store.atomic import atomic_folder, atomic_path
with atomic_folder(Path("export")) as folder, atomic_path(Path("deep/made.txt")) as path:
    (folder / "file").write_text("half")
    path.write_text("half")
    print(flush=True)
    time.sleep(600)
"""


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process in the middle of writing a file and a folder."""
    process = subprocess.Popen([sys.executable, "-c", WRITE], stdout=subprocess.PIPE, text=True, cwd=tmp_path)
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.kill()
    process.wait()


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_of_a_killed_job_and_not_of_a_living_one(writer: subprocess.Popen[str], tmp_path: Path) -> None:
    (tmp_path / "deep" / ".notes.part").write_text("a person's")
    (tmp_path / "deep" / ".made.txt.123.part").write_text("another program's")
    before = tree(tmp_path)
    assert len(before) == 6
    assert remove_left_over(tmp_path) == 0
    assert tree(tmp_path) == before
    writer.kill()
    writer.wait()
    assert remove_left_over(tmp_path) == 2
    assert tree(tmp_path) == ["deep", "deep/.made.txt.123.part", "deep/.notes.part"]


def test_of_another_machine_only_when_forgotten(tmp_path: Path) -> None:
    parts = [tmp_path / f".{name}.parquet.7-1234-another.machine.part" for name in ("new", "old")]
    for part in parts:
        part.write_text("half")
    long_ago = time.time() - FORGOTTEN - 60
    os.utime(parts[1], (long_ago, long_ago))
    assert remove_left_over(tmp_path) == 1
    assert list(tmp_path.iterdir()) == [parts[0]]


def test_a_process_that_has_the_number_of_a_dead_one_is_another() -> None:
    number, started, machine = guard.owner().split("-", 2)
    assert guard.is_gone(guard.owner()) is False
    assert guard.is_gone(f"{number}-{int(started) - 1}-{machine}") is True
    assert guard.is_gone(f"{number}-{started}-{machine}.elsewhere") is None


def test_a_folder_that_was_being_replaced_is_put_back(writer: subprocess.Popen[str], tmp_path: Path) -> None:
    part = next(tmp_path.glob(".export.*.part"))
    (tmp_path / "whole").mkdir()
    (tmp_path / "whole" / "file").write_text("what was there before")
    (tmp_path / "whole").rename(part.with_suffix(".old"))  # as between the two renames
    writer.kill()
    writer.wait()
    remove_left_over(tmp_path)
    assert (tmp_path / "export" / "file").read_text() == "what was there before"
    assert tree(tmp_path) == ["deep", "export", "export/file"]


@pytest.mark.slow
def test_the_next_run_removes_them(writer: subprocess.Popen[str], tmp_path: Path) -> None:
    writer.kill()
    writer.wait()
    left = next((tmp_path / "deep").iterdir())
    folder = copy_checkout(tmp_path / "checkout")
    (folder / "tiny.yaml").write_text(
        yaml.safe_dump({"sources": {"shapes": {"world": {"pairs": 1}}}}), encoding="utf-8"
    )
    stays = folder / "results" / f".other.json.{guard.owner()}.part"
    stays.parent.mkdir()
    stays.write_text("half")
    left = left.rename(stays.with_name(left.name))
    target = ("--configfile", "tiny.yaml", "--", "results/shapes/raw/world.json")
    snakemake(folder, "--dry-run", *target)
    assert left.exists()
    snakemake(folder, *target)
    assert stays.exists()
    assert not left.exists()
