# Helpers of the rules: names of the configured experiment, shards, settings, source closures.
import fcntl
import json
import os
import sys
from pathlib import Path
from shlex import quote

from snakemake.exceptions import WorkflowError

sys.path.insert(0, str(Path(workflow.basedir) / "src"))
from clip2 import closure
from clip2.config import PARTS, check_config
from clip2.errors import InputError
from clip2.scans.shards import ROLES, shard_names
from clip2.sources import BY_BOXES, MODULES, index_files

# Jobs run `python -m clip2` with this checkout's package; outside conda environments, with Snakemake's own Python.
bin_folder = (
    ""
    if workflow.deployment_settings.deployment_method
    else f"{Path(sys.executable).parent}:"
)
shell.prefix(
    f"set -euo pipefail; export PYTHONPATH={quote(str(Path(workflow.basedir) / 'src'))} PATH={quote(bin_folder)}$PATH; "
)

try:
    CONFIG = check_config(config)
except InputError as error:
    raise WorkflowError(str(error))

NAME = "[A-Za-z0-9_-]+"


wildcard_constraints:
    **{part: NAME for part in PARTS},
    source=NAME,
    sources=rf"{NAME}(\+{NAME})*",
    benchmark=NAME,
    shard=r"[a-z]+-\d+of\d+",


BENCHMARKS = {name: spec for name, spec in CONFIG.benchmarks.items() if spec}
MINED = "results/{source}/triplets/{detector}.{lifter}"
EMBEDDED = "results/{source}/embeddings/{detector}.{lifter}.{teacher}"
MODEL = "results/models/{sources}.{detector}.{lifter}.{teacher}.{model}"


def parts_of(benchmark):
    """Wildcards of a benchmark's files: its source, those its model is trained on, and what is put together for it."""
    spec = BENCHMARKS[benchmark]
    parts = {
        part: getattr(spec, part) or getattr(CONFIG.experiment, part) for part in PARTS
    }
    return dict(
        parts, benchmark=benchmark, source=spec.source, sources="+".join(spec.train)
    )


EXPERIMENT = parts_of(CONFIG.experiment.benchmark)
MINED_SOURCES = EXPERIMENT["sources"].split("+")


def sources_with(stage):
    """Sources of the kinds that have a stage."""
    return [
        name
        for name, source in CONFIG.sources.items()
        if getattr(MODULES[source.kind], stage)
    ]


def source_shards(source, role):
    """Names of a source's shards, known before anything runs."""
    return shard_names(role, CONFIG.sources[source].settings.n_shards[role])


def all_shards(source, pattern):
    """A path for each shard of a source, of both roles."""
    shards = [shard for role in ROLES for shard in source_shards(source, role)]
    return expand(pattern, source=source, shard=shards)


def train_shards(pattern):
    """Input function: a path for each mining shard of the job's source, or of all sources that its model learns from."""

    def paths(wildcards):
        names = (
            wildcards.sources.split("+")
            if hasattr(wildcards, "sources")
            else [wildcards.source]
        )
        return [
            path
            for name in names
            for path in expand(
                pattern,
                source=name,
                shard=source_shards(name, "train"),
                allow_missing=True,
            )
        ]

    return paths


def benchmark_shards(pattern, role="val"):
    """Input function: a path for each shard of the source that the job's benchmark asks about."""

    def paths(wildcards):
        source = BENCHMARKS[wildcards.benchmark].source
        shards = source_shards(source, role)
        return expand(pattern, source=source, shard=shards, allow_missing=True)

    return paths


def data_root(source):
    """Folder that holds a source's raw files."""
    settings = CONFIG.sources[source]
    if settings.world is not None:
        return f"results/{source}/raw"
    root = settings.root or CONFIG.dataroot
    if not root:
        raise WorkflowError(
            f"source {source!r} needs its data root: add `--config dataroot=/path/to/data` or set sources.{source}.root"
        )
    return root


def raw_index(source):
    """Files that say what a source's raw data is: a job that reads them runs again when they change."""
    settings = CONFIG.sources[source]
    if settings.world is not None:
        return [local(f"results/{source}/raw/world.json")]
    root = Path(data_root(source))
    if not root.is_dir():
        raise WorkflowError(
            f"{root}: no such folder; give the data root with `--config dataroot=/path/to/data`"
        )
    return [local(str(path)) for path in index_files(settings, root)]


def source_closure(module):
    """Source files that a stage runs; like all that no rule makes, they stay here when results lie in a storage."""
    return local(closure.source_closure(module))


def section(*keys):
    """A slice of the configuration, as it was written; empty where it was not."""
    value = config
    for key in keys:
        value = (value or {}).get(key, {})
    return value or {}


def settings_of(*keys):
    """A stage's slice of the configuration, as the JSON text that its command line takes."""
    return json.dumps(section(*keys), sort_keys=True)


def evaluation_of(benchmark, stage):
    """The settings of an evaluation stage for a benchmark: the general ones, and over them the benchmark's own."""
    own = section("benchmarks", benchmark, "evaluation", stage)
    return json.dumps({**section("evaluation", stage), **own}, sort_keys=True)


def hold_lock():
    """Let one run at a time work here. The operating system frees this lock even after `kill -9`, so that running the
    same line again just works; Snakemake's own lock (off in the profiles) would have to be removed by hand.
    """
    global lock  # open for as long as this process lives
    lock = open(".snakemake/clip2.lock", "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise WorkflowError(
            f"another snakemake is working in {os.getcwd()}; wait for it or stop it first"
        )


def lift_rate_limit():
    """Take away the scheduler's default limit of a hundred jobs a second; one that a person sets stays.

    While it holds, Snakemake 9 starts a timer each time it looks for jobs to run, each timer makes it look again, and
    none of them ends: after an hour it looks hundreds of times a second, at a sixth of a core.
    """
    limit = workflow.scheduling_settings.max_jobs_per_timespan
    if limit and (limit.max_jobs, limit.timespan) == (100, 1):
        workflow.scheduler.job_rate_limiter = None


def model_files(folder):
    """Files of a model folder; nothing for a hub id, which the settings pin by themselves."""
    if not os.path.isdir(folder):
        return []
    return local(
        sorted(
            str(path)
            for path in Path(folder).iterdir()
            if path.suffix in {".json", ".safetensors", ".txt"}
        )
    )


def teacher_files(wildcards):
    """Input function: files of the job's teacher."""
    return model_files(CONFIG.teachers[wildcards.teacher].model)


def detector_files(wildcards):
    """Input function: files of the job's detector: its vocabulary, and its model's or the stored boxes."""
    detector = CONFIG.detectors[wildcards.detector]
    words = local(str(detector.vocabulary))
    if detector.kind == "stored":
        return [words, local(str(detector.boxes))]
    return [words, *model_files(detector.model)]


# Rivals that are trained: on a benchmark's own triplets, or once for all on rendered shapes.
TOWER = "results/towers/{sources}.{detector}.{lifter}.{teacher}/{tower}.safetensors"
SHAPE_TOWER = "results/towers/{pairs}.{teacher}/{tower}.safetensors"
BASELINES = {name: baseline for name, baseline in CONFIG.baselines.items() if baseline}
TUNED = [
    name
    for name, baseline in BASELINES.items()
    if baseline.pairs is None and baseline.checkpoint is None
]
PRETRAINED = {
    name: baseline.pairs
    for name, baseline in BASELINES.items()
    if baseline.pairs and baseline.checkpoint is None
}


IMAGE_TOWERS = [
    name
    for name, baseline in BASELINES.items()
    if baseline.checkpoint or baseline.tune.method == "clip2point"
]


def tower_file(name, wildcards):
    """The weights of a trained rival."""
    baseline = BASELINES[name]
    if baseline.checkpoint:
        return local(baseline.checkpoint)
    if baseline.pairs:
        return SHAPE_TOWER.format(
            pairs=baseline.pairs, teacher=wildcards.teacher, tower=name
        )
    keys = ("sources", "detector", "lifter", "teacher")
    return TOWER.format(tower=name, **{key: getattr(wildcards, key) for key in keys})


def towers(wildcards):
    """Input function: files of all trained rivals."""
    return [tower_file(name, wildcards) for name in BASELINES]


def image_towers(wildcards):
    """Input function: files of the rivals with an image tower of their own, not an adapter to the teacher's."""
    return [tower_file(name, wildcards) for name in IMAGE_TOWERS]


# What image towers see of a shard of objects: the frozen teacher's, and those of the rivals.
ENCODED = "results/{source}/encoded/{teacher}/{shard}.h5"
TOWER_ENCODED = (
    "results/towers/{sources}.{detector}.{lifter}.{teacher}/{benchmark}.{shard}.h5"
)


def encoded(wildcards):
    """Input function: what image towers see of all objects that the job's benchmark asks about."""
    source = BENCHMARKS[wildcards.benchmark].source
    patterns = [ENCODED, TOWER_ENCODED] if IMAGE_TOWERS else [ENCODED]
    return expand(
        patterns,
        source=source,
        shard=source_shards(source, "val"),
        **{key: value for key, value in wildcards.items() if key != "source"},
    )


def teacher_model(wildcards):
    """Which model the job's teacher is, without the wording of its texts."""
    teacher = section("teachers", wildcards.teacher)
    return {key: teacher[key] for key in ("model", "pretrained") if key in teacher}


def teacher_settings(wildcards):
    """Function of the wildcards: the teacher, for what has no texts."""
    return json.dumps(teacher_model(wildcards), sort_keys=True)


def tune_settings(tower):
    """Function of the wildcards: the settings of `tune`, with the job's teacher."""

    def settings(wildcards):
        own = section("baselines", tower or wildcards.tower, "tune")
        return json.dumps({**teacher_model(wildcards), **own}, sort_keys=True)

    return settings


def hours(first):
    """A time limit in minutes: `first` hours, and as many more with each retry."""
    return lambda wildcards, attempt: 60 * first * attempt


def gpus():
    """GPUs that a model-running job asks the scheduler for."""
    return 0 if config["device"] == "cpu" else 1


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
