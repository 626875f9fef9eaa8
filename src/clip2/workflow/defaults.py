"""Where the inputs of a command are that a person types by hand, found from what the configuration and headers say."""

from collections.abc import Sequence
from pathlib import Path

from clip2.runtime.errors import InputError
from clip2.store.provenance import file_digest
from clip2.store.tables import read_header
from clip2.workflow.check import read_config
from clip2.workflow.config import Config, check_config, parts_of

RESULTS = Path("results")


def configuration(overlays: Sequence[Path]) -> Config:
    """config.yaml of this folder and files laid over it.

    Raises:
        InputError: it is not there or wrong.
    """
    return check_config(read_config([Path("config.yaml"), *overlays]))


def labelled_frames(labels: Path) -> list[Path]:
    """The frames that labels were made of: those of their source's shards whose content went into them.

    Raises:
        InputError: no labels, or none of these frames is there any more.
    """
    if not labels.is_file():
        raise InputError(f"{labels}: no such file; make it with `snakemake --cores 8 labels`")
    header = read_header(labels)
    inputs = set(header["provenance"]["inputs"].values())
    folder = labels.parent.parent / header["source"] / "frames"
    frames = [path for path in sorted(folder.glob("*.parquet")) if file_digest(path) in inputs]
    if not frames:
        raise InputError(
            f"{folder}: holds none of the frames that {labels} was made of; make the labels again, or name --frames"
        )
    return frames


def data_root(source: str, overlays: Sequence[Path]) -> Path:
    """Folder of a source's raw files.

    Raises:
        InputError: the configuration names none, or it is not there.
    """
    config = configuration(overlays)
    if source not in config.sources:
        raise InputError(f"no source {source!r} in the configuration; name its file with --configfile")
    root = root_of(config, source)
    if config.sources[source].world is None and not root.is_dir():
        raise InputError(f"source {source!r}: {root} is not there; give it with --data-root")
    return root


def root_of(config: Config, source: str) -> Path:
    """Folder that should hold a source's raw files.

    Raises:
        InputError: the configuration names none.
    """
    settings = config.sources[source]
    if settings.world is not None:
        return RESULTS / source / "raw"
    if root := settings.root or config.dataroot:
        return Path(root)
    raise InputError(f"source {source!r} has no data root; set sources.{source}.root, or `dataroot`")


def mined_triplets(overlays: Sequence[Path]) -> list[Path]:
    """All triplets that the configured experiment's model learns from.

    Raises:
        InputError: there are none.
    """
    config = configuration(overlays)
    benchmark = config.benchmarks[config.experiment.benchmark]
    assert benchmark is not None  # check_config: the experiment's benchmark is there
    parts = parts_of(config, benchmark)
    folders = [RESULTS / source / "triplets" / f"{parts['detector']}.{parts['lifter']}" for source in benchmark.train]
    found = [path for folder in folders for path in sorted(folder.glob("train-*.parquet"))]
    if not found:
        raise InputError(f"{folders[0]}: no triplets; make them with `snakemake --cores 8 triplets`")
    return found
