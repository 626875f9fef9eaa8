"""What of a data set is there: the answer of ``clip2 check``, before any work starts."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from clip2.runtime.console import console as standard_output


@dataclass(frozen=True)
class Item:
    """One thing that the data set should hold: how many were looked for, how many found, and the first that is not."""

    name: str
    found: int
    wanted: int
    first_missing: str | None = None


@dataclass(frozen=True)
class Survey:
    """All that is known of a data set on disk.

    Attributes:
        dataset: name of the data set.
        items: what it should hold.
        used: role ("train", "val") → how many frames (or objects) will be used.
        remarks: what looks wrong, with what to do about it.
        fatal: what makes it unusable, with what to do about it; empty when work can start.
    """

    dataset: str
    root: Path
    source_kind: str
    items: Sequence[Item]
    used: dict[str, int]
    unit: str = "frames"
    remarks: Sequence[str] = field(default=())
    fatal: Sequence[str] = field(default=())


def count_files(name: str, paths: Sequence[Path]) -> Item:
    """An item whose things are files."""
    missing = [path for path in paths if not path.exists()]
    return Item(name, len(paths) - len(missing), len(paths), str(missing[0]) if missing else None)


def print_survey(survey: Survey, console: Console | None = None) -> None:
    """Print a survey as a table; names of files may hold what the console takes for markup."""
    console = console or standard_output()
    console.print(Text(f"{survey.dataset} at {survey.root} ({survey.source_kind})", "bold"))
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("what", no_wrap=True)
    table.add_column("found", justify="right", no_wrap=True)
    table.add_column("of", justify="right", no_wrap=True)
    table.add_column("first missing", overflow="fold")
    for item in survey.items:
        style = None if item.found == item.wanted else "red"
        cells = (item.name, f"{item.found:,}", f"{item.wanted:,}", item.first_missing or "")
        table.add_row(*map(Text, cells), style=style)
    console.print(table)
    for role, number in survey.used.items():
        console.print(f"{role}: {number:,} {survey.unit} will be used")
    for remark in survey.remarks:
        console.print(Text(f"note: {remark}", "yellow"))
    for reason in survey.fatal:
        console.print(Text(f"cannot start: {reason}", "red"))
