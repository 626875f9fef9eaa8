"""The short form of `make faults` and `make fuzz`: damage and full disks, and some damaged files for every reader."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import REPOSITORY
from fuzz_readers import FUZZED, outcome, texts

from clip2.runtime.errors import InputError
from tools.faults.chain import same
from tools.fuzz.__main__ import fuzz, read_batch
from tools.fuzz.mutate import LONGEST, mutated
from tools.fuzz.seeds import seeds

READERS = FUZZED | {"texts": texts}


@pytest.mark.slow
def test_damage_and_full_disks_are_survived(tmp_path: Path) -> None:
    """The groups whose outcome no busy machine decides; kills, orphans and edits have tests of their own."""
    command = [sys.executable, "-m", "tools.faults", str(tmp_path / "chain"), "--short", "--groups", "damage", "room"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1].split()[-3:] == ["0", "not", "survived"]
    for kind in ("artefact", "disk"):
        assert any(line.startswith(kind) for line in lines), done.stdout


@pytest.fixture(scope="module")
def valid() -> dict[str, list[bytes]]:
    return seeds()


@pytest.mark.parametrize("reader", READERS)
def test_files_that_are_nearly_right_break_no_reader(
    valid: dict[str, list[bytes]], tmp_path: Path, reader: str
) -> None:
    rng = random.Random(0)
    batch = [mutated(rng.choice(valid[reader]), valid[reader], rng) for _ in range(15)]
    stopped, read, refused = read_batch(READERS[reader], batch)
    if stopped < len(batch):
        assert outcome(READERS[reader], batch[stopped], tmp_path) == ""
    else:
        assert read + refused == len(batch)


def test_only_last_digits_may_differ(tmp_path: Path) -> None:
    one, other = tmp_path / "one.json", tmp_path / "other.json"
    one.write_text('{"hits": [{"score": 0.123456, "label": "car"}], "share": NaN, "seconds": 1}')
    for text, alike in (
        ('{"hits": [{"score": 0.123457, "label": "car"}], "share": NaN, "seconds": 2}', True),
        ('{"hits": [{"score": 0.1236, "label": "car"}], "share": NaN, "seconds": 1}', False),
        ('{"hits": [{"score": 0.123456, "label": "bus"}], "share": NaN, "seconds": 1}', False),
        ('{"hits": [], "share": NaN, "seconds": 1}', False),
    ):
        other.write_text(text)
        assert same(one, other) == alike


def test_a_reader_may_compute_where_its_parent_did(tmp_path: Path) -> None:
    """Parents have threads that a forked child lacks."""
    torch.set_num_threads(2)
    torch.ones(3000, 3000).exp()
    assert outcome(lambda data, folder: torch.ones(3000, 3000).exp(), b"", tmp_path) == ""


def test_what_breaks_a_reader_is_found_and_kept(tmp_path: Path) -> None:
    def read(data: bytes, folder: Path) -> None:
        if b"a" not in data:
            os.kill(os.getpid(), signal.SIGSEGV)
        if b"c" not in data:
            raise ZeroDivisionError
        if b"b" not in data:
            raise InputError("as it should be")

    done = fuzz(read, [[b"abc", b"bc", b"not read"], [b"ac", b"ac", b"ab"]], tmp_path / "kept")
    assert sorted(done.broken.values()) == ["ZeroDivisionError", "ended by SIGSEGV"]
    assert (done.inputs, done.read, done.refused) == (5, 1, 2)
    kept = {path.read_bytes() for path in (tmp_path / "kept").iterdir() if not path.suffix}
    assert kept == {b"bc", b"ab"}


def test_changes_change_and_stay_bounded() -> None:
    rng = random.Random(0)
    files = [b"", b"a", b'{"n": 12}', bytes(5000)]
    found = [mutated(rng.choice(files), files, rng) for _ in range(2000)]
    assert max(map(len, found)) <= LONGEST
    assert len(set(found)) > 1000
