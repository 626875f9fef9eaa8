"""The workflow on a cluster, and with its results in a storage.

Real: SLURM (its daemons and commands, as one node that this file starts and stops), the profile that ships, the slurm
and fs plugins of Snakemake, every stage from raw files to the result. Made: the data set (built-in world), the node's
size, its GPU (/dev/null; the stages find no GPU and compute on the CPU), and the accident: a training that hangs.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import jsonschema
import pytest
import yaml
from conftest import copy_checkout, snakemake

ONE_NODE = Path(__file__).parent / "slurm" / "one_node.sh"
NEEDED = {"munged": "munge", "slurmctld": "slurmctld", "slurmd": "slurmd", "sbatch": "slurm-client"}
SYSTEM_PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
RESULT = "results/nuscenes_zeroshot.json"
TINY = {
    "device": "auto",  # makes jobs that run a model ask for a GPU
    "sources": {
        "world": {
            "world": {
                "train_scenes": 2,
                "val_scenes": 1,
                "key_frames": 2,
                "sweeps_per_key_frame": 5,
                "image_width": 512,
            },
            "settings": {"train_shards": 2, "val_shards": 1},
        }
    },
    "models": {"small": {"epochs": 16, "checkpoint_seconds": 0}},
    "baselines": {
        "pointclip_tp": {"tune": {"max_triplets": 60, "epochs": 1}},
        "pointclip_v2_tp": None,
        "clip2point_tp": None,
        "clip2point": None,
    },
    "evaluation": {"zeroshot": {"bootstrap": 50}, "ensemble": {"max_triplets": 60}},
}
GPU_RULES = {"detect", "embed", "pretrain", "tune", "encode_objects", "ensemble", "zeroshot"}
CPU_RULES = {"world_world", "ingest_world", "annotations_world", "objects", "lift", "track"}
LIMIT = 1800
"""Seconds after which something that was waited for is a failure."""

pytestmark = pytest.mark.slow


def need(programs: dict[str, str]) -> None:
    """Skip, loudly, where programs are missing; the values are Debian's names of their packages."""
    packages = [package for program, package in programs.items() if not shutil.which(program, path=SYSTEM_PATH)]
    if packages:
        message = f"NOT TESTED: run `apt-get install --no-install-recommends {' '.join(packages)}` first"
        warnings.warn(message, stacklevel=1)
        pytest.skip(message)


@dataclass(frozen=True)
class Cluster:
    """A running SLURM of one node."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": f"{self.folder}/bin:{SYSTEM_PATH}"}

    def call(self, *command: str) -> str:
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def jobs(self) -> list[dict[str, str]]:
        """What SLURM knows of all jobs so far, in the order of their submission; `rule` is ours."""
        jobs = []
        for line in self.call("scontrol", "show", "job", "--oneliner").splitlines():
            if job := dict(re.findall(r"([\w/:]+)=(\S*)", line)):
                job["rule"] = job["Comment"].removeprefix("rule_").split("_wildcards_")[0]
                jobs.append(job)
        return sorted(jobs, key=lambda job: int(job["JobId"]))

    def jobs_of(self, rule: str, state: str) -> list[dict[str, str]]:
        return [job for job in self.jobs() if job["rule"] == rule and job["JobState"] == state]

    def gpu_of(self, job: dict[str, str]) -> set[str]:
        """Values of CUDA_VISIBLE_DEVICES that a job's tasks saw; empty for none."""
        lines = (self.folder / "tasks.txt").read_text().splitlines()
        return {line.partition(" ")[2] for line in lines if line.partition(" ")[0] == job["JobId"]}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    need(NEEDED)
    folder = Path(tempfile.mkdtemp(prefix="slurm"))  # a short path: a socket lies in it
    try:
        subprocess.run([ONE_NODE, "start", folder], check=True, timeout=120)
        yield Cluster(folder)
    finally:
        subprocess.run([ONE_NODE, "stop", folder], check=True, timeout=120)
        shutil.rmtree(folder)


# The plugin asks SLURM less and less often about jobs that take longer, up to every three minutes. Not so here.
IMPATIENT_SNAKEMAKE = """
from snakemake.cli import main
from snakemake_executor_plugin_slurm import Executor
Executor.next_seconds_between_status_checks = property(lambda self: 2, lambda self, value: None)
main()
"""


def workflow(folder: Path, cluster: Cluster, *arguments: str) -> subprocess.Popen[str]:
    """Start Snakemake with the profile that ships."""
    profile = ("--workflow-profile", "profiles/slurm", "--slurm-status-command", "squeue")
    return subprocess.Popen(
        [sys.executable, "-c", IMPATIENT_SNAKEMAKE, *profile, *arguments],
        cwd=folder,
        env=cluster.environment,
        stdout=(folder / "output.txt").open("w"),
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def wait_for(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    """Wait for something that is to happen while Snakemake works."""
    end = time.monotonic() + LIMIT
    while not condition():
        assert process.poll() is None, "Snakemake ended before"
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.2)


def waiting_for_the_node(cluster: Cluster) -> list[dict[str, str]]:
    return [job for job in cluster.jobs_of("detect", "PENDING") if "DRAINED" in job["Reason"]]


def drain_and_resume(cluster: Cluster, process: subprocess.Popen[str]) -> dict[str, str]:
    """Take the node out while a job runs on it, wait until a job has to wait for it, bring it back; that job."""
    node = cluster.call("sinfo", "--noheader", "--format=%n").strip()
    wait_for(lambda: cluster.jobs_of("ingest_world", "RUNNING"), process)
    cluster.call("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")
    wait_for(lambda: waiting_for_the_node(cluster), process)
    wait_for(lambda: cluster.call("sinfo", "--noheader", "--format=%T").strip() == "drained", process)
    waiting = waiting_for_the_node(cluster)[0]
    cluster.call("scontrol", "update", f"nodename={node}", "state=resume")
    return waiting


def hang_past_the_time_limit(folder: Path, cluster: Cluster, process: subprocess.Popen[str]) -> None:
    """Stop the training after a checkpoint, and have its time limit end now: SLURM then kills the job by itself."""
    wait_for(lambda: any(folder.glob("results/checkpoints/*/checkpoint.pt")), process)
    job = cluster.jobs_of("pretrain", "RUNNING")[0]["JobId"]
    pids = {line.split()[0] for line in cluster.call("scontrol", "listpids", job).splitlines()[1:]}
    commands = {pid: Path("/proc", pid, "cmdline") for pid in pids}
    training = [int(pid) for pid, line in commands.items() if line.exists() and b"clip2\0pretrain" in line.read_bytes()]
    assert training
    for pid in training:
        os.kill(pid, signal.SIGSTOP)
    cluster.call("scontrol", "update", f"jobid={job}", "EndTime=now+1seconds")


@dataclass(frozen=True)
class Run:
    """A finished run on the cluster."""

    folder: Path
    jobs: list[dict[str, str]]
    waiting: dict[str, str]


@pytest.fixture(scope="module")
def finished(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The tiny experiment, run on the cluster: its node is drained for a while, and the training hangs once."""
    folder = copy_checkout(tmp_path_factory.mktemp("cluster") / "checkout")
    (folder / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    process = workflow(folder, cluster, "--configfile", "tiny.yaml", "--", RESULT)
    try:
        waiting = drain_and_resume(cluster, process)
        hang_past_the_time_limit(folder, cluster, process)
        process.wait(LIMIT)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        print((folder / "output.txt").read_text())
    assert process.returncode == 0
    return Run(folder, cluster.jobs(), waiting)


def numbers(result: Path) -> dict:
    """What of a result must repeat: everything but the versions it was made with."""
    read = json.loads(result.read_text())
    return {key: read[key] for key in ("n_objects", "skipped", "protocol", "methods")}


def test_the_chain_ends_in_a_result(finished: Run, repository: Path) -> None:
    result = json.loads((finished.folder / RESULT).read_text())
    jsonschema.validate(result, json.loads((repository / "schemas" / "zeroshot.schema.json").read_text()))
    assert result["n_objects"] > 20
    assert {job["rule"] for job in finished.jobs} == GPU_RULES | CPU_RULES
    ended = [job for job in finished.jobs if job["JobState"] == "COMPLETED"]
    assert len(ended) == len(finished.jobs) - 1  # all but the training that hung


def test_jobs_that_run_a_model_get_a_gpu_and_others_none(finished: Run, cluster: Cluster) -> None:
    for job in finished.jobs:
        with_gpu = job["rule"] in GPU_RULES
        assert job.get("TresPerJob") == ("gres:gpu:1" if with_gpu else None), job
        assert cluster.gpu_of(job) == {"0" if with_gpu else ""}, job


def test_a_job_past_its_time_limit_is_retried_with_more_and_goes_on_where_it_was(finished: Run) -> None:
    killed, retried = (job for job in finished.jobs if job["rule"] == "pretrain")
    assert (killed["JobState"], retried["JobState"]) == ("TIMEOUT", "COMPLETED")
    assert retried["TimeLimit"] == "2-00:00:00"  # twice 24 hours
    assert retried["MinMemoryNode"] == "32000M"  # twice 16,000
    log = next((finished.folder / "logs" / "pretrain").iterdir()).read_text()
    assert re.search(r"taken up again at step [1-9]", log), log


def test_jobs_wait_while_the_node_is_drained(finished: Run) -> None:
    after = next(job for job in finished.jobs if job["JobId"] == finished.waiting["JobId"])
    assert (finished.waiting["JobState"], after["JobState"]) == ("PENDING", "COMPLETED")


STORAGE = ("--default-storage-provider", "fs", "--default-storage-prefix")


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same experiment on this machine, raw data in one folder, results in a storage; checkout, storage."""
    need({"rsync": "rsync"})
    base = tmp_path_factory.mktemp("storage")
    folder, elsewhere, raw = copy_checkout(base / "checkout"), base / "elsewhere", base / "raw"
    world = json.dumps(TINY["sources"]["world"]["world"])  # type: ignore[index]
    command = [sys.executable, "-m", "clip2_world", "nuscenes", "--root", raw, "--threads", "2", "--settings", world]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(folder / "src")})
    source = {"world": None, "root": str(raw), "settings": TINY["sources"]["world"]["settings"]}  # type: ignore[index]
    (folder / "tiny.yaml").write_text(yaml.safe_dump({**TINY, "sources": {"world": source}}))
    print(snakemake(folder, *STORAGE, str(elsewhere), "--cores", "all", "--configfile", "tiny.yaml", "--", RESULT))
    return folder, elsewhere


def test_results_lie_in_the_storage_and_nowhere_else(stored: tuple[Path, Path]) -> None:
    folder, elsewhere = stored
    assert (elsewhere / RESULT).is_file()
    assert next((elsewhere / "results" / "models").glob("*/model.safetensors")).is_file()
    assert not [path for path in folder.joinpath("results").rglob("*") if path.is_file()]
    assert not list(folder.glob(".snakemake/storage/**/*.h5"))  # no local copy stays behind
    arguments = (*STORAGE, str(elsewhere), "--configfile", "tiny.yaml", "--", RESULT)
    assert "Nothing to be done" in snakemake(folder, *arguments)


def test_the_cluster_and_the_storage_change_no_number(finished: Run, stored: tuple[Path, Path]) -> None:
    assert numbers(finished.folder / RESULT) == numbers(stored[1] / RESULT)


def test_cluster_jobs_read_from_the_storage_and_write_to_it(cluster: Cluster, stored: tuple[Path, Path]) -> None:
    folder, elsewhere = stored
    before = len(cluster.jobs())
    (folder / "changed.yaml").write_text("evaluation: {zeroshot: {bootstrap: 0}}")
    changed = ("--configfile", "tiny.yaml", "changed.yaml")
    process = workflow(folder, cluster, *STORAGE, str(elsewhere), *changed, "--", RESULT)
    process.wait(LIMIT)
    print((folder / "output.txt").read_text())
    assert process.returncode == 0
    assert [job["rule"] for job in cluster.jobs()[before:]] == ["zeroshot"]
    assert json.loads((elsewhere / RESULT).read_text())["methods"]["clip2"]["ci95"] is None
