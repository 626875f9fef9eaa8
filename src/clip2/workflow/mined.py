"""What of the configured experiment is mined, for commands that a person starts."""

from collections.abc import Sequence
from pathlib import Path

from clip2.runtime.errors import InputError
from clip2.workflow.check import read_config
from clip2.workflow.config import check_config, parts_of


def embeddings_of(overlays: Sequence[Path], target: Path) -> list[Path]:
    """Embeddings of the experiment's sources that are there, of both roles, by source and shard.

    Args:
        overlays: files laid over config.yaml.
        target: what Snakemake would make, for the message.

    Raises:
        InputError: there are none.
    """
    config = check_config(read_config([Path("config.yaml"), *overlays]))
    benchmark = config.benchmarks[config.experiment.benchmark]
    if benchmark is None:
        raise InputError(f"experiment.benchmark is {config.experiment.benchmark!r}, which is left out (null)")
    parts = parts_of(config, benchmark)
    made_by = f"{parts['detector']}.{parts['lifter']}.{parts['teacher']}"
    folders = [
        Path("results") / name / "embeddings" / made_by for name in dict.fromkeys((*benchmark.train, benchmark.source))
    ]
    found = [path for folder in folders for path in sorted(folder.glob("*.h5"))]
    if not found:
        raise InputError(f"{folders[0]}: nothing is mined yet; `snakemake --cores all {target}` does it and searches")
    return found
