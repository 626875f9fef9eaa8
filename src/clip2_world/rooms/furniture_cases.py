"""Furniture of boards, drawers and doors. x to the front, y left, z up, metres."""

import numpy as np

from clip2_world.catalog import DARK, STEEL, WHITE, Rng, any_colour, pick, scaled
from clip2_world.mesh import Builder, Vec3
from clip2_world.rooms.furniture_parts import Finish, books, carcass, fronts, legs, one_of, timber

STONES = ((0.2, 0.2, 0.22), (0.75, 0.73, 0.7), (0.5, 0.45, 0.4), (0.88, 0.87, 0.85), (0.45, 0.3, 0.18))


def dresser(rng: Rng, paint: Vec3) -> Builder:
    """Wide chest of several rows of drawers, some with a mirror."""
    b = Builder()
    d, w, h = rng.uniform(0.42, 0.55), rng.uniform(0.8, 1.6), rng.uniform(0.75, 1.15)
    foot = rng.uniform(0.04, 0.12)
    finish = timber(paint)
    legs(b, d - 0.08, w - 0.08, foot, 0.025, scaled(paint, 0.7), square=True)
    b.slab((0, 0, foot), (d, w, h - foot - 0.03), scaled(paint, 0.9), material=finish)
    b.slab((0.01, 0, h - 0.03), (d + 0.04, w + 0.04, 0.03), paint, material=finish)
    columns = 1 if w < 0.95 else int(rng.integers(2, 4)) if w > 1.35 else 2
    metal = pick(rng, (STEEL, DARK, (0.7, 0.55, 0.25)))
    area = (-w / 2 + 0.02, w / 2 - 0.02, foot + 0.03, h - 0.05)
    fronts(rng, b, d / 2, area, int(rng.integers(3, 6)), columns, paint, doors=False, metal=metal)
    if rng.random() < 0.15:
        tall, wide = rng.uniform(0.5, 0.75), w * rng.uniform(0.5, 0.8)
        b.slab((-d / 2 + 0.03, 0, h), (0.04, wide, tall), paint, material=finish)
        b.slab((-d / 2 + 0.055, 0, h + 0.05), (0.01, wide - 0.1, tall - 0.1), (0.6, 0.66, 0.7), material=Finish.GLASS)
    return b


def night_stand(rng: Rng, paint: Vec3) -> Builder:
    """Small low chest with one or two drawers, mostly above an open shelf."""
    b = Builder()
    d, w, h = rng.uniform(0.34, 0.46), rng.uniform(0.38, 0.55), rng.uniform(0.45, 0.65)
    finish, rows = timber(paint), int(rng.integers(1, 3))
    b.slab((0, 0, h - 0.025), (d + 0.03, w + 0.03, 0.025), paint, material=finish)
    if rng.random() < 0.45:  # box on legs
        low = h * rng.uniform(0.35, 0.5)
        legs(b, d - 0.05, w - 0.05, low, 0.018, scaled(paint, 0.8), square=rng.random() < 0.5)
        b.slab((0, 0, low), (d, w, h - 0.025 - low), scaled(paint, 0.9), material=finish)
    else:
        low = h * rng.uniform(0.3, 0.5) if rows == 1 else 0.06
        carcass(b, (d, w, h - 0.05), 0.03, scaled(paint, 0.9), 0.02)
        b.slab((0, 0, low), (d - 0.01, w - 0.02, h - 0.03 - low), scaled(paint, 0.9), material=finish)
    fronts(rng, b, d / 2, (-w / 2 + 0.015, w / 2 - 0.015, low + 0.01, h - 0.03), rows, 1, paint, doors=False)
    return b


def bookshelf(rng: Rng, paint: Vec3) -> Builder:
    """Tall open case full of books."""
    b = Builder()
    d, w, h = rng.uniform(0.26, 0.36), rng.uniform(0.6, 1.25), rng.uniform(1.5, 2.15)
    carcass(b, (d, w, h), 0, paint)
    rows = int(rng.integers(4, 7))
    step = (h - 0.03) / rows
    for row in range(rows):
        z = row * step
        b.slab((0, 0, z), (d - 0.02, w - 0.04, 0.025), paint, material=timber(paint))
        fill = rng.uniform(0.7, 1.0) if rng.random() < 0.9 else 0.2
        books(
            rng, b, d / 2 - 0.02, -w / 2 + 0.035, -w / 2 + 0.035 + (w - 0.07) * fill, z + 0.025, step - 0.04, d - 0.04
        )
    return b


def shelf(rng: Rng, paint: Vec3) -> Builder:
    """Open boards with few things on them: a low case without a back, or a metal rack."""
    b = Builder()
    rows = int(rng.integers(2, 5))
    d, w = rng.uniform(0.28, 0.42), rng.uniform(0.6, 1.2)
    h = rows * rng.uniform(0.3, 0.38)
    metal = rng.random() < 0.4
    if metal:
        legs(b, d - 0.03, w - 0.03, h + 0.03, 0.013, pick(rng, (STEEL, DARK, WHITE)))
    else:
        for y in (-1, 1):
            b.slab((0, y * (w / 2 - 0.012), 0), (d, 0.025, h + 0.025), paint, material=timber(paint))
    for z in np.linspace(0.08, h, rows + 1 if metal else rows):
        b.slab((0, 0, z), (d - 0.01, w - 0.02, 0.025), paint, material=timber(paint))
        _some_things(rng, b, d, w, z + 0.025, 0.28 if z < h - 0.1 else 0.0)
    return b


def hung_shelf(rng: Rng, paint: Vec3) -> Builder:
    """One or two boards on brackets."""
    b = Builder()
    d, w = rng.uniform(0.18, 0.28), rng.uniform(0.5, 1.1)
    for k in range(int(rng.integers(1, 3))):
        z = 0.32 * k
        b.slab((0, 0, z + 0.12), (d, w, 0.028), paint, material=timber(paint))
        for y in (-w * 0.35, w * 0.35):
            b.tube((-d / 2 + 0.01, y, z), (d * 0.2, y, z + 0.12), 0.01, DARK, segments=5)
        _some_things(rng, b, d, w, z + 0.148, 0.22)
    return b


def _some_things(rng: Rng, b: Builder, d: float, w: float, z: float, tall: float) -> None:
    """At most two jars or boxes on a board, where there is room above it."""
    for y in (-w / 4, w / 4):
        if tall and rng.random() < 0.35:
            colour, high = any_colour(rng, 0.2, 0.9), tall * rng.uniform(0.3, 0.9)
            if rng.random() < 0.5:
                b.slab((0, y, z), (d * 0.6, rng.uniform(0.1, 0.25), high), colour)
            else:
                b.tube((0, y, z), (0, y, z + high), rng.uniform(0.04, 0.08), colour, segments=10)


def cabinet(rng: Rng, paint: Vec3) -> Builder:
    """Case behind doors: a sideboard or a wardrobe."""
    b = Builder()
    tall = rng.random() < 0.5
    d, w = rng.uniform(0.38, 0.6), rng.uniform(0.75, 1.4)
    h = rng.uniform(1.6, 2.1) if tall else rng.uniform(0.75, 1.1)
    base, finish = rng.uniform(0.04, 0.1), timber(paint)
    b.slab((-0.02, 0, 0), (d - 0.06, w - 0.04, base), DARK)
    b.slab((0, 0, base), (d, w, h - base), scaled(paint, 0.92), material=finish)
    b.slab((0.01, 0, h - 0.025), (d + 0.03, w + 0.03, 0.025), paint, material=finish)
    columns = 2 if w < 1.1 else int(rng.integers(2, 4))
    low, high = base + 0.02, h - 0.04
    if tall and rng.random() < 0.4:
        middle = low + (high - low) * rng.uniform(0.3, 0.6)
        fronts(rng, b, d / 2, (-w / 2 + 0.015, w / 2 - 0.015, low, middle), 1, columns, paint, doors=True)
        low = middle
    fronts(rng, b, d / 2, (-w / 2 + 0.015, w / 2 - 0.015, low, high), 1, columns, paint, doors=True)
    return b


def hung_cabinet(rng: Rng, paint: Vec3) -> Builder:
    """Kitchen or bathroom cabinet for the wall."""
    b = Builder()
    d, w, h = rng.uniform(0.28, 0.36), rng.uniform(0.6, 1.4), rng.uniform(0.5, 0.75)
    b.slab((0, 0, 0), (d, w, h), scaled(paint, 0.92), material=timber(paint))
    fronts(rng, b, d / 2, (-w / 2, w / 2, 0, h), 1, max(2, round(w / 0.45)), paint, doors=True)
    return b


def counter(rng: Rng, paint: Vec3) -> Builder:
    """Long worktop over a row of cupboards."""
    b = Builder()
    d, w, h = rng.uniform(0.56, 0.65), rng.uniform(1.5, 2.9), rng.uniform(0.87, 0.95)
    stone = np.clip(np.array(pick(rng, STONES)) * rng.uniform(0.9, 1.1), 0, 1)
    b.slab((-0.03, 0, 0), (d - 0.1, w - 0.02, 0.1), DARK)
    b.slab((0, 0, 0.1), (d - 0.04, w - 0.02, h - 0.14), scaled(paint, 0.9), material=timber(paint))
    columns = max(3, round(w / rng.uniform(0.4, 0.6)))
    split = h - 0.2 if rng.random() < 0.6 else h - 0.05
    fronts(rng, b, d / 2 - 0.02, (-w / 2 + 0.01, w / 2 - 0.01, 0.11, split), 1, columns, paint, doors=True)
    if split < h - 0.1:
        fronts(rng, b, d / 2 - 0.02, (-w / 2 + 0.01, w / 2 - 0.01, split, h - 0.05), 1, columns, paint, doors=False)
    b.slab((0.01, 0, h - 0.04), (d + 0.03, w + 0.03, 0.045), stone)
    if rng.random() < 0.6:
        b.slab((-d / 2 + 0.01, 0, h), (0.02, w, rng.uniform(0.08, 0.16)), stone)
    return b


def refrigerator(rng: Rng, paint: Vec3) -> Builder:
    """Tall smooth case with two doors and long handles."""
    b = Builder()
    d, w, h = rng.uniform(0.6, 0.75), rng.uniform(0.58, 0.9), rng.uniform(1.5, 1.85)
    finish = Finish.METAL if 0.55 < np.mean(np.asarray(paint, np.float64)) < 0.82 else Finish.PLAIN
    b.slab((-0.03, 0, 0.03), (d - 0.08, w, h - 0.03), scaled(paint, 0.85), material=finish)
    front = d / 2 - 0.045
    metal = one_of(rng, STEEL, DARK, scaled(paint, 0.75)) if np.mean(np.asarray(paint, np.float64)) > 0.3 else STEEL
    if w > 0.78 and rng.random() < 0.7:  # side by side
        split = rng.uniform(-0.05, 0.02) * w
        parts = [(-w / 2, split, 0.05, h), (split, w / 2, 0.05, h)]
        grips = [
            ((split - 0.04, h * 0.4), (split - 0.04, h * 0.75)),
            ((split + 0.04, h * 0.4), (split + 0.04, h * 0.75)),
        ]
    else:
        z, side = h * pick(rng, (rng.uniform(0.32, 0.42), rng.uniform(0.62, 0.7))), pick(rng, (-1, 1)) * (w / 2 - 0.06)
        parts = [(-w / 2, w / 2, 0.05, z), (-w / 2, w / 2, z, h)]
        grips = [((side, z - 0.3), (side, z - 0.04)), ((side, z + 0.04), (side, z + 0.34))]
    for (y0, y1, z0, z1), (low, high) in zip(parts, grips):
        b.slab(
            (front + 0.015, (y0 + y1) / 2, z0 + 0.004), (0.06, y1 - y0 - 0.008, z1 - z0 - 0.008), paint, material=finish
        )
        b.tube((front + 0.075, *low), (front + 0.075, *high), 0.013, metal, segments=6, material=Finish.METAL)
    return b
