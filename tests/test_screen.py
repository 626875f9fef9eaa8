"""What a person sees of a run: the logger plugin, by itself and in Snakemake, at a terminal and in a pipe."""

import fcntl
import io
import logging
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yte
from conftest import REPOSITORY, snakemake
from rich.console import Console
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.tests import TestLogHandlerBase

from clip2.runtime import console as clip2_console
from clip2.runtime.console import pace, progress
from snakemake_logger_plugin_clip2 import LogHandler
from snakemake_logger_plugin_clip2.events import Events
from snakemake_logger_plugin_clip2.logs import Progress, read_error, read_notes, read_progress
from snakemake_logger_plugin_clip2.reasons import why
from snakemake_logger_plugin_clip2.screens import LiveScreen

TOY = """
rule all:
    input: expand("out/{i}.txt", i=range(30)), "out/bad.txt", "out/flaky.txt"
rule good_one:
    output: "out/{i}.txt"
    log: "logs/good/{i}.log"
    wildcard_constraints: i=r"\\d+"
    shell: "echo 'clip2: note: thirty of a kind' > {log}; touch {output}"
rule bad:
    output: "out/bad.txt"
    log: "logs/bad/it.log"
    shell: "echo 'clip2: error: raw/calibration.json: no key camera' > {log}; exit 2"
rule flaky:
    output: "out/flaky.txt"
    log: "logs/flaky/it.log"
    retries: 1
    shell: "echo 'KeyError: 3' > {log}; test -e tried && touch {output} || {{ touch tried; exit 1; }}"
"""


class TestOfTheInterface(TestLogHandlerBase):
    """Snakemake's own tests of a logger plugin."""

    __test__ = True

    def get_log_handler_cls(self) -> type[LogHandler]:
        return LogHandler

    def get_log_handler_settings(self) -> Any:
        return None


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """A workflow with a job that fails and one that fails once, and the profile that ships."""
    (tmp_path / "Snakefile").write_text(TOY)
    (tmp_path / "profiles").symlink_to(REPOSITORY / "profiles")
    return tmp_path


def test_in_a_pipe_lines_are_few_and_failures_are_told(toy: Path) -> None:
    text = snakemake(toy, check=False)
    assert "32 jobs: " in text
    assert re.search(r"^\d\d:\d\d:\d\d good started \(30 jobs\)$", text, re.M)
    assert re.search(r"^\d\d:\d\d:\d\d good 30 of 30 jobs done in 0:\d\d$", text, re.M)
    assert re.search(r"^31 of 32 jobs done, 1 failed, 0:\d\d$", text, re.M)
    assert len(re.findall(r"^\d\d:\d\d:\d\d good \d+ of 30", text, re.M)) == 15
    assert re.search(r"bad failed: clip2: error: raw/calibration\.json: no key camera\n +log: logs/bad/it\.log\n", text)
    assert "flaky failed: KeyError: 3" in text
    assert "flaky: the failed job is tried again" in text
    summary = text[text.index("31 of 32") :]
    assert "bad failed: clip2: error: raw/calibration.json: no key camera" in summary
    assert "flaky" not in summary  # it succeeded in the end
    assert summary.count("note: thirty of a kind") == 1
    assert len(text.splitlines()) < 40
    assert "Command 'set -euo" not in text


def at_a_terminal(folder: Path, columns: int, lines: int) -> str:
    """All that Snakemake writes to a terminal of a size."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src"), "TERM": "xterm-256color"}
    for name in ("COLUMNS", "LINES", "NO_COLOR"):
        environment.pop(name, None)
    command = [sys.executable, "-m", "snakemake", "--cores", "2"]
    process = subprocess.Popen(command, cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    written = b""
    try:
        while block := os.read(ours, 1 << 16):
            written += block
    except OSError:  # the other end is closed: it has ended
        pass
    process.wait(60)
    os.close(ours)
    return written.decode()


def test_at_a_terminal_the_last_screen_says_it_all(toy: Path) -> None:
    written = at_a_terminal(toy, 80, 24)
    words = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", written).replace("\r", "")
    last = words[words.rindex("stage ") :]
    assert re.search(r"^good +30/30 ", last, re.M)
    assert re.search(r"^bad +0/1 .* 1 failed *$", last, re.M)
    assert re.search(r"^flaky +1/1 ", last, re.M)
    assert re.search(r"^31 of 32 jobs done, 1 failed, 0:\d\d *$", last, re.M)
    assert "bad failed: clip2: error: raw/calibration.json: no key camera" in last
    assert "log: logs/bad/it.log" in last
    assert all(len(line.rstrip()) <= 80 for line in last.splitlines())
    assert words.count("stage ") < 15  # drawn once a second, not at each of 34 jobs' ends


def test_where_it_is_not_installed_snakemake_prints_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    for profile in ("default", "slurm"):
        with (REPOSITORY / "profiles" / profile / "profile.yaml").open() as file:
            assert yte.process_yaml(file, require_use_yte=True)["logger"] == ["clip2"]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for profile in ("default", "slurm"):
        with (REPOSITORY / "profiles" / profile / "profile.yaml").open() as file:
            settings = yte.process_yaml(file, require_use_yte=True)
        assert "logger" not in settings
        assert settings["show-failed-logs"]


# The live table, second by second


def record(event: LogEvent, at: float, **values: Any) -> logging.LogRecord:
    made = logging.LogRecord("snakemake", logging.INFO, "", 0, "", (), None)
    made.__dict__.update(values, event=event, created=at)
    return made


def job_info(number: int, rule: str, at: float, log: Path | None = None) -> logging.LogRecord:
    values = {"jobid": number, "rule_name": rule, "log": [str(log)] if log else [], "output": [], "reason": ""}
    return record(LogEvent.JOB_INFO, at, **values)


def finished(number: int, at: float) -> logging.LogRecord:
    return record(LogEvent.JOB_FINISHED, at, job_id=number)


class Terminal:
    """A terminal of a size, whose screen can be looked at at any time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, width: int = 80, height: int = 24) -> None:
        self.now = 1000.0
        monkeypatch.setattr(time, "time", lambda: self.now)
        monkeypatch.setattr("snakemake_logger_plugin_clip2.screens.Live", lambda **settings: _NoThread())
        self._console = Console(file=io.StringIO(), force_terminal=True, width=width, height=height)
        self.events = Events(self._console, dryrun=False)
        assert isinstance(self.events._screen, LiveScreen)

    def lines(self) -> dict[str, str]:
        """Stage, or first word → line."""
        out = io.StringIO()
        Console(file=out, width=self._console.width).print(self.events._screen.draw())  # type: ignore[attr-defined]
        assert all(len(line) <= self._console.width for line in out.getvalue().splitlines())
        return {line.split()[0]: " ".join(line.split()[1:]) for line in out.getvalue().splitlines() if line.strip()}


class _NoThread:
    def start(self) -> None: ...

    def stop(self) -> None: ...


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    return Terminal(monkeypatch)


def test_time_left_is_that_of_the_jobs_that_are_done(terminal: Terminal) -> None:
    stats = {"world_a": 1, "detect": 4, "all": 1, "total": 6}
    terminal.events.handle(record(LogEvent.RUN_INFO, 1000.0, stats=stats))
    assert terminal.lines()["detect"] == "0/4"
    for number in (1, 2):
        terminal.events.handle(job_info(number, "detect", 1000.0))
    terminal.now = 1030.0
    assert terminal.lines()["detect"] == "0/4 0:30 2 running"
    terminal.events.handle(finished(1, 1060.0))
    terminal.events.handle(job_info(3, "detect", 1060.0))
    terminal.now = 1090.0  # a minute a job: one is late, one half done, one waits for one of two places
    assert terminal.lines()["detect"] == "1/4 1:30 1:00 0:45 2 running"
    assert terminal.lines()["1"] == "of 5 jobs done, 1:30"


def test_running_jobs_tell_how_far_they_are(terminal: Terminal, tmp_path: Path) -> None:
    terminal.events.handle(record(LogEvent.RUN_INFO, 1000.0, stats={"lift": 2}))
    logs = [tmp_path / "a.log", tmp_path / "b.log"]
    for number, log in enumerate(logs):
        terminal.events.handle(job_info(number, "lift", 1000.0, log))
    logs[0].write_text("20:00:01 clip2.runtime.console: frames: 10 of 40, 1.0 a second\n")
    terminal.now = 1010.0
    assert terminal.lines()["lift"] == "0/2 0:10 frames 10 of 40, 1.0/s"  # of the other one nothing is known
    logs[1].write_text("20:00:01 clip2.runtime.console: frames: 20 of 40, 2.0 a second\nsome other line\n")
    assert terminal.lines()["lift"] == "0/2 0:10 0:30 frames 30 of 80, 3.0/s"
    terminal.now = 1025.0
    assert terminal.lines()["lift"] == "0/2 0:25 0:15 frames 30 of 80, 3.0/s"


def test_a_low_terminal_folds_what_is_over_and_what_is_to_come(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal(monkeypatch, height=10)
    stats = {f"s{number}": 2 for number in range(20)}
    terminal.events.handle(record(LogEvent.RUN_INFO, 1000.0, stats=stats))
    for number in range(11):
        terminal.events.handle(job_info(number, f"s{number // 2}", 1000.0))
        if number < 10:
            terminal.events.handle(finished(number, 1001.0))
    lines = terminal.lines()
    assert len(lines) <= 9
    assert lines["5"] == "stages 10 done"
    assert lines["s5"].startswith("0/2")
    assert lines["14"] == "stages 0/28"
    terminal.events.close()
    assert len(terminal.lines()) == 20 + 2  # the last screen has all


def test_on_a_cluster_a_terminal_gets_lines_too() -> None:
    out = io.StringIO()
    events = Events(Console(file=out, force_terminal=True, width=80, highlight=False), dryrun=False)
    events.handle(record(LogEvent.RESOURCES_INFO, 0.0, nodes=100))
    events.handle(record(LogEvent.RUN_INFO, 0.0, stats={"lift": 3, "total": 3}))
    # The slurm plugin gives no event when it submits a job, and its array jobs have only a message without rules.
    say = logging.LogRecord("snakemake", logging.INFO, "", 0, "", (), None)
    say.msg = "Job 1 has been submitted with SLURM jobid 77 (log: /x/.snakemake/slurm_logs/rule_lift/a_b/77.log)."
    events.handle(record(LogEvent.JOB_STARTED, 5.0, jobs=[1, 2, 3]))
    events.handle(say)
    events.handle(finished(1, 65.0))
    for number, at in ((2, 65.0), (3, 125.0)):
        events.handle(record(LogEvent.JOB_FINISHED, at, job_id=number, msg=f"Finished jobid: {number} (Rule: lift)"))
    events.close()
    lines = re.sub(r"\d\d:\d\d:\d\d ", "", out.getvalue()).splitlines()
    assert lines[:4] == ["3 jobs: lift 3", "lift submitted (3 jobs)", "lift 1 of 3 jobs done", "lift 2 of 3 jobs done"]
    assert lines[4].startswith("lift 3 of 3 jobs done in ")
    assert lines[5].startswith("3 of 3 jobs done")


# What logs say


@pytest.fixture
def job_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The log of a stage that tells its progress at every item, written as ``clip2.cli`` sets it up."""
    monkeypatch.setattr(clip2_console, "EVERY", (0.0, 0.0))
    handler = logging.FileHandler(tmp_path / "job.log")
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s: %(message)s", datefmt="%H:%M:%S"))
    logger = logging.getLogger("clip2")
    logger.addHandler(handler)
    monkeypatch.setattr(logger, "level", logging.INFO)
    yield tmp_path / "job.log"
    logger.removeHandler(handler)
    handler.close()


def test_the_screen_reads_what_stages_write(job_log: Path) -> None:
    for number in progress(range(10), "built-in world: scenes", 15, done=5):
        if number == 3:
            found = read_progress(str(job_log))
            assert found is not None
            assert found[:3] == ("built-in world: scenes", 8, 15)
            assert found.rate > 0
    found = read_progress(str(job_log))
    assert found is not None
    assert (found.done, found.left) == (15, 0)  # what is done is told, so that no old figure stands


def test_a_slow_stage_logs_now_and_then(job_log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip2_console, "EVERY", (2.0, 30.0))
    clock = iter(range(100_000))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    for _ in progress(range(3600), "frames", 3600):  # a second each
        pass
    lines = job_log.read_text().splitlines()
    assert 100 < len(lines) < 160  # more often at first, then twice a minute
    assert lines[-1].endswith("frames: 3600 of 3600, 60.0 a minute")


@pytest.mark.parametrize("rate", [250.0, 3.14, 0.5, 0.02, 0.001])
def test_a_pace_comes_back_as_it_was(rate: float, tmp_path: Path) -> None:
    (tmp_path / "log").write_text(f"20:00:01 clip2.x: steps: 1 of 9, {pace(rate)}\n")
    found = read_progress(str(tmp_path / "log"))
    assert found is not None
    assert found.rate == pytest.approx(rate, rel=0.05)


def test_logs_that_say_nothing(tmp_path: Path) -> None:
    assert read_progress(None) is None
    assert read_progress(str(tmp_path / "nothing.log")) is None
    assert read_error(str(tmp_path / "nothing.log")) is None
    assert read_notes(str(tmp_path / "nothing.log")) == []


@pytest.mark.parametrize(
    ("log", "error"),
    [
        ("20:00:01 x: fine\nclip2: error: a.json: no key k\n", "clip2: error: a.json: no key k"),
        ("clip2_world: error: no room\n", "clip2_world: error: no room"),
        ("clip2: error: inner\nSee: torchrun\nChildFailedError: rank 0\n", "clip2: error: inner"),
        ("Traceback …\n  File x\ntorch.OutOfMemoryError: CUDA\n", "torch.OutOfMemoryError: CUDA"),
    ],
)
def test_why_a_job_failed(log: str, error: str, tmp_path: Path) -> None:
    (tmp_path / "log").write_text(log)
    found = read_error(str(tmp_path / "log"))
    assert found is not None
    assert found.startswith(error)


def test_a_killed_job_s_last_words_are_told_where_nobody_says_more(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("20:00:01 clip2.x: frames: 1 of 9, 1.0 a second\n")
    assert read_error(str(log)) is None
    for said, told in ((None, "it said last: 20:00:01 clip2.x: frames: 1 of 9"), ("SLURM: TIMEOUT", "SLURM: TIMEOUT")):
        out = io.StringIO()
        events = Events(Console(file=out, width=200), dryrun=False)
        events.handle(record(LogEvent.RUN_INFO, 0.0, stats={"lift": 1}))
        events.handle(record(LogEvent.JOB_ERROR, 9.0, jobid=1, rule_name="lift", rule_msg=said, log=[str(log)]))
        assert f"lift failed: {told}" in out.getvalue()


def test_progress_counts_what_is_left() -> None:
    assert Progress("frames", 3, 10, 1.0).left == 7
    assert Progress("frames", 12, 10, 1.0).left == 0


# Reasons that dry runs in tests/test_workflow.py do not meet


@pytest.mark.parametrize(
    ("reasons", "words"),
    [
        (["Forced execution"] * 2, "forced"),
        (["Missing output files: a; Input files updated by another job: b"] * 2, "not made yet"),
        (["Missing output files: a", "Updated input files: x.py"], "x.py changed (1 of 2); not made yet (1 of 2)"),
        ([f"Updated input files: {name}" for name in "abcdef"], "a, b, c and 3 more changed"),
        (["Input files updated by another job: b, c"], "follows lift"),
        (["Input files updated by another job: unknown"], "its inputs are made anew"),
        (["Params have changed since last execution: before: PosixPath('a') now: 'b' "], "settings changed"),
        (["Code has changed since last execution"], "its rule changed"),
        (["Something new in a later Snakemake"], "Something new in a later Snakemake"),
    ],
)
def test_reasons_in_short(reasons: list[str], words: str) -> None:
    assert why(reasons, {"b": "lift", "c": "lift"}) == words
