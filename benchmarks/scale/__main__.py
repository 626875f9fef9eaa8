"""Every stage at the size of nuScenes: its peak memory. ``python -m benchmarks.scale``

The data set is made (tables.py): 850 scenes, 204,894 images and 1.17 million boxes in tables of true length, its
pictures and sweeps those of a small built-in world. Each stage (mining.py, evaluation.py) runs on one core, with the
small networks: what a large one's weights take comes on top. Where time and not memory is the matter, a stage gets
fewer rows, or is stopped, and says so.
"""

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.machine import describe_machine
from benchmarks.scale.evaluation import EVALUATION
from benchmarks.scale.mining import MINING, make_data
from benchmarks.scale.run import Run, Stage
from benchmarks.scale.tables import Size
from clip2.store.atomic import write_json

STAGES = {stage.__name__: stage for stage in (*MINING, *EVALUATION)}
GOAL_MB = 4096


def print_stages(stages: list[Stage]) -> None:
    """A table for people."""
    table = Table(title="Peak memory at the size of nuScenes")
    for head in ("stage", "rows", "", "peak MB", "seconds", "rows a second", "note"):
        table.add_column(head, justify="left" if head in ("stage", "", "note") else "right")
    for s in stages:
        style = None if s.peak_mb < GOAL_MB else "red"
        table.add_row(s.name, f"{s.rows:,}", s.unit, f"{s.peak_mb:,.0f}", f"{s.seconds:,.0f}",
                      f"{s.rows / max(s.seconds, 1e-9):,.0f}", s.note, style=style)  # fmt: skip
    Console(width=140).print(table)


def main() -> None:
    """Entry point; exits with 1 when a stage takes more than the goal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="for the data and the results: about 15 GB")
    parser.add_argument("--out", type=Path, default=Path("results/scale.json"), help="figures (.json)")
    parser.add_argument("--stages", nargs="+", choices=list(STAGES), default=list(STAGES))
    parser.add_argument("--share", type=float, default=1.0, help="of the data set; less is for a look only")
    parser.add_argument("--images", type=int, default=160, help="that the detector is run on")
    a = parser.parse_args()
    a.folder.mkdir(parents=True, exist_ok=True)
    run = Run(a.folder.resolve(), Size().part(a.share), a.images)
    make_data(run)
    for name in a.stages:
        STAGES[name](run)
    print_stages(run.stages)
    write_json(a.out, {"kind": "scale", "machine": describe_machine(), "size": asdict(run.size), "goal_mb": GOAL_MB,
                       "stages": [asdict(stage) for stage in run.stages]})  # fmt: skip
    if any(stage.peak_mb >= GOAL_MB for stage in run.stages):
        sys.exit(1)


if __name__ == "__main__":
    main()
