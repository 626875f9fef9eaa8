"""`python -m tools.fuzz SECONDS` (`make fuzz`): every reader gets files that are nearly right, for so long each.

An input is a small valid file, or one that once broke a reader (CLIP2_CASES, else shared/cases/fuzz beside the
checkout), with random changes. Inputs are read in child processes with limits of time and memory, some dozen a process.
One that ends its process otherwise than by the error that users are meant to read is tried again alone, and kept.
"""

import argparse
import contextlib
import hashlib
import mmap
import os
import random
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from conftest import REPOSITORY
from fuzz_readers import EXPECTED, FUZZED, MEMORY, SECONDS, outcome, quiet_child, texts

from clip2.runtime.console import console
from clip2.runtime.tables import print_table
from tools.fuzz.mutate import mutated
from tools.fuzz.seeds import seeds

Read = Callable[[bytes, Path], None]
BATCH = 40
"""Inputs a process."""
KEPT = 20
"""Inputs of a reader that are kept at most."""


class Tally(NamedTuple):
    """How many inputs a reader was given, and what came of them."""

    inputs: int
    read: int
    refused: int
    broken: dict[str, str]
    """Digest of an input that broke it → how."""


def batches(valid: Sequence[bytes], seconds: float, seed: int) -> Iterator[list[bytes]]:
    """Changed files, for some time."""
    rng, end = random.Random(seed), time.monotonic() + seconds
    while time.monotonic() < end:
        yield [mutated(rng.choice(valid), valid, rng) for _ in range(BATCH)]


def fuzz(read: Read, files: Iterable[Sequence[bytes]], keep: Path) -> Tally:
    """Give a reader files in batches, of which each ends at the first that broke it; these go to ``keep``."""
    broken, counts = dict[str, str](), [0, 0]
    for batch in files:
        stopped, *done = read_batch(read, batch)
        counts = [one + other for one, other in zip(counts, done, strict=True)]
        if stopped < len(batch):
            with tempfile.TemporaryDirectory() as folder:
                told = outcome(read, batch[stopped], Path(folder))
            if told:
                digest = hashlib.sha256(batch[stopped]).hexdigest()[:12]
                broken[digest] = told.strip().splitlines()[-1][:200]
                if len(broken) <= KEPT:
                    keep.mkdir(parents=True, exist_ok=True)
                    (keep / digest).write_bytes(batch[stopped])
                    (keep / f"{digest}.txt").write_text(told)
            counts[0] += not told  # it was the others before it that filled the memory, or a busy machine
    return Tally(sum(counts) + len(broken), *counts, broken)


def read_batch(read: Read, batch: Sequence[bytes]) -> tuple[int, int, int]:
    """Read inputs in a child process: at which it ended (their number: at none), how many were read, and refused."""
    shared = mmap.mmap(-1, 12)
    with tempfile.TemporaryDirectory() as name:
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                _read_all(read, batch, Path(name), shared)
            os._exit(0)
        os.waitpid(child, 0)
    found = struct.unpack("III", shared[:12])
    return found[0], found[1], found[2]


def _read_all(read: Read, batch: Sequence[bytes], folder: Path, shared: mmap.mmap) -> None:
    quiet_child()
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with open("/proc/self/statm", encoding="ascii") as file:
        size = int(file.read().split()[0]) * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    done = [0, 0]
    for number, data in enumerate(batch):
        shared[:12] = struct.pack("III", number, *done)
        signal.setitimer(signal.ITIMER_PROF, SECONDS)  # unless it ends before, its signal ends the process
        signal.alarm(10 * SECONDS)
        place = folder / str(number)
        place.mkdir()
        try:
            read(data, place)
            done[0] += 1
        except EXPECTED:
            done[1] += 1
        shutil.rmtree(place)
    shared[:12] = struct.pack("III", len(batch), *done)


def corpus() -> dict[str, list[bytes]]:
    """Inputs that once broke a reader; of some, the first byte says which place of it they were for."""
    folder = Path(os.environ.get("CLIP2_CASES", REPOSITORY.parent / "shared" / "cases" / "fuzz"))
    found: dict[str, list[bytes]] = {}
    for path in sorted(folder.glob("*/*")):
        if path.suffix != ".txt":
            data = path.read_bytes()
            found.setdefault(path.parent.name, []).extend((data, data[1:]))
    return found


def main() -> None:
    readers = FUZZED | {"texts": texts}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seconds", type=float, help="for each reader")
    parser.add_argument("readers", nargs="*", help=f"of {', '.join(readers)} (default: all)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("results/fuzz"), help="folder for inputs that broke a reader")
    arguments = parser.parse_args()
    valid, known, rows, n_broken = seeds(), corpus(), [], 0
    for name in arguments.readers or readers:
        files = [*valid.get(name, ()), *known.get(name, ())]
        done = fuzz(readers[name], batches(files, arguments.seconds, arguments.seed), arguments.keep / name)
        n_broken += len(done.broken)
        rows.append(
            # Most readers try several things with an input, and take a refusal of one of them as read.
            [name, f"{len(files)}", f"{done.inputs:,}", f"{done.read + done.refused:,}", f"{len(done.broken)}"]
        )
        print(*rows[-1], flush=True)
        for digest, how in done.broken.items():
            print(f"    {arguments.keep / name / digest}: {how}", flush=True)
    print_table(console(), ("reader", "files", "inputs", "read or refused", "broke it"), rows)
    sys.exit(1 if n_broken else 0)


if __name__ == "__main__":
    main()
