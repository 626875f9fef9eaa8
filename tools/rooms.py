"""`python -m tools.rooms` draws the packages under src/ and what they import of each other: docs/images/rooms.svg.

Left to right: a package stands right of all that it imports. A line that follows from others is left out.
"""

import ast
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "images" / "rooms.svg"
ENTRY = "cli"
"""cli.py and commands.py at the top of clip2, drawn as one box."""

COLUMN, ROW, WIDTH, HEIGHT = 128, 58, 94, 32
"""Distances between boxes and their size, in SVG units."""

Imports = dict[str, set[str]]


def imports_of_rooms(src: Path) -> Imports:
    """What each package imports directly, by name: packages in clip2, those beside it, and clip2's top modules."""
    found: Imports = {}
    for file in sorted(src.rglob("*.py")):
        room = _room(file.relative_to(src).with_suffix("").parts)
        if room:
            others = map(_room, (tuple(name.split(".")) for name in imported(file)))
            found.setdefault(room, set()).update(other for other in others if other and other != room)
    return {room: {other for other in others if other in found} for room, others in found.items()}


def imported(file: Path) -> Iterator[str]:
    """Names of the modules that a file imports, wherever the statement stands."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def _room(module: tuple[str, ...]) -> str | None:
    """The box that a module belongs to; None for clip2 itself."""
    if module[0] != "clip2":
        return module[0]
    if len(module) < 2 or module[1].startswith("__"):
        return None
    return ENTRY if module[1] in ("cli", "commands") else module[1]


def without_shortcuts(imports: Imports) -> Imports:
    """The same without the imports that a chain of others implies (transitive reduction)."""
    reached: Imports = {}

    def reach(room: str) -> set[str]:
        if room not in reached:
            reached[room] = imports[room].union(*map(reach, imports[room]))
        return reached[room]

    return {
        room: {other for other in others if not any(other in reach(third) for third in others - {other})}
        for room, others in imports.items()
    }


def columns(imports: Imports) -> dict[str, int]:
    """For each package, the length of the longest chain of imports below it."""
    depth: dict[str, int] = {}

    def measure(room: str) -> int:
        if room not in depth:
            depth[room] = 1 + max(map(measure, imports[room]), default=-1)
        return depth[room]

    return {room: measure(room) for room in imports}  # in the order of the rooms, not of a set


def rows(links: list[tuple[str, str]], column: dict[str, int]) -> dict[str, float]:
    """A row for each node, near the mean of its neighbours' rows, so that lines are short and cross little."""
    layers = [[node for node in column if column[node] == number] for number in range(max(column.values()) + 1)]
    row = {node: index - (len(layer) - 1) / 2 for layer in layers for index, node in enumerate(layer)}
    neighbours: dict[str, list[str]] = {node: [] for node in column}
    for a, b in links:
        neighbours[a].append(b)
        neighbours[b].append(a)
    for _ in range(24):
        for layer in layers:
            wanted = {node: _mean((row[other] for other in neighbours[node]), row[node]) for node in layer}
            for index, node in enumerate(sorted(layer, key=lambda node: (wanted[node], node))):
                row[node] = index - (len(layer) - 1) / 2
    return row


def _mean(values: Iterable[float], otherwise: float) -> float:
    listed = list(values)
    return sum(listed) / len(listed) if listed else otherwise


def draw(imports: Imports) -> str:
    """The picture as SVG."""
    kept = without_shortcuts(imports)
    column = columns(kept)
    lines: list[list[str]] = []
    links: list[tuple[str, str]] = []
    for room, others in kept.items():
        for other in sorted(others):
            # A line that passes columns gets a waypoint in each, so that it runs around the boxes there.
            between = [f"{other} > {room} {number}" for number in range(column[other] + 1, column[room])]
            column |= {node: column[other] + 1 + step for step, node in enumerate(between)}
            line = [other, *between, room]
            lines.append(line)
            links += pairwise(line)
    row = rows(links, column)
    top = min(row.values())
    centre = {node: (80 + COLUMN * column[node], 40 + ROW * (row[node] - top)) for node in column}
    width, height = 160 + COLUMN * max(column.values()), 80 + ROW * (max(row.values()) - top)
    shapes = [_line([centre[node] for node in line]) for line in lines]
    shapes += [_box(room, *centre[room]) for room in kept]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
            f'font-family="sans-serif" font-size="13" text-anchor="middle">',
            "<!-- Written by `python -m tools.rooms`. -->",
            f'<rect width="{width:g}" height="{height:g}" rx="8" fill="#ffffff"/>',
            *shapes,
            "</svg>\n",
        ]
    )


def _line(points: list[tuple[float, float]]) -> str:
    (x, y), *rest = points
    path = f"M{x + WIDTH / 2:g} {y:g}"
    x += WIDTH / 2
    for number, (right, down) in enumerate(rest):
        left = right - WIDTH / 2
        middle = (x + left) / 2
        path += f"C{middle:g} {y:g} {middle:g} {down:g} {left:g} {down:g}"
        x, y = left, down
        if number < len(rest) - 1:
            x = right + WIDTH / 2
            path += f"H{x:g}"
    return f'<path d="{path}" fill="none" stroke="#7a8794" stroke-width="1.5"/>'


def _box(name: str, x: float, y: float) -> str:
    beside = name == ENTRY or name.startswith(("clip2_", "snakemake_"))
    fill = "#f1f3f5" if beside else "#dbe9f6"
    label = name.removeprefix("snakemake_").removesuffix("_plugin_clip2")
    return (
        f'<rect x="{x - WIDTH / 2:g}" y="{y - HEIGHT / 2:g}" width="{WIDTH}" height="{HEIGHT}" rx="5" fill="{fill}" '
        f'stroke="#34495e"/><text x="{x:g}" y="{y + 4.5:g}" fill="#16202a">{label}</text>'
    )


if __name__ == "__main__":
    PICTURE.write_text(draw(imports_of_rooms(ROOT / "src")), encoding="utf-8")
    print(PICTURE.relative_to(ROOT))
