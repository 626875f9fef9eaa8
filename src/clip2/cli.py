"""Command line: ``clip2 STAGE``, one command a stage. Snakemake's rules call these and so can a person.

Every setting of a stage is a flag; ``--settings`` takes many at once as JSON, which is how the rules pass them. Stages
are imported only when they run, so that ``clip2 --help`` is quick.
"""

import argparse
import json
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from clip2.errors import InputError
from clip2.store.settings import Settings

Arguments = argparse.Namespace


def add_settings(parser: argparse.ArgumentParser, model: type[Settings]) -> None:
    """One flag for each field of a settings model, and ``--settings`` for all."""
    group = parser.add_argument_group("settings", description="values that are not plain words are read as JSON")
    group.add_argument(
        "--settings", type=_json_object, default={}, metavar="JSON", help="several settings as one object"
    )
    for name, field in model.model_fields.items():
        help_text = f"{field.description or ''} (default: {_default(field)})".replace("%", "%%")
        group.add_argument(f"--{name.replace('_', '-')}", dest=f"setting.{name}", metavar="V", help=help_text)
    parser.set_defaults(settings_model=model)


def _default(field: FieldInfo) -> Any:
    return "required" if field.is_required() else field.get_default(call_default_factory=True)


def _json_object(text: str) -> dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError("must be a JSON object")
    return value


def _read_value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def parse_settings(arguments: Arguments) -> Any:
    """The settings of a parsed command line; flags win over ``--settings``."""
    given = dict(arguments.settings)
    for key, value in vars(arguments).items():
        if key.startswith("setting.") and value is not None:
            given[key.removeprefix("setting.")] = _read_value(value)
    try:
        return arguments.settings_model.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise InputError(f"setting {key!r}: {first['msg']} (got {first['input']!r})") from None


def _world(a: Arguments) -> None:
    from clip2.scans.world.stage import run

    run(a.root, parse_settings(a), a.threads)


def _ingest(a: Arguments) -> None:
    from clip2.scans.nuscenes.frames import run

    run(a.root, a.out, a.source, parse_settings(a))


def _annotations(a: Arguments) -> None:
    from clip2.scans.nuscenes.annotations import run

    run(a.root, a.out, a.source, parse_settings(a))


def _detect(a: Arguments) -> None:
    from clip2.detect.stage import run

    run(a.frames, a.data_root, a.out, parse_settings(a), a.device, a.threads)


def _lift(a: Arguments) -> None:
    from clip2.lift.stage import run

    run(a.frames, a.detections, a.data_root, a.out, a.out.with_suffix(".h5"), parse_settings(a))


def _embed(a: Arguments) -> None:
    from clip2.teach.stage import run

    run(a.triplets, a.out, parse_settings(a), a.device, a.threads)


def _pretrain(a: Arguments) -> None:
    from clip2.pretrain.stage import Shard, run

    if len(a.triplets) != len(a.embeddings):
        raise InputError(
            f"{len(a.triplets)} triplet shards but {len(a.embeddings)} embedding shards; give them in pairs"
        )
    shards = [Shard(t, t.with_suffix(".h5"), e) for t, e in zip(a.triplets, a.embeddings, strict=True)]
    run(shards, a.out, parse_settings(a), a.device, a.threads, a.checkpoints)


def _objects(a: Arguments) -> None:
    from clip2.evaluate.objects import run

    run(a.frames, a.annotations, a.data_root, a.out, a.out.with_suffix(".h5"), parse_settings(a))


def _zeroshot(a: Arguments) -> None:
    from clip2.evaluate.zeroshot import run
    from clip2.report.table import print_result

    objects = [(path, path.with_suffix(".h5")) for path in a.objects]
    run(objects, a.model, a.out, parse_settings(a), a.device, a.threads)
    print_result(a.out)


def _audit(a: Arguments) -> None:
    from clip2.evaluate.audit import run

    triplets = [(path, path.with_suffix(".h5")) for path in a.triplets]
    run(a.frames, a.annotations, triplets, a.data_root, a.out, parse_settings(a))


def _report_result(a: Arguments) -> None:
    from clip2.report.stage import run_zeroshot

    run_zeroshot(a.result, a.out)


def _report_triplets(a: Arguments) -> None:
    from clip2.report.stage import run_triplets

    run_triplets(a.triplets, a.out)


def _show(a: Arguments) -> None:
    from clip2.report.table import print_result

    print_result(a.result)


def _usage(a: Arguments) -> None:
    from clip2.report.memory import print_usage

    print_usage(a.benchmarks)


def _schema(a: Arguments) -> None:
    from clip2.config import Config
    from clip2.config_page import configuration_page
    from clip2.evaluate.result import Result
    from clip2.store.atomic import write_json, write_text

    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    write_json(a.root / "schemas" / "config.schema.json", dialect | Config.model_json_schema())
    write_json(a.root / "schemas" / "result.schema.json", dialect | Result.model_json_schema())
    write_text(a.root / "docs" / "configuration.md", configuration_page())


def build_parser() -> argparse.ArgumentParser:
    """The whole command line. Settings models are light to import; stages are not and come later."""
    from clip2.detect.settings import DetectSettings
    from clip2.evaluate.settings import AuditSettings, ObjectsSettings, ZeroshotSettings
    from clip2.lift.settings import LiftSettings
    from clip2.pretrain.settings import PretrainSettings
    from clip2.scans.nuscenes.settings import NuscenesSettings
    from clip2.scans.world.settings import WorldSettings
    from clip2.teach.settings import TeachSettings

    parser = argparse.ArgumentParser(prog="clip2", description="Open-world 3D recognition from unlabelled scans.")
    commands = parser.add_subparsers(required=True, metavar="STAGE")

    def command(
        name: str, run: Callable[[Arguments], None], summary: str, settings: type[Settings] | None = None
    ) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=summary, description=summary)
        sub.set_defaults(run=run)
        sub.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="CPU threads (default: all)")
        if settings:
            add_settings(sub, settings)
        return sub

    def path(sub: argparse.ArgumentParser, flag: str, help: str, nargs: str | None = None) -> None:
        sub.add_argument(flag, type=Path, required=True, help=help, nargs=nargs)

    def device(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: auto)")

    sub = command("world", _world, "generate the built-in world in nuScenes' format", WorldSettings)
    path(sub, "--root", "data root to write")

    for name, run, summary in (
        ("ingest", _ingest, "nuScenes tables → frames"),
        ("annotations", _annotations, "nuScenes human boxes → annotations (evaluation only)"),
    ):
        sub = command(name, run, summary, NuscenesSettings)
        path(sub, "--root", "nuScenes data root")
        path(sub, "--out", "folder for the shards")
        sub.add_argument("--source", required=True, help="name of the source, for the headers")

    sub = command("detect", _detect, "frames → 2D boxes with names", DetectSettings)
    path(sub, "--frames", "frames of one shard (.parquet)")
    path(sub, "--data-root", "folder that the frames' paths are relative to")
    path(sub, "--out", "detections (.parquet)")
    device(sub)

    sub = command("lift", _lift, "2D boxes and points → triplets", LiftSettings)
    path(sub, "--frames", "frames of one shard (.parquet)")
    path(sub, "--detections", "detections of the same shard (.parquet)")
    path(sub, "--data-root", "folder that the frames' paths are relative to")
    path(sub, "--out", "triplets (.parquet; the points go to .h5 beside it)")

    sub = command("embed", _embed, "triplets → the teacher's embeddings", TeachSettings)
    path(sub, "--triplets", "triplets of one shard (.parquet)")
    path(sub, "--out", "embeddings (.h5)")
    device(sub)

    sub = command("pretrain", _pretrain, "triplets and embeddings → a point encoder", PretrainSettings)
    path(sub, "--triplets", "triplets (.parquet), all shards", nargs="+")
    path(sub, "--embeddings", "embeddings (.h5), in the same order", nargs="+")
    path(sub, "--out", "model folder")
    sub.add_argument("--checkpoints", type=Path, help="folder to resume from (default: beside the model)")
    device(sub)

    sub = command("objects", _objects, "annotated objects to recognise (evaluation only)", ObjectsSettings)
    path(sub, "--frames", "frames of one shard (.parquet)")
    path(sub, "--annotations", "annotations of the same shard (.parquet)")
    path(sub, "--data-root", "folder that the frames' paths are relative to")
    path(sub, "--out", "objects (.parquet; the points go to .h5 beside it)")

    sub = command("zeroshot", _zeroshot, "zero-shot recognition, methods side by side → result JSON", ZeroshotSettings)
    path(sub, "--objects", "objects (.parquet), all shards", nargs="+")
    path(sub, "--model", "model folder")
    path(sub, "--out", "result (.json)")
    device(sub)

    sub = command("audit", _audit, "mined triplets against human boxes → quality JSON", AuditSettings)
    path(sub, "--frames", "frames (.parquet), all shards", nargs="+")
    path(sub, "--annotations", "annotations (.parquet), in the same order", nargs="+")
    path(sub, "--triplets", "triplets (.parquet), in the same order", nargs="+")
    path(sub, "--data-root", "folder that the frames' paths are relative to")
    path(sub, "--out", "quality figures (.json)")

    sub = command("report-result", _report_result, "result JSON → picture")
    path(sub, "--result", "result (.json)")
    path(sub, "--out", "picture (.png)")

    sub = command("report-triplets", _report_triplets, "triplets → a sheet of pictures")
    path(sub, "--triplets", "triplets (.parquet), all shards; the fullest is drawn", nargs="+")
    path(sub, "--out", "picture (.png)")

    sub = command("show", _show, "print a result JSON as a table")
    sub.add_argument("result", type=Path)

    sub = command("usage", _usage, "print peak memory and time of every stage from Snakemake's benchmark files")
    sub.add_argument("benchmarks", type=Path, nargs="?", default=Path("results/benchmarks"))

    sub = command("schema", _schema, "write schemas/*.json and docs/configuration.md from the settings models")
    sub.add_argument("--root", type=Path, default=Path(), help="checkout to write into (default: here)")
    return parser


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
