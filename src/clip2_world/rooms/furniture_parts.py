"""What furniture is assembled from. x to the front (away from a wall behind it), y left, z up, metres."""

from collections.abc import Sequence
from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clip2_world.catalog import DARK, STEEL, WOOD, Rng, pick, scaled
from clip2_world.mesh import Builder, Floats, Vec3

CREAM, PORCELAIN, PAPER = (0.93, 0.9, 0.82), (0.94, 0.94, 0.93), (0.9, 0.89, 0.85)
RINGS = 18
"""Corners of a lofted ring."""


class Finish(IntEnum):
    """How a face in a room looks and how it answers to the depth camera; values above those of ``mesh.Material``."""

    PLAIN = 0
    LEAVES = 3
    WOOD = 16
    FABRIC = 17
    METAL = 18
    SCREEN = 19
    GLOW = 20  # gives its own light: lamp shades, bulbs
    GLASS = 21
    FLOOR = 22
    WALL = 23
    BACKLIT = 24  # bright glass, which gives no depth: window panes, screens that are on


Ring = tuple[float, float, float]
"""Half axis along x, half axis along y, height."""


def loft(
    b: Builder,
    centre: Vec3,
    rings: Sequence[Ring],
    colour: Vec3,
    roundness: float = 1.0,
    shifts: Sequence[float] | None = None,
    closed: tuple[bool, bool] = (True, True),
    finish: int = Finish.PLAIN,
) -> None:
    """Skin over a stack of rings; an inner wall is a ring list that comes back down.

    Args:
        roundness: exponent of the rings' superellipse: 1 an ellipse, 0.3 a rectangle with round corners.
        shifts: how far each ring is moved along x.
        closed: whether the first and the last ring are covered.
    """
    angle = np.linspace(0, 2 * np.pi, RINGS, endpoint=False) + np.pi / RINGS
    c, s = (np.sign(t) * np.abs(t) ** roundness for t in (np.cos(angle), np.sin(angle)))
    moved = [0.0] * len(rings) if shifts is None else shifts
    stack = [np.stack([rx * c + dx, ry * s, np.full(RINGS, z)], -1) for (rx, ry, z), dx in zip(rings, moved)]
    middles = [np.array([[moved[k], 0, rings[k][2]]]) for k in (0, -1)]
    vertices = np.concatenate([*stack, *middles]) + np.asarray(centre, np.float64)
    i = np.arange(RINGS)
    j = (i + 1) % RINGS
    faces = []
    for k in range(len(rings) - 1):
        low, high = k * RINGS, (k + 1) * RINGS
        faces += [np.stack([low + i, low + j, high + i], -1), np.stack([low + j, high + j, high + i], -1)]
    last = (len(rings) - 1) * RINGS
    if closed[0]:
        faces.append(np.stack([np.full(RINGS, last + RINGS), j, i], -1))
    if closed[1]:
        faces.append(np.stack([np.full(RINGS, last + RINGS + 1), last + i, last + j], -1))
    b.add(vertices, np.concatenate(faces).astype(np.int32), colour, finish)


def cushion(
    b: Builder,
    centre: Vec3,
    size: Vec3,
    colour: Vec3,
    hardness: float = 0.6,
    pitch: float = 0.0,
    finish: int = Finish.FABRIC,
) -> None:
    """Soft box about its centre, tilted by ``pitch`` (radians, front up); ``hardness`` 0 is an ellipsoid, 1 a box."""
    ball = Builder()
    ball.ball((0, 0, 0), (1, 1, 1), (0, 0, 0), rings=10, segments=16)
    mesh = ball.build()
    v = np.sign(mesh.vertices) * np.abs(mesh.vertices) ** (1 - 0.85 * hardness) * np.asarray(size, np.float64) / 2
    c, s = np.cos(pitch), np.sin(pitch)
    v = v @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    b.add(v + np.asarray(centre, np.float64), mesh.faces, colour, finish)


def sheet(b: Builder, points: ArrayLike, colours: ArrayLike, finish: int = Finish.PLAIN) -> None:
    """Grid of quads through points (R, C, 3); ``colours`` is one RGB or (R - 1, C - 1, 3)."""
    p = np.asarray(points, np.float64)
    rows, columns = p.shape[:2]
    first = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    right, down, across = first + 1, first + columns, first + columns + 1
    faces = np.concatenate([np.stack([first, right, down], -1), np.stack([right, across, down], -1)])
    cell = np.broadcast_to(np.asarray(colours, np.float32), (rows - 1, columns - 1, 3)).reshape(-1, 3)
    b.add(p.reshape(-1, 3), faces.astype(np.int32), np.concatenate([cell, cell]), finish)


def canvas(b: Builder, centre: Vec3, size: tuple[float, float], image: Floats, finish: int, lean: float = 0.0) -> None:
    """Upright picture of image (R, C, 3) that faces the front; ``size`` is width and height, ``lean`` radians back."""
    rows, columns = image.shape[:2]
    y, z = np.meshgrid(np.linspace(0.5, -0.5, columns + 1), np.linspace(0.5, -0.5, rows + 1))
    tall = z * size[1]
    points = np.stack([-tall * np.sin(lean), -y * size[0], tall * np.cos(lean)], -1) + np.asarray(centre, np.float64)
    sheet(b, points, image, finish)


def cloth(
    rng: Rng, b: Builder, width: float, low: float, high: float, depth: float, waves: int, colours: ArrayLike
) -> None:
    """Hanging cloth in the plane x = 0, folded into ``waves``, the folds deeper towards its lower edge."""
    columns, rows = max(4 * waves, 12), 8
    across, down = np.meshgrid(np.linspace(-0.5, 0.5, columns + 1), np.linspace(0, 1, rows + 1))
    phase = rng.uniform(0, 2 * np.pi) + rng.normal(0, 0.2, columns + 1)
    x = depth / 2 * (0.6 + 0.4 * down) * np.sin(2 * np.pi * waves * across + phase)
    points = np.stack([x, across * width, high - down * (high - low)], -1)
    sheet(b, points, colours, Finish.FABRIC)


def legs(
    b: Builder,
    lx: float,
    ly: float,
    height: float,
    radius: float,
    colour: Vec3,
    splay: float = 0.0,
    square: bool = False,
) -> None:
    """Four legs at the corners of a rectangle (centres lx by ly apart), spread by ``splay`` metres at the floor."""
    for sx in (-0.5, 0.5):
        for sy in (-0.5, 0.5):
            if square:
                b.slab((sx * lx, sy * ly, 0), (2 * radius, 2 * radius, height), colour, material=timber(colour))
            else:
                foot = (sx * lx + 2 * sx * splay, sy * ly + 2 * sy * splay, 0)
                b.tube(foot, (sx * lx, sy * ly, height), radius * 0.75, colour, radius, 7, timber(colour))


def carcass(b: Builder, size: Vec3, base: float, colour: Vec3, board: float = 0.03) -> None:
    """Open case with the front at +x: two sides, top, bottom and back; ``base`` is the height of its lower edge."""
    depth, width, height = np.asarray(size, np.float64)
    wood = timber(colour)
    for y in (-1, 1):
        b.slab((0, y * (width - board) / 2, base), (depth, board, height), colour, material=wood)
    for z in (base, base + height - board):
        b.slab((0, 0, z), (depth, width, board), colour, material=wood)
    b.slab((-depth / 2 + 0.01, 0, base), (0.02, width, height), np.asarray(colour) * 0.9, material=wood)


def fronts(
    rng: Rng,
    b: Builder,
    x: float,
    area: tuple[float, float, float, float],
    rows: int,
    columns: int,
    colour: Vec3,
    doors: bool,
    metal: Vec3 = STEEL,
) -> None:
    """Drawer fronts or doors with handles over ``area`` (y low, y high, z low, z high) of the plane at ``x``."""
    y0, y1, z0, z1 = area
    wide, tall, gap = (y1 - y0) / columns, (z1 - z0) / rows, 0.006
    style = int(rng.integers(3))
    b.slab((x - 0.004, (y0 + y1) / 2, z0), (0.01, y1 - y0, z1 - z0), np.asarray(colour) * 0.35)  # the dark gaps
    for row in range(rows):
        for column in range(columns):
            y, z = y0 + (column + 0.5) * wide, z0 + row * tall
            b.slab((x + 0.008, y, z + gap), (0.018, wide - 2 * gap, tall - 2 * gap), colour, material=timber(colour))
            if doors:
                side = 1 if columns == 1 else 1 - 2 * (column % 2)
                at, half = y + side * (wide / 2 - 0.045), min(0.08, tall / 4)
                ends = ((at, z + tall / 2 - half), (at, z + tall / 2 + half))
            else:
                half = min(0.07, wide / 4)
                ends = ((y - half, z + tall / 2), (y + half, z + tall / 2))
            if style == 0:
                b.ball((x + 0.03, (ends[0][0] + ends[1][0]) / 2, z + tall / 2), (0.018,) * 3, metal, Finish.METAL, 5, 8)
            else:
                b.tube((x + 0.035, *ends[0]), (x + 0.035, *ends[1]), 0.009, metal, segments=6, material=Finish.METAL)


def timber(colour: Vec3) -> int:
    """WOOD for brown and beige paint, PLAIN (lacquer) for others."""
    red, _, blue = np.asarray(colour, np.float64)
    return Finish.WOOD if red > 1.25 * blue and red > 0.12 else Finish.PLAIN


def wood_tone(rng: Rng) -> NDArray[np.float64]:
    """A random kind of wood."""
    return np.clip(np.array(pick(rng, WOOD)) * rng.uniform(0.7, 1.25), 0, 1)


def one_of(rng: Rng, *colours: Vec3) -> Vec3:
    """One of the colours, each as likely."""
    return colours[rng.integers(len(colours))]


def leg_colour(rng: Rng, paint: Vec3) -> Vec3:
    """Colour of legs: as the rest, steel or black."""
    return one_of(rng, scaled(paint, 0.85), STEEL, DARK)


def books(rng: Rng, b: Builder, x: float, y0: float, y1: float, z: float, room: float, depth: float) -> None:
    """A row of standing books on a board at ``z``, their spines at ``x``, under ``room`` metres of air."""
    y = y0
    while y < y1 - 0.05:
        if rng.random() < 0.06:
            y += rng.uniform(0.05, 0.2)
            continue
        thick = rng.uniform(0.015, 0.055)
        tall = room * rng.uniform(0.6, 0.95)
        deep = depth * rng.uniform(0.6, 0.9)
        if y + thick > y1:
            break
        colour = np.clip(rng.uniform(0.1, 0.75) + rng.normal(0, 0.25, 3), 0.05, 0.92)
        b.slab((x - deep / 2 - rng.uniform(0, 0.03), y + thick / 2, z), (deep, thick * 0.94, tall), colour)
        y += thick
