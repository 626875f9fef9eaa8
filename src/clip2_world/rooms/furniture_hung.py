"""What hangs on walls: doors, windows, pictures, curtains. x to the front, y left, z up, metres."""

import numpy as np

from clip2_world.catalog import DARK, STEEL, WHITE, WOOD, Rng, any_colour, pick, scaled
from clip2_world.mesh import Builder, Floats, Vec3
from clip2_world.rooms.furniture_parts import PAPER, Finish, canvas, cloth, one_of, timber

PASTELS = ((0.85, 0.93, 0.97), (0.97, 0.9, 0.92), (0.9, 0.96, 0.88), (0.96, 0.95, 0.85), (0.95, 0.95, 0.96))


def frame(b: Builder, width: float, height: float, bar: float, depth: float, colour: Vec3, bottom: bool = True) -> None:
    """Four bars around an opening ``width`` by ``height`` that stands on z = 0 (three bars without ``bottom``)."""
    finish = timber(colour)
    for y in (-1, 1):
        b.slab((0, y * (width + bar) / 2, 0), (depth, bar, height), colour, material=finish)
    b.slab((0, 0, height), (depth, width + 2 * bar, bar), colour, material=finish)
    if bottom:
        b.slab((0, 0, -bar), (depth, width + 2 * bar, bar), colour, material=finish)


def door(rng: Rng, paint: Vec3) -> Builder:
    """Closed door leaf in its frame, with a handle; plain, panelled or with a pane."""
    b = Builder()
    w, h = rng.uniform(0.75, 0.95), rng.uniform(1.98, 2.1)
    jamb = one_of(rng, WHITE, scaled(paint, 0.85), pick(rng, WOOD))
    frame(b, w, h, rng.uniform(0.06, 0.1), 0.08, jamb, bottom=False)
    b.slab((-0.01, 0, 0.005), (0.05, w, h - 0.005), paint, material=timber(paint))
    style, side = rng.integers(4), pick(rng, (-1, 1))
    if style < 2:
        rows, columns = (2, 1) if style == 0 else (3, 2)
        for z in np.arange(rows):
            for y in np.arange(columns) - (columns - 1) / 2:
                tall, wide = h / rows - 0.16, w / columns - 0.16
                base = (0.018, y * (w / columns - 0.05), 0.1 + z * (h / rows - 0.03))
                b.slab(base, (0.012, wide, tall), scaled(paint, 0.82), top=(1, 0.94), material=timber(paint))
    elif style == 2:
        b.slab((0.018, 0, h * 0.55), (0.01, w * 0.5, h * 0.33), (0.7, 0.78, 0.8), material=Finish.GLASS)
    at = (0.03, side * (w / 2 - 0.07), 1.0)
    b.slab((0.02, at[1], 0.92), (0.012, 0.045, 0.2), STEEL, material=Finish.METAL)
    b.tube((0.02, at[1], 1.02), (0.075, at[1], 1.02), 0.012, STEEL, segments=6, material=Finish.METAL)
    if rng.random() < 0.6:
        b.tube((0.07, at[1], 1.02), (0.07, at[1] - side * 0.12, 1.02), 0.012, STEEL, segments=6, material=Finish.METAL)
    else:
        b.ball((0.075, at[1], 1.02), (0.028,) * 3, STEEL, Finish.METAL, 6, 8)
    return b


def window(rng: Rng, paint: Vec3) -> Builder:
    """Panes of bright sky in a frame, with a sill."""
    b = Builder()
    w, h, bar = rng.uniform(0.8, 1.7), rng.uniform(0.9, 1.35), rng.uniform(0.05, 0.08)
    frame(b, w, h, bar, 0.07, paint)
    canvas(b, (-0.005, 0, h / 2), (w, h), view_outside(rng), Finish.BACKLIT)
    for y in np.linspace(-w / 2, w / 2, int(rng.integers(2, 4)) + 1)[1:-1]:
        b.slab((0.01, y, 0), (0.04, bar * 0.8, h), paint)
    if rng.random() < 0.5:
        b.slab((0.01, 0, h * pick(rng, (0.5, 0.68))), (0.035, w, bar * 0.7), paint)
    b.slab((0.04, 0, -bar - 0.03), (0.16, w + 2 * bar + 0.06, 0.03), scaled(paint, 0.95))
    return b


def view_outside(rng: Rng) -> Floats:
    """(12, 16, 3) sky over a distant skyline or trees."""
    up = np.linspace(1, 0, 12)[:, None, None]
    image = np.array([0.95, 0.97, 1.0]) + up * np.array([-0.28, -0.12, 0.0]) * rng.uniform(0.2, 1)
    image = np.repeat(image, 16, axis=1) + rng.normal(0, 0.015, (12, 16, 1))
    colour = pick(rng, ((0.35, 0.5, 0.28), (0.55, 0.55, 0.6), (0.5, 0.42, 0.36)))
    skyline = rng.integers(7, 11) + rng.integers(0, 3, 16)
    image[np.arange(12)[:, None] >= skyline] = colour
    return np.clip(image, 0, 1).astype(np.float32)


def picture(rng: Rng, paint: Vec3) -> Builder:
    """Painting or print in a flat frame."""
    b = Builder()
    w, h = rng.uniform(0.35, 1.0), rng.uniform(0.35, 0.8)
    bar = rng.uniform(0.02, 0.05)
    frame(b, w, h, bar, 0.03, paint)
    mount = rng.uniform(0.04, 0.08) if rng.random() < 0.5 else 0.0
    b.slab((-0.005, 0, 0), (0.01, w, h), PAPER)
    canvas(b, (0.004, 0, h / 2), (w - 2 * mount, h - 2 * mount), painting(rng), Finish.PLAIN)
    return b


def painting(rng: Rng) -> Floats:
    """(20, 24, 3) landscape, abstract of rectangles or portrait."""
    y, x = np.mgrid[0:20, 0:24]
    image = np.empty((20, 24, 3))
    style = rng.integers(3)
    if style == 0:
        image[:] = any_colour(rng, 0.5, 0.95)
        for k in range(3):
            ridge = 8 + 4 * k + rng.uniform(1, 3) * np.sin(x / rng.uniform(2, 6) + rng.uniform(0, 6))
            image[y > ridge] = any_colour(rng, 0.1, 0.7)
    elif style == 1:
        image[:] = any_colour(rng, 0.1, 0.95)
        for _ in range(8):
            top, left = rng.integers(0, 16), rng.integers(0, 20)
            image[top : top + rng.integers(3, 10), left : left + rng.integers(3, 12)] = any_colour(rng, 0.05, 0.95)
    else:
        image[:] = any_colour(rng, 0.1, 0.6)
        image[((x - 12) / 9.0) ** 2 + ((y - 21) / 8.0) ** 2 < 1] = any_colour(rng, 0.05, 0.9)
        image[((x - 12) / 3.6) ** 2 + ((y - 8) / 4.6) ** 2 < 1] = (0.85, 0.68, 0.55)
        image[((x - 12) / 4.2) ** 2 + ((y - 5) / 3.0) ** 2 < 1] = any_colour(rng, 0.05, 0.4)
    return np.clip(image + rng.normal(0, 0.03, (20, 24, 1)), 0, 1).astype(np.float32)


def curtain(rng: Rng, paint: Vec3) -> Builder:
    """Heavy coloured cloth in deep folds, from a rod nearly to the floor or to a sill."""
    b = Builder()
    w, h = rng.uniform(0.5, 1.3), pick(rng, (rng.uniform(1.4, 1.7), rng.uniform(1.9, 2.2), rng.uniform(1.9, 2.2)))
    waves = max(3, round(w / rng.uniform(0.1, 0.16)))
    colours = np.tile(np.asarray(paint, np.float32), (8, max(4 * waves, 12), 1))
    if rng.random() < 0.3:
        colours[:, ::2] *= 0.75
    cloth(rng, b, w, 0.0, h, rng.uniform(0.09, 0.15), waves, colours)
    rod = pick(rng, (DARK, STEEL, WOOD[0]))
    b.tube((0, -w / 2 - 0.08, h + 0.015), (0, w / 2 + 0.08, h + 0.015), 0.015, rod, segments=6)
    for y in (-1, 1):
        b.ball((0, y * (w / 2 + 0.08), h + 0.015), (0.03,) * 3, rod, rings=5, segments=8)
    return b


def shower_curtain(rng: Rng, paint: Vec3) -> Builder:
    """Thin pale cloth on rings along a rail, often with dots or bands; it stops above the floor."""
    b = Builder()
    w, h = rng.uniform(1.1, 1.6), rng.uniform(1.65, 1.8)
    waves = round(w / rng.uniform(0.14, 0.2))
    columns = max(4 * waves, 12)
    colours = np.tile(np.asarray(pick(rng, PASTELS), np.float32), (8, columns, 1))
    style, ink = rng.integers(4), np.clip(np.asarray(paint, np.float32) * 0.6 + 0.35, 0, 1)
    if style == 0:
        colours[::2] = ink
    elif style == 1:
        colours[(np.indices((8, columns)).sum(0) % 3) == 0] = ink
    elif style == 2:
        colours[-2:] = ink
    cloth(rng, b, w, 0.0, h, rng.uniform(0.05, 0.08), waves, colours)
    b.tube((0, -w / 2 - 0.08, h + 0.06), (0, w / 2 + 0.08, h + 0.06), 0.012, STEEL, segments=6, material=Finish.METAL)
    for y in np.linspace(-w / 2 + 0.03, w / 2 - 0.03, 9):
        b.ring((0, y, h + 0.03), 0.03, 0.005, STEEL, normal="y", segments=8)
    return b
