"""Snakemake's log records → the state of the run and its screen."""

import logging
import re
from typing import Any

from rich.console import Console
from snakemake_interface_logger_plugins.common import LogEvent

from snakemake_logger_plugin_clip2.logs import read_error, read_last, read_notes
from snakemake_logger_plugin_clip2.run import TARGET, Job, Run, stage_of
from snakemake_logger_plugin_clip2.screens import LiveScreen, PlainScreen, PlanScreen, Screen

Record = Any
"""A ``logging.LogRecord`` with the values of its event (snakemake_interface_logger_plugins.common.LogEvent)."""
UNSAID = re.compile(
    "|".join(
        (
            "Assuming unrestricted shared filesystem",
            "Building DAG of jobs",
            "Config file .* is extended by additional config",
            "Using shell: ",
            "Conda environments: ignored",
            "Singularity containers: ignored",
            "Select jobs to execute",
            "Storing in storage",
            "Storing output in storage",
            "Finished upload",
            "Retrieving from storage",
            "Finished retrieval",
            "Removing local copy of storage file",
            "Cleaning up SLURM log files",
            "Job rate limit reached",
            "Trying to restart job",
            "Job .* has been submitted with SLURM",
            "Submitted array job",
            "Submitted .*job .* with external jobid",
            "RuleException:\nCalledProcessError",
            "Exiting because a job execution failed",
            "WorkflowError:\nAt least one job did not complete",
            "Complete log",
            "Elapsed time: ",
            "Reasons:\n",
            "Some jobs were triggered by provenance",
            "Rules with provenance triggered jobs",
            "This was a dry-run",
            "None$",
        )
    )
)
"""Beginnings of messages that say nothing which the screen does not show. Snakemake's own log, in .snakemake/log/, has
all of them."""

SUBMITTED = re.compile(r"Job (?P<number>\d+) has been submitted with SLURM .*/rule_(?P<rule>\w+)/")
RULE = re.compile(r"\(Rule: (\w+)\)$")
"""The slurm plugin tells nothing of jobs in the way that other executors do; so their rules are read from messages."""


class Events:
    """Takes records one by one; messages that are no event are printed as they are."""

    def __init__(self, console: Console, dryrun: bool, formatter: logging.Formatter | None = None) -> None:
        """``formatter``: of single jobs and their commands, for those who want to see each in full."""
        self._console, self._formatter = console, formatter
        self._run = Run()
        self._chosen: dict[int, float] = {}
        """Job → when Snakemake chose it to run."""
        self._screen: Screen
        if dryrun:
            self._screen = PlanScreen(self._run, console)
        else:
            self._screen = (LiveScreen if console.is_interactive else PlainScreen)(self._run, console)
        self._closed = False

    def handle(self, record: Record) -> None:
        """Take one record in."""
        match getattr(record, "event", None):
            case LogEvent.RUN_INFO:
                self._run.plan({rule: n for rule, n in record.stats.items() if rule != "total"}, record.created)
                self._screen.planned()
            case LogEvent.RESOURCES_INFO if hasattr(record, "nodes"):  # a cluster's: its jobs may wait for days
                self._screen = PlainScreen(self._run, self._console, "submitted")
            case LogEvent.JOB_STARTED:
                self._chosen |= dict.fromkeys(record.jobs, record.created)
            case LogEvent.JOB_INFO:
                self._in_full(record)
                self._start(record.jobid, record.rule_name, record.created, _log_of(record), record)
            case LogEvent.SHELLCMD:
                self._in_full(record)
            case LogEvent.JOB_FINISHED:
                self._finish(record)
            case LogEvent.JOB_ERROR:
                self._failed(record)
            case None | LogEvent.ERROR | LogEvent.GROUP_ERROR:
                self._say(record)

    def close(self) -> None:
        """The run is over; Snakemake says so more than once."""
        if not self._closed:
            self._closed = True
            self._screen.close()

    def _in_full(self, record: Record) -> None:
        if self._formatter:
            self._console.print(self._formatter.format(record), soft_wrap=True)

    def _start(self, number: int, rule: str, at: float, log: str | None = None, told: Record | None = None) -> None:
        """A job begins, of which Snakemake may have told more."""
        if rule != TARGET:
            outputs, reason = (tuple(told.output), told.reason) if told else ((), "")
            job = Job(number, stage_of(rule), log, outputs, at, reason)
            self._screen.started(self._run.start(job), job)

    def _finish(self, record: Record) -> None:
        number, rule = record.job_id, RULE.search(record.getMessage())
        if rule and not self._run.runs(number):
            self._start(number, rule[1], self._chosen.get(number, record.created))
        if ended := self._run.finish(number, record.created):
            stage, job = ended
            self._run.notes += [note for note in read_notes(job.log) if note not in self._run.notes]
            self._screen.finished(stage)

    def _failed(self, record: Record) -> None:
        log = _log_of(record)
        if not self._run.runs(record.jobid):
            self._start(record.jobid, record.rule_name, self._chosen.get(record.jobid, record.created), log)
        message = read_error(log) or record.rule_msg or read_last(log)  # rule_msg: what a cluster says of it
        if failure := self._run.fail(record.jobid, message, log, record.created):
            self._screen.failed(failure)

    def _say(self, record: Record) -> None:
        text = record.getMessage().strip()
        if submitted := SUBMITTED.match(text):
            self._start(int(submitted["number"]), submitted["rule"], record.created)
        if text and not UNSAID.match(text):
            style = (
                "red" if record.levelno >= logging.ERROR else "yellow" if record.levelno >= logging.WARNING else None
            )
            self._console.print(text, style=style, soft_wrap=True)


def _log_of(record: Record) -> str | None:
    """A job's log, without what Snakemake adds where it lies in a storage."""
    return record.log[0].partition(" (")[0] if record.log else None
