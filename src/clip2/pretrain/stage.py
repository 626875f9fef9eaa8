"""Stage `pretrain`: triplets and their embeddings → a point encoder in the teacher's space."""

import logging
import shutil
from pathlib import Path
from typing import Any

import torch

from clip2.pretrain.checkpoint import digest_of
from clip2.pretrain.data import TrainingSet
from clip2.pretrain.distributed import join, local_processes
from clip2.pretrain.modelfiles import write_model
from clip2.pretrain.pack import Shard, build_pack
from clip2.pretrain.settings import PretrainSettings
from clip2.pretrain.train import LOG_NAME, train
from clip2.runtime.errors import InputError
from clip2.store.atomic import read_json, write_json
from clip2.store.provenance import file_digest, provenance

log = logging.getLogger(__name__)

__all__ = ["Shard", "run"]

PACKAGES = ("torch",)
PACK = "pack"
# Settings that change nothing about the outcome.
OPERATIONAL = {"checkpoint_seconds"}


def run(
    shards: list[Shard],
    out_dir: Path,
    settings: PretrainSettings,
    device: str = "auto",
    threads: int = 1,
    checkpoint_dir: Path | None = None,
) -> None:
    """Pretrain on the shards, and write a model folder that :func:`clip2.load` opens.

    Under ``torchrun``, its processes train one model together; the main one reads the shards and writes all files.

    Args:
        shards: training shards only.
        out_dir: gets model.safetensors, config.json, README.md and train_log.jsonl, at the end.
        device: "auto", "cpu", "cuda", "cuda:1" …
        threads: CPU threads, shared by the processes on this machine.
        checkpoint_dir: packed data, checkpoints and log of the run under way; removed after success. A run that was
            stopped goes on from here, when settings and inputs are the same. Default: a hidden folder beside out_dir.
    """
    if not shards:
        raise InputError("no training shards given; name at least one triplets file and its embeddings")
    folder = checkpoint_dir or out_dir.with_name(f".{out_dir.name}.checkpoint")
    with join(device) as (processes, where):
        torch.set_num_threads(max(1, threads // local_processes()))
        if processes.main:
            made_from = _provenance(shards, settings)
            _pack(shards, folder / PACK, settings, _digest(made_from))
        digest = processes.tell("digest", _digest(made_from) if processes.main else "")
        data = TrainingSet(folder / PACK, where)
        encoder, logit_scale = train(data, settings, folder, digest, processes)
        if processes.main:
            write_model(out_dir, encoder, logit_scale, settings, data.header, data.text, made_from, folder / LOG_NAME)
            shutil.rmtree(folder)
            log.info("%s written", out_dir)


def _provenance(shards: list[Shard], settings: PretrainSettings) -> dict[str, Any]:
    inputs = {
        f"{kind}/{i}": path
        for i, shard in enumerate(shards)
        for kind, path in (("triplets", shard.triplets), ("points", shard.points), ("embeddings", shard.embeddings))
    }
    if settings.names_from == "tracks":
        for i, shard in enumerate(shards):
            if shard.tracks is not None:
                members = shard.tracks.with_suffix(".members.parquet")
                inputs |= {f"tracks/{i}": shard.tracks, f"members/{i}": members}
    return provenance("pretrain", settings.model_dump(mode="json"), inputs, PACKAGES, settings.seed)


def _digest(made_from: dict[str, Any]) -> str:
    kept = {**made_from, "settings": {k: v for k, v in made_from["settings"].items() if k not in OPERATIONAL}}
    return digest_of(kept)


def _pack(shards: list[Shard], folder: Path, settings: PretrainSettings, digest: str) -> None:
    """Make the packed folder, unless the one of this run is there, whole and undamaged."""
    done = folder / "digest.json"
    if done.is_file() and read_json(done) == {"made_from": digest, "files": _digests(folder)}:
        return
    shutil.rmtree(folder, ignore_errors=True)
    build_pack(shards, folder, settings)
    write_json(done, {"made_from": digest, "files": _digests(folder)})


def _digests(folder: Path) -> dict[str, str]:
    return {path.name: file_digest(path) for path in sorted(folder.iterdir()) if path.name != "digest.json"}
