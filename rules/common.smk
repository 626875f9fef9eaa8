# What the rules share: the configured experiment, which is plain Python (clip2.workflow.experiment), and what needs Snakemake.
import sys
from contextlib import contextmanager
from pathlib import Path
from shlex import quote

from snakemake.exceptions import WorkflowError

sys.path.insert(0, str(Path(workflow.basedir) / "src"))
from clip2.export.formats import FORMATS
from clip2.runtime.errors import InputError
from clip2.runtime.guard import announce_run
from clip2.store.atomic import remove_left_over
from clip2.workflow import source_files as stage_code
from clip2.workflow.config import PARTS
from clip2.workflow.experiment import (
    ANNOTATIONS,
    DETECTIONS,
    EMBEDDED,
    ENCODED,
    FRAMES,
    LABELS,
    MASKS,
    MINED,
    MODEL,
    OBJECTS,
    SHAPE_TOWER,
    TOWER,
    TOWER_ENCODED,
    TRACKED,
    Experiment,
)
from clip2.workflow.listing import contents, listing_digest, planned
from clip2.workflow.lock import hold_lock
from clip2.workflow.resources import needs
from clip2_world.settings import STAGES, world_size

# Jobs run `python -m clip2` with this checkout's package; outside conda environments, with Snakemake's own Python.
bin_folder = (
    ""
    if workflow.deployment_settings.deployment_method
    else f"{Path(sys.executable).parent}:"
)
shell.prefix(
    f"set -euo pipefail; export PYTHONPATH={quote(str(Path(workflow.basedir) / 'src'))} PATH={quote(bin_folder)}$PATH; "
)


@contextmanager
def in_one_line():
    """A wrong input ends the run with its one line; around an exception Snakemake would print where it came up."""
    try:
        yield
    except InputError as error:
        raise SystemExit(f"clip2: error: {error}")


with in_one_line():
    experiment = Experiment(config, world_size)

NAME = "[A-Za-z0-9_-]+"


wildcard_constraints:
    **dict.fromkeys((*PARTS, "segmenter"), NAME) | {"lifter": rf"({NAME}\+)?{NAME}"},
    source=NAME,
    sources=rf"{NAME}(\+{NAME})*",
    benchmark=NAME,
    shard=r"[a-z]+-\d+of\d+",


def beside_index(source, stage):
    """Function of the wildcards: a digest of what a stage reads beside a source's index, for jobs to run again on."""
    settings = experiment.config.sources[source]
    if settings.world is not None:
        return ""
    with in_one_line():
        return listing_digest(Path(experiment.data_root(source)), settings.kind, stage)


def source_files(module):
    """Source files that a stage runs; like all that no rule makes, they stay here when results lie in a storage."""
    return local(stage_code.source_files(module))


def contents_of_inputs(rule):
    """Parameter for every rule: digests of its inputs that no rule makes.

    Not by a function of ``input``: what such ones return, Snakemake does not compare with the last time.
    """

    def digests(wildcards):
        paths = rule.expand_input(dict(wildcards.items()))[0]
        return contents(
            tuple(
                str(path)
                for path in paths
                if not path.is_storage and not path.startswith("results/")
            )
        )

    return digests


def raw_index(source, stage="frames"):
    """Input function: files that say what a source's raw data is."""

    def paths(wildcards):
        with in_one_line():
            return local(experiment.raw_index(source, stage))

    return paths


def files(method, *arguments):
    """Input function: what a method of the experiment says of a job's wildcards."""

    def paths(wildcards):
        with in_one_line():
            return [
                path if path.startswith("results/") else local(path)
                for path in method(wildcards, *arguments)
            ]

    return paths


# Inputs that several rules have: what a model learns from, what it is asked about, and itself with its teacher.
LEARNT_FROM = {
    "triplets": files(experiment.mined, f"{MINED}/{{shard}}.parquet"),
    "points": files(experiment.mined, f"{MINED}/{{shard}}.h5"),
    "embeddings": files(experiment.mined, f"{EMBEDDED}/{{shard}}.h5"),
}
ASKED = {
    "objects": files(experiment.asked, f"{OBJECTS}.parquet"),
    "points": files(experiment.asked, f"{OBJECTS}.h5"),
}
OF_MODEL = {
    "model": multiext(f"{MODEL}/", "model.safetensors", "config.json"),
    "teacher": files(experiment.teacher_files),
}


ON_THE_WAY, BEFORE_TOWERS, BEFORE_RESULTS = 3, 2, 1
"""Priorities: first what leads to a model, as training is the longest job and all of its results wait for it; then what
leads to the pictures of tuned towers, the next longest way; then other jobs that results wait for. So no long job is left
alone at the end. Audits and pictures fill what is left."""


def gpus():
    """GPUs that a model-running job asks the scheduler for."""
    return 1 if experiment.uses_gpu else 0


def half_of_the_cores():
    """Threads of training on a CPU, too: beside it, rivals are tuned, for which one core each is enough."""
    try:
        cores = workflow.cores
    except WorkflowError:  # on a cluster there is no such number
        cores = None
    return max(1, (cores or 8) // 2)


def workers():
    """Threads of a job that feeds a GPU: half of the cores at most, so that jobs without one go on beside it. Without a
    GPU, jobs are kept small and run side by side."""
    return min(8, half_of_the_cores()) if gpus() else 1


def lift_rate_limit():
    """Take away the scheduler's default limit of a hundred jobs a second; one that a person sets stays.

    While it holds, Snakemake 9 starts a timer each time it looks for jobs to run, each timer makes it look again, and
    none of them ends: after an hour it looks hundreds of times a second, at a sixth of a core.
    """
    limit = workflow.scheduling_settings.max_jobs_per_timespan
    if limit and (limit.max_jobs, limit.timespan) == (100, 1):
        workflow.scheduler.job_rate_limiter = None


def reported(path, caption, category, **labels):
    """An output that `snakemake --report` shows, with a caption of rules/report/."""
    return report(
        path, caption=f"report/{caption}.rst", category=category, labels=labels
    )


MINING = {
    "triplets.png": ("triplets", "mined triplets"),
    "audit.json": ("audit", "triplets against human boxes"),
    "tracks_audit.json": ("tracks_audit", "tracks against human boxes"),
    "search_audit.json": ("search_audit", "search by name against human boxes"),
}


def published(name):
    """Outputs of the job that publishes a file under its fixed name: that, and of a result a page to read, too."""
    stem, _, ending = name.rpartition(".")
    if name in MINING:
        caption, what = MINING[name]
        category, labels = "Mining", {"what": what}
    else:
        benchmark, _, caption = stem.rpartition("_")
        form = "table" if ending == "json" else "picture"
        category = "Results"
        labels = {"as": form, "benchmark": benchmark, "task": caption}
    made = kept_until_replaced(f"results/{name}")
    if ending != "json":
        return {"made": reported(made, caption, category, **labels)}
    page = reported(f"results/tables/{stem}.html", caption, category, **labels)
    return {"made": made, "table": page}


def format_code(wildcards):
    """Input function: source files of a format, which the command imports by name."""
    return sorted(
        {
            *source_files("clip2.export.stage"),
            *source_files(FORMATS[wildcards.format].module),
        }
    )


def formats_of(kind):
    """Pattern of the formats that take labels, or triplets."""
    return "|".join(name for name, spec in FORMATS.items() if spec.takes == kind)


def labelled(pattern):
    """Input function: a path for each shard of the experiment's source."""
    return files(lambda wildcards: experiment.labelled(pattern))


def searched(pattern):
    """Input function: a path for each mining shard of the experiment's sources."""
    return files(lambda wildcards: experiment.mined(experiment.parts, pattern))


def named_boxes(wildcards):
    """Input function: the labels, which the command takes boxes from, if they are there; it does not need them."""
    return [LABELS] if os.path.exists(LABELS) else []


def kept_until_replaced(path):
    """An output that is still there when its job begins, which says what it replaces. Not in a storage: Snakemake 9.27
    then looks for the old file where it is not.
    """
    in_storage = workflow.storage_settings.default_storage_provider
    return path if in_storage else update(path)
