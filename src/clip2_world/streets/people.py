"""Human figures: pedestrians and construction workers. x forward, y left, z up, metres."""

import numpy as np

from clip2_world.catalog import DARK, SKIN, Rng, any_colour, pick, thing
from clip2_world.mesh import Builder, Material, Vec3


def figure(
    b: Builder,
    rng: Rng,
    top: Vec3,
    height: float,
    seat: tuple[float, float, float] | None = None,
    hat: Vec3 | None = None,
    lean: float = 0.0,
) -> None:
    """Add a person: walking or standing, or sitting with the hip at ``seat``.

    Args:
        top: colour of the clothes above the waist.
        height: of the standing person, metres.
        hat: colour of a hat or helmet; hair where None.
        lean: how far the trunk bends forward, metres at the shoulders divided by 0.45.
    """
    s = height / 1.75
    legs, skin = any_colour(rng, 0.05, 0.5), pick(rng, SKIN)
    hip = np.array(seat if seat is not None else (0, 0, 0.88 * s))
    stride = rng.uniform(0, 0.5)
    shoulder = hip + np.array([0.1 * s + lean * 0.45, 0, 0.55 * s])
    for side, sign in ((0.1, 1), (-0.1, -1)):
        hip_side = hip + np.array((0, side * s, 0))
        if seat is None:
            foot = np.array([sign * stride * 0.5 * s, side * s * 1.1, 0.05])
            knee = (hip_side + foot) / 2 + np.array((0.06 * s, 0, 0))
        else:
            knee = hip_side + np.array((0.42 * s, 0, 0.02))
            foot = knee + np.array((0.02, 0, -0.45 * s))
        b.tube(hip_side, knee, 0.09 * s, legs, 0.07 * s, segments=7)
        b.tube(knee, foot, 0.07 * s, legs, 0.05 * s, segments=7)
        b.slab(foot + np.array((0.05, 0, -0.05)), (0.26 * s, 0.1 * s, 0.08), DARK)
        if seat is not None or rng.random() < 0.15:
            reach = (0.45 * s, side * 1.6 * s, -0.3 * s)
        else:
            reach = (-sign * stride * 0.4 * s + 0.05, side * 2.6 * s, -0.55 * s)
        hand = shoulder + reach
        b.tube(shoulder + np.array((0, side * 2.0 * s, -0.03)), hand, 0.06 * s, top, 0.045 * s, segments=6)
        b.ball(hand, (0.05 * s,) * 3, skin, rings=4, segments=6)
    b.tube(hip - (0, 0, 0.05), shoulder, 0.15 * s, top, 0.19 * s, segments=9)
    b.ball(shoulder, (0.17 * s, 0.22 * s, 0.09 * s), top, rings=4, segments=8)
    head = shoulder + np.array((0.03, 0, 0.22 * s))
    b.tube(shoulder, head, 0.06 * s, skin, segments=6)
    b.ball(head, (0.1 * s, 0.085 * s, 0.12 * s), skin)
    hair = rng.uniform(0.02, 0.4) * np.array((1, 0.8, 0.6))
    b.ball(head + np.array((-0.015, 0, 0.04 * s)), (0.11 * s, 0.095 * s, 0.1 * s), hair if hat is None else hat)


@thing(
    "pedestrian",
    "human.pedestrian.adult",
    "pavement",
    "person",
    "man",
    "woman",
    "walking person",
    detection="pedestrian",
    weight=12,
)
def pedestrian(rng: Rng, paint: Vec3) -> Builder:
    """Adult or child, some with a backpack, a bag or a skirt."""
    b = Builder()
    height = rng.uniform(1.5, 1.95) if rng.random() < 0.88 else rng.uniform(1.0, 1.4)
    figure(b, rng, paint, height)
    extra, s = rng.random(), height / 1.75
    if extra < 0.2:
        b.slab((-0.2 * s, 0, 1.0 * s), (0.18, 0.3, 0.45 * s), any_colour(rng, 0.05, 0.7))
    elif extra < 0.3:
        b.slab((0, 0.32, 0.5 * s), (0.3, 0.1, 0.3), any_colour(rng, 0.05, 0.7))
    elif extra < 0.4:  # skirt or coat
        b.tube((0, 0, 0.45 * s), (0, 0, 0.95 * s), 0.26 * s, paint, 0.16 * s)
    return b


@thing(
    "construction worker",
    "human.pedestrian.construction_worker",
    "pavement",
    "road worker",
    "worker in a safety vest",
    detection="pedestrian",
    weight=1.5,
    colours=("yellow", "orange"),
)
def construction_worker(rng: Rng, paint: Vec3) -> Builder:
    """Adult with hard hat and reflecting vest."""
    b = Builder()
    figure(
        b, rng, paint, rng.uniform(1.65, 1.9), hat=pick(rng, ((0.95, 0.8, 0.1), (0.95, 0.95, 0.95), (0.95, 0.5, 0.05)))
    )
    b.tube((0.05, 0, 1.1), (0.06, 0, 1.16), 0.2, (0.85, 0.87, 0.85), material=Material.RETRO)
    return b
