"""Faults that meet one job: damaged inputs, and no room for its outputs. Each runs in a child process in a copy.

The parent has imported what stages take seconds to import; a child is forked, and runs the job as its rule would.
"""

import contextlib
import ctypes
import json
import os
import random
import resource
import select
import shutil
import signal
import subprocess
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from clip2.cli import main
from tools.faults.chain import Chain, Job, changed

PATIENCE = 300.0
"""Seconds that a job of the tiny chain may take on a busy machine."""
CLONE_NEWNS = 0x20000
RANDOM_FLIPS = 3


class Outcome(NamedTuple):
    """What came of one fault.

    Attributes:
        kind: of fault.
        where: it was put.
        what: came of it: "refused", "equal" …
        good: nothing was lost, and nothing silent.
    """

    kind: str
    where: str
    what: str
    good: bool
    detail: str = ""


Fault = Callable[[], Outcome]
"""Puts a fault and says what came of it."""


class Ended(NamedTuple):
    """How a job ended: its exit code, or minus its signal; and what it wrote."""

    code: int
    told: str

    @property
    def refused(self) -> bool:
        """In one line, as users are meant to see it; HDF5 says more to the log where its file cannot be written."""
        return self.code == 2 and self.told.count("clip2: error:") == 1

    @property
    def line(self) -> str:
        """The line of the error."""
        return next((line for line in self.told.splitlines() if "clip2: error:" in line), self.told[-300:])


def preload() -> None:
    """Import what takes long, once."""
    import open_clip  # noqa: F401
    import sklearn.cluster  # noqa: F401
    import torch_scatter  # noqa: F401
    import transformers.models.auto.processing_auto
    import transformers.models.owlv2.modeling_owlv2  # noqa: F401

    import clip2.detect.models
    import clip2.evaluate.zeroshot
    import clip2.lift.stage
    import clip2.pretrain.stage  # noqa: F401


@contextlib.contextmanager
def copy_of(chain: Chain, job: Job) -> Iterator[Path]:
    """The chain's folder as it was before a job, made of links; what is written there is written anew."""
    with tempfile.TemporaryDirectory(dir=chain.folder.parent) as name:
        folder = Path(name) / "copy"
        folder.mkdir()
        for entry in chain.folder.iterdir():
            if entry.name == "results":
                shutil.copytree(entry, folder / "results", copy_function=os.link)
            elif entry.name not in (".snakemake", "logs"):
                (folder / entry.name).symlink_to(entry)
        for output in job.outputs:
            (folder / output).unlink(missing_ok=True)
        yield folder


def run(job: Job, folder: Path, prepare: Callable[[], None] = lambda: None) -> Ended:
    """Run a job in a child process, after ``prepare`` in it."""

    def work() -> None:
        os.chdir(folder)
        prepare()
        main(list(job.arguments))

    return in_child(work)


def changed_here(paths: Sequence[str], folder: Path, reference: Path) -> list[str]:
    """:func:`~tools.faults.chain.changed` in a child process: the readers start threads, and who has threads cannot
    fork safely."""
    told = in_child(lambda: print(json.dumps(changed(paths, folder, reference)), flush=True))
    return list(json.loads(told.told))


def in_child(work: Callable[[], None]) -> Ended:
    """Do something in a child process. What it writes comes by a pipe, which has no limit."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.dup2(writing, 1)
            os.dup2(writing, 2)
            work()
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        except BaseException:
            os.write(2, traceback.format_exc().encode())
        finally:
            os._exit(code)
    os.close(writing)
    told, end = b"", time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if select.select([reading], [], [], 1.0)[0]:
            if not (part := os.read(reading, 1 << 16)):
                break
            told += part
    else:
        os.kill(child, signal.SIGKILL)
    os.close(reading)
    return Ended(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), told.decode(errors="replace"))


def flip(data: bytes, seed: int) -> bytes:
    """One bit, anywhere."""
    rng = random.Random(seed)
    changed_bytes = bytearray(data)
    changed_bytes[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(changed_bytes)


def damages(data: bytes, seed: int) -> Iterator[tuple[str, bytes]]:
    """What disks and networks do to a file."""
    yield "emptied", b""
    yield "cut in half", data[: len(data) // 2]
    yield "last byte lost", data[:-1]
    yield "4 KB of zeros", data[: len(data) // 2] + bytes(min(4096, len(data) // 4)) + data[len(data) // 2 :][4096:]
    for number in range(RANDOM_FLIPS):
        yield "bit flipped", flip(data, seed + number)


def damaged_inputs(chain: Chain, jobs: list[Job], seed: int) -> Iterator[Fault]:
    """Every artefact, damaged in every way, given to a job of every rule that reads it."""
    met: set[tuple[str, str]] = set()
    for job in jobs:
        for path in job.inputs:
            kind = f"{Path(path).parent.name} {Path(path).suffix}"
            if not path.startswith("results/") or "/raw/" in path or (job.rule, kind) in met or not job.arguments:
                continue
            met.add((job.rule, kind))
            for how, data in damages((chain.folder / path).read_bytes(), seed):
                yield partial(_damaged, chain, job, path, how, data)


def _damaged(chain: Chain, job: Job, path: str, how: str, data: bytes) -> Outcome:
    with copy_of(chain, job) as folder:
        (folder / path).unlink()
        (folder / path).write_bytes(data)
        return _judge(f"artefact {how}", f"{path} → {job.rule}", run(job, folder), job, chain, folder, path)


def _judge(kind: str, where: str, ended: Ended, job: Job, chain: Chain, folder: Path, path: str) -> Outcome:
    if ended.code == 0:
        different = changed_here(job.outputs, folder, chain.folder)
        if different:
            return Outcome(kind, where, "SILENT", False, f"{different[0]} is another")
        return Outcome(kind, where, "made no difference", True)
    if not ended.refused:
        return Outcome(kind, where, "CRASH", False, ended.line)
    if Path(path).name not in ended.line and Path(path).parent.name not in ended.line:
        return Outcome(kind, where, "NOT NAMED", False, ended.line)
    return Outcome(kind, where, "refused", True)


def no_room(chain: Chain, jobs: list[Job]) -> Iterator[Fault]:
    """Every rule's job above a limit of size, on a full disk, and in a folder that is read-only."""
    disks = can_mount()
    for job in {job.rule: job for job in jobs if job.arguments}.values():
        yield partial(_no_room, chain, job, "file size limited", partial(_limit_size, chain, job))
        if disks:
            yield partial(_no_room, chain, job, "disk full", partial(_mount, job, FULL))
            yield partial(_no_room, chain, job, "disk read-only", partial(_mount, job, READ_ONLY))


def _no_room(chain: Chain, job: Job, kind: str, prepare: Callable[[], None]) -> Outcome:
    with copy_of(chain, job) as folder:
        ended = run(job, folder, prepare)
        made = [path for path in job.outputs if (folder / path).exists()]
        if not ended.refused:
            return Outcome(kind, job.rule, "CRASH" if ended.code else "NOT NOTICED", False, ended.line)
        if wrong := [*changed_here(made, folder, chain.folder), *Chain(folder).left_over()]:
            return Outcome(kind, job.rule, "HALF WRITTEN", False, str(wrong))
        return Outcome(kind, job.rule, "refused", True)


def _limit_size(chain: Chain, job: Job) -> None:
    most = max((chain.folder / path).stat().st_size for path in job.outputs) // 2
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


def can_mount() -> bool:
    """Whether disks can be made here: as root, or where users have namespaces of their own."""
    return subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode == 0


FULL = (
    "mkdir full; mount -t tmpfs -o size=8m none full; cp -a {0}/. full; "
    "cat /dev/zero > full/.rest; mount --bind full {0}"
)
READ_ONLY = "mount --bind {0} {0}; mount -o remount,bind,ro {0}"


def _mount(job: Job, command: str) -> None:
    """Change the folder of the job's outputs, ``{0}`` in a command, for this process alone."""
    if ctypes.CDLL(None).unshare(CLONE_NEWNS):
        raise OSError("no namespace of its own")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    folder = str(Path(job.outputs[0]).parent)
    done = subprocess.run(command.format(folder), shell=True, capture_output=True, text=True)
    if done.returncode:
        raise OSError(done.stderr)
