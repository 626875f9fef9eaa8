"""``python -m clip2_world KIND --root FOLDER``: write a generated data set in the files of a real one."""

import argparse
import logging
import os
import sys
from importlib import import_module
from pathlib import Path

from clip2.runtime.command_flags import add_settings, parse_settings
from clip2.runtime.errors import InputError
from clip2_world.settings import SETTINGS, STAGES


def main() -> None:
    """Entry point: 0 on success, 2 with one line on standard error for an :class:`InputError`."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", datefmt="%H:%M:%S")
    parser = argparse.ArgumentParser(prog="clip2_world", description=__doc__)
    kinds = parser.add_subparsers(required=True, metavar="KIND", dest="kind")
    for kind, model in SETTINGS.items():
        sub = kinds.add_parser(kind, help=f"in {kind}'s form")
        sub.add_argument("--root", type=Path, required=True, help="folder to write: new, empty or a built-in world")
        sub.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="processes (default: all cores)")
        add_settings(sub, model)
    arguments = parser.parse_args()
    workers = max(1, min(arguments.threads, len(os.sched_getaffinity(0))))
    try:
        run = import_module(STAGES[arguments.kind]).run
        one_form = arguments.kind in ("nuscenes", "once")  # the other stages write several forms
        run(arguments.root, *([] if one_form else [arguments.kind]), parse_settings(arguments), workers)
    except InputError as error:
        print(f"clip2_world: error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
