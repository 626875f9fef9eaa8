"""From annotations to results: the evaluation's stages at full size, each as the workflow runs it.

Networks on one CPU core are slow, and memory is the matter here: where all objects would take hours, a stage is stopped
when it has reported its progress twice (clip2.runtime.console), or run with only the methods that hold most.
"""

from pathlib import Path

from benchmarks.scale.mining import find_boxes, give_boxes, lift_shard
from benchmarks.scale.run import Run, largest, link, rows_of, told_twice
from clip2.scans.shards import shard_names

TUNED_ON = 1_200_000
"""Triplets that the rivals' sample is drawn from."""
PICTURES = 24
"""Images of the evaluation's scenes that the detector is run on: they show fewer pictures than that."""


def objects(run: Run) -> None:
    """A shard of either role; then the same under the names of all."""
    for role in ("train", "val"):
        shard = largest(run.path("frames"), role)
        boxes, out = run.path("annotations", shard.name), run.path("objects", shard.name)
        used = run.clip2("objects", "--frames", shard, "--annotations", boxes, "--data-root", run.root, "--out", out,
                         settings=run.config["evaluation"]["objects"])  # fmt: skip
        run.add("objects", rows_of(boxes), "boxes", used, f"a shard of {rows_of(shard):,} images")


def all_shards(run: Run, kind: str, role: str, n: int, suffixes: tuple[str, ...] = ("parquet", "h5")) -> list[Path]:
    """The largest shard of a kind under the names of ``n``; paths of the first suffix."""
    shard = largest(run.path("triplets" if kind == "embeddings" else kind), role).stem
    names = shard_names(role, n)
    for name in names:
        for suffix in suffixes:
            link(run.path("all", kind, f"{name}.{suffix}"), run.path(kind, f"{shard}.{suffix}"))
    return [run.path("all", kind, f"{name}.{suffixes[0]}") for name in names]


def model_of(run: Run) -> Path:
    """A small model, trained on the lifted shard."""
    folder, shard = run.path("model"), largest(run.path("triplets"), "train")
    if not (folder / "model.safetensors").is_file():
        run.clip2(
            "pretrain", "--triplets", shard, "--embeddings", run.path("embeddings", f"{shard.stem}.h5"),
            "--out", folder, "--device", "cpu",
            settings={"encoder": "pointnet2-tiny", "batch_size": 64, "n_points": 64, "epochs": 1},
        )  # fmt: skip
    return folder


def encode_objects(run: Run) -> None:
    shard = largest(run.path("objects"), "val")
    used = run.clip2("encode-objects", "--objects", shard, "--out", run.path("encoded.h5"), "--device", "cpu",
                     settings=run.teacher, enough=told_twice("batches of objects"))  # fmt: skip
    note = f"a shard; the teacher's; stopped after {used.seconds:.0f} s: it writes batch by batch"
    run.add("encode-objects", rows_of(shard), "objects", used, note)


def zeroshot(run: Run) -> None:
    """All objects; the rivals' vectors would be read from files, a batch at a time."""
    shards = all_shards(run, "objects", "val", run.source["val_shards"])
    for methods in (["chance"], ["chance", "clip2"]):
        used = run.clip2("zeroshot", "--objects", *shards, "--model", model_of(run), "--out", run.path("zeroshot.json"),
                         "--device", "cpu", settings={"methods": methods})  # fmt: skip
        run.add("zeroshot", rows_of(*shards), "objects", used, ", ".join(methods))


def tune(run: Run) -> None:
    """The rivals' training, at the size of config/nuscenes.yaml: until some steps are done, or views encoded."""
    n_shards = -(-TUNED_ON // rows_of(largest(run.path("triplets"), "train")))
    triplets = all_shards(run, "triplets", "train", n_shards)
    embeddings = all_shards(run, "embeddings", "train", n_shards, ("h5",))
    teacher = {"model": run.teacher["model"]}
    for name, what in (("clip2point_tp", "steps"), ("pointclip_tp", "batches of views")):
        settings = teacher | run.config["baselines"][name]["tune"]
        used = run.clip2("tune", "--triplets", *triplets, "--embeddings", *embeddings,
                         "--out", run.path("tower.safetensors"), "--device", "cpu", settings=settings,
                         enough=told_twice(what))  # fmt: skip
        note = f"{name}, {settings['max_triplets']:,} of them; stopped after {used.seconds:.0f} s"
        run.add("tune", rows_of(*triplets), "triplets", used, note)


def ensemble(run: Run) -> None:
    n_shards = -(-TUNED_ON // rows_of(largest(run.path("triplets"), "train")))
    triplets = all_shards(run, "triplets", "train", n_shards)
    embeddings = all_shards(run, "embeddings", "train", n_shards, ("h5",))
    settings = run.config["evaluation"]["ensemble"]
    used = run.clip2("ensemble", "--triplets", *triplets, "--embeddings", *embeddings, "--model", model_of(run),
                     "--out", run.path("ensemble.json"), "--device", "cpu", settings=settings)  # fmt: skip
    run.add("ensemble", rows_of(*triplets), "triplets", used, f"{settings['max_triplets']:,} of them, no tuned rival")


def fewshot(run: Run) -> None:
    """All objects. (The pictures' linear probe would hold as much as the points' one; its network takes hours here.)"""
    train = all_shards(run, "objects", "train", run.source["train_shards"])
    val = all_shards(run, "objects", "val", run.source["val_shards"])
    settings = {"methods": ["zeroshot", "clip2_linear", "clip2_finetune"], "shots": [16], "n_seeds": 1}
    used = run.clip2("fewshot", "--train", *train, "--val", *val, "--model", model_of(run),
                     "--out", run.path("fewshot.json"), "--device", "cpu", settings=settings)  # fmt: skip
    note = f"and {rows_of(*train):,} to draw from; no teacher_2d_linear: time"
    run.add("fewshot", rows_of(*val), "objects", used, note)


def retrieval(run: Run) -> None:
    """All objects, searched by the names of classes: the world's data has no others here."""
    shards = all_shards(run, "objects", "val", run.source["val_shards"])
    settings = {"methods": ["clip2", "chance"], "queries": ["car", "pedestrian", "barrier"]}
    used = run.clip2("retrieval", "--objects", *shards, "--model", model_of(run), "--out", run.path("retrieval.json"),
                     "--device", "cpu", settings=settings)  # fmt: skip
    run.add("retrieval", rows_of(*shards), "objects", used, "clip2, chance")


def localization(run: Run) -> None:
    """All evaluation scenes, lifted, with nuScenes' own evaluation."""
    shards = sorted(run.path("frames").glob("val-*.parquet"))
    _, boxes = find_boxes(run, shards[0], PICTURES)
    for shard in shards:
        give_boxes(run, shard, boxes)
        lift_shard(run, shard)
    triplets = [run.path("triplets", shard.name) for shard in shards]
    settings = {"methods": ["clip2", "detector", "chance"]}
    used = run.clip2(
        "localization", "--frames", *shards, "--annotations", *(run.path("annotations", s.name) for s in shards),
        "--triplets", *triplets, "--data-root", run.root, "--model", model_of(run),
        "--out", run.path("localization.json"), "--device", "cpu", settings=settings,
    )  # fmt: skip
    run.add("localization", rows_of(*triplets), "proposals", used, "clip2, detector, chance; no teacher_2d: time")


EVALUATION = (objects, encode_objects, zeroshot, tune, ensemble, fewshot, retrieval, localization)
