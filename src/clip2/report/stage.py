"""Stages `report-result` and `report-triplets`: artefact → picture."""

from pathlib import Path

from clip2.evaluate.result import read_result
from clip2.report.figures import result_figure
from clip2.report.sheet import triplets_figure
from clip2.store.tables import read_table


def run_zeroshot(result: Path, out_png: Path) -> None:
    """Draw a result file: per-class bars of all methods and the confusion of clip2."""
    result_figure(read_result(result), out_png)


def run_triplets(triplets: list[Path], out_png: Path) -> None:
    """Draw a sample of mined triplets of the fullest shard: image, points from the side and from above, text."""
    fullest = max(triplets, key=lambda path: len(read_table(path, ["label"])))
    triplets_figure(fullest, fullest.with_suffix(".h5"), out_png)
