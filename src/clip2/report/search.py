"""What a search found: as a table, and as a sheet of pictures."""

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from rich.console import Console

from clip2.evaluate.result_file import print_head, read_result_file
from clip2.report.sheet import COLUMNS, ROWS, draw_points
from clip2.report.style import ALARM, INK, new_figure, save, style
from clip2.runtime.console import console as standard_output
from clip2.runtime.tables import print_table
from clip2.search.result import SearchResult
from clip2.search.stage import Found

LONGEST_LABEL = 22
"""Letters of a label that fit over a picture beside its score."""


def read_search(path: Path) -> SearchResult:
    """Read a search's file; see :func:`clip2.evaluate.result_file.read_result_file`."""
    return read_result_file(path, SearchResult, "search result")


def print_search(result: SearchResult, console: Console | None = None) -> None:
    """Print the hits, best first."""
    console = console or standard_output()
    in_all = f"best {len(result.hits)} of {result.counts['things']:,} things ({result.counts['triplets']:,} views)"
    about = {"source": result.source, "mined_by": result.mined_by}
    print_head(console, f"Search: {result.query}, {in_all}", result.source_kind, about)
    head = ("rank", "score", "label", "views", "x y z, m", "l w h, m", "scene", "sample", "thing")
    rows = [
        [
            str(hit.rank),
            f"{hit.score:.3f}",
            hit.label,
            str(hit.n_views),
            " ".join(f"{value:.1f}" for value in hit.center),
            " ".join(f"{value:.1f}" for value in hit.size_lwh),
            hit.scene,
            hit.sample,
            hit.track_id,
        ]
        for hit in result.hits
    ]
    print_table(console, head, rows, words=(2, 6, 7, 8))


def search_figure(result: SearchResult, found: Sequence[Found], out_png: Path) -> None:
    """Draw the first 24 hits: the picture, the points from the sensor and from above, what it is called."""
    found = found[: COLUMNS * ROWS]
    n_rows = max(1, -(-len(found) // COLUMNS))
    with style():
        figure = new_figure(4.1 * COLUMNS, 1.62 * n_rows + 0.8)
        cells = figure.subfigures(n_rows, COLUMNS, squeeze=False, wspace=0.02, hspace=0.02)
        for cell, one in zip(cells.flat, found, strict=False):
            hit = one.hit
            picture, side, above = cell.subplots(1, 3, width_ratios=[1, 1, 1])
            picture.imshow(Image.open(io.BytesIO(one.image)))
            picture.set_axis_off()
            draw_points(side, above, one.points)
            label = hit.label if len(hit.label) <= LONGEST_LABEL else f"{hit.label[: LONGEST_LABEL - 1]}…"
            title = f"{hit.rank}.  {hit.score:.2f}  {label}"
            cell.suptitle(title, x=0.02, ha="left", fontsize=9, fontweight="bold", color=INK)
            views = f"{hit.n_views} view{'s' * (hit.n_views > 1)}, {hit.n_points:,} points"
            cell.text(0.98, 0.97, views, ha="right", va="top", fontsize=7.5)
        title = f"{result.query}: best {len(found)} of {result.counts['things']:,} things"
        figure.suptitle(f"{title}: image, points from the sensor, points from above", fontsize=12, fontweight="bold")
        if result.source_kind != "real":
            figure.text(0.995, 0.995, result.source_kind.upper(), ha="right", va="top", color=ALARM, weight="bold")
        detector, _, lifter = result.mined_by.partition(".")
        made = f"source {result.source}, detector {detector}, lifter {lifter}, teacher {result.teacher['model']}"
        save(figure, out_png, made)
