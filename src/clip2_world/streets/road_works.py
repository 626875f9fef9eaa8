"""What stands about road works: cones, barriers, ladders, buckets, wheelbarrows. x forward, y left, z up, metres."""

from itertools import pairwise

import numpy as np

from clip2_world.catalog import DARK, STEEL, WHITE, Rng, thing
from clip2_world.mesh import Builder, Material, Vec3


@thing(
    "traffic cone",
    "movable_object.trafficcone",
    "debris",
    "orange cone",
    "road cone",
    detection="traffic_cone",
    weight=8,
    colours=("orange", "orange", "red"),
)
def traffic_cone(rng: Rng, paint: Vec3) -> Builder:
    """Cone with one or two reflecting bands."""
    b = Builder()
    h, r = rng.uniform(0.5, 1.0), rng.uniform(0.13, 0.2)
    b.slab((0, 0, 0), (r * 2.7, r * 2.7, 0.05), DARK if rng.random() < 0.5 else paint)
    b.tube((0, 0, 0.05), (0, 0, h), r, paint, 0.03, segments=14)
    for f in (0.35, 0.62)[: rng.integers(1, 3)]:
        a, c = r + (0.03 - r) * f, r + (0.03 - r) * (f + 0.14)
        b.tube(
            (0, 0, 0.05 + h * f),
            (0, 0, 0.05 + h * (f + 0.14)),
            a + 0.006,
            WHITE,
            c + 0.006,
            segments=14,
            material=Material.RETRO,
        )
    return b


@thing(
    "barrier",
    "movable_object.barrier",
    "debris",
    "jersey barrier",
    "road barrier",
    "concrete barrier",
    detection="barrier",
    weight=6,
    colours=("gray", "orange", "white", "red"),
)
def barrier(rng: Rng, paint: Vec3) -> Builder:
    """Jersey barrier or striped board; its long side lies along y."""
    b = Builder()
    length, height = rng.uniform(1.6, 3.0), rng.uniform(0.8, 1.1)
    if rng.random() < 0.6:  # jersey profile, long side across x
        b.slab((0, 0, 0), (0.6, length, height * 0.3), paint, top=(0.6, 1))
        b.slab((0, 0, height * 0.3), (0.36, length, height * 0.7), paint, top=(0.5, 1))
    else:
        for y in (-length / 2 + 0.1, length / 2 - 0.1):
            b.slab((0, y, 0), (0.5, 0.08, height), STEEL, top=(0.15, 1))
        for z in (height * 0.45, height * 0.8):
            n = 6
            for i in range(n):
                c = (0.92, 0.92, 0.92) if i % 2 else (0.9, 0.25, 0.05)
                b.slab(
                    (0, -length / 2 + (i + 0.5) * length / n, z), (0.06, length / n, 0.2), c, material=Material.RETRO
                )
    return b


@thing("ladder", "movable_object.debris", "debris", "step ladder", colours=("silver", "yellow", "orange"))
def ladder(rng: Rng, paint: Vec3) -> Builder:
    """Step ladder, set up."""
    b = Builder()
    h, w, foot = rng.uniform(1.6, 3.0), rng.uniform(0.4, 0.6), rng.uniform(0.4, 0.7)
    for sign in (-1, 1):
        for y in (-w / 2, w / 2):
            b.tube((sign * foot, y, 0), (0, y, h), 0.035, paint, segments=5)
        for f in np.arange(0.12, 0.95, 0.32 / h):
            x = sign * foot * (1 - f)
            b.tube((x, -w / 2, h * f), (x, w / 2, h * f), 0.025, paint, segments=5)
    return b


@thing(
    "excavator bucket",
    "movable_object.debris",
    "debris",
    "digger bucket",
    "metal shovel bucket",
    colours=("yellow", "gray", "orange"),
)
def excavator_bucket(rng: Rng, paint: Vec3) -> Builder:
    """A bucket taken off its arm."""
    b = Builder()
    w, r = rng.uniform(0.9, 1.5), rng.uniform(0.5, 0.75)
    angle = np.linspace(-0.3, 1.25 * np.pi, 9)
    for a, c in pairwise(angle):
        p, q = np.array([-np.cos(a), 0, 1 - np.sin(a)]) * r, np.array([-np.cos(c), 0, 1 - np.sin(c)]) * r
        mid, span = (p + q) / 2, float(np.linalg.norm(q - p)) * 1.1
        b.slab(mid - (0, 0, 0.03), (span, w, 0.06), paint, pitch=-np.arctan2(q[2] - p[2], q[0] - p[0]))
    for y in (-w / 2, w / 2):
        b.tube((0, y - 0.03, r), (0, y + 0.03, r), r * 0.95, paint, segments=12)
    for y in np.linspace(-w * 0.45, w * 0.45, 5):
        b.slab((r * 1.0, y, 0.02), (0.35, 0.08, 0.08), STEEL, top=(0.6, 0.6))
    return b


@thing(
    "wheelbarrow", "movable_object.pushable_pullable", "debris", "hand cart", colours=("green", "red", "blue", "gray")
)
def wheelbarrow(rng: Rng, paint: Vec3) -> Builder:
    """Wheelbarrow, half of them filled."""
    b = Builder()
    b.slab((0, 0, 0.4), (0.6, 0.4, 0.35), paint, top=(1.5, 1.6))
    b.wheel(0.62, 0, 0.2, 0.1)
    for y in (-0.25, 0.25):
        b.tube((0.6, y * 0.3, 0.2), (-0.95, y * 1.2, 0.6), 0.025, STEEL, segments=5)
        b.tube((-0.25, y, 0.4), (-0.3, y, 0), 0.025, STEEL, segments=5)
    if rng.random() < 0.5:
        b.ball((0, 0, 0.75), (0.4, 0.28, 0.2), (0.35, 0.26, 0.18))
    return b
