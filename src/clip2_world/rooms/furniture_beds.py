"""Beds and pillows. x to the front (the foot), y left, z up, metres."""

import numpy as np

from clip2_world.catalog import DARK, Rng, any_colour, pick, scaled
from clip2_world.mesh import Builder, Vec3
from clip2_world.rooms.furniture_parts import (
    CREAM,
    PORCELAIN,
    Finish,
    cushion,
    legs,
    timber,
    wood_tone,
)


def bed(rng: Rng, paint: Vec3) -> Builder:
    """Mattress on a frame or a box, with headboard, pillows and a blanket."""
    b = Builder()
    w, l = pick(rng, (rng.uniform(0.85, 1.1), rng.uniform(1.35, 1.8))), rng.uniform(1.9, 2.1)
    low, top = rng.uniform(0.12, 0.3), rng.uniform(0.45, 0.62)
    frame = wood_tone(rng) if rng.random() < 0.7 else np.asarray(pick(rng, (DARK, PORCELAIN, CREAM)))
    linen = np.clip(np.array(pick(rng, (PORCELAIN, CREAM, (0.75, 0.8, 0.88)))) * rng.uniform(0.9, 1.05), 0, 1)
    if rng.random() < 0.3:
        b.slab((0, 0, 0.04), (l, w, top - 0.26), scaled(paint, 0.6), material=Finish.FABRIC)
    else:
        legs(b, l - 0.1, w - 0.06, low, 0.035, frame, square=True)
        b.slab((0, 0, low), (l + 0.03, w + 0.04, top - 0.22 - low), frame, material=timber(frame))
    cushion(b, (0, 0, top - 0.11), (l, w, 0.24), linen, 0.95)
    _headboard(rng, b, l, w, top, frame, paint)
    bare = rng.uniform(0.38, 0.75)  # metres at the head that the blanket leaves free
    stripes = rng.random() < 0.35
    _blanket(
        b,
        (bare - l / 2, l / 2 + 0.02),
        w,
        top,
        rng.uniform(0.12, 0.4),
        paint,
        any_colour(rng, 0.2, 0.95) if stripes else paint,
    )
    for y in (-w / 4, w / 4) if w > 1.25 else (0.0,):
        if rng.random() < 0.9:
            cushion(
                b,
                (-l / 2 + 0.24, y, top + 0.07),
                (0.38, min(w * 0.45, 0.65), 0.15),
                scaled(linen, 0.97),
                0.4,
                pitch=-0.2,
            )
    return b


def _headboard(rng: Rng, b: Builder, l: float, w: float, top: float, frame: Vec3, paint: Vec3) -> None:
    style, high = rng.integers(4), top + rng.uniform(0.25, 0.7)
    if style == 0:
        b.slab((-l / 2 - 0.03, 0, 0), (0.05, w + 0.06, high), frame, material=timber(frame))
    elif style == 1:
        cushion(b, (-l / 2 - 0.05, 0, (high + 0.1) / 2), (0.12, w + 0.04, high - 0.1), paint, 0.9)
    elif style == 2:
        b.tube((-l / 2 - 0.03, -w / 2, high), (-l / 2 - 0.03, w / 2, high), 0.025, frame, segments=6)
        for y in np.linspace(-w / 2, w / 2, 7):
            b.tube((-l / 2 - 0.03, y, 0), (-l / 2 - 0.03, y, high), 0.015, frame, segments=5)


def _blanket(b: Builder, reach: tuple[float, float], w: float, top: float, drop: float, one: Vec3, other: Vec3) -> None:
    """Two-coloured cover over the mattress that hangs down by ``drop`` at its sides."""
    x0, x1 = reach
    for k, x in enumerate(np.linspace(x0, x1, 7)[:-1]):
        colour = one if k % 2 else other
        step = (x1 - x0) / 6
        b.slab((x + step / 2, 0, top - 0.005), (step, w + 0.03, 0.03), colour, material=Finish.FABRIC)
        for y in (-1, 1):
            b.slab((x + step / 2, y * (w / 2 + 0.015), top - drop), (step, 0.03, drop), colour, material=Finish.FABRIC)
    b.slab((x1, 0, top - drop), (0.03, w + 0.05, drop), one, material=Finish.FABRIC)


def pillow(rng: Rng, paint: Vec3) -> Builder:
    """A soft cushion, lying or leaning back."""
    b = Builder()
    size = (rng.uniform(0.35, 0.5), rng.uniform(0.4, 0.7), rng.uniform(0.13, 0.2))
    tilt = pick(rng, (0.0, 0.0, rng.uniform(-1.2, -0.8)))
    cushion(b, (0, 0, 0), size, paint, rng.uniform(0.3, 0.5), tilt)
    if rng.random() < 0.4:  # a wide stripe
        inner = (size[0] * 0.35, size[1] * 0.98, size[2] * 1.06)
        cushion(b, (0, 0, 0), inner, any_colour(rng, 0.1, 0.95), 0.3, tilt)
    return b
