"""``python -m benchmarks.checks [TARGET …]``: of the jobs' processor time, how much are the checks of CLIP²?

In a checkout with finished results, each job that leads to the targets is run again, one after another, with its checks
timed. Without targets: the demo's, twenty minutes of one core.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from clip2.runtime.console import console
from clip2.runtime.tables import print_table

SAID = "Shell command: "


def commands(targets: list[str]) -> list[str]:
    """The shell commands of all jobs."""
    asked = ["snakemake", "--cores", "1", "-n", "-p", "--forceall", *targets]
    done = subprocess.run(asked, capture_output=True, text=True, check=True)
    lines = (done.stdout + done.stderr).splitlines()
    return [line.removeprefix(SAID) for line in lines if line.startswith(SAID)]


def main(targets: list[str]) -> None:
    """Run the jobs with sitecustomize.py beside this file in all their processes, and print a table."""
    jobs = commands(targets)
    with tempfile.TemporaryDirectory() as folder:
        to = Path(folder) / "checks.jsonl"
        paths = os.pathsep.join(map(str, [Path(__file__).parent, Path("src").absolute()]))
        environment = {**os.environ, "CHECKS_TO": str(to), "PYTHONPATH": paths}
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        for number, job in enumerate(jobs, 1):
            print(f"{number} of {len(jobs)}: {job[:90]}", flush=True)
            subprocess.run(["bash", "-euo", "pipefail", "-c", job], env=environment, check=True)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        told = list(map(json.loads, to.read_text().splitlines()))
    whole = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    seconds = sum(map(Counter, told), Counter[str]())
    rows = [[name, f"{spent:.2f}", f"{100 * spent / whole:.2f}"] for name, spent in seconds.most_common()]
    rows.append(["all checks", f"{seconds.total():.2f}", f"{100 * seconds.total() / whole:.2f}"])
    print_table(console(), ("check", "seconds", "% of the processor time"), rows, words=(0,))
    print(f"{len(told)} processes, {whole:.0f} s of processor time")


if __name__ == "__main__":
    main(sys.argv[1:])
