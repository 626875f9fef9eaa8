"""Lamps, plants, bags, bins and boxes. x to the front, y left, z up, metres."""

from itertools import pairwise

import numpy as np

from clip2_world.catalog import DARK, STEEL, Rng, any_colour, pick, scaled
from clip2_world.mesh import Builder, Vec3
from clip2_world.rooms.furniture_parts import Finish, cushion, loft, one_of, wood_tone
from clip2_world.streets import road_debris, street_furniture


def _lamp(rng: Rng, paint: Vec3, height: float, shade: float) -> Builder:
    b = Builder()
    stem = one_of(rng, DARK, STEEL, (0.7, 0.55, 0.25), wood_tone(rng))
    foot = shade * 0.75
    loft(b, (0, 0, 0), [(foot, foot, 0), (foot, foot, 0.015), (0.02, 0.02, 0.04)], stem)
    tall = shade * rng.uniform(1.1, 1.7)
    b.tube((0, 0, 0), (0, 0, height - tall * 0.5), 0.012, stem, segments=6)
    top = shade * rng.uniform(0.5, 1.0)
    rings = [(shade, shade, height - tall), (top, top, height)]
    loft(b, (0, 0, 0), rings, np.clip(np.asarray(paint) * 0.4 + 0.6, 0, 1), closed=(False, False), finish=Finish.GLOW)
    return b


def floor_lamp(rng: Rng, paint: Vec3) -> Builder:
    """Shade on a tall stem, or a reading lamp on a bow."""
    if rng.random() < 0.7:
        return _lamp(rng, paint, rng.uniform(1.35, 1.75), rng.uniform(0.16, 0.24))
    b, h = Builder(), rng.uniform(1.4, 1.8)
    metal = pick(rng, (DARK, STEEL))
    loft(b, (0, 0, 0), [(0.15, 0.15, 0), (0.15, 0.15, 0.02)], metal)
    b.tube((0, 0, 0), (0, 0, h - 0.2), 0.014, metal, segments=6)
    b.tube((0, 0, h - 0.2), (0.2, 0, h), 0.012, metal, segments=6)
    b.tube((0.2, 0, h), (0.42, 0, h - 0.1), 0.012, metal, segments=6)
    loft(b, (0.42, 0, h - 0.28), [(0.13, 0.13, 0), (0.05, 0.05, 0.18)], paint, closed=(False, True))
    b.ball((0.42, 0, h - 0.24), (0.05,) * 3, (1, 0.97, 0.88), Finish.GLOW, 5, 8)
    return b


def table_lamp(rng: Rng, paint: Vec3) -> Builder:
    """Small lamp with a shade on a stem or a bulging foot."""
    h, shade = rng.uniform(0.38, 0.6), rng.uniform(0.1, 0.16)
    b = _lamp(rng, paint, h, shade)
    if rng.random() < 0.5:
        b.ball((0, 0, h * 0.25), (shade * 0.55, shade * 0.55, h * 0.24), scaled(paint, 0.7))
    return b


def floor_plant(rng: Rng, paint: Vec3) -> Builder:
    """Big pot with a bush, upright blades or arching fronds."""
    return _plant(rng, paint, rng.uniform(0.14, 0.22), rng.uniform(0.6, 1.3))


def pot_plant(rng: Rng, paint: Vec3) -> Builder:
    """Small pot for a table."""
    return _plant(rng, paint, rng.uniform(0.06, 0.1), rng.uniform(0.15, 0.35))


def _plant(rng: Rng, paint: Vec3, pot: float, height: float) -> Builder:
    b = Builder()
    tall = pot * rng.uniform(1.4, 2.0)
    rings = [
        (pot * 0.75, pot * 0.75, 0),
        (pot, pot, tall),
        (pot * 0.88, pot * 0.88, tall),
        (pot * 0.85, pot * 0.85, tall * 0.88),
    ]
    loft(b, (0, 0, 0), rings, paint)
    loft(b, (0, 0, 0), [(pot * 0.86, pot * 0.86, tall * 0.85), (pot * 0.86, pot * 0.86, tall * 0.9)], (0.2, 0.13, 0.08))
    leaf = np.clip(np.array((0.16, 0.4, 0.12)) * rng.uniform(0.7, 1.4) + rng.normal(0, 0.03, 3), 0.03, 1)
    style = rng.integers(3)
    if style == 0:
        for _ in range(8):
            at = rng.normal(0, pot * 0.55, 3) * (1, 1, 0) + (0, 0, tall + height * rng.uniform(0.3, 0.7))
            radii = rng.uniform(0.6, 1.0, 3) * (pot, pot, height * 0.3)
            b.ball(at, radii, leaf * rng.uniform(0.75, 1.2), Finish.LEAVES, 5, 8)
    else:
        for a in rng.uniform(0, 2 * np.pi, 12 if style == 1 else 16):
            out = np.array([np.cos(a), np.sin(a), 0])
            reach = pot * (0.6 if style == 1 else 2.0) * rng.uniform(0.6, 1.1)
            tip = out * reach + (0, 0, tall + height * (rng.uniform(0.7, 1.0) if style == 1 else rng.uniform(0.3, 0.7)))
            bend = out * reach * 0.5 + (0, 0, tall + height * (0.5 if style == 1 else 0.8) * rng.uniform(0.8, 1.1))
            colour, thick = leaf * rng.uniform(0.75, 1.25), pot * (0.16 if style == 1 else 0.14)
            b.tube(out * pot * 0.3 + (0, 0, tall * 0.9), bend, thick * 0.5, colour, thick, 5, Finish.LEAVES)
            b.tube(bend, tip, thick, colour, 0.004, 5, Finish.LEAVES)
    return b


def bag(rng: Rng, paint: Vec3) -> Builder:
    """Handbag, rucksack or tote."""
    return pick(rng, (_handbag, _rucksack, _tote))(rng, paint)


def _handle(b: Builder, x: float, half: float, z: float, rise: float, colour: Vec3, radius: float = 0.012) -> None:
    """Strap in a half circle across y."""
    angle = np.linspace(0, np.pi, 9)
    points = np.stack([np.full(9, x), half * np.cos(angle), z + rise * np.sin(angle)], -1)
    for p, q in pairwise(points):
        b.tube(p, q, radius, colour, segments=5)


def _handbag(rng: Rng, paint: Vec3) -> Builder:
    b = Builder()
    w, h, d = rng.uniform(0.28, 0.42), rng.uniform(0.2, 0.3), rng.uniform(0.12, 0.18)
    loft(b, (0, 0, 0), [(d / 2, w / 2, 0), (d / 2, w / 2, h * 0.5), (d * 0.2, w * 0.42, h)], paint, 0.35)
    b.slab((d * 0.42, 0, h * 0.55), (0.02, w * 0.5, h * 0.3), scaled(paint, 0.7), shift=-0.02)
    b.ball((d * 0.45, 0, h * 0.58), (0.015,) * 3, (0.75, 0.6, 0.25), Finish.METAL, 4, 6)
    for x in (-0.03, 0.03):
        _handle(b, x, w * 0.28, h * 0.9, rng.uniform(0.12, 0.18), scaled(paint, 0.6))
    return b


def _rucksack(rng: Rng, paint: Vec3) -> Builder:
    b = Builder()
    w, h, d = rng.uniform(0.28, 0.34), rng.uniform(0.4, 0.5), rng.uniform(0.17, 0.24)
    cushion(b, (0, 0, h / 2), (d, w, h), paint, 0.7)
    cushion(b, (d / 2, 0, h * 0.32), (0.1, w * 0.75, h * 0.42), scaled(paint, 0.8), 0.7)
    other = pick(rng, (DARK, any_colour(rng, 0.1, 0.9)))
    b.slab((d / 2 - 0.01, 0, h * 0.62), (0.02, w * 0.7, 0.02), other)
    for y in (-w * 0.25, w * 0.25):
        b.tube((-d / 2, y, h * 0.9), (-d / 2 - 0.06, y, h * 0.5), 0.018, other, segments=5)
        b.tube((-d / 2 - 0.06, y, h * 0.5), (-d / 2, y, h * 0.12), 0.018, other, segments=5)
    _handle(b, -d * 0.3, 0.05, h * 0.97, 0.06, other)
    return b


def _tote(rng: Rng, paint: Vec3) -> Builder:
    b = Builder()
    w, h, d = rng.uniform(0.3, 0.4), rng.uniform(0.3, 0.42), rng.uniform(0.1, 0.16)
    rings = [(d / 2, w * 0.46, 0), (d / 2, w / 2, h), (d / 2 - 0.01, w / 2 - 0.01, h), (d / 2 - 0.01, w * 0.45, 0.02)]
    loft(b, (0, 0, 0), rings, paint, 0.2)
    b.slab((d / 2, 0, h * 0.35), (0.004, w * 0.5, h * 0.35), any_colour(rng, 0.1, 0.95))
    for x in (-d / 2, d / 2):
        _handle(b, x, w * 0.22, h * 0.97, rng.uniform(0.14, 0.2), scaled(paint, 0.75), 0.009)
    return b


def trash_bin(rng: Rng, paint: Vec3) -> Builder:
    """Open waste paper basket, pedal bin, or the street's bin."""
    style = rng.random()
    if style < 0.12:
        return street_furniture.trash_bin(rng, paint)
    b = Builder()
    if style < 0.62:
        r, h, square = rng.uniform(0.12, 0.17), rng.uniform(0.25, 0.38), float(pick(rng, (1.0, 0.3)))
        rings = [(r * 0.78, r * 0.78, 0), (r, r, h), (r - 0.008, r - 0.008, h), (r * 0.76, r * 0.76, 0.02)]
        loft(b, (0, 0, 0), rings, paint, square)
        for _ in range(rng.integers(0, 4)):
            at = (*rng.uniform(-0.4, 0.4, 2) * r, h * rng.uniform(0.4, 0.9))
            b.ball(at, rng.uniform(0.03, 0.05, 3), any_colour(rng, 0.7, 0.95), rings=4, segments=6)
        return b
    r, h = rng.uniform(0.13, 0.2), rng.uniform(0.4, 0.65)
    steel = rng.random() < 0.5
    colour, finish = (STEEL, Finish.METAL) if steel else (paint, Finish.PLAIN)
    loft(b, (0, 0, 0), [(r * 1.03, r * 1.03, 0), (r * 1.03, r * 1.03, 0.03)], DARK)
    loft(b, (0, 0, 0.03), [(r, r, 0), (r, r, h * 0.85)], colour, finish=finish)
    b.ball((0, 0, h * 0.88), (r * 1.03, r * 1.03, h * 0.14), scaled(DARK if steel else paint, 0.8))
    b.slab((r, 0, 0.01), (0.06, 0.08, 0.015), DARK)
    return b


def cardboard_box(rng: Rng, paint: Vec3) -> Builder:
    """A closed box with tape, an open one with its flaps out, or the street's pile."""
    style = rng.random()
    if style < 0.2:
        return road_debris.cardboard_box(rng, paint)
    b = Builder()
    d, w, h = rng.uniform(0.25, 0.45), rng.uniform(0.3, 0.6), rng.uniform(0.2, 0.45)
    dark = scaled(paint, 0.75)
    if style < 0.6:
        b.slab((0, 0, 0), (d, w, h), paint)
        b.slab((0, 0, h), (0.06, w + 0.004, 0.003), (0.85, 0.78, 0.6))
        b.slab((d / 2, w * 0.2, h * 0.2), (0.003, w * 0.3, h * 0.3), (0.92, 0.92, 0.9))
        if rng.random() < 0.3:
            b.slab((0, 0, h + 0.003), (d * 0.8, w * 0.7, h * 0.6), scaled(paint, 0.92), yaw=rng.uniform(-0.3, 0.3))
        return b
    for s in (-1, 1):
        b.slab((s * d / 2, 0, 0), (0.01, w, h), paint)
        b.slab((0, s * w / 2, 0), (d, 0.01, h), paint)
        b.slab(
            (s * (d / 2 + 0.06), 0, h - 0.02), (0.14, w, 0.008), scaled(paint, 1.1), pitch=s * rng.uniform(-0.4, 0.5)
        )
        b.slab((0, s * (w / 2 + 0.07), h - 0.015), (d, 0.14, 0.008), scaled(paint, 1.05))
    b.slab((0, 0, 0), (d, w, 0.02), dark)
    return b
