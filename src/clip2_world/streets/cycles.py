"""Bicycles and motorcycles, and their riders. x forward, y left, z up, metres."""

import numpy as np

from clip2_world.catalog import DARK, STEEL, Rng, any_colour, rider_of, thing
from clip2_world.mesh import Builder, Material, Vec3
from clip2_world.streets.people import figure


def bicycle_frame(b: Builder, paint: Vec3, wheel: float, base: float, thick: float) -> None:
    """Two wheels, frame, handlebar and saddle."""
    for x in (-base / 2, base / 2):
        b.ring((x, 0, wheel), wheel - 0.03, 0.035 * thick, DARK)
        for a in np.linspace(0, np.pi, 4, endpoint=False):
            d = np.array([np.cos(a), 0, np.sin(a)]) * wheel
            b.tube(np.array([x, 0, wheel]) - d, np.array([x, 0, wheel]) + d, 0.006, STEEL, segments=4)
    seat, crank, head = (-0.2, 0, wheel + 0.5), (-0.05, 0, wheel), (base / 2 - 0.2, 0, wheel + 0.48)
    for p, q in (
        (seat, crank),
        (crank, head),
        (seat, head),
        (crank, (-base / 2, 0, wheel)),
        (seat, (-base / 2, 0, wheel)),
        (head, (base / 2, 0, wheel)),
    ):
        b.tube(p, q, 0.025 * thick, paint, segments=6)
    b.tube((head[0] - 0.02, -0.28, head[2] + 0.14), (head[0] - 0.02, 0.28, head[2] + 0.14), 0.018, DARK, segments=6)
    b.tube(head, (head[0] - 0.02, 0, head[2] + 0.14), 0.02, paint, segments=6)
    b.slab((-0.22, 0, wheel + 0.5), (0.28, 0.14, 0.08), DARK)


@thing("bicycle", "vehicle.bicycle", "pavement", "bike", "cyclist", detection="bicycle", weight=4)
def bicycle(rng: Rng, paint: Vec3) -> Builder:
    """Bicycle, some with a basket."""
    b = Builder()
    wheel = rng.uniform(0.3, 0.36)
    bicycle_frame(b, paint, wheel, rng.uniform(0.98, 1.1), 1.0)
    if rng.random() < 0.35:
        b.slab((0.55, 0, wheel + 0.35), (0.3, 0.36, 0.25), (0.35, 0.28, 0.2), top=(1.2, 1.1))
    b.seat = (-0.2, 0, wheel + 0.58)
    return b


@rider_of("bicycle")
def cyclist(b: Builder, rng: Rng) -> None:
    """Put a cyclist on a bicycle."""
    figure(b, rng, any_colour(rng, 0.1, 0.9), rng.uniform(1.55, 1.8), b.seat, any_colour(rng, 0.1, 0.9), lean=0.5)


@thing(
    "motorcycle",
    "vehicle.motorcycle",
    "roadside",
    "motorbike",
    "motor scooter",
    "moped",
    detection="motorcycle",
    weight=4,
)
def motorcycle(rng: Rng, paint: Vec3) -> Builder:
    """Motorcycle, some with fairing or top case."""
    b = Builder()
    wheel, base = rng.uniform(0.28, 0.34), rng.uniform(1.25, 1.5)
    for x in (-base / 2, base / 2):
        b.tube((x, -0.08, wheel), (x, 0.08, wheel), wheel, DARK, segments=14)
        b.tube((x, -0.09, wheel), (x, 0.09, wheel), wheel * 0.5, STEEL, segments=8)
    b.slab((0.0, 0, 0.35), (base * 0.55, 0.34, 0.32), (0.22, 0.22, 0.24))
    b.ball((0.15, 0, 0.82), (0.36, 0.19, 0.17), paint)
    b.slab((-0.42, 0, 0.72), (0.75, 0.26, 0.12), DARK, top=(0.9, 0.8))
    b.slab((-0.68, 0, 0.62), (0.4, 0.22, 0.16), paint)
    if rng.random() < 0.5:  # fairing
        b.slab((base / 2 - 0.12, 0, 0.62), (0.42, 0.42, 0.42), paint, top=(0.5, 0.7), shift=-0.1)
    b.tube((base / 2, 0, wheel), (base / 2 - 0.28, 0, 1.02), 0.06, STEEL, segments=6)
    b.tube((base / 2 - 0.28, -0.36, 1.04), (base / 2 - 0.28, 0.36, 1.04), 0.025, DARK, segments=6)
    b.ball((base / 2 - 0.1, 0, 0.88), (0.1, 0.11, 0.11), (0.95, 0.95, 0.85), material=Material.RETRO)
    b.tube((-0.1, -0.2, 0.35), (-base / 2 - 0.15, -0.22, 0.42), 0.05, STEEL, segments=6)
    if rng.random() < 0.3:
        b.slab((-base / 2 - 0.05, 0, 0.82), (0.4, 0.42, 0.36), any_colour(rng, 0.1, 0.8))
    b.seat = (-0.3, 0, 0.85)
    return b


@rider_of("motorcycle")
def motorcyclist(b: Builder, rng: Rng) -> None:
    """Put a rider on a motorcycle."""
    figure(b, rng, any_colour(rng, 0.05, 0.8), rng.uniform(1.65, 1.85), b.seat, any_colour(rng, 0.05, 0.95), lean=0.3)
