"""The figure of a result: per-class top-1 of every method, and the confusion matrix of one."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from clip2.evaluate.result import MethodScore, Result
from clip2.report.style import ALARM, FAINT, METHODS, MUTED, new_figure, save, style
from clip2.report.table import heading, warning


def result_figure(result: Result, out_png: Path) -> None:
    """Bars of per-class top-1 (class mean in the legend) and the confusion matrix of clip2, else of the first."""
    shown = "clip2" if "clip2" in result.methods else next(iter(result.methods))
    classes = list(result.methods[shown].per_class)
    with style():
        figure = new_figure(14, 5.6)
        left, right = figure.subplots(1, 2, width_ratios=[1.5, 1])
        _bars(left, result, classes)
        _confusion(right, result.methods[shown], classes, shown)
        figure.suptitle(heading(result), x=0.01, ha="left", fontsize=13, fontweight="bold")
        if told := warning(result):
            figure.text(0.995, 0.975, told, ha="right", va="top", fontsize=10, fontweight="bold", color=ALARM)
        save(figure, out_png)


def _bars(axes: Axes, result: Result, classes: list[str]) -> None:
    drawn = {name: method for name, method in result.methods.items() if name != "chance"}
    width = 0.8 / max(len(drawn), 1)
    places = np.arange(len(classes))
    for number, (name, method) in enumerate(drawn.items()):
        heights = [100 * (method.per_class[label].top1 or 0.0) for label in classes]
        shift = (number - (len(drawn) - 1) / 2) * width
        label = f"{name}  {100 * method.class_mean_top1:.1f}"
        axes.bar(places + shift, heights, 0.92 * width, color=METHODS.get(name, FAINT), label=label, zorder=2)
    if "chance" in result.methods:
        level = 100 * result.methods["chance"].class_mean_top1
        axes.axhline(level, color=FAINT, linestyle="--", linewidth=1, zorder=3, label=f"chance  {level:.1f}")
    for place, label in zip(places, classes, strict=True):
        n = max(method.per_class[label].n for method in result.methods.values())
        axes.text(place, 101, f"{n:,}", ha="center", va="bottom", fontsize=8, color=MUTED)
    axes.text(-0.62, 101, "n", ha="right", va="bottom", fontsize=8, color=MUTED, style="italic")
    axes.set_xticks(places, [label.replace("_", "\n") for label in classes], fontsize=8.5)
    axes.tick_params(axis="x", length=0)
    axes.set(ylim=(0, 100), ylabel="top-1, %", xlim=(-0.6, len(classes) - 0.4))
    axes.set_title("Recognised objects of each class", pad=20)
    axes.grid(axis="y", color="#e4e7eb", zorder=0)
    handles, labels = axes.get_legend_handles_labels()
    order = sorted(range(len(labels)), key=lambda i: labels[i].startswith("chance"))
    axes.legend(
        [handles[i] for i in order],
        [labels[i] for i in order],
        title="Class mean, %",
        alignment="left",
        frameon=False,
        ncols=len(labels),
        loc="upper left",
        bbox_to_anchor=(0, -0.1),
    )


def _confusion(axes: Axes, method: MethodScore, classes: list[str], name: str) -> None:
    counts = np.asarray(method.confusion, np.float64)
    shares = 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    for row, column in np.ndindex(*shares.shape):
        if shares[row, column] >= 0.5:
            colour = "white" if shares[row, column] > 55 else "black"
            text = f"{shares[row, column]:.0f}"
            axes.text(column, row, text, ha="center", va="center", fontsize=8, color=colour)
    words = [label.replace("_", " ") for label in classes]
    axes.set_xticks(range(len(words)), words, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(words)), words)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set(xlabel="recognised as", ylabel="annotated")
    axes.set_title(f"What {name} takes them for, % of each class", pad=20)
