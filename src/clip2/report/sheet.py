"""A sheet of mined triplets: what the image shows, what the points look like, what the text says."""

import io
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from PIL import Image

from clip2.evaluate.result_file import made_from
from clip2.report.style import ALARM, FAINT, INK, MUTED, new_figure, save, style
from clip2.store.ragged import RaggedReader
from clip2.store.tables import iterate_rows, read_header, read_table

COLUMNS, ROWS = 4, 6
MAX_DRAWN = 3000
"""Points; more only make the picture slower."""


def triplets_figure(triplets: Path, points: Path, out_png: Path, seed: int = 0) -> None:
    """Draw up to 24 triplets of a shard, as many different labels as possible, drawn by a seed.

    Each is the image crop, the points seen from the sensor and from above (metres, equal axes, colour by height), the
    text with its score, number of points and range.

    Args:
        triplets, points: the shard's Parquet and HDF5 files.
    """
    header = read_header(triplets)
    made = made_from({"source": header["source"], "mined_by": triplets.parent.name})
    labels = read_table(triplets, ["label"]).column("label").to_pylist()
    if not labels:  # scenes are dealt out by a hash: a small data set can leave a shard empty
        empty = new_figure(8, 1)
        empty.text(0.5, 0.5, f"no triplets in {triplets.stem}", ha="center", va="center")
        save(empty, out_png, made)
        return
    chosen = choose(labels, COLUMNS * ROWS, seed)
    drawn = set(chosen)
    columns = ["label", "score", "n_points", "range_m", "image"]
    found = {i: row for i, row in enumerate(iterate_rows(triplets, columns)) if i in drawn}
    rows = [found[i] for i in chosen]
    n_rows = -(-len(rows) // COLUMNS)
    with style(), RaggedReader(points) as reader:
        figure = new_figure(4.1 * COLUMNS, 1.62 * n_rows + 0.6)
        cells = figure.subfigures(n_rows, COLUMNS, squeeze=False, wspace=0.02, hspace=0.02)
        for cell, row, index in zip(cells.flat, rows, chosen, strict=False):
            picture, side, above = cell.subplots(1, 3, width_ratios=[1, 1, 1])
            picture.imshow(Image.open(io.BytesIO(row["image"])))
            picture.set_axis_off()
            draw_points(side, above, reader[index])
            cell.suptitle(
                f"{row['label']}  {row['score']:.2f}", x=0.02, ha="left", fontsize=9, fontweight="bold", color=INK
            )
            cell.text(
                0.98, 0.97, f"{row['n_points']:,} points, {row['range_m']:.0f} m", ha="right", va="top", fontsize=7.5
            )
        title = f"{len(rows)} of {len(labels):,} triplets of {header['source']}, {triplets.stem}"
        figure.suptitle(f"{title}: image, points from the sensor, points from above", fontsize=12, fontweight="bold")
        if header["source_kind"] != "real":
            figure.text(0.995, 0.995, header["source_kind"].upper(), ha="right", va="top", color=ALARM, weight="bold")
        save(figure, out_png, made)


def choose(labels: list[str], n: int, seed: int) -> list[int]:
    """Indices of up to ``n`` triplets: a random one of each label in turn, until there are enough."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    turn: dict[str, int] = {}
    keys = []
    for index in order:
        label = labels[index]
        turn[label] = turn.get(label, 0) + 1
        keys.append(turn[label])
    # First ones of every label come before second ones; sorted by label for the eye.
    first = order[np.argsort(keys, kind="stable")][:n]
    return sorted((int(i) for i in first), key=lambda i: (labels[i], i))


def draw_points(side: Axes, above: Axes, points: NDArray[np.float32]) -> None:
    """Two views of a crop (N, 4), z up: along the ray from the sensor, and from above with the sensor below."""
    xyz = points[:: max(1, len(points) // MAX_DRAWN), :3].astype(np.float64)
    ray = xyz[:, :2].mean(0)
    forward = ray / max(float(np.linalg.norm(ray)), 1e-6)
    right = np.array([forward[1], -forward[0]])
    across, depth, height = xyz[:, :2] @ right, xyz[:, :2] @ forward, xyz[:, 2]
    size = float(np.clip(120 / np.sqrt(len(xyz)), 1.0, 14.0))
    for axes, vertical in ((side, height), (above, depth)):
        # Stretched, so that the palest end of the colours, faint on white, is not reached.
        top = height.max() + 0.15 * np.ptp(height) + 1e-6
        axes.scatter(across, vertical, s=size, c=height, cmap="viridis", vmin=height.min(), vmax=top, linewidths=0)
        reach = max(float(np.ptp(across)), float(np.ptp(vertical)), 0.5) * 0.62
        axes.set_xlim(_middle(across) - reach, _middle(across) + reach)
        axes.set_ylim(_middle(vertical) - 1.12 * reach, _middle(vertical) + 0.88 * reach)  # room for the ruler
        axes.set_aspect("equal")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(True)
        axes.spines[:].set_color("#e4e7eb")
        _ruler(axes, reach)


def _middle(values: NDArray[np.float64]) -> float:
    return float(values.min() + values.max()) / 2


def _ruler(axes: Axes, reach: float) -> None:
    """A bar of a round length, about a third of the width."""
    length = 10 ** np.floor(np.log10(reach))
    length = float(max(step * length for step in (0.5, 1, 2, 5) if step * length <= 0.8 * reach))
    x0, y0 = axes.get_xlim()[0] + 0.1 * reach, axes.get_ylim()[0] + 0.1 * reach
    axes.plot([x0, x0 + length], [y0, y0], color=FAINT, linewidth=1.5, solid_capstyle="butt")
    axes.text(x0 + length, y0, f" {length:g} m", fontsize=6.5, va="center", color=MUTED)
