"""Tables on the console that lose no column, however narrow it is: what does not fit goes into another table below."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import product
from string import ascii_uppercase

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table


def print_table(
    console: Console,
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    title: str | None = None,
    caption: str | None = None,
    keep: int = 1,
    words: Collection[int] = (0,),
    bold: Collection[int] = (),
    tight: bool = False,
) -> None:
    """Print a table; what of its columns does not fit stands in further parts below.

    Args:
        keep: columns, from the left, that every part begins with.
        words: columns of words, which may be broken into lines; all others are of numbers and stand to the right.
        bold: rows that stand out.
        tight: one space between two columns, not two.
    """
    if title:
        console.print(f"\n{title}", style="bold", highlight=False)
    for number, columns in enumerate(_parts(console, head, rows, keep, tight)):
        if number:
            console.print()
        console.print(_table(head, rows, columns, words, bold, tight), highlight=False)
    if caption:
        console.print(caption, style="dim", highlight=False)


def print_by_class(
    console: Console,
    counts: Mapping[str, int],
    methods: Mapping[str, Mapping[str, float | None]],
    *,
    title: str,
    label: str = "class",
) -> None:
    """Print a figure of every class (a row) by every method (a column), in percent.

    Where the methods' names do not fit beside one another, letters stand for them, with a legend; where these do not
    fit either, figures are rounded to whole percents.

    Args:
        counts: class → how many there are of it.
        methods: method → class → share 0 to 1, None for none.
        label: what the classes are.
    """
    keys = [*ascii_uppercase, *map("".join, product(ascii_uppercase, repeat=2))][: len(methods)]
    legend = ", ".join(f"{key}={name}" for key, name in zip(keys, methods, strict=True))
    for names, digits in ((list(methods), 1), (keys, 1), (keys, 0)):
        head, tight = [label, "n", *names], names is keys
        rows = [
            [name, f"{n:,}", *(_percent(method[name], digits) for method in methods.values())]
            for name, n in counts.items()
        ]
        if _width(console, _table(head, rows, range(len(head)), tight=tight)) <= console.width:
            break
    print_table(console, head, rows, title=title, caption=legend if tight else None, keep=2, tight=tight)


def _percent(share: float | None, digits: int) -> str:
    return "–" if share is None else f"{100 * share:.{digits}f}"


def _parts(
    console: Console, head: Sequence[str], rows: Sequence[Sequence[str]], keep: int, tight: bool
) -> Iterator[list[int]]:
    """The columns of each part: the kept ones, and as many of the others as fit."""
    first = list(range(keep))
    columns = [*first]
    for column in range(keep, len(head)):
        wider = [*columns, column]
        if len(columns) > keep and _width(console, _table(head, rows, wider, tight=tight)) > console.width:
            yield columns
            wider = [*first, column]
        columns = wider
    yield columns


def _table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    columns: Sequence[int],
    words: Collection[int] = (0,),
    bold: Collection[int] = (),
    tight: bool = False,
) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 0 if tight else 1, 0, 0))
    for column in columns:
        wordy = column in words
        table.add_column(head[column], justify="left" if wordy else "right", no_wrap=not wordy, overflow="fold")
    for number, row in enumerate(rows):
        table.add_row(*(row[column] for column in columns), style="bold" if number in bold else None)
    return table


def _width(console: Console, table: Table) -> int:
    """Columns of the console that a table would like to have."""
    return Measurement.get(console, console.options.update(max_width=10_000), table).maximum
