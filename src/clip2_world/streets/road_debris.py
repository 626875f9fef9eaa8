"""Lost and dumped things: tires, bags, boxes, luggage, mattresses, carts, chairs. x forward, y left, z up, metres."""

import numpy as np

from clip2_world.catalog import ANY_COLOUR, DARK, STEEL, Rng, any_colour, scaled, thing
from clip2_world.mesh import Builder, Vec3


@thing("tire", "movable_object.debris", "debris", "tyre", "car tire", colours=("black",))
def tire(rng: Rng, paint: Vec3) -> Builder:
    """One to three lying tires, or one on edge."""
    b = Builder()
    r, w = rng.uniform(0.3, 0.5), rng.uniform(0.09, 0.13)
    if rng.random() < 0.6:
        for i in range(rng.integers(1, 4)):
            b.ring((0, 0, w + i * 2 * w), r, w, (0.07, 0.07, 0.075), normal="z", segments=16)
    else:
        b.ring((0, 0, r + w), r, w, (0.07, 0.07, 0.075), normal="y", segments=16)
    return b


@thing(
    "plastic bag",
    "movable_object.debris",
    "debris",
    "garbage bag",
    "trash bag",
    colours=("white", "black", "blue", "gray"),
)
def plastic_bag(rng: Rng, paint: Vec3) -> Builder:
    """Knotted bag."""
    b = Builder()
    r = rng.uniform(0.22, 0.42)
    for _ in range(5):
        b.ball((*rng.normal(0, r * 0.25, 2), r * 0.75), r * rng.uniform(0.6, 0.95, 3), paint, rings=5, segments=8)
    b.tube((0, 0, r * 1.4), (0.05, 0.03, r * 2.1), r * 0.2, paint, r * 0.5, segments=6)
    return b


@thing("cardboard box", "movable_object.debris", "debris", "box", "carton", colours=("brown", "beige"))
def cardboard_box(rng: Rng, paint: Vec3) -> Builder:
    """One to three boxes, some open."""
    b = Builder()
    for i in range(rng.integers(1, 4)):
        s = rng.uniform(0.35, 0.8, 3)
        at = (0, 0, 0) if i == 0 else (*rng.uniform(-0.6, 0.6, 2), 0)
        b.slab(at, tuple(s), paint, yaw=rng.uniform(0, np.pi))
        b.slab((at[0], at[1], s[2]), (s[0], 0.07, 0.012), (0.85, 0.78, 0.6))
        if rng.random() < 0.5:
            b.slab((at[0] + s[0] * 0.6, at[1], s[2]), (s[0] * 0.45, s[1], 0.02), paint, pitch=0.5)
    return b


@thing("suitcase", "movable_object.debris", "pavement", "luggage", "travel bag", colours=ANY_COLOUR)
def suitcase(rng: Rng, paint: Vec3) -> Builder:
    """Trolley case with its handle out."""
    b = Builder()
    h, w, d = rng.uniform(0.55, 0.85), rng.uniform(0.4, 0.55), rng.uniform(0.22, 0.34)
    b.slab((0, 0, 0.06), (d, w, h), paint, top=(0.95, 0.97))
    for y in (-w / 3, 0, w / 3):
        b.slab((0, y, 0.1), (d + 0.03, 0.03, h * 0.9), scaled(paint, 0.75))
    for y in (-w * 0.3, w * 0.3):
        b.tube((-d * 0.4, y, h), (-d * 0.4, y, h + 0.38), 0.015, STEEL, segments=5)
        b.ball((0, y, 0.05), (0.05, 0.04, 0.05), DARK, rings=4, segments=6)
    b.tube((-d * 0.4, -w * 0.3, h + 0.38), (-d * 0.4, w * 0.3, h + 0.38), 0.025, DARK, segments=5)
    return b


@thing("mattress", "movable_object.debris", "debris", "bed mattress", colours=("white", "beige", "blue"))
def mattress(rng: Rng, paint: Vec3) -> Builder:
    """Mattress, flat or leaning."""
    b = Builder()
    size = (rng.uniform(1.8, 2.0), rng.uniform(0.9, 1.6), rng.uniform(0.18, 0.3))
    pitch = -rng.uniform(1.0, 1.4) if rng.random() < 0.4 else 0.0
    b.slab((0, 0, 0), size, paint, pitch=pitch)
    for f in (-0.3, 0, 0.3):
        b.slab(
            (f * size[0] * np.cos(pitch), 0, -f * size[0] * np.sin(pitch)),
            (0.06, size[1] + 0.02, size[2] + 0.02),
            scaled(paint, 0.8),
            pitch=pitch,
        )
    return b


@thing(
    "shopping cart",
    "movable_object.pushable_pullable",
    "pavement",
    "shopping trolley",
    "grocery cart",
    colours=("silver", "gray", "red", "blue"),
)
def shopping_cart(rng: Rng, paint: Vec3) -> Builder:
    """Wire trolley, some with shopping."""
    b = Builder()
    for z, k in ((0.45, 0.8), (0.62, 0.9), (0.8, 0.97), (0.95, 1.05)):
        x, y = 0.42 * k, 0.26 * k
        for p, q in (((-x, -y), (x, -y)), ((x, -y), (x, y)), ((x, y), (-x, y)), ((-x, y), (-x, -y))):
            b.tube((*p, z), (*q, z), 0.014, STEEL, segments=4)
    for a in np.linspace(-1, 1, 7):
        for y in (-1, 1):
            b.tube((a * 0.34, y * 0.21, 0.45), (a * 0.44, y * 0.27, 0.95), 0.01, STEEL, segments=4)
        b.tube((a * 0.34, -0.21, 0.45), (a * 0.34, 0.21, 0.45), 0.01, STEEL, segments=4)
    for x in (-0.4, 0.4):
        for y in (-0.24, 0.24):
            b.ball((x, y, 0.07), (0.07, 0.04, 0.07), DARK, rings=4, segments=6)
            b.tube((x, y, 0.1), (x * 0.8, y, 0.45), 0.016, STEEL, segments=4)
    b.tube((-0.52, -0.28, 1.02), (-0.52, 0.28, 1.02), 0.03, paint, segments=6)
    if rng.random() < 0.4:
        b.slab((0, 0, 0.47), (0.5, 0.34, rng.uniform(0.3, 0.6)), any_colour(rng, 0.2, 0.9))
    return b


@thing(
    "chair",
    "movable_object.debris",
    "pavement",
    "office chair",
    "plastic chair",
    colours=("white", "red", "blue", "brown", "black"),
)
def chair(rng: Rng, paint: Vec3) -> Builder:
    """Chair left on the pavement."""
    b = Builder()
    b.slab((0, 0, 0.43), (0.48, 0.48, 0.06), paint)
    b.slab((0.22, 0, 0.5), (0.05, 0.46, 0.5), paint, shift=0.06)
    for x in (-0.2, 0.2):
        for y in (-0.2, 0.2):
            b.tube((x, y, 0.43), (x * 1.15, y * 1.15, 0), 0.025, paint, segments=5)
    return b
