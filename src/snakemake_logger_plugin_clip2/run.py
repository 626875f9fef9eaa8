"""The state of a run: its stages, their jobs, what failed. No output, no Snakemake."""

from dataclasses import dataclass, field

from snakemake_logger_plugin_clip2.logs import Progress, read_progress

TARGET = "all"
"""The rule of the default target: it makes nothing, and is no stage."""


def stage_of(rule: str) -> str:
    """A rule's stage: "ingest" for ``ingest_world``."""
    return rule.split("_")[0]


@dataclass
class Job:
    """A job that was started. Times are seconds since the epoch."""

    number: int
    stage: str
    log: str | None
    outputs: tuple[str, ...]
    started: float
    reason: str = ""
    again: bool = False
    progress: Progress | None = None
    progress_at: float = 0.0

    def look(self, now: float) -> None:
        """Read its own progress from its log."""
        progress = read_progress(self.log)
        if progress != self.progress:
            self.progress, self.progress_at = progress, now

    def own_seconds_left(self, now: float) -> float | None:
        """Seconds until what its log counts is done; None where it counts nothing."""
        if self.progress is None or self.progress.left == 0 or self.progress.rate <= 0:
            return None
        return max(0.0, self.progress.left / self.progress.rate - (now - self.progress_at))


@dataclass
class Failure:
    """A job that failed: what it said, and where its log is."""

    job: int
    stage: str
    message: str
    log: str | None


@dataclass
class Stage:
    """All jobs of one stage."""

    name: str
    total: int = 0
    done: int = 0
    failed: int = 0
    seconds: float = 0.0
    """Of the finished jobs together."""
    running: dict[int, Job] = field(default_factory=dict)
    started: float | None = None
    ended: float | None = None

    @property
    def complete(self) -> bool:
        return self.done >= self.total

    @property
    def over(self) -> bool:
        """Whether nothing of it runs or will run, as far as is known."""
        return not self.running and self.done + self.failed >= self.total

    def elapsed(self, now: float) -> float | None:
        """Seconds since its first job began, until its last one ended."""
        if self.started is None:
            return None
        return (now if self.running or self.ended is None else self.ended) - self.started

    def seconds_left(self, now: float) -> float | None:
        """Seconds until it is done: by the jobs that are done or, while there is none, by what running jobs say."""
        running = list(self.running.values())
        if self.over or not running:
            return None
        left, totals = [], []
        for job in running:
            age, own = now - job.started, job.own_seconds_left(now)
            if self.done:
                left.append(max(0.0, self.seconds / self.done - age))
            elif own is not None:
                left.append(own)
                totals.append(age + own)
            else:
                return None
        waiting = self.total - self.done - self.failed - len(running)
        each = self.seconds / self.done if self.done else sum(totals) / len(totals)
        return max(max(left), (sum(left) + waiting * each) / len(running))

    def progress(self) -> Progress | None:
        """What its running jobs say of themselves, those added up that count the same."""
        told = [job.progress for job in list(self.running.values()) if job.progress]
        same = [one for one in told if one.what == told[0].what]
        if not same:
            return None
        done, total = sum(one.done for one in same), sum(one.total for one in same)
        return Progress(same[0].what, done, total, sum(one.rate for one in same))


class Run:
    """All stages of a run, in the order in which they depend on one another."""

    def __init__(self) -> None:
        self.stages: dict[str, Stage] = {}
        self.failures: dict[int, Failure] = {}
        """By the job's number; a job that is tried again and succeeds leaves none."""
        self.notes: list[str] = []
        self.started: float | None = None

    @property
    def done(self) -> int:
        return sum(stage.done for stage in list(self.stages.values()))

    @property
    def total(self) -> int:
        return sum(stage.total for stage in list(self.stages.values()))

    def plan(self, jobs_by_rule: dict[str, int], now: float) -> None:
        """Take the number of jobs of each rule, in the order of the work; a stage stands where its last rule does."""
        self.started = now if self.started is None else self.started
        stages: dict[str, Stage] = {}
        for rule, jobs in jobs_by_rule.items():
            if rule != TARGET:
                name = stage_of(rule)
                stages[name] = stages.pop(name, Stage(name))
                stages[name].total += jobs
        self.stages = stages

    def runs(self, number: int) -> bool:
        """Whether a job has begun, and has not ended."""
        return any(number in stage.running for stage in self.stages.values())

    def start(self, job: Job) -> Stage:
        """A job begins, for the first time or again."""
        stage = self.stages.setdefault(job.stage, Stage(job.stage))
        if self.failures.pop(job.number, None):
            job.again = True
            stage.failed -= 1
        stage.running[job.number] = job
        stage.started = job.started if stage.started is None else stage.started
        stage.total = max(stage.total, stage.done + stage.failed + len(stage.running))
        return stage

    def finish(self, number: int, now: float) -> tuple[Stage, Job] | None:
        """A job is done; None for one that never started, or is no stage's."""
        ended = self._end(number, now)
        if ended:
            stage, job = ended
            stage.done += 1
            stage.seconds += now - job.started
        return ended

    def fail(self, number: int, message: str, log: str | None, now: float) -> Failure | None:
        """A job failed; None for one that is not running."""
        ended = self._end(number, now)
        if not ended:
            return None
        stage, _ = ended
        stage.failed += 1
        failure = self.failures[number] = Failure(number, stage.name, message, log)
        return failure

    def _end(self, number: int, now: float) -> tuple[Stage, Job] | None:
        for stage in self.stages.values():
            if job := stage.running.pop(number, None):
                stage.ended = now
                return stage, job
        return None
