"""Monitors, televisions and laptops. x to the front, y left, z up, metres."""

import numpy as np

from clip2_world.catalog import DARK, Rng, any_colour, pick, scaled
from clip2_world.mesh import Builder, Floats, Vec3
from clip2_world.rooms.furniture_parts import (
    Finish,
    canvas,
    loft,
)


def on_screen(rng: Rng) -> tuple[Floats, int]:
    """What a screen shows, (12, 18, 3), and its finish: dark when off, windows on a desktop when on."""
    image = np.full((12, 18, 3), 0.04, np.float32)
    if rng.random() < 0.45:
        return image, Finish.SCREEN
    image[:] = any_colour(rng, 0.15, 0.7)
    for _ in range(rng.integers(1, 4)):
        top, left = rng.integers(1, 6), rng.integers(1, 9)
        image[top : top + rng.integers(4, 7), left : left + rng.integers(5, 9)] = any_colour(rng, 0.7, 1.0)
        image[top + 1, left + 1 : left + 4] = any_colour(rng, 0, 0.5)
    return image, Finish.BACKLIT


def _panel(rng: Rng, b: Builder, z: float, w: float, h: float, case: Vec3) -> None:
    """Flat screen with its lower edge at ``z``, facing the front."""
    b.slab((0, 0, z), (0.035, w, h), case)
    b.slab((-0.03, 0, z + h * 0.2), (0.04, w * 0.5, h * 0.5), scaled(case, 0.9), top=(0.6, 0.8))
    image, finish = on_screen(rng)
    canvas(b, (0.0195, 0, z + h / 2 + 0.005), (w - 0.03, h - 0.035), image, finish)


def display(rng: Rng, paint: Vec3) -> Builder:
    """Monitor or television on a foot."""
    b = Builder()
    w = pick(rng, (rng.uniform(0.48, 0.65), rng.uniform(0.75, 1.15)))
    h, lift = w * rng.uniform(0.56, 0.64), rng.uniform(0.05, 0.12)
    case = paint
    _panel(rng, b, lift, w, h, case)
    if w < 0.7:
        loft(b, (0, 0, 0), [(0.09, 0.13, 0), (0.09, 0.13, 0.012)], case, float(pick(rng, (0.3, 1.0))))
        b.slab((-0.03, 0, 0), (0.025, 0.06, lift + h * 0.4), case)
    else:
        for y in (-w * 0.3, w * 0.3):
            b.slab((0, y, 0), (0.2, 0.03, 0.012), case)
            b.slab((-0.01, y, 0), (0.02, 0.03, lift + 0.05), case)
    return b


def hung_display(rng: Rng, paint: Vec3) -> Builder:
    """Television on the wall."""
    b = Builder()
    w = rng.uniform(0.8, 1.3)
    _panel(rng, b, 0, w, w * rng.uniform(0.56, 0.6), paint)
    return b


def laptop(rng: Rng, paint: Vec3) -> Builder:
    """Open laptop; its keyboard is at the front."""
    b = Builder()
    w, d = rng.uniform(0.31, 0.4), rng.uniform(0.22, 0.27)
    b.slab((0, 0, 0), (d, w, 0.02), paint, material=Finish.METAL)
    b.slab((-0.03, 0, 0.02), (d * 0.45, w * 0.9, 0.003), DARK)
    b.slab((d * 0.32, 0, 0.02), (d * 0.22, w * 0.3, 0.002), scaled(paint, 0.8))
    lean = rng.uniform(0.1, 0.5)
    b.slab((-d / 2, 0, 0.012), (0.012, w, d), paint, pitch=-lean)
    image, finish = on_screen(rng)
    mid = (0.0085 - d / 2 - np.sin(lean) * d / 2, 0, 0.015 + np.cos(lean) * d / 2)
    canvas(b, mid, (w - 0.02, d - 0.025), image, finish, lean)
    return b
