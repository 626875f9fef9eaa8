"""Screens of a run: a live table at a terminal, short lines elsewhere, and the plan of a dry run.

Snakemake's records arrive in one thread and the live table is drawn in another, without a lock between them, which the
two could wait for each other over: whatever may change while it is read is copied first.
"""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from snakemake_logger_plugin_clip2.logs import Progress
from snakemake_logger_plugin_clip2.reasons import why
from snakemake_logger_plugin_clip2.run import Failure, Job, Run, Stage

REFRESHES_A_SECOND = 1
LINES_A_STAGE = 20
"""Most lines of finished jobs, where there is no terminal."""
FAILURES_SHOWN = 8


class Screen(ABC):
    """What shows a run. Only ``planned`` and ``close`` have to be there: some screens show no single jobs."""

    def __init__(self, run: Run, console: Console) -> None:
        self.run, self.console = run, console

    @abstractmethod
    def planned(self) -> None:
        """The jobs are known."""

    def started(self, stage: Stage, job: Job) -> None:  # noqa: B027
        """A job begins."""

    def finished(self, stage: Stage) -> None:  # noqa: B027
        """A job of the stage is done."""

    def failed(self, failure: Failure) -> None:  # noqa: B027
        """A job failed; it may be tried again."""

    @abstractmethod
    def close(self) -> None:
        """The run is over."""


class PlainScreen(Screen):
    """A line when a stage starts, when it is done, and for some of its jobs between; lines of failures."""

    def __init__(self, run: Run, console: Console, begun: str = "started") -> None:
        """``begun``: what has become of a job that begins."""
        super().__init__(run, console)
        self._begun = begun

    def planned(self) -> None:
        stages = ", ".join(f"{stage.name} {stage.total:,}" for stage in self.run.stages.values())
        self._say(f"{_jobs(self.run.total)}: {stages}")

    def started(self, stage: Stage, job: Job) -> None:
        if job.again:
            self._say(f"{stage.name}: the failed job is tried again", job.started)
        elif stage.started == job.started and len(stage.running) == 1 and not stage.done:
            self._say(f"{stage.name} {self._begun} ({_jobs(stage.total)})", job.started)

    def finished(self, stage: Stage) -> None:
        now = time.time()
        if stage.over:
            self._say(f"{stage.name} {_count(stage)} in {_clock(stage.elapsed(now))}", now)
        elif stage.done % math.ceil(stage.total / LINES_A_STAGE) == 0:
            left = stage.seconds_left(now)
            self._say(f"{stage.name} {_count(stage)}" + (f", {_clock(left)} left" if left else ""), now)

    def failed(self, failure: Failure) -> None:
        first, *more = _failure(failure)
        self._say(first, time.time())
        for line in more:
            self._say(line)

    def close(self) -> None:
        if self.run.started is not None:
            self._say(_total(self.run))
            for line in _remarks(self.run):
                self._say(line)

    def _say(self, text: str, at: float | None = None) -> None:
        stamp = time.strftime("%H:%M:%S ", time.localtime(at)) if at else ""
        self.console.print(stamp + text, soft_wrap=True)


class LiveScreen(Screen):
    """A table that is drawn anew once a second: a line a stage, how far the run is, what failed."""

    def __init__(self, run: Run, console: Console) -> None:
        super().__init__(run, console)
        self._live: Live | None = None
        self._last = False

    def planned(self) -> None:
        if self._live is None:
            self._live = Live(get_renderable=self.draw, console=self.console, refresh_per_second=REFRESHES_A_SECOND)
            self._live.start()

    def failed(self, failure: Failure) -> None:
        if self._live is None:  # told to be quiet about all else
            for line in _failure(failure):
                self.console.print(line, style="red", soft_wrap=True)

    def close(self) -> None:
        self._last = True
        if self._live is not None:
            self._live.stop()  # draws once more, in full

    def draw(self) -> Group:
        """The whole screen, now."""
        now = time.time()
        stages = list(self.run.stages.values())
        for stage in stages:
            for job in list(stage.running.values()):
                job.look(now)
        below = [Text(_total(self.run), style="bold")]
        below += [Text(line, style="yellow" if line.startswith("note: ") else "red") for line in _remarks(self.run)]
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", expand=True)
        table.add_column("stage", no_wrap=True)
        for head in ("jobs", "time", "a job", "left"):
            table.add_column(head, justify="right", no_wrap=True)
        table.add_column("now", ratio=1, no_wrap=True, overflow="ellipsis")
        room = math.inf if self._last else self.console.height - len(below) - 2
        done, single, to_come = _fold(stages, room)
        if done:
            table.add_row(f"{len(done)} stages", f"{sum(stage.done for stage in done):,} done", style="green")
        for stage in single:
            table.add_row(*_cells(stage, now), style=_style(stage))
        if to_come:
            table.add_row(f"{len(to_come)} stages", f"0/{sum(stage.total for stage in to_come):,}", style="dim")
        return Group(table, *below)


def _fold(stages: list[Stage], room: float) -> tuple[list[Stage], list[Stage], list[Stage]]:
    """Stages that are done, single ones, and stages to come: the first and the last only where lines are too few."""
    done = [stage for stage in stages if stage.complete]
    to_come = [stage for stage in stages if stage.started is None]
    if len(stages) <= room:
        return [], stages, []
    single = [stage for stage in stages if not stage.complete]
    if len(single) + 1 <= room:
        return done, single, []
    return done, [stage for stage in single if stage.started is not None], to_come


def _cells(stage: Stage, now: float) -> list[str]:
    """A stage's line of the table."""
    running = len(stage.running)
    told = [_share(stage.progress()) or ("running" if running == 1 else f"{running} running")] if running else []
    if stage.failed:
        told.append(f"{stage.failed} failed")
    each = stage.seconds / stage.done if stage.done and stage.total > 1 else None
    return [
        stage.name,
        f"{stage.done:,}/{stage.total:,}",
        _clock(stage.elapsed(now)),
        _clock(each),
        _clock(stage.seconds_left(now) or None),
        ", ".join(told),
    ]


class PlanScreen(Screen):
    """What a dry run would run, and why: a table with a line a stage."""

    def __init__(self, run: Run, console: Console) -> None:
        super().__init__(run, console)
        self._reasons: dict[str, list[str]] = {}
        self._maker: dict[str, str] = {}

    def planned(self) -> None:
        pass

    def started(self, stage: Stage, job: Job) -> None:
        self._reasons.setdefault(stage.name, []).append(job.reason)
        self._maker |= dict.fromkeys(job.outputs, stage.name)

    def close(self) -> None:
        if not self.run.stages:
            return
        in_order = list(self.run.stages)
        maker = dict(sorted(self._maker.items(), key=lambda item: in_order.index(item[1])))
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        table.add_column("stage", no_wrap=True)
        table.add_column("jobs", justify="right", no_wrap=True)
        table.add_column("why", overflow="fold")
        for stage in self.run.stages.values():
            table.add_row(stage.name, f"{stage.total:,}", why(self._reasons.get(stage.name, []), maker))
        self.console.print(table)
        self.console.print(f"{_jobs(self.run.total)}. Nothing was run; with -p, each job is printed in full.")


def _clock(seconds: float | None) -> str:
    """``0:41``, ``12:05``, ``3:02:10``; nothing for None."""
    if seconds is None:
        return ""
    minutes, second = divmod(round(seconds), 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour}:{minute:02}:{second:02}" if hour else f"{minute}:{second:02}"


def _jobs(number: int) -> str:
    return f"{number:,} job{'s' * (number != 1)}"


def _count(stage: Stage) -> str:
    if stage.failed:
        return f"{stage.done:,} of {stage.total:,} jobs done, {stage.failed:,} failed"
    return "done" if stage.total == 1 else f"{stage.done:,} of {stage.total:,} jobs done"


def _share(progress: Progress | None) -> str:
    """How far a stage's running jobs are, in their own words."""
    if progress is None:
        return ""
    pace = next(
        (
            f"{progress.rate * seconds:.1f}/{unit}"
            for unit, seconds in (("s", 1), ("min", 60))
            if progress.rate * seconds >= 1
        ),
        f"{progress.rate * 3600:.1f}/h",
    )
    return f"{progress.what} {progress.done:,} of {progress.total:,}, {pace}"


def _style(stage: Stage) -> str:
    if stage.failed:
        return "red"
    if stage.running:
        return "bold"
    return "green" if stage.complete else "dim" if stage.started is None else ""


def _total(run: Run) -> str:
    """How far the run is, in one line."""
    spent = _clock(time.time() - (run.started or time.time()))
    failed = f", {len(run.failures):,} failed" if run.failures else ""
    return f"{run.done:,} of {run.total:,} jobs done{failed}, {spent}"


def _remarks(run: Run) -> Iterator[str]:
    """What must stay in sight: the first failures, and what jobs noted."""
    failures = list(run.failures.values())
    for failure in failures[:FAILURES_SHOWN]:
        yield from _failure(failure)
    if len(failures) > FAILURES_SHOWN:
        yield f"and {len(failures) - FAILURES_SHOWN} more, in logs/"
    for note in list(run.notes):
        yield f"note: {note}"


def _failure(failure: Failure) -> Iterator[str]:
    yield f"{failure.stage} failed: {failure.message}"
    if failure.log:
        yield f"  log: {failure.log}"
