"""What each command of ``clip2`` runs. Stages are imported only when they run, so that ``clip2 --help`` is quick."""

import argparse
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from clip2.errors import InputError
from clip2.settings_flags import parse_settings
from clip2.sources import MODULES

Arguments = argparse.Namespace
WORLDS_OF_SEVERAL_KINDS = {"sunrgbd", "scannet", "scanobjectnn", "modelnet40", "pairs"}
"""Their built-in worlds are told which of them to write."""


def _stage(kind: str, stage: str) -> Callable[..., None]:
    """The ``run`` of a stage of a kind of source."""
    run: Callable[..., None] = import_module(getattr(MODULES[kind], stage)).run
    return run


def _with_points(paths: Sequence[Path]) -> list[tuple[Path, Path]]:
    """Parquet files, each with the HDF5 file of points beside it."""
    return [(path, path.with_suffix(".h5")) for path in paths]


def world(a: Arguments) -> None:
    run = _stage(a.kind, "world")
    if a.kind in WORLDS_OF_SEVERAL_KINDS:
        run(a.root, a.kind, parse_settings(a), a.threads)
    else:
        run(a.root, parse_settings(a), a.threads)


def ingest(a: Arguments) -> None:
    _stage(a.kind, "frames")(a.root, a.out, a.source, parse_settings(a))


def annotations(a: Arguments) -> None:
    _stage(a.kind, "annotations")(a.root, a.out, a.source, parse_settings(a))


def object_set(a: Arguments) -> None:
    _stage(a.kind, "object_set")(a.root, a.out, a.source, parse_settings(a))


def check(a: Arguments) -> None:
    from clip2.check import check

    check(a.source, a.configfile, a.dataroot)


def detect(a: Arguments) -> None:
    from clip2.detect.stage import run

    run(a.frames, a.data_root, a.out, parse_settings(a), a.device, a.threads)


def lift(a: Arguments) -> None:
    from clip2.lift.stage import run

    run(a.frames, a.detections, a.data_root, a.out, a.out.with_suffix(".h5"), parse_settings(a))


def embed(a: Arguments) -> None:
    from clip2.teach.stage import run

    run(a.triplets, a.out, parse_settings(a), a.device, a.threads)


def pretrain(a: Arguments) -> None:
    from clip2.pretrain.stage import Shard, run

    if len(a.triplets) != len(a.embeddings):
        raise InputError(
            f"{len(a.triplets)} triplet shards but {len(a.embeddings)} embedding shards; give them in pairs"
        )
    shards = [Shard(t, t.with_suffix(".h5"), e) for t, e in zip(a.triplets, a.embeddings, strict=True)]
    run(shards, a.out, parse_settings(a), a.device, a.threads, a.checkpoints)


def objects(a: Arguments) -> None:
    from clip2.evaluate.objects import run

    run(a.frames, a.annotations, a.data_root, a.out, a.out.with_suffix(".h5"), parse_settings(a))


def scannet_objects(a: Arguments) -> None:
    from clip2.evaluate.scannet.objects import run

    run(a.frames, a.data_root, a.out, a.out.with_suffix(".h5"), parse_settings(a))


def encode_objects(a: Arguments) -> None:
    from clip2.evaluate.encode_objects import run

    run(a.objects, a.out, parse_settings(a), a.towers, a.device, a.threads)


def tune(a: Arguments) -> None:
    from clip2.evaluate.rivals.tune import run

    run(_with_points(a.triplets), a.embeddings, a.out, parse_settings(a), a.device, a.threads, a.checkpoint)


def ensemble(a: Arguments) -> None:
    from clip2.evaluate.ensemble.stage import run

    run(_with_points(a.triplets), a.embeddings, a.model, a.towers, a.out, parse_settings(a), a.device, a.threads)


def zeroshot(a: Arguments) -> None:
    from clip2.evaluate.zeroshot import run
    from clip2.report.table import print_result

    settings = parse_settings(a)
    given = {"encoded": a.encoded, "towers": a.towers, "ensemble": a.ensemble}
    run(_with_points(a.objects), a.model, a.out, settings, a.device, a.threads, **given)
    print_result(a.out)


def fewshot(a: Arguments) -> None:
    from clip2.evaluate.fewshot.stage import run

    run(_with_points(a.train), _with_points(a.val), a.model, a.out, parse_settings(a), a.device, a.threads)


def localization(a: Arguments) -> None:
    from clip2.evaluate.localization.stage import run

    run(
        a.frames,
        a.annotations,
        _with_points(a.triplets),
        a.data_root,
        a.model,
        a.out,
        parse_settings(a),
        a.device,
        a.threads,
    )


def retrieval(a: Arguments) -> None:
    from clip2.evaluate.retrieval.stage import run

    run(_with_points(a.objects), a.model, a.out, parse_settings(a), a.device, a.threads)


def audit(a: Arguments) -> None:
    from clip2.evaluate.audit import run

    run(a.frames, a.annotations, _with_points(a.triplets), a.data_root, a.out, parse_settings(a))


def report_result(a: Arguments) -> None:
    from clip2.report.stage import run_zeroshot

    run_zeroshot(a.result, a.out)


def report_benchmark(a: Arguments) -> None:
    from clip2.report.benchmark import run

    run(a.results, a.out)


def report_triplets(a: Arguments) -> None:
    from clip2.report.stage import run_triplets

    run_triplets(a.triplets, a.out)


def report_fewshot(a: Arguments) -> None:
    from clip2.evaluate.fewshot.result import read_fewshot
    from clip2.report.fewshot_figure import fewshot_figure

    fewshot_figure(read_fewshot(a.result), a.out)


def show(a: Arguments) -> None:
    from clip2.report.show import show_result

    show_result(a.result)


def usage(a: Arguments) -> None:
    from clip2.report.memory import print_usage

    print_usage(a.benchmarks)


def schema(a: Arguments) -> None:
    from clip2.config import Config
    from clip2.config_page import configuration_page
    from clip2.report.show import RESULTS
    from clip2.store.atomic import write_json, write_text

    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    models = {"config": Config} | {task: result.model for task, result in RESULTS.items()}
    for name, model in models.items():
        write_json(a.root / "schemas" / f"{name}.schema.json", dialect | model.model_json_schema())
    write_text(a.root / "docs" / "configuration.md", configuration_page())
