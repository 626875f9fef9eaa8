"""What each command of ``clip2`` runs. Stages are imported only when they run, so that ``clip2 --help`` is quick."""

import argparse
import contextlib
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from clip2.export.formats import LABELS
from clip2.runtime.command_flags import parse_settings
from clip2.runtime.errors import InputError
from clip2.store.tables import read_header
from clip2.workflow.sources import MODULES

Arguments = argparse.Namespace


def _stage(kind: str, stage: str) -> Callable[..., None]:
    """The ``run`` of a stage of a kind of source."""
    run: Callable[..., None] = import_module(getattr(MODULES[kind], stage)).run
    return run


def _with_points(paths: Sequence[Path]) -> list[tuple[Path, Path]]:
    """Parquet files, each with the HDF5 file of points beside it."""
    return [(path, path.with_suffix(".h5")) for path in paths]


def ingest(a: Arguments) -> None:
    _stage(a.kind, "frames")(a.root, a.out, a.source, parse_settings(a))


def annotations(a: Arguments) -> None:
    _stage(a.kind, "annotations")(a.root, a.out, a.source, parse_settings(a))


def object_set(a: Arguments) -> None:
    _stage(a.kind, "object_set")(a.root, a.out, a.source, parse_settings(a))


def check(a: Arguments) -> None:
    from clip2.workflow.check import check

    check(a.source, a.configfile, a.dataroot)


def import_recordings(a: Arguments) -> None:
    from clip2.imports.stage import import_recordings

    for line in import_recordings(a.format, a.source, a.out, parse_settings(a), a.replace):
        print(line, flush=True)


def detect(a: Arguments) -> None:
    from clip2.detect.stage import run

    run(a.frames, a.data_root, a.out, parse_settings(a), a.device, a.threads)


def segment(a: Arguments) -> None:
    from clip2.segment.stage import run

    run(a.frames, a.detections, a.data_root, a.out, parse_settings(a), a.device, a.threads)


def lift(a: Arguments) -> None:
    from clip2.lift.stage import run

    run(a.frames, a.detections, a.data_root, a.out, a.out.with_suffix(".h5"), parse_settings(a), a.masks)


def embed(a: Arguments) -> None:
    from clip2.teach.stage import run

    run(a.triplets, a.out, parse_settings(a), a.device, a.threads)


def track(a: Arguments) -> None:
    from clip2.track.stage import run

    run(a.frames, a.triplets, a.embeddings, a.out, parse_settings(a))


def pretrain(a: Arguments) -> None:
    from clip2.pretrain.stage import Shard, run

    if len(a.triplets) != len(a.embeddings):
        raise InputError(
            f"{len(a.triplets)} triplet shards but {len(a.embeddings)} embedding shards; give them in pairs"
        )
    if a.tracks and len(a.tracks) != len(a.triplets):
        raise InputError(f"{len(a.triplets)} triplet shards but {len(a.tracks)} tracks; give them in pairs, or none")
    shards = [
        Shard(t, t.with_suffix(".h5"), e, k)
        for t, e, k in zip(a.triplets, a.embeddings, a.tracks or [None] * len(a.triplets), strict=True)
    ]
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


def label(a: Arguments) -> None:
    from clip2.label.stage import Shard, run

    if not len(a.frames) == len(a.triplets) == len(a.tracks):
        raise InputError(
            f"{len(a.frames)} frame, {len(a.triplets)} triplet and {len(a.tracks)} track shards; give the same of each"
        )
    shards = [Shard(*paths) for paths in zip(a.frames, a.triplets, a.tracks, strict=True)]
    run(shards, a.data_root, a.model, a.out, parse_settings(a), a.device, a.threads)


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
        a.labels,
    )


def retrieval(a: Arguments) -> None:
    from clip2.evaluate.retrieval.stage import run

    run(_with_points(a.objects), a.model, a.out, parse_settings(a), a.device, a.threads)


def audit_tracks(a: Arguments) -> None:
    from clip2.evaluate.track_audit import run

    run(a.annotations, _with_points(a.triplets), a.tracks, a.out, parse_settings(a))


def seeds(a: Arguments) -> None:
    from clip2.evaluate.seeds import run

    run(a.results, a.seeds, a.out)


def audit_search(a: Arguments) -> None:
    from clip2.evaluate.search_audit import run

    run(a.annotations, a.embeddings, a.data_root, a.out, parse_settings(a), a.device, a.threads)


def search(a: Arguments) -> None:
    from clip2.report.search import print_search, search_figure
    from clip2.search.query import make_query
    from clip2.search.stage import run
    from clip2.workflow.mined import embeddings_of

    query = make_query(a.phrases, a.negatives, a.like)
    out = a.out or Path("results/search") / f"{query.file_name}.json"
    labels = a.labels or LABELS
    if not a.labels and not labels.exists():
        labels = None
    embeddings = a.embeddings or embeddings_of(a.configfile, out)
    result, found = run(embeddings, query, out, a.hits, labels, a.device, a.threads)
    search_figure(result, found, out.with_suffix(".png"))
    print_search(result)


def audit(a: Arguments) -> None:
    from clip2.evaluate.audit import run

    run(a.frames, a.annotations, _with_points(a.triplets), a.data_root, a.out, parse_settings(a))


def export_triplets(a: Arguments) -> None:
    from clip2.export.stage import export_triplets, said
    from clip2.workflow.defaults import mined_triplets

    print(said(export_triplets(a.format, a.triplets or mined_triplets(a.configfile), a.out), a.out))


def export_labels(a: Arguments) -> None:
    from clip2.export.stage import export_labels, said
    from clip2.workflow.defaults import data_root, labelled_frames

    frames = a.frames or labelled_frames(a.labels)
    root = a.data_root or data_root(read_header(frames[0])["source"], a.configfile)
    print(said(export_labels(a.format, a.labels, frames, root, a.out, parse_settings(a)), a.out))


def export_model(a: Arguments) -> None:
    from clip2.export.formats import FORMATS
    from clip2.pretrain.model import load

    model = load(a.model, "cpu", teacher=a.teacher)
    print(import_module(FORMATS[a.format].module).write(model, a.out, a.names))


def import_labels(a: Arguments) -> None:
    from clip2.export.corrected import import_labels

    boxes, samples = import_labels(a.format, a.source, a.out, a.replace)
    print(f"{a.out}: labels of {samples:,} samples, {boxes:,} boxes")


def report_result(a: Arguments) -> None:
    from clip2.report.stage import run_zeroshot

    run_zeroshot(a.result, a.out)


def report_benchmark(a: Arguments) -> None:
    from clip2.report.benchmark import run
    from clip2.report.named import write_page

    run(a.results, a.out)
    if a.page is not None:
        write_page(a.out, a.page)


def report_triplets(a: Arguments) -> None:
    from clip2.report.stage import run_triplets

    run_triplets(a.triplets, a.out)


def report_fewshot(a: Arguments) -> None:
    from clip2.evaluate.fewshot.result import read_fewshot
    from clip2.report.fewshot_figure import fewshot_figure

    fewshot_figure(read_fewshot(a.result), a.out)


def publish(a: Arguments) -> None:
    from clip2.report.publish import run

    run(a.made, a.out, a.table)


def report_explorer(a: Arguments) -> None:
    from clip2.explore.stage import Inputs, run

    shards = {key: getattr(a, key) for key in ("frames", "triplets", "tracks", "embeddings", "detections")}
    run(Inputs(a.labels, **shards, results=a.results, logs=a.logs), a.data_root, a.out, parse_settings(a), a.threads)


def explore(a: Arguments) -> None:
    if a.apply is not None:
        from clip2.explore.corrections import apply

        counts = apply(a.labels, a.apply, a.out)
        done = ", ".join(f"{counts[key]} {key}" for key in ("accepted", "renamed", "rejected", "merged", "split"))
        print(f"{a.out}: {counts['labels']} of {counts['boxes']} boxes, of {counts['tracks']} tracks {done}")
        return
    from clip2.explore.serve import HOST, make_server

    with make_server(a.folder, a.port, a.device) as server:
        print(f"http://{HOST}:{server.server_port}/   (ctrl c ends it)", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


def show(a: Arguments) -> None:
    from clip2.report.show import show_result

    show_result(a.result)


def doctor(a: Arguments) -> None:
    from clip2.workflow.doctor import doctor

    if not doctor(a.configfile, a.dataroot):
        raise SystemExit(1)


def verify(a: Arguments) -> None:
    from clip2.workflow.verify import PUBLISHED, verify

    there = [*(path for ending in PUBLISHED for path in sorted(Path("results").glob(f"*{ending}"))), LABELS]
    paths = a.results or [path for path in there if path.is_file() and path.stem != "benchmark"]
    if not paths:
        raise InputError("results/: holds no results yet; make them with `snakemake --cores all`")
    found = verify(paths, a.configfile, a.dataroot)
    for line in found.wrong:
        print(line)
    for line in found.notes:
        print(f"note: {line}")
    files = f"{found.n_files} files compared"
    if found.wrong:
        print(f"{files}: {len(found.wrong)} {'does not match' if len(found.wrong) == 1 else 'do not match'}")
        raise SystemExit(1)
    print(f"{files}: all match")


def usage(a: Arguments) -> None:
    from clip2.report.memory import print_usage

    print_usage(a.benchmarks)


def schema(a: Arguments) -> None:
    from clip2.report.named import RESULTS
    from clip2.store.atomic import SEAL, write_json, write_text
    from clip2.workflow.config import Config
    from clip2.workflow.configuration_page import configuration_page

    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    models = {"config": Config} | {task: result.model for task, result in RESULTS.items()}
    for name, model in models.items():
        form = dialect | model.model_json_schema()
        if name != "config":
            form["properties"][SEAL] = {"type": "string", "description": "digest of all the other keys"}
        write_json(a.root / "schemas" / f"{name}.schema.json", form)
    write_text(a.root / "docs" / "configuration.md", configuration_page())
