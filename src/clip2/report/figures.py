"""The figure of a result: top-1 of every method on every class, and the confusion matrix of one."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from clip2.evaluate.result import MethodScore, Result
from clip2.evaluate.result_file import made_from
from clip2.report.style import ALARM, MUTED, new_figure, save, style
from clip2.report.table import heading, warning


def result_figure(result: Result, out_png: Path) -> None:
    """Top-1 of every method on every class, and the confusion matrix of clip2, else of the first method."""
    shown = "clip2" if "clip2" in result.methods else next(iter(result.methods))
    classes = list(result.methods[shown].per_class)
    width = 4 + 0.5 * len(classes)
    with style():
        figure = new_figure(width + 7, 2.4 + max(0.42 * len(result.methods), 0.24 * len(classes)))
        left, right = figure.subplots(1, 2, width_ratios=[width, 6])
        _classes(left, result, classes)
        _confusion(right, result.methods[shown], classes, shown)
        figure.suptitle(heading(result), x=0.01, ha="left", fontsize=13, fontweight="bold")
        if told := warning(result):
            figure.text(0.995, 0.975, told, ha="right", va="top", fontsize=10, fontweight="bold", color=ALARM)
        save(figure, out_png, made_from(result.model_dump()))


def _classes(axes: Axes, result: Result, classes: list[str]) -> None:
    """One row a method, best first; its class mean, then its classes."""
    order = sorted(result.methods, key=lambda name: -result.methods[name].class_mean_top1)
    methods = [result.methods[name] for name in order]
    shares = np.array([[m.class_mean_top1, *(m.per_class[label].top1 for label in classes)] for m in methods], float)
    axes.imshow(100 * shares, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    for row, column in np.ndindex(*shares.shape):
        value = 100 * shares[row, column]
        text = "–" if np.isnan(value) else f"{value:.1f}" if column == 0 else f"{value:.0f}"
        colour = "white" if value > 55 else "black"
        weight = "bold" if column == 0 else "normal"
        axes.text(column, row, text, ha="center", va="center", fontsize=8.5, color=colour, fontweight=weight)
    n = [max(method.per_class[label].n for method in methods) for label in classes]
    words = [f"{label.replace('_', ' ')} ({count:,})" for label, count in zip(classes, n, strict=True)]
    axes.set_xticks(range(len(words) + 1), ["class mean", *words], rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(order)), order)
    axes.axvline(0.5, color=MUTED, linewidth=1)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title("Recognised objects of each class (how many there are), %", pad=14)


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
