# Helpers of the rules: names of the configured experiment, shards, settings, source closures.
import fcntl
import json
import os
import re
import sys
from pathlib import Path
from shlex import quote

from snakemake.exceptions import WorkflowError

sys.path.insert(0, str(Path(workflow.basedir) / "src"))
from clip2.closure import source_closure
from clip2.scans.shards import ROLES, shard_names

# Jobs run `python -m clip2` with this checkout's package; outside conda environments, with Snakemake's own Python.
bin_folder = (
    ""
    if workflow.deployment_settings.deployment_method
    else f"{Path(sys.executable).parent}:"
)
shell.prefix(
    f"set -euo pipefail; export PYTHONPATH={quote(str(Path(workflow.basedir) / 'src'))} PATH={quote(bin_folder)}$PATH; "
)

EXPERIMENT = config["experiment"]
PARTS = {
    "source": "sources",
    "detector": "detectors",
    "lifter": "lifters",
    "teacher": "teachers",
    "model": "models",
}
NAME = "[A-Za-z0-9_-]+"
for part, section in PARTS.items():
    for name in config[section]:
        if not re.fullmatch(
            NAME, name
        ):  # it becomes part of file names, which dots separate
            raise WorkflowError(
                f"config: {section}.{name}: use letters, digits, _ and - only"
            )
    if EXPERIMENT[part] not in config[section]:
        raise WorkflowError(
            f"config: experiment.{part} is {EXPERIMENT[part]!r}, but `{section}` has only: {', '.join(config[section])}"
        )


wildcard_constraints:
    **{part: NAME for part in PARTS},
    shard=r"[a-z]+-\d+of\d+",


MODEL = "results/models/{source}.{detector}.{lifter}.{teacher}.{model}"


def experiment_path(pattern):
    """A path of the configured experiment."""
    return pattern.format(**EXPERIMENT)


def source_shards(source, role):
    """Names of a source's shards, known before anything runs."""
    return shard_names(role, config["sources"][source]["nuscenes"][f"{role}_shards"])


def train_shards(pattern):
    """Input function: a path for each mining shard of the job's source."""
    return lambda wildcards: expand(
        pattern, shard=source_shards(wildcards.source, "train"), allow_missing=True
    )


def val_shards(pattern):
    """Input function: a path for each evaluation shard of the job's source."""
    return lambda wildcards: expand(
        pattern, shard=source_shards(wildcards.source, "val"), allow_missing=True
    )


def data_root(source):
    """Folder that holds a source's raw files."""
    settings = config["sources"][source]
    if settings["kind"] == "world":
        return f"results/{source}/raw"
    root = settings.get("root") or config["dataroot"]
    if not root:
        raise WorkflowError(
            f"source {source!r} needs its data root: add `--config dataroot=/path/to/data` or set sources.{source}.root"
        )
    return root


def raw_table(source, name):
    """A nuScenes table; for a data set on disk, checked here so that what is missing is said in one line."""
    settings = config["sources"][source]
    root, version = Path(data_root(source)), settings["nuscenes"]["version"]
    if settings["kind"] != "world":
        if not root.is_dir():
            raise WorkflowError(
                f"{root}: no such folder; give the data root with `--config dataroot=/path/to/data`"
            )
        if not (root / version).is_dir():
            found = (
                ", ".join(
                    sorted(path.parent.name for path in root.glob("*/sample_data.json"))
                )
                or "none"
            )
            raise WorkflowError(
                f"{root}: holds no version {version!r} (found: {found}); set sources.{source}.nuscenes.version"
            )
    return f"{root}/{version}/{name}.json"


def settings_of(*keys):
    """A stage's slice of the configuration, as the JSON text that its command line takes."""
    value = config
    for key in keys:
        value = value.get(key, {})
    return json.dumps(value, sort_keys=True)


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


def model_files(folder):
    """Files of a model folder; nothing for a hub id, which the settings pin by themselves."""
    if not os.path.isdir(folder):
        return []
    return sorted(
        str(path)
        for path in Path(folder).iterdir()
        if path.suffix in {".json", ".safetensors", ".txt"}
    )


def gpus():
    """GPUs that a model-running job asks the scheduler for."""
    return 0 if config["device"] == "cpu" else 1


def workers():
    """Threads of a job that feeds a GPU; without one, jobs are kept small and run side by side."""
    return 8 if gpus() else 1
