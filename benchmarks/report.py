"""What was measured: as tables on the console, as JSON, as a figure."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np
from matplotlib.axes import Axes
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.accuracy import Accuracy
from benchmarks.growth import Growth
from benchmarks.timing import Comparison
from clip2.report.style import FAINT, INK, METHODS, new_figure, save, style


def _table(title: str, words: Sequence[str], numbers: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=title)
    for head in words:
        table.add_column(head)
    for head in numbers:
        table.add_column(head, justify="right", no_wrap=True)
    return table


def _rate(per_second: float) -> str:
    return f"{per_second:,.0f}" if per_second >= 100 else f"{per_second:.3g}"


def print_comparisons(comparisons: Sequence[Comparison], console: Console) -> None:
    """One row a comparison."""
    table = _table(
        "Ours and the usual way, in turns",
        ("part", "work"),
        ("ours/s", "usual/s", "times", "range", "of limit", "goal"),
    )
    for c in comparisons:
        ratios = c.ratios()
        goal = ", ".join(f"{v:,.0f}×" if k == "ratio" else f"{v:,.0f}/s" for k, v in c.goal.items())
        mark = {None: "", True: " reached", False: " missed"}[c.goal_reached()]
        limit = f"{100 * median(c.ratios('limit')):.0f} %" if "limit" in c.seconds else ""
        table.add_row(
            c.part,
            f"{c.name}, {c.device}",
            f"{_rate(c.per_second('ours'))} {c.unit}",
            _rate(c.per_second("usual")),
            f"{median(ratios):.2f}",
            f"{ratios[0]:.2f}–{ratios[-1]:.2f}",
            limit,
            goal + mark,
        )
    console.print(table)


def print_growth(grown: Sequence[Growth], console: Console) -> None:
    """One row a job: exponents, and peak memory at the smallest and the largest size."""
    table = _table(
        "Growth: time ∝ size^p, whole stages at 1×, 4×, 16×", ("stage",),
        ("sizes", "seconds", "p", "p beyond start", "peak memory, MB"),
    )  # fmt: skip
    for g in grown:
        beyond = g.exponent_beyond_start()
        table.add_row(
            g.name,
            f"{' / '.join(f'{size:,}' for size in g.sizes)} {g.unit}",
            " / ".join(f"{s:.2f}" for s in g.median_s),
            f"{g.exponent():.2f}",
            "–" if beyond is None else f"{beyond:.2f}",
            " / ".join(f"{mb:,.0f}" for mb in g.peak_mb),
        )
    console.print(table)


def print_accuracy(found: Sequence[Accuracy], console: Console) -> None:
    """One row a variant."""
    table = _table("Zero-shot class-mean top-1 on the built-in world", ("variant",), ("mean", "each seed"))
    for a in found:
        table.add_row(a.variant, f"{np.mean(a.top1):.3f}", "  ".join(f"{value:.3f}" for value in a.top1))
    console.print(table)


def draw(comparisons: Sequence[Comparison], grown: Sequence[Growth], title: str, out: Path) -> None:
    """Ratios; time and memory against size. At least one of the two must have been measured."""
    with style():
        figure = new_figure(16, 1.9 + max(3.2, 0.34 * len(comparisons)))
        widths = [1.3] * bool(comparisons) + [1, 1] * bool(grown)
        axes = list(figure.subplots(1, len(widths), width_ratios=widths, squeeze=False)[0])
        if comparisons:
            _draw_ratios(axes[0], comparisons)
        if grown:
            _draw_growth(axes[-2], axes[-1], grown)
        figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
        save(figure, out)


def _draw_ratios(axes: Axes, comparisons: Sequence[Comparison]) -> None:
    for row, c in enumerate(comparisons):
        values = c.ratios()
        middle = median(values)
        axes.barh(row, middle, color=METHODS["clip2"], height=0.6)
        axes.plot([values[0], values[-1]], [row, row], color=INK, linewidth=1)
        axes.text(max(values[-1], middle) * 1.05, row, f"{middle:.1f}×", va="center", fontsize=8)
    axes.set_yticks(range(len(comparisons)), [f"{c.part}: {c.name}" for c in comparisons], fontsize=7.5)
    axes.invert_yaxis()
    axes.axvline(1, color=FAINT, linewidth=1)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}×")
    axes.set_xlim(right=axes.get_xlim()[1] * 1.6)
    axes.set_xlabel("time of the usual way over ours (line: all turns)")
    axes.set_title("Times as fast as the usual way")


def _draw_growth(times: Axes, memory: Axes, grown: Sequence[Growth]) -> None:
    for g in grown:
        multiples = [size / g.sizes[0] for size in g.sizes]
        line = times.plot(multiples, g.median_s, marker="o", markersize=4)[0]
        label = f"{g.name} ({g.sizes[0]:,}–{g.sizes[-1]:,} {g.unit}): p = {g.exponent():.2f}"
        line.set_label(label)
        memory.plot(multiples, g.peak_mb, marker="o", markersize=4, color=line.get_color())
    times.plot([1, 16], [0.02, 0.32], color=FAINT, linestyle="--", linewidth=1, label="linear: p = 1")
    for axes in (times, memory):
        axes.set_xscale("log", base=4)
        axes.set_xticks([1, 4, 16], ["1×", "4×", "16×"])
        axes.set_xlabel("size")
    times.set_yscale("log")
    times.set_ylabel("seconds (on a CPU: processor time)")
    times.set_title("Time")
    memory.set_ylim(bottom=0)
    memory.set_ylabel("MB")
    memory.set_title("Peak memory of the process")
    times.figure.legend(
        *times.get_legend_handles_labels(), loc="outside lower right", ncols=4, fontsize=7.5, frameon=False
    )
