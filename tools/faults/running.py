"""Faults that meet a run: kills, orphans, two runs at once, edits while it runs, clocks that step back."""

import contextlib
import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tools.faults.chain import TARGETS, Chain, Job, changed
from tools.faults.single import PATIENCE, Fault, Outcome

MOST_DELAY = 20.0
"""Seconds into a job after which no fault is put: training has begun long before."""
Kill = Callable[["subprocess.Popen[str]"], None]


def kills(chain: Chain, reference: Chain, jobs: list[Job], seed: int) -> Iterator[Fault]:
    """Every rule's job, and its run, killed in the middle; then the run again."""
    for kind, kill in (
        ("kill -9 of all", _kill_all),
        ("kill -9 of the run", _kill_run),
        ("kill -9 of the job", _kill_job),
    ):
        yield from _at_every_stage(chain, reference, jobs, seed, kind, kill)


def terminations(chain: Chain, reference: Chain, jobs: list[Job], seed: int) -> Iterator[Fault]:
    """Every rule's run asked to end in the middle of its job; then the run again."""
    return _at_every_stage(chain, reference, jobs, seed, "SIGTERM", _terminate)


def _at_every_stage(
    chain: Chain, reference: Chain, jobs: list[Job], seed: int, kind: str, kill: Kill
) -> Iterator[Fault]:
    rng = random.Random(seed)
    for job in {job.rule: job for job in jobs if job.arguments}.values():
        yield partial(_interrupted, chain, reference, job, kind, kill, rng)


def _interrupted(
    chain: Chain,
    reference: Chain,
    job: Job,
    kind: str,
    kill: Kill,
    rng: random.Random,
) -> Outcome:
    _forget(chain, job)
    process = chain.start(*job.outputs)
    if not _wait_for_job(process):
        return Outcome(kind, job.rule, "NEVER BEGAN", False, (chain.folder / "run.log").read_text()[-300:])
    time.sleep(rng.uniform(0, min(chain.seconds(job), MOST_DELAY)))
    late = process.poll() is not None
    kill(process)
    code, told = chain.run(*job.outputs, check=False)
    if code:
        return Outcome(kind, job.rule, "DOES NOT RUN AGAIN", False, told[-400:])
    if orphans := jobs_of(process.pid):
        _wait_until(lambda: not jobs_of(process.pid))
    wrong = changed(job.outputs, chain.folder, reference.folder)
    if wrong:
        return Outcome(kind, job.rule, "LOST", False, f"{wrong[0]} is not there" if orphans else f"{wrong[0]} differs")
    chain.run("results/world/raw/world.json")
    if orphans and chain.left_over():
        return Outcome(kind, job.rule, "LEFT OVER", False, chain.left_over()[0])
    return Outcome(kind, job.rule, "equal (it had ended)" if late else "equal", True)


def _forget(chain: Chain, job: Job) -> None:
    for output in job.outputs:
        (chain.folder / output).unlink(missing_ok=True)
    (chain.folder / job.log).unlink(missing_ok=True)


def jobs_of(session: int) -> list[int]:
    """Process numbers of a session that run a command of clip2."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if entry.name.isdigit() and b"clip2" in words and os.getsid(int(entry.name)) == session:
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def _wait_until(true: Callable[[], object], seconds: float = PATIENCE) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.03)
    return False


def _wait_for_job(process: "subprocess.Popen[str]") -> bool:
    _wait_until(lambda: process.poll() is not None or jobs_of(process.pid))
    return process.poll() is None


def _kill_all(process: "subprocess.Popen[str]") -> None:
    _signal(lambda: os.killpg(process.pid, signal.SIGKILL))
    process.wait()


def _kill_run(process: "subprocess.Popen[str]") -> None:
    """Its jobs live on as orphans."""
    process.kill()
    process.wait()


def _kill_job(process: "subprocess.Popen[str]") -> None:
    """As the kernel does where memory runs out."""
    for number in jobs_of(process.pid):
        _signal(lambda number=number: os.kill(number, signal.SIGKILL))
    process.wait(PATIENCE)


def _terminate(process: "subprocess.Popen[str]") -> None:
    """As clusters and shut-downs do: the run lets its jobs end."""
    process.terminate()
    process.wait(PATIENCE)


def _signal(send: Callable[[], None]) -> None:
    with contextlib.suppress(ProcessLookupError):
        send()


def two_at_once(chain: Chain, reference: Chain, jobs: list[Job], count: int = 5) -> Iterator[Fault]:
    """A second run in the same folder while the first works."""
    for job in list({job.rule: job for job in jobs if job.arguments}.values())[:count]:
        yield partial(_second_run, chain, reference, job)


def _second_run(chain: Chain, reference: Chain, job: Job) -> Outcome:
    _forget(chain, job)
    process = chain.start(*job.outputs)
    _wait_for_job(process)
    code, told = chain.run(*job.outputs, check=False)
    process.wait(PATIENCE)
    wrong = changed(job.outputs, chain.folder, reference.folder)
    if code and "another snakemake is working" in told and "Traceback" not in told and not wrong:
        return Outcome("two runs at once", job.rule, "refused", True)
    if not code and "Nothing to be done" in told and not wrong:
        return Outcome("two runs at once", job.rule, "equal (the first had ended)", True)
    return Outcome("two runs at once", job.rule, "LOST" if wrong else "NOT REFUSED", False, told[-300:])


EDITS = (
    ("resources/vocabularies/world.txt", b"\nzebra\n", "detect"),
    ("resources/models/tiny_owl/config.json", b"\n", "detect"),
    ("src/clip2/lift/frustum.py", b"# a comment\n", "lift"),
    ("resources/models/tiny_clip/open_clip_config.json", b"\n", "embed"),
    ("src/clip2/label/extent.py", b"# a comment\n", "label"),
    ("src/clip2/evaluate/metrics.py", b"# a comment\n", "zeroshot"),
)
"""A file that a person edits, what is written to its end, and a rule that reads it."""
YEAR = 365 * 24 * 3600


def edits(chain: Chain, reference: Chain, jobs: list[Job]) -> Iterator[Fault]:
    """Files edited while a job reads them, with times as `cp -p` leaves them; and put back with older times."""
    by_rule = {job.rule: job for job in jobs}
    for name, text, rule in EDITS:
        for kind in ("edited while a job runs", "edited, an older date"):
            yield partial(_edited, chain, reference, by_rule[rule], kind, name, text)


def _edited(chain: Chain, reference: Chain, job: Job, kind: str, name: str, text: bytes) -> Outcome:
    edit = _edit_before if kind.endswith("date") else _edit_while_running
    path, where = chain.folder / name, f"{name} → {job.rule}"
    before, times = path.read_bytes(), path.stat()
    what = edit(chain, job, path, text)
    path.write_bytes(before)
    os.utime(path, (times.st_mtime - 2 * YEAR, times.st_mtime - 2 * YEAR))
    code, told = chain.run(*job.outputs, check=False)
    if code or ("Nothing to be done" in told and edit is _edit_before):
        return Outcome(kind, where, "STALE", False, told[-300:])
    for output in job.outputs:  # to the byte: headers name what was read
        if (chain.folder / output).read_bytes() != (reference.folder / output).read_bytes():
            return Outcome(kind, where, "DIFFERS", False, output)
    return Outcome(kind, where, what, what.islower())


def _edit_while_running(chain: Chain, job: Job, path: Path, text: bytes) -> str:
    _forget(chain, job)
    process = chain.start(*job.outputs)
    if not _wait_for_job(process):
        return "NEVER BEGAN"
    time.sleep(min(chain.seconds(job) / 2, MOST_DELAY))
    times = path.stat()
    path.write_bytes(path.read_bytes() + text)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    process.wait(PATIENCE)
    log = (chain.folder / job.log).read_text() if (chain.folder / job.log).is_file() else ""
    if process.returncode:
        refused = re.search(r"changed (while this job was reading it|since this run began)", log)
        return "refused" if refused else "CRASH"
    return "read before or after"  # which of them, the headers say


def _edit_before(chain: Chain, job: Job, path: Path, text: bytes) -> str:
    path.write_bytes(path.read_bytes() + text)
    old = path.stat().st_mtime - YEAR
    os.utime(path, (old, old))
    code, told = chain.run(*job.outputs, check=False)
    if code or "Nothing to be done" in told:
        return "NOT NOTICED"
    return "run again"


def damaged_and_run_again(chain: Chain, reference: Chain, jobs: list[Job], seed: int) -> Iterator[Fault]:
    """Artefacts cut in half between two runs: told, by the run if it reads them, else by ``clip2 verify``; deleted as
    it says, and made again, with all that the chain has, equal.
    """
    outputs = [output for job in jobs for output in job.outputs]
    for job in random.Random(seed).sample([job for job in jobs if job.arguments], 6):
        yield partial(_cut_and_run, chain, reference, job.outputs[0], outputs)


def _cut_and_run(chain: Chain, reference: Chain, name: str, outputs: list[str]) -> Outcome:
    kind, path, where = "cut in half between runs", chain.folder / name, f"{name}, then the whole chain"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    code, told = chain.run(*TARGETS, check=False)
    by = "the run"
    if code == 0:
        told, by = chain.verify(), "clip2 verify"
    if name not in told:
        return Outcome(kind, where, "NOT NOTICED", False, told[-300:])
    path.unlink(missing_ok=True)
    for _ in range(2):  # as in Chain.make: a search beside labels that are being made takes its boxes from points
        code, told = chain.run(*TARGETS, *outputs, check=False)
    if code:
        return Outcome(kind, where, "DOES NOT RUN AGAIN", False, told[-300:])
    wrong = changed(outputs, chain.folder, reference.folder)
    return Outcome(kind, where, "LOST" if wrong else f"told by {by}; equal", not wrong, " ".join(wrong[:2]))
