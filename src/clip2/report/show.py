"""Any result file as a table on the console."""

from pathlib import Path

from clip2.report.named import print_named


def show_result(path: Path) -> None:
    """Print a result file: a search (which lies in a folder of this name), or one whose name says what it is of.

    Raises:
        InputError: missing, of another name, or not what its name says.
    """
    if path.absolute().parent.name != "search":
        print_named(path)
        return
    from clip2.report.search import print_search, read_search  # only here: it loads what searches

    print_search(read_search(path))
