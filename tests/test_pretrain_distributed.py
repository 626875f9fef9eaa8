"""Pretraining in two processes, against one. Real: torchrun, gloo on the CPU, two processes, the command line, kill -9.
Made: the triplets (boxes, balls and poles) and their embeddings. Not tested here: NCCL, GPUs, several machines."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from conftest import copy_checkout, snakemake
from safetensors import safe_open
from safetensors.torch import load_file
from shape_triplets import DIM, SHAPES, write_shard
from two_processes import batch_norm_case, first_gradients

from clip2.pretrain.data import TrainingSet
from clip2.pretrain.distributed import ALONE, Processes, join
from clip2.pretrain.modelfiles import read_model
from clip2.pretrain.pack import Shard, build_pack
from clip2.pretrain.settings import PretrainSettings
from clip2.pretrain.stage import run
from clip2.pretrain.train import train
from clip2.runtime.errors import InputError

SCRIPT = Path(__file__).with_name("two_processes.py")
TINY = PretrainSettings(
    encoder="pointnet2-tiny", n_points=32, max_points=32, epochs=3, batch_size=16, lr=2e-3, ema_decay=0.9, seed=3
)
LIMIT_S = 400  # far below the ten minutes after which an exchange gives up; a run takes ten seconds


def torchrun(*arguments: object) -> list[str]:
    """Command line of two processes on this machine."""
    options = ["--standalone", "--nproc-per-node", "2"]
    return [sys.executable, "-m", "torch.distributed.run", *options, *map(str, arguments)]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def pretrain(shards: list[Shard], out: Path, checkpoints: Path, settings: PretrainSettings) -> list[object]:
    """Arguments of the command line."""
    triplets, embeddings = [s.triplets for s in shards], [s.embeddings for s in shards]
    paths = ["--triplets", *triplets, "--embeddings", *embeddings, "--out", out, "--checkpoints", checkpoints]
    return ["pretrain", *paths, "--device", "cpu", "--threads", "2", "--settings", settings.model_dump_json()]


def read_log(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "train_log.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> list[Shard]:
    labels = [SHAPES[i % 3] for i in range(100)]
    return [write_shard(tmp_path_factory.mktemp("shards"), "0", labels, list(SHAPES), {"model": "none", "dim": DIM})]


@pytest.fixture(scope="module")
def one(shards: list[Shard], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Model folder of one process."""
    out = tmp_path_factory.mktemp("one") / "shapes"
    run(shards, out, TINY, "cpu")
    return out


@pytest.fixture(scope="module")
def two(shards: list[Shard], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes computed: `found.{rank}.pt`, and the log of their training, which was not interrupted."""
    folder = tmp_path_factory.mktemp("two")
    build_pack(shards, folder / "pack", TINY)
    subprocess.run(
        torchrun(SCRIPT, "compute", folder, TINY.model_dump_json()), env=environment(), check=True, timeout=LIMIT_S
    )
    return folder


@pytest.fixture(scope="module")
def found(two: Path) -> list[dict[str, dict[str, torch.Tensor]]]:
    return [torch.load(two / f"found.{rank}.pt", weights_only=True) for rank in range(2)]


def test_batch_norm_of_two_uneven_halves_is_that_of_the_whole(found: list[dict[str, dict[str, torch.Tensor]]]) -> None:
    x, norm, target = batch_norm_case()
    for _ in range(2):
        x.grad = None
        norm.zero_grad()
        y = norm(x)
        (y * target).square().sum().backward()
    gradients = {f"grad.{name}": p.grad for name, p in norm.named_parameters()}
    expected = {"y": y.detach(), "x": x.grad, **gradients, **norm.state_dict()}
    torch.testing.assert_close(found[0]["norm"], expected, rtol=1e-4, atol=1e-4)


def test_gradients_are_those_of_one_process(two: Path, found: list[dict[str, dict[str, torch.Tensor]]]) -> None:
    expected = first_gradients(TrainingSet(two / "pack", torch.device("cpu")), TINY, ALONE)
    largest = float(max(value.abs().max() for value in expected.values()))
    torch.testing.assert_close(found[0]["gradients"], found[1]["gradients"], rtol=0, atol=0)
    torch.testing.assert_close(found[0]["gradients"], expected, rtol=1e-3, atol=1e-5 * largest)


def test_training_is_that_of_one_process(one: Path, two: Path, found: list[dict[str, dict[str, torch.Tensor]]]) -> None:
    alone, together = read_log(one), read_log(two)
    assert [line["step"] for line in together] == [line["step"] for line in alone]
    assert [line.keys() for line in together] == [line.keys() for line in alone]
    for key in ("loss", "loss_text", "loss_image", "lr", "temperature_text", "temperature_image"):
        assert together[0][key] == pytest.approx(alone[0][key], abs=1e-5), key
        # Rounding decides which of two points is the largest, sooner or later: a step of 1e-4 in the loss.
        assert [line[key] for line in together] == pytest.approx([line[key] for line in alone], abs=1e-2), key
    torch.testing.assert_close(found[0]["weights"], found[1]["weights"], rtol=0, atol=0)
    weights = load_file(one / "model.safetensors")
    those = _decided(found[0]["weights"])
    for name, value in _decided(weights).items():
        apart = float((those[name] - value).square().mean().sqrt())
        assert apart < TINY.lr / 4, name  # a quarter of what one step of the optimiser moves
    encoder, config = read_model(one)
    data = TrainingSet(two / "pack", torch.device("cpu"))
    batch = data.batch(torch.arange(len(data)), config["encoder"]["n_points"], None)
    vectors = []
    for state in (weights, found[0]["weights"]):
        encoder.load_state_dict(state)
        with torch.no_grad():
            vectors.append(encoder(batch.points, batch.count))
    assert (vectors[0] * vectors[1]).sum(1).min() > 0.999
    assert found[0]["scale"] == found[1]["scale"]


def _decided(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Those that the optimiser moves and the loss decides. A bias before a batch norm changes nothing: its gradient is
    zero, of which the optimiser makes a step in one direction or the other, by rounding."""
    free = re.compile(r"grouped\.bias|whole\.2\.bias|head\.2\.bias|running_|num_batches")
    return {name: value for name, value in weights.items() if not free.search(name)}


def test_killed_processes_taken_up_again_end_the_same(
    shards: list[Shard], one: Path, found: list[dict[str, dict[str, torch.Tensor]]], tmp_path: Path
) -> None:
    out, checkpoints = tmp_path / "shapes", tmp_path / "checkpoints"
    settings = TINY.model_copy(update={"checkpoint_seconds": 0.0})
    command = torchrun("-m", "clip2", *pretrain(shards, out, checkpoints, settings))
    agent = subprocess.Popen(command, env=environment(), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + LIMIT_S
    while not (checkpoints / "checkpoint.pt").exists():
        assert time.monotonic() < deadline
        assert agent.poll() is None
        time.sleep(0.002)
    workers = psutil.Process(agent.pid).children(recursive=True)
    assert len(workers) == 2
    for process in (agent.pid, *(worker.pid for worker in workers)):
        os.kill(process, signal.SIGKILL)
    agent.wait()
    psutil.wait_procs(workers, timeout=20)
    assert not out.exists()

    again = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=LIMIT_S)
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("taken up again at step") == 1
    assert not checkpoints.exists()
    weights = load_file(out / "model.safetensors")
    assert all(torch.equal(weights[name], value) for name, value in found[0]["weights"].items())
    _same_structure(out, one)


def _same_structure(folder: Path, other: Path) -> None:
    """Model folders differ in numbers only: the same files, keys, tensors, shapes and types."""
    assert {p.name for p in folder.iterdir()} == {p.name for p in other.iterdir()}
    with safe_open(folder / "model.safetensors", "pt") as a, safe_open(other / "model.safetensors", "pt") as b:
        shapes = [
            {k: (f.get_slice(k).get_shape(), f.get_slice(k).get_dtype()) for k in f.keys()}  # noqa: SIM118
            for f in (a, b)
        ]
    assert shapes[0] == shapes[1]
    configs = [json.loads((f / "config.json").read_text()) for f in (folder, other)]
    assert list(configs[0]) == list(configs[1])
    assert configs[0]["provenance"]["inputs"] == configs[1]["provenance"]["inputs"]
    assert [line["step"] for line in read_log(folder)] == [line["step"] for line in read_log(other)]


def test_a_process_that_fails_ends_all(shards: list[Shard], tmp_path: Path) -> None:
    command = torchrun(SCRIPT, "break", *pretrain(shards, tmp_path / "shapes", tmp_path / "checkpoints", TINY))
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode != 0
    assert "clip2: error: this process was broken on purpose\n" in done.stderr
    assert "src/clip2" not in done.stderr, "a traceback of ours"
    assert not (tmp_path / "shapes").exists()


def test_every_row_of_a_batch_is_one_processs() -> None:
    for n, size in ((7, 3), (8, 4), (2, 2)):
        rows = [torch.arange(n)[Processes(rank, size).rows(n)] for rank in range(size)]
        assert torch.equal(torch.cat(rows), torch.arange(n))
        assert min(map(len, rows)) >= n // size


def test_what_cannot_be_shared_is_refused(two: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = TrainingSet(two / "pack", torch.device("cpu"))
    with pytest.raises(InputError, match="batch_size: 2 triplets a step for 3 processes"):
        train(data, TINY.model_copy(update={"batch_size": 2}), tmp_path, "digest", Processes(0, 3))
    store = torch.distributed.HashStore()
    store.set("first step", "5")
    with pytest.raises(InputError, match="process 1 reads step 0 and the main one 5; all need one shared folder"):
        train(data, TINY, tmp_path, "digest", Processes(1, 2, store))
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="'cuda:1', but each of several processes takes its own"), join("cuda:1"):
        pass


def test_the_workflow_starts_as_many_processes_as_it_asks_for_gpus(tmp_path: Path) -> None:
    plan = ["--dry-run", "--printshellcmds", "--config", "device=auto", "pretrain_gpus=4", "--resources", "gpu=4"]
    text = snakemake(copy_checkout(tmp_path / "checkout"), *plan, "--", "model")
    job = text[text.index("rule pretrain:") : text.index("rule model:")]
    assert re.search(r"resources:.*\bgpu=4\b", job)
    assert "if [ 4 -gt 1 ]; then launch='torchrun --standalone --nproc-per-node 4'; fi;" in job
