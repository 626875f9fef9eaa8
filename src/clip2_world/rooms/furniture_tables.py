"""Tables and desks. x to the front, y left, z up, metres."""

import numpy as np

from clip2_world.catalog import Rng, pick, scaled
from clip2_world.mesh import Builder, Vec3
from clip2_world.rooms.furniture_parts import (
    Finish,
    fronts,
    leg_colour,
    legs,
    loft,
    timber,
)


def table(rng: Rng, paint: Vec3) -> Builder:
    """Round or rectangular top on thin legs or a column, at eating or at sofa height."""
    b = Builder()
    coffee, round_top = rng.random() < 0.35, rng.random() < 0.4
    h = rng.uniform(0.36, 0.5) if coffee else rng.uniform(0.7, 0.78)
    top, frame = rng.uniform(0.025, 0.045), leg_colour(rng, paint)
    glass = rng.random() < 0.12
    colour, finish = ((0.62, 0.72, 0.7), int(Finish.GLASS)) if glass else (paint, timber(paint))
    if round_top:
        r = rng.uniform(0.3, 0.5) if coffee else rng.uniform(0.4, 0.65)
        lx = ly = 2 * r
        loft(b, (0, 0, h - top), [(r, r, 0), (r, r, top)], colour, finish=finish)
    else:
        lx, ly = (
            (rng.uniform(0.45, 0.65), rng.uniform(0.8, 1.2))
            if coffee
            else (rng.uniform(0.7, 0.95), rng.uniform(0.9, 1.8))
        )
        b.slab((0, 0, h - top), (lx, ly, top), colour, material=finish)
    if round_top and rng.random() < 0.5:
        b.tube((0, 0, 0), (0, 0, h - top), 0.04, frame, segments=8)
        loft(b, (0, 0, 0), [(lx * 0.3, lx * 0.3, 0), (lx * 0.28, lx * 0.28, 0.02), (0.04, 0.04, 0.06)], frame)
    else:
        inset = 0.72 if round_top else 0.92
        legs(
            b,
            lx * inset - 0.04,
            ly * inset - 0.04,
            h - top,
            rng.uniform(0.018, 0.035),
            frame,
            0.03 * rng.random(),
            not round_top and rng.random() < 0.6,
        )
        if not round_top and rng.random() < 0.5:  # apron under the top
            for sign in (-1, 1):
                b.slab((sign * (lx * 0.43), 0, h - top - 0.08), (0.02, ly * 0.86, 0.08), frame, material=timber(frame))
                b.slab((0, sign * (ly * 0.43), h - top - 0.08), (lx * 0.86, 0.02, 0.08), frame, material=timber(frame))
        if coffee and rng.random() < 0.4:
            b.slab((0, 0, h * 0.3), (lx * 0.75, ly * 0.75, 0.02), paint, material=timber(paint))
    return b


def desk(rng: Rng, paint: Vec3) -> Builder:
    """Top on panels and a drawer pedestal, closed behind; some have a hutch or a side wing."""
    b = Builder()
    d, w, h = rng.uniform(0.55, 0.8), rng.uniform(1.05, 1.7), rng.uniform(0.72, 0.77)
    finish, body = timber(paint), scaled(paint, 0.92)
    b.slab((0, 0, h - 0.035), (d, w, 0.035), paint, material=finish)
    left, right = (True, False) if rng.random() < 0.5 else (rng.random() < 0.3, True)
    for sign, drawers in ((-1, left), (1, right)):
        if drawers:
            wide, rows = rng.uniform(0.36, 0.46), int(rng.integers(2, 5))
            y = sign * (w / 2 - wide / 2 - 0.01)
            b.slab((-0.02, y, 0.03), (d - 0.06, wide, h - 0.065), body, material=finish)
            area = (y - wide / 2 + 0.01, y + wide / 2 - 0.01, 0.06, h - 0.05)
            fronts(rng, b, d / 2 - 0.05, area, rows, 1, paint, doors=False)
        else:
            b.slab((0, sign * (w / 2 - 0.02), 0), (d - 0.04, 0.03, h - 0.035), body, material=finish)
    b.slab((-d / 2 + 0.04, 0, h * rng.uniform(0.1, 0.5)), (0.02, w - 0.04, h * 0.5 - 0.04), body, material=finish)
    if rng.random() < 0.25:  # hutch: a low shelf along the back
        tall = rng.uniform(0.3, 0.5)
        for y in np.linspace(-w / 2 + 0.02, w / 2 - 0.02, 3):
            b.slab((-d / 2 + 0.12, y, h), (0.22, 0.025, tall), body, material=finish)
        b.slab((-d / 2 + 0.12, 0, h + tall), (0.24, w, 0.025), paint, material=finish)
    elif rng.random() < 0.2:  # L-shaped
        wing, sign = rng.uniform(0.5, 0.8), pick(rng, (-1, 1))
        y = sign * (w / 2 - 0.25)
        b.slab((d / 2 + wing / 2, y, h - 0.035), (wing, 0.5, 0.035), paint, material=finish)
        b.slab((d / 2 + wing - 0.02, y, 0), (0.03, 0.46, h - 0.035), body, material=finish)
    return b
