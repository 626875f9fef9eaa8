"""Wheelchairs, strollers and kick scooters. x forward, y left, z up, metres."""

import numpy as np

from clip2_world.catalog import ANY_COLOUR, DARK, STEEL, Rng, any_colour, rider_of, scaled, thing
from clip2_world.mesh import Builder, Vec3
from clip2_world.streets.people import figure


@thing(
    "wheelchair",
    "human.pedestrian.wheelchair",
    "pavement",
    "person in a wheelchair",
    colours=("black", "blue", "red", "gray"),
)
def wheelchair(rng: Rng, paint: Vec3) -> Builder:
    """Hand-rimmed wheelchair."""
    b = Builder()
    for y in (-0.32, 0.32):
        b.ring((-0.1, y, 0.31), 0.29, 0.025, DARK)
        for a in np.linspace(0, np.pi, 3, endpoint=False):
            d = np.array([np.cos(a), 0, np.sin(a)]) * 0.28
            b.tube(np.array([-0.1, y, 0.31]) - d, np.array([-0.1, y, 0.31]) + d, 0.008, STEEL, segments=4)
        b.wheel(0.4, y * 0.8, 0.09, 0.05)
        b.tube((-0.3, y * 0.85, 0.45), (-0.36, y * 0.85, 1.0), 0.02, STEEL, segments=5)
        b.tube((-0.25, y * 0.85, 0.72), (0.25, y * 0.85, 0.72), 0.03, DARK, segments=5)
        b.tube((0.25, y * 0.7, 0.48), (0.5, y * 0.7, 0.1), 0.02, STEEL, segments=5)
    b.slab((0, 0, 0.46), (0.48, 0.5, 0.06), paint)
    b.slab((-0.28, 0, 0.5), (0.05, 0.5, 0.45), paint)
    b.seat = (-0.1, 0, 0.58)
    return b


@rider_of("wheelchair")
def wheelchair_user(b: Builder, rng: Rng) -> None:
    """Seat a person in a wheelchair."""
    figure(b, rng, any_colour(rng, 0.1, 0.9), rng.uniform(1.55, 1.8), b.seat)


@thing("stroller", "human.pedestrian.stroller", "pavement", "baby carriage", "pram", colours=ANY_COLOUR)
def stroller(rng: Rng, paint: Vec3) -> Builder:
    """Four-wheeled stroller with hood."""
    b = Builder()
    for x in (-0.3, 0.35):
        for y in (-0.24, 0.24):
            b.wheel(x, y, 0.12, 0.05)
    for y in (-0.22, 0.22):
        b.tube((0.35, y, 0.12), (-0.5, y, 1.0), 0.02, DARK, segments=5)
        b.tube((-0.3, y, 0.12), (0.1, y, 0.55), 0.02, DARK, segments=5)
    b.slab((0.05, 0, 0.42), (0.6, 0.4, 0.22), paint, top=(1.15, 1.1))
    b.ball((-0.14, 0, 0.72), (0.28, 0.24, 0.28), scaled(paint, 0.8))
    b.tube((-0.5, -0.22, 1.0), (-0.5, 0.22, 1.0), 0.025, DARK, segments=5)
    return b


@thing(
    "scooter",
    "human.pedestrian.personal_mobility",
    "pavement",
    "kick scooter",
    "electric scooter",
    colours=("black", "green", "white", "red", "blue"),
    weight=1.3,
)
def scooter(rng: Rng, paint: Vec3) -> Builder:
    """Kick scooter."""
    b = Builder()
    for x in (-0.45, 0.48):
        b.wheel(x, 0, 0.11, 0.05)
    b.slab((0, 0, 0.12), (0.8, 0.16, 0.06), paint)
    b.tube((0.48, 0, 0.12), (0.38, 0, 1.12), 0.03, paint, segments=6)
    b.tube((0.38, -0.24, 1.12), (0.38, 0.24, 1.12), 0.025, DARK, segments=6)
    return b


@rider_of("scooter")
def scooter_rider(b: Builder, rng: Rng) -> None:
    """Stand a person on a scooter's deck."""
    person = Builder()
    figure(person, rng, any_colour(rng, 0.1, 0.9), rng.uniform(1.55, 1.85))
    mesh = person.build()
    b.add(mesh.vertices * (0.6, 0.9, 1) + (-0.05, 0, 0.16), mesh.faces, mesh.colours)
