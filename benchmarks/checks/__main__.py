"""``python -m benchmarks.checks COMMAND …``: of a command's processor time, how much are the checks of CLIP²?

For example, in a checkout without results: ``python -m benchmarks.checks snakemake --cores 2``.
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


def main(command: list[str]) -> int:
    """Run the command with sitecustomize.py beside this file in all its processes, and print a table; its exit code."""
    with tempfile.TemporaryDirectory() as folder:
        to = Path(folder) / "checks.jsonl"
        paths = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {**os.environ, "CHECKS_TO": str(to), "PYTHONPATH": os.pathsep.join(paths)}
        code = subprocess.run(command, env=environment).returncode
        told = list(map(json.loads, to.read_text().splitlines())) if to.is_file() else []
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    whole = used.ru_utime + used.ru_stime
    seconds = sum(map(Counter, told), Counter[str]())
    rows = [[name, f"{spent:.2f}", f"{100 * spent / whole:.2f}"] for name, spent in seconds.most_common()]
    rows.append(["all checks", f"{seconds.total():.2f}", f"{100 * seconds.total() / whole:.2f}"])
    print_table(console(), ("check", "seconds", "% of the processor time"), rows, words=(0,))
    print(f"{len(told)} processes, {whole:.0f} s of processor time")
    return code


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1:]))
