"""How all figures look, and how they are saved. Drawn without a display."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from clip2.store.atomic import atomic_path

INK = "#1f2933"
FAINT = "#9aa5b1"
MUTED = "#616e7c"
ALARM = "#c81e1e"
METHODS = {"clip2": "#0b63b0", "pointclip": "#e0912f", "teacher_2d": "#57a773", "chance": "#c3cbd3"}
"""A method has the same colour in every figure."""

STYLE: Any = {
    "font.size": 9,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titleweight": "bold",
    "axes.titlesize": 10,
}


def style() -> AbstractContextManager[None]:
    """``with style(): …`` draws in the project's style."""
    return rc_context(STYLE)


def new_figure(width: float, height: float) -> Figure:
    """A figure of so many inches, independent of matplotlib's global state."""
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: Path, made_from: str = "") -> None:
    """Write a PNG atomically; the same figure gives the same bytes.

    Args:
        made_from: stands below the figure, and in the file's text.
    """
    if made_from:
        figure.supxlabel(made_from, x=0.01, ha="left", fontsize=7.5, color=MUTED)
    with atomic_path(path) as temporary:
        text = {"Software": None, "Description": made_from or None}
        figure.savefig(temporary, format="png", dpi=150, metadata=text)
