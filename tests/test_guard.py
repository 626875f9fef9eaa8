"""A job publishes only for a run that lives, and only what its inputs still are."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from clip2.runtime import guard
from clip2.runtime.errors import InputError
from clip2.store.atomic import write_text
from clip2.store.provenance import file_digest, provenance


@pytest.fixture(autouse=True)
def _own_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "_noted", None)
    monkeypatch.setattr(guard, "_used", set())
    monkeypatch.delenv(guard.RUN, raising=False)
    monkeypatch.delenv(guard.PLANNED, raising=False)


def test_an_orphan_of_a_killed_run_cannot_publish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out.txt"
    write_text(out, "of a newer run")
    tell = (
        "from clip2.runtime.guard import *; import os; announce_run({}, Path(os.devnull)); "
        "print(os.environ[RUN], flush=True); input()"
    )
    run = subprocess.Popen([sys.executable, "-c", tell], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    monkeypatch.setenv(guard.RUN, run.stdout.readline().strip())
    write_text(tmp_path / "other.txt", "its run lives")
    run.kill()
    run.wait()
    with pytest.raises(InputError, match="was ended"):
        write_text(out, "of the killed run")
    assert out.read_text() == "of a newer run"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.txt", "out.txt"]


def test_a_run_of_another_machine_is_not_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(guard.RUN, "another-machine 1 1")
    write_text(tmp_path / "out.txt", "published")


@pytest.mark.parametrize("told_at", ["start", "end"])
def test_an_input_that_changes_while_a_job_reads_it_ends_the_job(tmp_path: Path, told_at: str) -> None:
    read, out = tmp_path / "in.txt", tmp_path / "out.txt"
    read.write_text("before")
    times = read.stat()
    guard.begin_job([read, tmp_path / "missing", tmp_path])
    if told_at == "start":
        provenance("stage", {}, {"in": read})
    write_text(tmp_path / "part.txt", "nothing changed yet")
    read.write_text("after!")
    os.utime(read, ns=(times.st_atime_ns, times.st_mtime_ns))  # as `cp -p` and rsync leave it
    if told_at == "end":
        provenance("stage", {}, {"in": read})
    with pytest.raises(InputError, match=r"in\.txt: changed while"):
        write_text(out, "made from what was there before")
    assert not out.exists()


def test_an_input_that_was_edited_after_the_run_planned_its_jobs_ends_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it could be put back, with its old times, and what was made of the edit would stay."""
    read, made = tmp_path / "in.txt", tmp_path / "made.txt"
    for path in (read, made):
        path.write_text("before")
    for name in (guard.RUN, guard.PLANNED):
        monkeypatch.setenv(name, "")  # put back after the test
    guard.announce_run({os.path.relpath(read): file_digest(read)[:16]}, tmp_path / "planned.json")
    made.write_text("by another job of this run")
    assert provenance("stage", {}, {"in": read, "made": made})["inputs"]["in"] == file_digest(read)
    read.write_text("edited")
    with pytest.raises(InputError, match=r"in\.txt: changed since this run began"):
        provenance("stage", {}, {"in": read})
