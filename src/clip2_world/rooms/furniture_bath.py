"""Toilets, bathtubs and sinks. x to the front, y left, z up, metres."""

import numpy as np

from clip2_world.catalog import STEEL, Rng, pick, scaled
from clip2_world.mesh import Builder, Vec3
from clip2_world.rooms.furniture_parts import PORCELAIN, Finish, fronts, loft, one_of, timber, wood_tone


def tap(b: Builder, at: Vec3, height: float, reach: float) -> None:
    """Spout that rises at ``at`` and reaches to the front, with a lever."""
    x, y, z = np.asarray(at, np.float64)
    b.tube((x, y, z), (x, y, z + height), 0.015, STEEL, segments=8, material=Finish.METAL)
    b.tube((x, y, z + height), (x + reach, y, z + height * 0.85), 0.013, STEEL, segments=8, material=Finish.METAL)
    b.tube((x, y, z + height), (x - 0.02, y, z + height + 0.06), 0.008, STEEL, segments=6, material=Finish.METAL)


def toilet(rng: Rng, paint: Vec3) -> Builder:
    """Bowl with seat and tank; the lid is up or down."""
    b = Builder()
    seat, w, l = rng.uniform(0.38, 0.43), rng.uniform(0.35, 0.4), rng.uniform(0.44, 0.5)
    rx, ry = l / 2, w / 2
    shape = [
        (rx * 0.55, ry * 0.55, 0),
        (rx * 0.55, ry * 0.55, 0.12),
        (rx * 0.9, ry * 0.9, seat - 0.1),
        (rx, ry, seat - 0.03),
    ]
    hollow = [(rx * 0.75, ry * 0.72, seat - 0.03), (rx * 0.5, ry * 0.5, seat - 0.2)]
    loft(b, (0.05, 0, 0), shape + hollow, paint, 0.85, shifts=(-0.08, -0.08, -0.02, 0, 0, -0.03))
    cover = one_of(rng, PORCELAIN, PORCELAIN, scaled(paint, 0.85), wood_tone(rng))
    rim = [(rx, ry, 0), (rx, ry, 0.02), (rx * 0.68, ry * 0.62, 0.02), (rx * 0.68, ry * 0.62, 0)]
    loft(b, (0.05, 0, seat - 0.03), rim, cover, 0.85, closed=(False, False))
    back = 0.05 - rx
    if rng.random() < 0.5:
        loft(b, (0.05, 0, seat - 0.005), [(rx, ry, 0), (rx, ry, 0.02), (rx * 0.9, ry * 0.9, 0.03)], cover, 0.85)
    else:  # lid up, leaning against the tank
        b.slab((back + 0.04, 0, seat), (0.025, w * 0.95, l * 0.85), cover, top=(1, 0.7), shift=-0.06)
    high = seat + rng.uniform(0.3, 0.4)
    b.slab((back - 0.09, 0, seat - 0.06), (0.18, w + 0.06, high - seat + 0.03), paint, top=(1.05, 1.05))
    b.slab((back - 0.09, 0, high - 0.03), (0.21, w + 0.11, 0.035), paint)
    b.slab((back - 0.02, 0, 0), (0.24, w * 0.6, seat - 0.04), paint)
    b.ball((back - 0.09, 0, high + 0.01), (0.025, 0.025, 0.012), STEEL, Finish.METAL, 5, 8)
    return b


def bathtub(rng: Rng, paint: Vec3) -> Builder:
    """Hollow tub with its long side along y: built in, or an oval on feet."""
    b = Builder()
    w, l, h = rng.uniform(0.7, 0.85), rng.uniform(1.5, 1.8), rng.uniform(0.5, 0.62)
    rx, ry = w / 2, l / 2
    if rng.random() < 0.65:
        rings = [
            (rx, ry, 0),
            (rx, ry, h),
            (rx - 0.07, ry - 0.09, h),
            (rx - 0.1, ry - 0.14, 0.2),
            (rx - 0.16, ry - 0.25, 0.12),
        ]
        loft(b, (0, 0, 0), rings, paint, 0.22)
        tap(b, (-rx + 0.03, 0, h), 0.1, 0.13)
    else:
        rings = [
            (rx * 0.6, ry * 0.7, 0.1),
            (rx * 0.88, ry * 0.9, h * 0.6),
            (rx, ry, h),
            (rx - 0.04, ry - 0.04, h + 0.01),
        ]
        hollow = [(rx * 0.82, ry * 0.85, h * 0.6), (rx * 0.5, ry * 0.6, 0.16)]
        loft(b, (0, 0, 0), rings + hollow, paint, 0.8)
        for y in (-1, 1):
            for x in (-1, 1):
                b.tube((x * rx * 0.6, y * ry * 0.6, 0), (x * rx * 0.5, y * ry * 0.55, 0.18), 0.03, STEEL, 0.05, 7)
        tap(b, (-rx + 0.06, 0, 0), h + 0.2, 0.16)
    return b


def _basin(rng: Rng, b: Builder, z: float, paint: Vec3) -> tuple[float, float]:
    """A hollow basin whose lower edge is at ``z``, with its tap; gives its half sizes along x and y."""
    rx, ry, h = rng.uniform(0.2, 0.26), rng.uniform(0.25, 0.34), rng.uniform(0.13, 0.18)
    steel = np.mean(np.asarray(paint, np.float64)) < 0.8
    finish = Finish.METAL if steel else Finish.PLAIN
    rings = [
        (rx * 0.7, ry * 0.7, 0),
        (rx, ry, h * 0.8),
        (rx, ry, h),
        (rx * 0.86, ry * 0.86, h),
        (rx * 0.7, ry * 0.72, 0.05),
        (0.03, 0.03, 0.03),
    ]
    roundness = float(pick(rng, (0.3, 0.5, 1.0)))
    loft(b, (0, 0, z), rings, paint, roundness, finish=finish)
    loft(b, (0, 0, z + 0.028), [(0.025, 0.025, 0), (0.025, 0.025, 0.01)], (0.25, 0.25, 0.26))
    b.slab((-rx - 0.02, 0, z + h - 0.04), (0.09, 0.24, 0.04), paint, material=finish)
    tap(b, (-rx - 0.02, 0, z + h), rng.uniform(0.12, 0.26), 0.16)
    return rx, ry


def basin(rng: Rng, paint: Vec3) -> Builder:
    """Sink that is let into or stands on a worktop."""
    b = Builder()
    _basin(rng, b, 0, paint)
    return b


def sink(rng: Rng, paint: Vec3) -> Builder:
    """Wash basin on a pedestal or on a small cupboard."""
    b = Builder()
    z = rng.uniform(0.66, 0.74)
    rx, ry = _basin(rng, b, z, PORCELAIN)
    if rng.random() < 0.6:
        loft(
            b,
            (-0.06, 0, 0),
            [(0.11, 0.12, 0), (0.075, 0.08, 0.15), (0.075, 0.08, z - 0.1), (0.13, 0.16, z + 0.03)],
            PORCELAIN,
        )
    else:
        wood = wood_tone(rng) if rng.random() < 0.5 else np.asarray(PORCELAIN) * 0.95
        b.slab((-0.02, 0, 0.05), (2 * rx - 0.02, 2 * ry - 0.03, z - 0.03), wood, material=timber(wood))
        fronts(rng, b, rx - 0.03, (-ry + 0.02, ry - 0.02, 0.08, z - 0.02), 1, 2, wood, doors=True)
    return b
