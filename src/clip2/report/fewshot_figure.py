"""The figure of a few-shot result: class-mean top-1 against the number of shots."""

from pathlib import Path

from clip2.evaluate.fewshot.result import FewshotMethodScore, FewshotResult
from clip2.evaluate.result_file import made_from
from clip2.report.style import ALARM, FAINT, INK, METHODS, MUTED, new_figure, save, style

LINES = {
    "clip2_finetune": (METHODS["clip2"], "-", "clip2, fine-tuned"),
    "clip2_linear": (METHODS["clip2"], "--", "clip2, linear probe"),
    "teacher_2d_linear": (METHODS["teacher_2d"], "--", "teacher on pictures, linear probe"),
}
"""Colour, line and words of each method that learns."""


def fewshot_figure(result: FewshotResult, out_png: Path) -> None:
    """Mean over the draws with its standard deviation as bars; zero-shot as a level line."""
    with style():
        figure = new_figure(6.4, 4.4)
        axes = figure.subplots()
        counts: list[int] = []
        for name, method in result.methods.items():
            if name == "zeroshot":
                level = 100 * method.shots["0"].class_mean_top1.mean
                axes.axhline(level, color=MUTED, linestyle=":", label=f"clip2, zero-shot  {level:.1f}", zorder=2)
                continue
            colour, line, words = LINES.get(name, (FAINT, "-", name))
            shots, means, spreads = _series(method)
            counts = sorted({*counts, *shots})
            label = f"{words}  {means[-1]:.1f}"
            axes.errorbar(
                shots, means, spreads, color=colour, linestyle=line, marker="o", markersize=4, capsize=2, label=label
            )
        axes.set_xscale("log", base=2)
        axes.set_xticks(counts, [str(k) for k in counts])
        axes.minorticks_off()
        axes.set(xlabel="annotated objects of each class to learn from", ylabel="class-mean top-1, %", ylim=(0, 100))
        axes.grid(axis="y", color="#e4e7eb", zorder=0)
        axes.legend(frameon=False, loc="lower right")
        title = f"Few-shot recognition, {result.dataset}, {result.split}: {result.n_val:,} objects"
        axes.set_title(title, loc="left", color=INK)
        if result.source_kind != "real":
            warning = f"{result.source_kind.upper()}: not figures of a real data set"
            axes.text(0.01, 0.98, warning, transform=axes.transAxes, va="top", color=ALARM, fontweight="bold")
        save(figure, out_png, made_from(result.model_dump()))


def _series(method: FewshotMethodScore) -> tuple[list[int], list[float], list[float]]:
    """Numbers of shots, and mean and standard deviation in percent at each."""
    shots = sorted(map(int, method.shots))
    scores = [method.shots[str(k)].class_mean_top1 for k in shots]
    return shots, [100 * score.mean for score in scores], [100 * score.std for score in scores]
