"""Command line: ``clip2 STAGE``, one command a stage. Snakemake's rules call these and so can a person.

Every setting of a stage is a flag; ``--settings`` takes many at once as JSON, which is how the rules pass them.
"""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from clip2 import __version__, commands
from clip2.commands import Arguments
from clip2.detect.settings import DetectSettings
from clip2.evaluate.ensemble.settings import EnsembleSettings
from clip2.evaluate.fewshot.settings import FewshotSettings
from clip2.evaluate.localization.settings import LocalizeSettings
from clip2.evaluate.retrieval.settings import RetrievalSettings
from clip2.evaluate.rivals.tune_settings import TuneSettings
from clip2.evaluate.scannet.settings import ScannetObjectsSettings
from clip2.evaluate.settings import AuditSettings, ObjectsSettings, SearchAuditSettings, ZeroshotSettings
from clip2.explore.settings import ExplorerSettings
from clip2.export.formats import CORRECTED, FORMATS, LABELS, default_folder
from clip2.export.settings import ExportSettings
from clip2.imports import formats as imported
from clip2.label.settings import LabelSettings
from clip2.lift.settings import LiftSettings
from clip2.pretrain.settings import PretrainSettings
from clip2.runtime.command_flags import add_settings
from clip2.runtime.errors import InputError, NoRoom, no_room
from clip2.runtime.guard import begin_job
from clip2.runtime.settings import Settings
from clip2.segment.settings import SegmentSettings
from clip2.teach.settings import TeachSettings
from clip2.track.settings import TrackSettings
from clip2.workflow.sources import MODULES, SOURCES

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


def _by_kind(commands: Commands, name: str, run: Run, stage: str, summary: str) -> None:
    """A command with one sub-command for each kind of source that has the stage."""
    group = commands.add_parser(name, help=summary, description=summary)
    kinds = group.add_subparsers(required=True, metavar="KIND", dest="kind")
    for kind, modules in MODULES.items():
        if getattr(modules, stage) is None:
            continue
        settings: Any = SOURCES[kind].model_fields["settings"].annotation
        sub = _command(kinds, kind, run, f"{summary}: {kind}", settings)
        _path(sub, "--root", "data root")
        _path(sub, "--out", "folder for the shards")
        sub.add_argument("--source", required=True, help="name of the source, for the headers")


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(prog="clip2", description="Open-world 3D recognition from unlabelled scans.")
    parser.add_argument("--version", action="version", version=f"clip2 {__version__}")
    all_commands = parser.add_subparsers(required=True, metavar="STAGE")
    _add_sources(all_commands)
    _add_mining(all_commands)
    _add_search(all_commands)
    _add_evaluation(all_commands)
    _add_exports(all_commands)
    _add_reports(all_commands)
    return parser


def _add_sources(stages: Commands) -> None:
    to_frames = "raw scans → frames"
    _by_kind(stages, "ingest", commands.ingest, "frames", to_frames)
    to_boxes = "human boxes → annotations (evaluation only)"
    _by_kind(stages, "annotations", commands.annotations, "annotations", to_boxes)
    to_objects = "files of single objects → objects to recognise (evaluation only)"
    _by_kind(stages, "object-set", commands.object_set, "object_set", to_objects)
    _add_imports(stages)

    sub = _command(stages, "check", commands.check, "what of a data set is there, and whether it makes sense")
    sub.add_argument("source", help="key of `sources` in the configuration")
    sub.add_argument("--configfile", type=Path, nargs="*", default=[], help="files laid over config.yaml")
    sub.add_argument("--dataroot", type=Path, help="data root, as `--config dataroot=…` gives it to snakemake")


def _add_imports(stages: Commands) -> None:
    summary = "recordings of another form → a folder of recordings (the source `folder`)"
    group = stages.add_parser("import", help=summary, description=f"{summary}; docs/imports.md says more")
    formats = group.add_subparsers(required=True, metavar="FORMAT", dest="format")
    for name, format in imported.FORMATS.items():
        sub = _command(formats, name, commands.import_recordings, format.summary, format.settings)
        sub.add_argument("--from", dest="source", type=Path, required=True, help=format.given)
        _path(sub, "--out", "data root of a source `folder`; each recording becomes a folder in it")
        sub.add_argument("--replace", action="store_true", help="write over recordings that are there")


def _add_mining(stages: Commands) -> None:
    sub = _command(stages, "detect", commands.detect, "frames → 2D boxes with names", DetectSettings)
    _path(sub, "--frames", "frames of one shard (.parquet)")
    _path(sub, "--data-root", "folder that the frames' paths are relative to")
    _path(sub, "--out", "detections (.parquet)")
    _device(sub)

    sub = _command(stages, "segment", commands.segment, "2D boxes → masks", SegmentSettings)
    _path(sub, "--frames", "frames of one shard (.parquet)")
    _path(sub, "--detections", "detections of the same shard (.parquet)")
    _path(sub, "--data-root", "folder that the frames' paths are relative to")
    _path(sub, "--out", "masks (.parquet)")
    _device(sub)

    sub = _command(stages, "lift", commands.lift, "2D boxes and points → triplets", LiftSettings)
    _path(sub, "--frames", "frames of one shard (.parquet)")
    _path(sub, "--detections", "detections of the same shard (.parquet)")
    _path(sub, "--masks", "masks of these detections (.parquet); none: whole boxes", required=False)
    _path(sub, "--data-root", "folder that the frames' paths are relative to")
    _path(sub, "--out", "triplets (.parquet; the points go to .h5 beside it)")

    sub = _command(stages, "embed", commands.embed, "triplets → the teacher's embeddings", TeachSettings)
    _path(sub, "--triplets", "triplets of one shard (.parquet)")
    _path(sub, "--out", "embeddings (.h5)")
    _device(sub)

    sub = _command(stages, "track", commands.track, "triplets of one thing → tracks", TrackSettings)
    _path(sub, "--frames", "frames of one shard (.parquet)")
    _path(sub, "--triplets", "triplets of the same shard (.parquet)")
    _path(sub, "--embeddings", "embeddings of the same shard (.h5)")
    _path(sub, "--out", "tracks (.parquet; members go to .members.parquet and points to .h5 beside it)")

    sub = _command(stages, "pretrain", commands.pretrain, "triplets and embeddings → a point encoder", PretrainSettings)
    _path(sub, "--triplets", "triplets (.parquet), all shards", "+")
    _path(sub, "--embeddings", "embeddings (.h5), in the same order", "+")
    _path(sub, "--tracks", "tracks (.parquet), in the same order; needed with --names-from tracks", "*", False)
    _path(sub, "--out", "model folder")
    _path(sub, "--checkpoints", "folder to resume from (default: beside the model)", required=False)
    _device(sub)


def _add_search(stages: Commands) -> None:
    sub = _command(stages, "search", commands.search, "words, or an example → mined things, best first")
    sub.add_argument("phrases", nargs="*", help="what to search for, best of several; 'a|b' is two")
    sub.add_argument("--not", dest="negatives", action="append", default=[], metavar="WORDS", help="what it is not")
    sub.add_argument("--like", action="append", default=[], metavar="EXAMPLE", help="a picture, or a track's id")
    sub.add_argument("--hits", type=int, default=50, help="how many things (default: 50)")
    sub.add_argument("--configfile", type=Path, nargs="*", default=[], help="files laid over config.yaml")
    _path(sub, "--embeddings", "files to search in (.h5; default: all of the configured experiment)", "*", False)
    _path(sub, "--labels", "named boxes (.parquet; default: results/labels/labels.parquet if there)", required=False)
    _path(sub, "--out", "result (.json; a picture beside it; default: results/search/WORDS.json)", required=False)
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

    sub = _command(stages, "label", commands.label, "tracks → named 3D boxes that no human drew", LabelSettings)
    _path(sub, "--frames", "frames (.parquet), all shards of a source", "+")
    _path(sub, "--triplets", "triplets (.parquet), in the same order", "+")
    _path(sub, "--tracks", "tracks (.parquet), in the same order; members and points lie beside them", "+")
    _path(sub, "--data-root", "folder that the frames' paths are relative to")
    _path(sub, "--model", "model folder, trained here or elsewhere")
    _path(sub, "--out", "labels (.parquet)")
    _device(sub)

    sub = _command(
        stages, "localization", commands.localization, "named 3D boxes from text → result JSON", LocalizeSettings
    )
    _path(sub, "--frames", "frames (.parquet), all shards", "+")
    _path(sub, "--annotations", "annotations (.parquet), in the same order", "+")
    _path(sub, "--triplets", "proposals: triplets (.parquet), in the same order", "+")
    _path(sub, "--labels", "named boxes of `label` for the same source (.parquet), to measure, too", required=False)
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


def _add_exports(stages: Commands) -> None:
    summary = "labels, triplets or a model in the form that a tool reads"
    group = stages.add_parser("export", help=summary, description=f"{summary}; docs/export.md says which")
    formats = group.add_subparsers(required=True, metavar="FORMAT", dest="format")
    for name, format in FORMATS.items():
        if format.takes == "model":
            sub = _command(formats, name, commands.export_model, format.summary)
            sub.add_argument("--model", required=True, help="model folder, or an id of the Hugging Face hub")
            _path(sub, "--out", "file to write (.onnx)")
            sub.add_argument("--names", nargs="*", default=[], help="names whose vectors go into a .npz beside it")
            sub.add_argument("--teacher", help="for names: the teacher's folder, if it is not where config.json says")
            continue
        out = default_folder(name)
        if format.takes == "triplets":
            sub = _command(formats, name, commands.export_triplets, format.summary)
            _path(sub, "--triplets", "triplets (default: what the configured model learns from)", "*", False)
            sub.add_argument("--configfile", type=Path, nargs="*", default=[], help="files laid over config.yaml")
            sub.add_argument("--out", type=Path, default=out, help=f"folder to write (default: {out})")
            continue
        sub = _command(formats, name, commands.export_labels, format.summary, ExportSettings)
        sub.add_argument("--labels", type=Path, default=LABELS, help=f"labels (default: {LABELS})")
        _path(sub, "--frames", "frames of the labels' source (default: those that they were made of)", "*", False)
        _path(sub, "--data-root", "folder that the frames' paths are relative to (default: the source's)", None, False)
        sub.add_argument("--configfile", type=Path, nargs="*", default=[], help="files laid over config.yaml")
        sub.add_argument("--out", type=Path, default=out, help=f"folder to write (default: {out})")

    summary = "boxes that people corrected → labels of a folder of recordings (evaluation and few-shot only)"
    sub = _command(stages, "import-labels", commands.import_labels, summary)
    sub.add_argument("format", choices=CORRECTED, help="the tool's format")
    sub.add_argument("--from", dest="source", type=Path, required=True, help="folder of the tool's labels")
    _path(sub, "--out", "folder of recordings, as docs/your_own_data.md lays it out")
    sub.add_argument("--replace", action="store_true", help="write over labels that are there")

    summary = "zero-shot results of models that differ in their seed → mean and spread"
    sub = _command(stages, "seeds", commands.seeds, summary)
    _path(sub, "--results", "zero-shot results (.json), one a seed", "+")
    sub.add_argument("--seeds", type=int, nargs="+", required=True, help="the seeds, in the same order")
    _path(sub, "--out", "mean and spread (.json)")

    summary = "tracks against human boxes → quality JSON"
    sub = _command(stages, "audit-tracks", commands.audit_tracks, summary, AuditSettings)
    _path(sub, "--annotations", "annotations (.parquet), all shards", "+")
    _path(sub, "--triplets", "triplets (.parquet), in the same order", "+")
    _path(sub, "--tracks", "tracks (.parquet), in the same order", "+")
    _path(sub, "--out", "quality figures (.json)")

    summary = "search by name among mined things, against human boxes → quality JSON"
    sub = _command(stages, "audit-search", commands.audit_search, summary, SearchAuditSettings)
    _path(sub, "--annotations", "annotations (.parquet), all shards", "+")
    _path(sub, "--embeddings", "embeddings (.h5), in the same order; frames, triplets and tracks as laid out", "+")
    _path(sub, "--data-root", "folder that the frames' paths are relative to")
    _path(sub, "--out", "quality figures (.json)")
    _device(sub)


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
    _path(sub, "--page", "the same as a page (.html)", required=False)

    sub = _command(stages, "publish", commands.publish, "a result or picture under its fixed name")
    _path(sub, "--made", "result (.json) or picture (.png)")
    _path(sub, "--out", "its fixed name")
    _path(sub, "--table", "page of what a result says, for people (.html)", required=False)

    summary = "labels and what they come from → a page to look at them"
    sub = _command(stages, "report-explorer", commands.report_explorer, summary, ExplorerSettings)
    _path(sub, "--labels", "labels (.parquet)")
    _path(sub, "--frames", "frames (.parquet), all shards", "+")
    _path(sub, "--triplets", "triplets (.parquet), in the same order; none: no crops", "*", required=False)
    _path(sub, "--tracks", "tracks (.parquet), in the same order; none: a thing's best views only", "*", required=False)
    _path(sub, "--embeddings", "embeddings (.h5), in the same order; none: no search by words", "*", required=False)
    _path(sub, "--detections", "detections (.parquet), to be counted", "*", required=False)
    _path(sub, "--results", "result files (.json) to show", "*", required=False)
    _path(sub, "--logs", "training logs (train_log.jsonl) to show", "*", required=False)
    _path(sub, "--data-root", "folder that the frames' paths are relative to")
    _path(sub, "--out", "page (index.html; its data goes to data/ beside it)")

    summary = "serve the explorer, with search by any words; or put corrections that were made in it into the labels"
    sub = _command(stages, "explore", commands.explore, summary)
    sub.add_argument("folder", type=Path, nargs="?", default=Path("results/explorer"), help="default: results/explorer")
    sub.add_argument("--port", type=int, default=8050, help="default: 8050; 0: any that is free")
    _device(sub)
    _path(sub, "--apply", "corrections (.json): write corrected labels and end", required=False)
    labels = Path("results/labels")
    sub.add_argument("--labels", type=Path, default=labels / "labels.parquet", help="labels that were reviewed")
    sub.add_argument("--out", type=Path, default=labels / "corrected.parquet", help="corrected labels")

    sub = _command(stages, "show", commands.show, "print a result, an audit or the benchmark as tables")
    sub.add_argument("result", type=Path, help="BENCHMARK_TASK.json, audit.json or benchmark.json")

    summary = "whether this machine can run the configured experiment: packages, GPU, disk, memory, models, data"
    sub = _command(stages, "doctor", commands.doctor, summary)
    sub.add_argument("--configfile", type=Path, nargs="*", default=[], help="files laid over config.yaml")
    sub.add_argument("--dataroot", type=Path, help="data root, as `--config dataroot=…` gives it to snakemake")

    summary = "compare results with all that they were made from, digest by digest; exit 1 where something differs"
    sub = _command(stages, "verify", commands.verify, summary)
    sub.add_argument("results", type=Path, nargs="*", help="results (.json, .png) or artefacts (default: all results)")
    sub.add_argument("--configfile", type=Path, nargs="*", default=[], help="files laid over config.yaml")
    sub.add_argument("--dataroot", type=Path, help="data root, as `--config dataroot=…` gives it to snakemake")

    summary = "print peak memory and time of every stage from Snakemake's benchmark files"
    sub = _command(stages, "usage", commands.usage, summary)
    sub.add_argument("benchmarks", type=Path, nargs="?", default=Path("results/benchmarks"))

    summary = "write schemas/*.json and docs/configuration.md from the settings models"
    sub = _command(stages, "schema", commands.schema, summary)
    sub.add_argument("--root", type=Path, default=Path(), help="checkout to write into (default: here)")


def _input_files(arguments: Arguments) -> Iterator[Path]:
    """What of the arguments may name files that a stage reads: paths, and texts of its settings."""
    given = [*vars(arguments).values(), *getattr(arguments, "settings", {}).values()]
    for value in given:
        for one in value if isinstance(value, list | tuple) else [value]:
            if isinstance(one, Path) or (isinstance(one, str) and "\0" not in one and len(one) < 4096):
                yield Path(one)


def main(argv: list[str] | None = None) -> None:
    """Entry point: 0 on success, 2 with one line on standard error for an :class:`InputError`."""
    # Of libraries, what is a warning: open_clip tells at length how it finds a model.
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s: %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("clip2").setLevel(logging.INFO)
    arguments = build_parser().parse_args(argv)
    # `snakemake --cores 8` on a machine with two: more threads than cores would only get in each other's way.
    arguments.threads = max(1, min(arguments.threads, len(os.sched_getaffinity(0))))
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)  # read by torch, which is imported after this
    begin_job(_input_files(arguments))
    try:
        arguments.run(arguments)
    except InputError as error:
        _end(str(error), isinstance(error, NoRoom))
    except PermissionError as error:
        _end(f"{error.filename or error}: no permission; give it to the user who runs this", False)
    except Exception as error:
        if not (reason := no_room(error)):
            raise
        _end(f"{reason}: {error}; make room, and run the same line again", True)


def _end(message: str, at_once: bool) -> NoReturn:
    print(f"clip2: error: {message}", file=sys.stderr, flush=True)
    if at_once:
        os._exit(2)
    sys.exit(2)
