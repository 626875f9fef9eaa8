"""Command line: ``clip2 STAGE``, one command a stage. Snakemake's rules call these and so can a person.

Every setting of a stage is a flag; ``--settings`` takes many at once as JSON, which is how the rules pass them.
"""

import argparse
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from clip2 import commands
from clip2.commands import Arguments
from clip2.detect.settings import DetectSettings
from clip2.errors import InputError
from clip2.evaluate.ensemble.settings import EnsembleSettings
from clip2.evaluate.fewshot.settings import FewshotSettings
from clip2.evaluate.localization.settings import LocalizeSettings
from clip2.evaluate.retrieval.settings import RetrievalSettings
from clip2.evaluate.rivals.tune_settings import TuneSettings
from clip2.evaluate.scannet.settings import ScannetObjectsSettings
from clip2.evaluate.settings import AuditSettings, ObjectsSettings, ZeroshotSettings
from clip2.lift.settings import LiftSettings
from clip2.pretrain.settings import PretrainSettings
from clip2.settings_flags import add_settings
from clip2.sources import MODULES, SOURCES
from clip2.store.settings import Settings
from clip2.teach.settings import TeachSettings

Run = Callable[[Arguments], None]
Commands = Any
"""What ``add_subparsers`` gives; argparse keeps its type to itself."""


def _command(
    commands: Commands, name: str, run: Run, summary: str, settings: type[Settings] | None = None
) -> argparse.ArgumentParser:
    sub: argparse.ArgumentParser = commands.add_parser(name, help=summary, description=summary)
    sub.set_defaults(run=run)
    sub.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="CPU threads (default: all)")
    if settings:
        add_settings(sub, settings)
    return sub


def _path(sub: argparse.ArgumentParser, flag: str, help: str, nargs: str | None = None, required: bool = True) -> None:
    sub.add_argument(flag, type=Path, required=required, help=help, nargs=nargs, default=[] if nargs == "*" else None)


def _device(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: auto)")


def _by_kind(commands: Commands, name: str, run: Run, stage: str, field: str, summary: str, out: str | None) -> None:
    """A command with one sub-command for each kind of source that has the stage."""
    group = commands.add_parser(name, help=summary, description=summary)
    kinds = group.add_subparsers(required=True, metavar="KIND", dest="kind")
    for kind, modules in MODULES.items():
        if getattr(modules, stage) is None:
            continue
        settings = [t for t in _settings_types(kind, field) if isinstance(t, type) and issubclass(t, Settings)]
        sub = _command(kinds, kind, run, f"{summary}: {kind}", settings[0])
        _path(sub, "--root", "data root")
        if out:
            _path(sub, "--out", out)
            sub.add_argument("--source", required=True, help="name of the source, for the headers")


def _settings_types(kind: str, field: str) -> tuple[Any, ...]:
    annotation = SOURCES[kind].model_fields[field].annotation
    return get_args(annotation) or (annotation,)


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(prog="clip2", description="Open-world 3D recognition from unlabelled scans.")
    all_commands = parser.add_subparsers(required=True, metavar="STAGE")
    _add_sources(all_commands)
    _add_mining(all_commands)
    _add_evaluation(all_commands)
    _add_reports(all_commands)
    return parser


def _add_sources(stages: Commands) -> None:
    _by_kind(stages, "world", commands.world, "world", "world", "generate the built-in world in a format", None)
    to_frames = "raw scans → frames"
    _by_kind(stages, "ingest", commands.ingest, "frames", "settings", to_frames, "folder for the shards")
    to_boxes = "human boxes → annotations (evaluation only)"
    _by_kind(stages, "annotations", commands.annotations, "annotations", "settings", to_boxes, "folder for the shards")
    to_objects = "files of single objects → objects to recognise (evaluation only)"
    _by_kind(stages, "object-set", commands.object_set, "object_set", "settings", to_objects, "folder for the shards")

    sub = _command(stages, "check", commands.check, "what of a data set is there, and whether it makes sense")
    sub.add_argument("source", help="key of `sources` in the configuration")
    sub.add_argument("--configfile", type=Path, nargs="*", default=[], help="files laid over config.yaml")
    sub.add_argument("--dataroot", type=Path, help="data root, as `--config dataroot=…` gives it to snakemake")


def _add_mining(stages: Commands) -> None:
    sub = _command(stages, "detect", commands.detect, "frames → 2D boxes with names", DetectSettings)
    _path(sub, "--frames", "frames of one shard (.parquet)")
    _path(sub, "--data-root", "folder that the frames' paths are relative to")
    _path(sub, "--out", "detections (.parquet)")
    _device(sub)

    sub = _command(stages, "lift", commands.lift, "2D boxes and points → triplets", LiftSettings)
    _path(sub, "--frames", "frames of one shard (.parquet)")
    _path(sub, "--detections", "detections of the same shard (.parquet)")
    _path(sub, "--data-root", "folder that the frames' paths are relative to")
    _path(sub, "--out", "triplets (.parquet; the points go to .h5 beside it)")

    sub = _command(stages, "embed", commands.embed, "triplets → the teacher's embeddings", TeachSettings)
    _path(sub, "--triplets", "triplets of one shard (.parquet)")
    _path(sub, "--out", "embeddings (.h5)")
    _device(sub)

    sub = _command(stages, "pretrain", commands.pretrain, "triplets and embeddings → a point encoder", PretrainSettings)
    _path(sub, "--triplets", "triplets (.parquet), all shards", "+")
    _path(sub, "--embeddings", "embeddings (.h5), in the same order", "+")
    _path(sub, "--out", "model folder")
    _path(sub, "--checkpoints", "folder to resume from (default: beside the model)", required=False)
    _device(sub)


def _add_evaluation(stages: Commands) -> None:
    sub = _command(
        stages, "objects", commands.objects, "annotated objects to recognise (evaluation only)", ObjectsSettings
    )
    _path(sub, "--frames", "frames of one shard (.parquet)")
    _path(sub, "--annotations", "annotations of the same shard (.parquet)")
    _path(sub, "--data-root", "folder that the frames' paths are relative to")
    _path(sub, "--out", "objects (.parquet; the points go to .h5 beside it)")

    sub = _command(
        stages,
        "scannet-objects",
        commands.scannet_objects,
        "instances of ScanNet's meshes → objects to recognise (evaluation only)",
        ScannetObjectsSettings,
    )
    _path(sub, "--frames", "frames of one shard (.parquet)")
    _path(sub, "--data-root", "folder that the frames' paths are relative to")
    _path(sub, "--out", "objects (.parquet; the points go to .h5 beside it)")

    sub = _command(
        stages,
        "encode-objects",
        commands.encode_objects,
        "objects through image towers, for zeroshot (evaluation only)",
        TeachSettings,
    )
    _path(sub, "--objects", "objects of one shard (.parquet)")
    _path(sub, "--towers", "tuned baselines (.safetensors), whose image towers to use; none: the teacher's", "*", False)
    _path(sub, "--out", "vectors (.h5)")
    _device(sub)

    sub = _command(stages, "tune", commands.tune, "a baseline tuned on triplets (or on rendered pairs)", TuneSettings)
    _path(sub, "--triplets", "triplets (.parquet), all shards", "+")
    _path(sub, "--embeddings", "embeddings (.h5), in the same order", "*", required=False)
    _path(sub, "--out", "weights (.safetensors)")
    _path(sub, "--checkpoint", "file to resume a tower's training from (default: beside the weights)", required=False)
    _device(sub)

    sub = _command(
        stages, "ensemble", commands.ensemble, "weights of point, image and depth, from triplets", EnsembleSettings
    )
    _path(sub, "--triplets", "triplets (.parquet), all shards", "+")
    _path(sub, "--embeddings", "embeddings (.h5), in the same order", "+")
    _path(sub, "--model", "model folder")
    _path(sub, "--towers", "tuned baselines (.safetensors)", "*", required=False)
    _path(sub, "--out", "weights (.json)")
    _device(sub)

    sub = _command(
        stages,
        "zeroshot",
        commands.zeroshot,
        "zero-shot recognition, methods side by side → result JSON",
        ZeroshotSettings,
    )
    _path(sub, "--objects", "objects (.parquet), all shards", "+")
    _path(sub, "--model", "model folder")
    _path(sub, "--encoded", "what encode-objects wrote of these objects (.h5), to compute less", "*", required=False)
    _path(sub, "--towers", "tuned baselines (.safetensors)", "*", required=False)
    _path(sub, "--ensemble", "weights of the ensemble (.json)", required=False)
    _path(sub, "--out", "result (.json)")
    _device(sub)

    sub = _command(stages, "fewshot", commands.fewshot, "recognition from a few labels → result JSON", FewshotSettings)
    _path(sub, "--train", "objects to learn from (.parquet), all shards", "+")
    _path(sub, "--val", "objects to recognise (.parquet), all shards", "+")
    _path(sub, "--model", "model folder")
    _path(sub, "--out", "result (.json)")
    _device(sub)

    sub = _command(
        stages, "localization", commands.localization, "named 3D boxes from text → result JSON", LocalizeSettings
    )
    _path(sub, "--frames", "frames (.parquet), all shards", "+")
    _path(sub, "--annotations", "annotations (.parquet), in the same order", "+")
    _path(sub, "--triplets", "proposals: triplets (.parquet), in the same order", "+")
    _path(sub, "--data-root", "folder that the frames' paths are relative to")
    _path(sub, "--model", "model folder")
    _path(sub, "--out", "result (.json)")
    _device(sub)

    sub = _command(
        stages, "retrieval", commands.retrieval, "rare things found by their names → result JSON", RetrievalSettings
    )
    _path(sub, "--objects", "objects (.parquet), all shards", "+")
    _path(sub, "--model", "model folder")
    _path(sub, "--out", "result (.json)")
    _device(sub)

    sub = _command(stages, "audit", commands.audit, "mined triplets against human boxes → quality JSON", AuditSettings)
    _path(sub, "--frames", "frames (.parquet), all shards", "+")
    _path(sub, "--annotations", "annotations (.parquet), in the same order", "+")
    _path(sub, "--triplets", "triplets (.parquet), in the same order", "+")
    _path(sub, "--data-root", "folder that the frames' paths are relative to")
    _path(sub, "--out", "quality figures (.json)")


def _add_reports(stages: Commands) -> None:
    sub = _command(stages, "report-result", commands.report_result, "result JSON → picture")
    _path(sub, "--result", "result (.json)")
    _path(sub, "--out", "picture (.png)")

    sub = _command(stages, "report-fewshot", commands.report_fewshot, "few-shot result JSON → picture")
    _path(sub, "--result", "result (.json)")
    _path(sub, "--out", "picture (.png)")

    sub = _command(stages, "report-triplets", commands.report_triplets, "triplets → a sheet of pictures")
    _path(sub, "--triplets", "triplets (.parquet), all shards; the fullest is drawn", "+")
    _path(sub, "--out", "picture (.png)")

    sub = _command(stages, "report-benchmark", commands.report_benchmark, "all results → one table")
    _path(sub, "--results", "result files (.json)", "+")
    _path(sub, "--out", "table (.json; the same as .md beside it)")

    sub = _command(stages, "show", commands.show, "print a result JSON as a table")
    sub.add_argument("result", type=Path)

    summary = "print peak memory and time of every stage from Snakemake's benchmark files"
    sub = _command(stages, "usage", commands.usage, summary)
    sub.add_argument("benchmarks", type=Path, nargs="?", default=Path("results/benchmarks"))

    summary = "write schemas/*.json and docs/configuration.md from the settings models"
    sub = _command(stages, "schema", commands.schema, summary)
    sub.add_argument("--root", type=Path, default=Path(), help="checkout to write into (default: here)")


def main(argv: list[str] | None = None) -> None:
    """Entry point: 0 on success, 2 with one line on standard error for an :class:`InputError`."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", datefmt="%H:%M:%S")
    arguments = build_parser().parse_args(argv)
    # `snakemake --cores 8` on a machine with two: more threads than cores would only get in each other's way.
    arguments.threads = max(1, min(arguments.threads, len(os.sched_getaffinity(0))))
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)  # read by torch, which is imported after this
    try:
        arguments.run(arguments)
    except InputError as error:
        print(f"clip2: error: {error}", file=sys.stderr)
        sys.exit(2)
