"""What the fast encoder costs in accuracy: plain and fast, three seeds each, on the same mined triplets."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from benchmarks.configured import configuration
from benchmarks.options import Options
from clip2.evaluate.settings import ZeroshotSettings
from clip2.evaluate.zeroshot import run as evaluate
from clip2.pretrain import neighbours
from clip2.pretrain.pack import Shard
from clip2.pretrain.settings import PretrainSettings
from clip2.pretrain.stage import run as pretrain
from clip2.runtime.errors import InputError
from clip2.store.atomic import read_json

PLAIN = "farthest, plain"
VARIANTS = {PLAIN: "farthest", "farthest": "farthest", "strided": "strided"}
"""Name → setting `centroids`: what changes speed and should not change accuracy. On a CPU the first two are one."""
SEEDS = (0, 1, 2)
EPOCHS = 8
"""A quarter of the demo's: enough to tell variants apart, not to compare with the demo's result."""


@dataclass(frozen=True)
class Accuracy:
    """Class-mean top-1 of one variant's models, one a seed."""

    variant: str
    top1: list[float]

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "epochs": EPOCHS, "mean": mean(self.top1), "std": stdev(self.top1)}


def run(options: Options) -> list[Accuracy]:
    """Train every variant on the world's triplets of ``options.results``, evaluate each on its objects.

    Raises:
        InputError: the results folder lacks triplets, embeddings or objects.
    """
    assert options.results is not None
    shards, objects = _inputs(options.results / "world")
    demo = configuration()["models"]["small"]
    found: dict[str, list[float]] = {name: [] for name in VARIANTS if name != PLAIN or options.gpu}
    for seed in SEEDS:
        for name in found:
            settings = PretrainSettings(**demo | {"epochs": EPOCHS, "centroids": VARIANTS[name], "seed": seed})
            folder = options.scratch / f"{name}-{seed}"
            with _plain_twins() if name == PLAIN else nullcontext():
                pretrain(shards, folder, settings, str(options.device), options.threads)
            result = folder / "zeroshot.json"
            asked = ZeroshotSettings(methods=("clip2", "chance"), bootstrap=1)
            evaluate(objects, folder, result, asked, str(options.device), options.threads)
            found[name].append(read_json(result)["methods"]["clip2"]["class_mean_top1"])
            shutil.rmtree(folder)
    return [Accuracy(name, top1) for name, top1 in found.items()]


@contextmanager
def _plain_twins() -> Iterator[None]:
    """On a GPU, too, the plain twins of the kernels run."""
    before = neighbours._has_kernels
    neighbours._has_kernels = lambda tensor: False
    try:
        yield
    finally:
        neighbours._has_kernels = before


def _inputs(world: Path) -> tuple[list[Shard], list[tuple[Path, Path]]]:
    """Training shards of the one detector, lifter and teacher that have been run, and shards of objects."""
    shards = []
    for embeddings in sorted(world.glob("embeddings/*/train-*.h5")):
        mined, _ = embeddings.parent.name.rsplit(".", 1)
        triplets = world / "triplets" / mined / f"{embeddings.stem}.parquet"
        shards.append(Shard(triplets, triplets.with_suffix(".h5"), embeddings))
    objects = [(path, path.with_suffix(".h5")) for path in sorted(world.glob("objects/val-*.parquet"))]
    if not shards or not objects:
        raise InputError(f"{world}: holds no embeddings or no objects; make them with `snakemake`")
    return shards, objects
