"""`python -m tools.faults` (`make faults`): what goes wrong on machines is done to a tiny chain, on purpose.

Kills at every stage, orphans, two runs at once, full and read-only disks, damaged artefacts, edits while a job runs,
clocks that step back; after each the chain again. What it makes must be what an undisturbed run makes. Prints a tally;
ends with an error where something was lost, or silently another.
"""

import argparse
import random
import shutil
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from clip2.runtime.console import console
from clip2.runtime.tables import print_table
from tools.faults.chain import Chain
from tools.faults.running import damaged_and_run_again, edits, kills, terminations, two_at_once
from tools.faults.single import Fault, damaged_inputs, no_room, preload

SHORT = {"damage": 24, "room": 6, "kills": 3, "terminations": 1, "two": 1, "edits": 2, "again": 1}
"""Group of faults → how many of it are put in the short form."""


def faults(reference: Chain, chain: Chain, groups: Iterable[str], seed: int, short: bool) -> list[Fault]:
    """Faults of some groups: all of them, or some chosen at random."""
    jobs = reference.jobs()
    found: list[Fault] = []
    for group in groups:
        made: dict[str, Callable[[], Iterator[Fault]]] = {
            "damage": lambda: damaged_inputs(reference, jobs, seed),
            "room": lambda: no_room(reference, jobs),
            "kills": lambda: kills(chain, reference, jobs, seed),
            "terminations": lambda: terminations(chain, reference, jobs, seed),
            "two": lambda: two_at_once(chain, reference, jobs),
            "edits": lambda: edits(chain, reference, jobs),
            "again": lambda: damaged_and_run_again(chain, reference, jobs, seed),
        }
        of_group = list(made[group]())
        found += random.Random(seed).sample(of_group, min(SHORT[group], len(of_group))) if short else of_group
    return found


def tally(found: Iterable[Fault]) -> int:
    """Print each fault that was not survived, and at the end a table by kind; how many those were."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    bad, start = 0, time.monotonic()
    for number, fault in enumerate(found, 1):
        outcome = fault()
        counts[outcome.kind][outcome.what] += 1
        line = f"{number:4} {time.monotonic() - start:6.0f} s  {outcome.kind}: {outcome.where}: {outcome.what}"
        print(line if outcome.good else f"{line}\n     {outcome.detail}", flush=True)
        bad += not outcome.good
    rows = [
        [kind, f"{of_kind.total()}", ", ".join(f"{n} {what}" for what, n in of_kind.most_common())]
        for kind, of_kind in counts.items()
    ]
    total = sum(of_kind.total() for of_kind in counts.values())
    print_table(
        console(), ("fault", "n", "what came of it"), [*rows, ["all", f"{total}", f"{bad} not survived"]], words=(0, 2)
    )
    return bad


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "folder", type=Path, nargs="?", default=Path("results/faults"), help="where the tiny chain lies"
    )
    parser.add_argument("--groups", nargs="*", choices=SHORT, default=SHORT)
    parser.add_argument("--short", action="store_true", help=f"{sum(SHORT.values())} of them")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    folder = arguments.folder.absolute()
    reference = Chain.make(folder / "undisturbed")
    shutil.rmtree(folder / "disturbed", ignore_errors=True)
    shutil.copytree(folder / "undisturbed", folder / "disturbed", symlinks=True)
    preload()
    disturbed = Chain(folder / "disturbed")
    chosen = faults(reference, disturbed, arguments.groups, arguments.seed, arguments.short)
    sys.exit(1 if tally(chosen) else 0)


if __name__ == "__main__":
    main()
