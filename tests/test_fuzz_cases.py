"""Inputs that once broke a reader (2.65 million fuzzed ones left these), in a child process with limits.

They lie beside the checkout, are found by CLIP2_CASES, and are not part of the repository; the kinds that they are of
are held by the tests of each reader. Every reader gets every one of its inputs, at each of its places.
"""

import os
import shutil
import signal
import warnings
from pathlib import Path

import numpy as np
import pytest
from conftest import REPOSITORY
from fuzz_readers import FUZZED, MEMORY, outcome, texts

from clip2.runtime.errors import InputError


@pytest.fixture(scope="session")
def cases() -> Path:
    """Folder of inputs by reader: CLIP2_CASES, else shared/cases/fuzz beside the checkout. Without: a loud skip."""
    folder = Path(os.environ.get("CLIP2_CASES", REPOSITORY.parent / "shared" / "cases" / "fuzz"))
    if not folder.is_dir():
        message = f"FUZZED INPUTS NOT TESTED: no folder {folder}; set CLIP2_CASES"
        warnings.warn(message, stacklevel=1)
        pytest.skip(message)
    return folder


def wrong(data: bytes, folder: Path) -> None:
    raise ValueError("of the library's")


def endless(data: bytes, folder: Path) -> None:
    while True:
        pass


def greedy(data: bytes, folder: Path) -> None:
    np.ones(MEMORY)


def crashing(data: bytes, folder: Path) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def refusing(data: bytes, folder: Path) -> None:
    raise InputError("no")


def test_what_breaks_a_reader_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fuzz_readers.SECONDS", 1)
    expected = {wrong: "ValueError: of the library", endless: "SIGXCPU", greedy: "Memory", crashing: "SIGSEGV"}
    for read, said in expected.items():
        (tmp_path / read.__name__).mkdir()
        assert said in outcome(read, b"", tmp_path / read.__name__)
    (tmp_path / "refusing").mkdir()
    assert outcome(refusing, b"", tmp_path / "refusing") == ""


@pytest.mark.parametrize("reader", FUZZED)
def test_what_once_broke_a_reader_is_one_line(cases: Path, tmp_path: Path, reader: str) -> None:
    inputs = sorted(path for path in (cases / reader).glob("*") if path.suffix != ".txt")
    broken: dict[str, str] = {}
    for path in inputs:
        data = path.read_bytes()
        # The first byte of some says which place of the reader it was for.
        for number, part in enumerate((data, data[1:])):
            for read in (FUZZED[reader], *((texts,) if len(data) < 200 else ())):
                folder = tmp_path / f"{path.name}.{number}.{read.__name__}"
                folder.mkdir()
                if told := outcome(read, part, folder):
                    broken[f"{path.name} from byte {number}"] = told
                shutil.rmtree(folder)
    assert not broken, "\n".join(f"{name}: {told}" for name, told in broken.items())
