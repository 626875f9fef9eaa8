"""Chairs, stools and sofas. x to the front, y left, z up, metres."""

import numpy as np

from clip2_world.catalog import DARK, STEEL, Rng, any_colour, pick, scaled
from clip2_world.mesh import Builder, Vec3, turn_z
from clip2_world.rooms.furniture_parts import Finish, cushion, leg_colour, legs, loft, one_of, timber, wood_tone
from clip2_world.streets import road_debris


def chair(rng: Rng, paint: Vec3) -> Builder:
    """Wooden, upholstered, shell, office or garden chair."""
    return pick(rng, (_wooden_chair, _wooden_chair, _shell_chair, _office_chair, _office_chair, _garden_chair))(
        rng, paint
    )


def _garden_chair(rng: Rng, paint: Vec3) -> Builder:
    """The street's chair, which has its back at the front."""
    mesh = road_debris.chair(rng, paint).build()
    b = Builder()
    b.add(mesh.vertices @ turn_z(np.pi), mesh.faces, mesh.colours)
    return b


def _wooden_chair(rng: Rng, paint: Vec3) -> Builder:
    b = Builder()
    w, d, h = rng.uniform(0.4, 0.5), rng.uniform(0.4, 0.5), rng.uniform(0.42, 0.47)
    top = rng.uniform(0.82, 1.05)
    finish = timber(paint)
    legs(b, d - 0.06, w - 0.06, h, 0.02, paint, square=rng.random() < 0.6)
    if rng.random() < 0.5:
        cushion(b, (0, 0, h + 0.02), (d, w, 0.08), any_colour(rng, 0.1, 0.8), 0.75)
    else:
        b.slab((0, 0, h - 0.02), (d, w, 0.04), paint, material=finish)
    lean = rng.uniform(0.03, 0.1)
    for y in (-1, 1):
        b.tube(
            (-d / 2 + 0.03, y * (w / 2 - 0.03), h),
            (-d / 2 - lean, y * (w / 2 - 0.03), top),
            0.02,
            paint,
            segments=6,
            material=finish,
        )
    style = rng.integers(3)
    if style == 0:  # one padded panel
        b.slab((-d / 2 + 0.01, 0, h + 0.12), (0.035, w - 0.04, top - h - 0.12), paint, shift=-lean, material=finish)
    elif style == 1:  # rungs across
        for f in np.linspace(0.35, 1, rng.integers(2, 5)):
            b.slab(
                (-d / 2 + 0.03 - f * (lean + 0.03), 0, h + f * (top - h) - 0.06),
                (0.02, w - 0.04, 0.06),
                paint,
                material=finish,
            )
    else:  # upright bars
        b.slab((-d / 2 - lean, 0, top - 0.07), (0.025, w, 0.07), paint, material=finish)
        for y in np.linspace(-0.35, 0.35, 5) * w:
            b.tube((-d / 2 + 0.03, y, h), (-d / 2 - lean, y, top - 0.03), 0.009, paint, segments=5, material=finish)
    return b


def _shell_chair(rng: Rng, paint: Vec3) -> Builder:
    b = Builder()
    w, h = rng.uniform(0.44, 0.52), rng.uniform(0.42, 0.46)
    cushion(b, (0, 0, h), (w, w, 0.07), paint, 0.7, finish=Finish.PLAIN)
    cushion(b, (-w / 2 + 0.0, 0, h + 0.24), (0.06, w * 0.95, 0.46), paint, 0.6, pitch=-0.15, finish=Finish.PLAIN)
    legs(b, w * 0.55, w * 0.55, h, 0.014, one_of(rng, STEEL, wood_tone(rng), DARK), splay=0.06)
    return b


def _office_chair(rng: Rng, paint: Vec3) -> Builder:
    b = Builder()
    w, h = rng.uniform(0.46, 0.54), rng.uniform(0.44, 0.54)
    back = rng.uniform(0.4, 0.7)
    base = pick(rng, (DARK, STEEL))
    for a in np.arange(5) * 2 * np.pi / 5 + 0.3:
        tip = np.array([np.cos(a), np.sin(a), 0]) * rng.uniform(0.28, 0.32)
        b.tube((0, 0, 0.12), np.add(tip, (0, 0, 0.07)), 0.025, base, 0.018, 6)
        b.ball(np.add(tip, (0, 0, 0.035)), (0.03, 0.03, 0.035), DARK, rings=4, segments=6)
    b.tube((0, 0, 0.1), (0, 0, h), 0.03, STEEL, segments=8, material=Finish.METAL)
    cushion(b, (0, 0, h), (w, w, 0.1), paint, 0.7)
    b.tube((-w * 0.4, 0, h), (-w / 2 - 0.03, 0, h + 0.25), 0.025, DARK, segments=6)
    cushion(b, (-w / 2, 0, h + 0.14 + back / 2), (0.08, w * 0.92, back), paint, 0.65, pitch=-0.1)
    if rng.random() < 0.6:
        for y in (-1, 1):
            b.tube((0, y * w * 0.48, h), (0, y * (w / 2 + 0.04), h + 0.2), 0.015, DARK, segments=5)
            b.slab((0, y * (w / 2 + 0.04), h + 0.2), (0.25, 0.06, 0.03), DARK)
    return b


def stool(rng: Rng, paint: Vec3) -> Builder:
    """Seat without a back: low, or as high as a bar."""
    b = Builder()
    r, h = rng.uniform(0.15, 0.2), pick(rng, (rng.uniform(0.4, 0.5), rng.uniform(0.6, 0.78)))
    frame = leg_colour(rng, paint)
    style = rng.integers(3)
    if style == 0:  # column on a disc
        loft(b, (0, 0, 0), [(r, r, 0), (r, r, 0.02), (0.03, 0.03, 0.05)], STEEL, finish=Finish.METAL)
        b.tube((0, 0, 0), (0, 0, h), 0.025, STEEL, segments=8, material=Finish.METAL)
    else:
        count = 3 if style == 1 else 4
        feet = [np.array([np.cos(a), np.sin(a), 0]) for a in np.arange(count) * 2 * np.pi / count + np.pi / 4]
        for k, foot in enumerate(feet):
            b.tube(foot * (r + 0.03), foot * r * 0.7 + (0, 0, h), 0.016, frame, segments=6, material=timber(frame))
            other = feet[(k + 1) % count]
            b.tube(foot * r + (0, 0, h * 0.35), other * r + (0, 0, h * 0.35), 0.01, frame, segments=5)
    if rng.random() < 0.4:
        cushion(b, (0, 0, h), (2 * r, 2 * r, 0.1), paint, 0.5)
    else:
        square = float(pick(rng, (1.0, 0.3)))
        loft(
            b,
            (0, 0, h - 0.02),
            [(r * 0.95, r * 0.95, 0), (r, r, 0.02), (r, r, 0.04)],
            paint,
            square,
            finish=timber(paint),
        )
    return b


def sofa(rng: Rng, paint: Vec3) -> Builder:
    """One to three seats between arms, some with a chaise."""
    b = Builder()
    seats = int(rng.choice([1, 2, 3], p=[0.2, 0.4, 0.4]))
    each, d = rng.uniform(0.55, 0.75), rng.uniform(0.8, 1.0)
    arm, seat, back = rng.uniform(0.12, 0.24), rng.uniform(0.38, 0.46), rng.uniform(0.72, 0.95)
    w = seats * each
    soft = rng.uniform(0.75, 0.97)
    dark = scaled(paint, 0.85)
    b.slab((0, 0, 0.06), (d, w + 2 * arm, seat - 0.2), dark, material=Finish.FABRIC)
    cushion(b, (-d / 2 + 0.11, 0, 0.06 + (back - 0.06) / 2), (0.22, w + 2 * arm, back - 0.06), paint, soft)
    high = seat + rng.uniform(0.12, 0.22)
    for sign in (-1, 1):
        cushion(b, (0.02, sign * (w + arm) / 2, 0.06 + (high - 0.06) / 2), (d - 0.04, arm, high - 0.06), paint, soft)
    for k in range(seats):
        y = (k - (seats - 1) / 2) * each
        cushion(b, (0.1, y, seat - 0.09), (d - 0.2, each - 0.01, 0.2), paint, 0.8)
        cushion(b, (-d / 2 + 0.27, y, seat + 0.2), (0.18, each - 0.03, 0.42), paint, 0.6, pitch=-0.2)
    if seats > 1 and rng.random() < 0.25:
        long, y = rng.uniform(0.5, 0.7), pick(rng, (-1, 1)) * (w - each) / 2
        b.slab((d / 2 + long / 2 - 0.02, y, 0.06), (long, each, seat - 0.2), dark, material=Finish.FABRIC)
        cushion(b, (d / 2 + long / 2 - 0.02, y, seat - 0.09), (long + 0.08, each - 0.01, 0.2), paint, 0.8)
    legs(b, d - 0.12, w + 2 * arm - 0.12, 0.08, 0.025, one_of(rng, DARK, wood_tone(rng), STEEL))
    return b
