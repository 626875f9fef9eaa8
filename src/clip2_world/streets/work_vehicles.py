"""Trailers and construction vehicles. x forward, y left, z up, metres."""

import numpy as np

from clip2_world.catalog import DARK, GLASS, STEEL, WOOD, Rng, scaled, thing
from clip2_world.mesh import Builder, Material, Vec3
from clip2_world.streets.vehicles import lamps, wheels


@thing("trailer", "vehicle.trailer", "roadside", "semi trailer", "cargo trailer", detection="trailer", weight=1.6)
def trailer(rng: Rng, paint: Vec3) -> Builder:
    """Box trailer or loaded flat bed, standing on its legs."""
    b = Builder()
    length, width = rng.uniform(6, 13.5), rng.uniform(2.4, 2.7)
    height = rng.uniform(3.2, 4.1)
    b.slab((0, 0, 0.95), (length, width * 0.5, 0.2), DARK)
    if rng.random() < 0.65:
        b.slab((0, 0, 1.15), (length, width, height - 1.15), paint)
        for x in np.arange(-length / 2 + 0.5, length / 2, 1.2):
            b.slab((x, 0, 1.15), (0.08, width + 0.05, height - 1.2), scaled(paint, 0.8))
    else:
        b.slab((0, 0, 1.15), (length, width, 0.18), WOOD[1])
        for x in np.arange(-length * 0.38, length * 0.4, rng.uniform(1.8, 3.0)):
            b.slab((x, 0, 1.33), (1.4, width * 0.8, rng.uniform(0.5, 1.4)), paint)
    for i in range(rng.integers(2, 4)):
        wheels(b, (-length * 0.3 - i * 1.05 + 0.6,), width / 2 - 0.15, 0.5)
    for y in (-0.6, 0.6):
        b.tube((length * 0.3, y, 0), (length * 0.3, y, 1.0), 0.07, STEEL)
    lamps(b, length / 2, -length / 2, width / 2 - 0.2, 0.9)
    return b


def _excavator(b: Builder, rng: Rng, paint: Vec3) -> None:
    length, width = rng.uniform(3.4, 4.6), rng.uniform(2.3, 2.9)
    for y in (-1, 1):
        b.slab((0, y * width * 0.4, 0), (length, 0.5, 0.8), DARK, top=(0.85, 1))
    b.slab((-0.2, 0, 0.8), (length * 0.85, width * 0.9, 0.95), paint)
    b.slab((0.5, width * 0.25, 1.75), (1.3, width * 0.4, 1.15), GLASS, top=(0.85, 0.9), material=Material.GLASS)
    b.slab((0.45, width * 0.25, 2.9), (1.15, width * 0.38, 0.08), paint)
    swing = rng.uniform(0.4, 1.1)
    elbow = (1.0 + 2.4 * np.cos(swing), -0.1, 1.6 + 2.6 * np.sin(swing))
    tip = (elbow[0] + rng.uniform(0.8, 1.9), -0.1, max(0.9, elbow[2] - rng.uniform(1.2, 2.4)))
    b.tube((1.0, -0.1, 1.5), elbow, 0.24, paint, segments=4)
    b.tube(elbow, tip, 0.18, paint, segments=4)
    b.slab((tip[0], -0.1, tip[2] - 0.75), (0.8, 1.0, 0.8), (0.25, 0.24, 0.22), top=(0.5, 1), shift=-0.2)


def _wheel_loader(b: Builder, rng: Rng, paint: Vec3) -> None:
    length, width = rng.uniform(4.5, 6.0), rng.uniform(2.2, 2.7)
    b.slab((-0.7, 0, 0.7), (length * 0.6, width * 0.75, 1.0), paint, top=(0.95, 0.9))
    b.slab((0.2, 0, 1.5), (1.4, width * 0.6, 1.5), GLASS, top=(0.9, 0.9), material=Material.GLASS)
    b.slab((0.2, 0, 3.0), (1.4, width * 0.6, 0.1), paint)
    wheels(b, (1.2, -1.6), width / 2 - 0.2, 0.75)
    lift = rng.uniform(0.2, 1.6)
    for y in (-0.5, 0.5):
        b.tube((0.8, y, 1.3), (length / 2 + 0.3, y, lift + 0.3), 0.12, paint, segments=4)
    b.slab((length / 2 + 0.6, 0, lift), (0.9, width, 0.9), (0.3, 0.29, 0.26), top=(0.4, 1), shift=-0.25)


@thing(
    "construction vehicle",
    "vehicle.construction",
    "roadside",
    "excavator",
    "digger",
    "bulldozer",
    "wheel loader",
    detection="construction_vehicle",
    weight=1.8,
    colours=("yellow", "orange", "yellow", "red"),
)
def construction_vehicle(rng: Rng, paint: Vec3) -> Builder:
    """Excavator or wheel loader."""
    b = Builder()
    shape = _excavator if rng.random() < 0.6 else _wheel_loader
    shape(b, rng, paint)
    b.tube((-0.9, 0.3, 1.6), (-0.9, 0.3, 2.4), 0.06, DARK)
    return b
