"""Trees and bushes. x forward, y left, z up, metres."""

import numpy as np

from clip2_world.catalog import Rng, thing
from clip2_world.mesh import Builder, Material, Vec3


@thing("tree", "static.vegetation", "verge", "street tree", "leafy tree", colours=("green",), weight=5)
def tree(rng: Rng, paint: Vec3) -> Builder:
    """Conifer or round-crowned tree."""
    b = Builder()
    h, r = rng.uniform(4, 9), rng.uniform(1.1, 2.2)
    trunk = h * rng.uniform(0.3, 0.45)
    b.tube((0, 0, 0), (0, 0, trunk + r * 0.4), rng.uniform(0.12, 0.25), (0.33, 0.24, 0.16), segments=8)
    leaf = np.array((0.16, 0.36, 0.1)) * rng.uniform(0.7, 1.3) + rng.normal(0, 0.03, 3)
    if rng.random() < 0.3:
        for i in range(4):
            z = trunk * 0.6 + (h - trunk * 0.6) * i / 4
            b.tube(
                (0, 0, z),
                (0, 0, z + (h - z) * 0.55 + 0.4),
                r * (1 - i * 0.22),
                tuple(leaf * 0.8),
                0.05,
                segments=9,
                material=Material.FOLIAGE,
            )
    else:
        for _ in range(7):
            at = rng.normal(0, r * 0.4, 3) + np.array((0, 0, trunk + (h - trunk) * 0.5))
            b.ball(
                at,
                (*rng.uniform(0.5, 0.8, 2) * r, (h - trunk) * rng.uniform(0.25, 0.42)),
                tuple(leaf * rng.uniform(0.85, 1.15)),
                material=Material.FOLIAGE,
                rings=5,
                segments=8,
            )
    return b


@thing("bush", "static.vegetation", "verge", "shrub", "hedge", colours=("green",), weight=2)
def bush(rng: Rng, paint: Vec3) -> Builder:
    """Bush of overlapping balls."""
    b, r = Builder(), rng.uniform(0.4, 0.8)
    leaf = np.array((0.15, 0.34, 0.1)) * rng.uniform(0.7, 1.3)
    for _ in range(5):
        b.ball(
            (*rng.normal(0, r * 0.5, 2), r * 0.75),
            r * rng.uniform(0.6, 0.95, 3),
            tuple(leaf * rng.uniform(0.85, 1.15)),
            material=Material.FOLIAGE,
            rings=5,
            segments=8,
        )
    return b
