"""Fixed things on the pavement, from traffic lights to vending machines. x forward, y left, z up, metres."""

import numpy as np

from clip2_world.catalog import DARK, STEEL, WHITE, Rng, any_colour, contrast, scaled, thing
from clip2_world.mesh import Builder, Material, Vec3


@thing(
    "traffic light",
    "static.manmade",
    "pavement",
    "traffic signal",
    "stop light",
    colours=("black", "yellow", "gray"),
    weight=1.6,
)
def traffic_light(rng: Rng, paint: Vec3) -> Builder:
    """Post with three lamps, one lit."""
    b = Builder()
    h = rng.uniform(3.0, 4.2)
    b.tube((0, 0, 0), (0, 0, h), 0.08, STEEL, segments=8)
    b.slab((-0.12, 0, h - 0.95), (0.24, 0.34, 1.0), paint)
    lit = rng.integers(3)
    for i, c in enumerate(((0.95, 0.1, 0.08), (0.95, 0.75, 0.1), (0.1, 0.9, 0.3))):
        k = 1.0 if i == lit else 0.3
        b.ball((-0.25, 0, h - 0.12 - i * 0.31), (0.06, 0.11, 0.11), tuple(k * np.array(c)))
    return b


@thing("fire hydrant", "static.manmade", "pavement", "hydrant", colours=("red", "yellow", "red"))
def fire_hydrant(rng: Rng, paint: Vec3) -> Builder:
    """Hydrant with caps."""
    b = Builder()
    h = rng.uniform(0.65, 0.9)
    b.tube((0, 0, 0), (0, 0, 0.07), 0.2, paint)
    b.tube((0, 0, 0.07), (0, 0, h * 0.78), 0.13, paint)
    b.ball((0, 0, h * 0.78), (0.16, 0.16, h * 0.22), paint)
    b.tube((0, -0.24, h * 0.58), (0, 0.24, h * 0.58), 0.07, scaled(paint, 0.8))
    b.tube((0, 0, h * 0.5), (-0.2, 0, h * 0.5), 0.09, STEEL)
    return b


@thing("mailbox", "static.manmade", "pavement", "post box", "letter box", colours=("blue", "red", "yellow"))
def mailbox(rng: Rng, paint: Vec3) -> Builder:
    """Round-topped letter box."""
    b = Builder()
    w, h = rng.uniform(0.45, 0.6), rng.uniform(1.0, 1.3)
    for x in (-w * 0.35, w * 0.35):
        for y in (-w * 0.35, w * 0.35):
            b.slab((x, y, 0), (0.06, 0.06, 0.2), DARK)
    b.slab((0, 0, 0.18), (w, w, h - 0.18 - w / 2), paint)
    b.tube((-w / 2, 0, h - w / 2), (w / 2, 0, h - w / 2), w / 2, paint, segments=14)
    b.slab((-w / 2, 0, h * 0.66), (0.04, w * 0.7, 0.1), DARK)
    return b


@thing("bench", "static.manmade", "pavement", "park bench", "wooden bench", colours=("brown", "green", "gray"))
def bench(rng: Rng, paint: Vec3) -> Builder:
    """Bench with back."""
    b = Builder()
    w = rng.uniform(1.4, 2.1)
    for x in (-0.18, -0.03, 0.12):
        b.slab((x, 0, 0.43), (0.13, w, 0.04), paint)
    for z in (0.58, 0.74):
        b.slab((0.26, 0, z), (0.04, w, 0.12), paint, shift=0.02)
    for y in (-w * 0.4, w * 0.4):
        b.slab((-0.16, y, 0), (0.06, 0.06, 0.43), DARK)
        b.slab((0.22, y, 0), (0.06, 0.06, 0.85), DARK, shift=0.04)
    return b


@thing(
    "trash bin",
    "static.manmade",
    "pavement",
    "garbage can",
    "rubbish bin",
    "waste bin",
    colours=("green", "gray", "blue", "black", "brown"),
    weight=1.5,
)
def trash_bin(rng: Rng, paint: Vec3) -> Builder:
    """Round or wheeled bin."""
    b = Builder()
    h = rng.uniform(0.85, 1.15)
    if rng.random() < 0.5:
        b.tube((0, 0, 0), (0, 0, h * 0.85), 0.24, paint, 0.29, segments=12)
        b.ball((0, 0, h * 0.85), (0.3, 0.3, h * 0.15), scaled(paint, 0.7))
    else:
        b.slab((0, 0, 0.08), (0.5, 0.45, h * 0.82), paint, top=(1.2, 1.15))
        b.slab((0, 0, h * 0.9), (0.64, 0.55, 0.08), scaled(paint, 0.75), top=(0.9, 0.9))
        for y in (-0.2, 0.2):
            b.wheel(0.25, y, 0.1, 0.06)
    return b


@thing(
    "pole",
    "static.manmade",
    "pavement",
    "street lamp",
    "lamp post",
    "street light",
    colours=("gray", "green", "black"),
    weight=2,
)
def pole(rng: Rng, paint: Vec3) -> Builder:
    """Lamp post, some with an arm."""
    b = Builder()
    h = rng.uniform(5, 8)
    b.tube((0, 0, 0), (0, 0, h), rng.uniform(0.08, 0.14), paint, 0.06, segments=8)
    b.tube((0, 0, 0), (0, 0, 0.4), 0.18, paint, segments=8)
    if rng.random() < 0.7:
        b.tube((0, 0, h - 0.1), (-1.6, 0, h + 0.2), 0.05, paint, segments=6)
        b.slab((-1.7, 0, h + 0.1), (0.7, 0.24, 0.12), (0.8, 0.8, 0.78))
    return b


@thing(
    "street sign",
    "static.manmade",
    "pavement",
    "traffic sign",
    "road sign",
    "stop sign",
    colours=("red", "blue", "yellow", "white", "green"),
    weight=2,
)
def street_sign(rng: Rng, paint: Vec3) -> Builder:
    """Round, octagonal, rectangular or triangular sign."""
    b = Builder()
    h, r = rng.uniform(2.1, 2.9), rng.uniform(0.3, 0.42)
    b.tube((0, 0, 0), (0, 0, h), 0.035, STEEL, segments=6)
    kind = rng.random()
    if kind < 0.35:
        b.tube((-0.05, 0, h - r), (-0.09, 0, h - r), r, paint, segments=16, material=Material.RETRO)
        b.slab((-0.1, 0, h - r - 0.06), (0.02, r * 1.2, 0.12), WHITE, material=Material.RETRO)
    elif kind < 0.6:
        b.tube((-0.05, 0, h - r), (-0.09, 0, h - r), r, paint, segments=8, material=Material.RETRO)
        b.slab((-0.1, 0, h - r - 0.09), (0.02, r * 1.3, 0.18), WHITE, material=Material.RETRO)
    elif kind < 0.8:
        b.slab((-0.06, 0, h - 0.8), (0.04, 0.6, 0.8), paint, material=Material.RETRO)
        b.slab((-0.09, 0, h - 0.6), (0.02, 0.3, 0.4), contrast(paint), material=Material.RETRO)
    else:
        b.tube((-0.05, 0, h - r), (-0.09, 0, h - r), r * 1.15, (0.85, 0.1, 0.08), segments=3, material=Material.RETRO)
        b.tube((-0.09, 0, h - r), (-0.1, 0, h - r), r * 0.8, WHITE, segments=3, material=Material.RETRO)
    return b


@thing(
    "bollard", "static.manmade", "pavement", "short post", "traffic post", colours=("gray", "black", "yellow", "white")
)
def bollard(rng: Rng, paint: Vec3) -> Builder:
    """Bollard with a reflecting band."""
    b = Builder()
    h, r = rng.uniform(0.7, 1.1), rng.uniform(0.07, 0.12)
    b.tube((0, 0, 0), (0, 0, h), r, paint)
    b.ball((0, 0, h), (r, r, r * 0.6), paint, rings=4)
    b.tube((0, 0, h * 0.75), (0, 0, h * 0.88), r + 0.005, contrast(paint), material=Material.RETRO)
    return b


@thing("portable toilet", "static.manmade", "pavement", "porta potty", colours=("blue", "green", "orange"), weight=0.8)
def portable_toilet(rng: Rng, paint: Vec3) -> Builder:
    """Toilet cabin."""
    b = Builder()
    b.slab((0, 0, 0.1), (1.1, 1.1, 2.0), paint)
    b.slab((0, 0, 2.1), (1.15, 1.15, 0.2), WHITE, top=(0.7, 0.7))
    b.slab((-0.55, 0, 0.2), (0.04, 0.75, 1.8), scaled(paint, 0.75))
    b.slab((0, 0, 0), (1.2, 1.2, 0.1), DARK)
    return b


@thing("vending machine", "static.manmade", "pavement", "drinks machine", colours=("red", "blue", "white"), weight=0.8)
def vending_machine(rng: Rng, paint: Vec3) -> Builder:
    """Drinks machine."""
    b = Builder()
    b.slab((0, 0, 0), (0.8, 1.0, 1.85), paint)
    b.slab((-0.41, 0.1, 0.75), (0.03, 0.7, 1.0), (0.75, 0.85, 0.9))
    for z in (0.8, 1.1, 1.4):
        for y in np.linspace(-0.15, 0.35, 5):
            b.slab((-0.43, y, z), (0.02, 0.07, 0.18), any_colour(rng, 0.1, 0.95))
    b.slab((-0.41, 0, 0.2), (0.03, 0.7, 0.25), DARK)
    return b
