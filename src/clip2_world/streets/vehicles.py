"""Road vehicles: car, truck, bus. x forward, y left, z up, metres."""

import numpy as np

from clip2_world.catalog import CAR_COLOURS, DARK, GLASS, WHITE, WOOD, Rng, any_colour, pick, thing
from clip2_world.mesh import Builder, Material, Vec3


def lamps(b: Builder, front: float, back: float, half: float, z: float) -> None:
    """Two head lamps and two tail lamps."""
    for y in (-half, half):
        b.slab((front, y, z), (0.06, 0.3, 0.14), (0.95, 0.95, 0.85), material=Material.RETRO)
        b.slab((back, y, z), (0.06, 0.3, 0.16), (0.75, 0.05, 0.05), material=Material.RETRO)


def plates(b: Builder, front: float, back: float, z: float) -> None:
    """Number plates at both ends."""
    for x in (front, back):
        b.slab((x, 0, z), (0.04, 0.5, 0.12), WHITE, material=Material.RETRO)


def wheels(b: Builder, xs: tuple[float, ...], half_width: float, radius: float) -> None:
    """A pair of wheels at every x."""
    for x in xs:
        for y in (-half_width, half_width):
            b.wheel(x, y, radius)


@thing(
    "car",
    "vehicle.car",
    "lane",
    "sedan",
    "suv",
    "automobile",
    "hatchback",
    detection="car",
    weight=9,
    colours=CAR_COLOURS,
)
def car(rng: Rng, paint: Vec3) -> Builder:
    """Sedan, hatchback, sport utility vehicle or van."""
    b = Builder()
    style = pick(rng, ("sedan", "hatch", "suv", "van"))
    length, width = rng.uniform(3.8, 5.0), rng.uniform(1.7, 2.0)
    height = {"sedan": 1.45, "hatch": 1.52, "suv": 1.75, "van": 1.95}[style] * rng.uniform(0.95, 1.06)
    wheel = rng.uniform(0.3, 0.37)
    belt = height * rng.uniform(0.55, 0.62)
    b.slab((0, 0, 0.22), (length, width, belt - 0.22), paint, top=(0.98, 0.93))
    start, end, scale = {
        "sedan": (-0.34, 0.22, 0.66),
        "hatch": (-0.47, 0.2, 0.72),
        "suv": (-0.48, 0.22, 0.82),
        "van": (-0.49, 0.36, 0.86),
    }[style]
    cabin, middle = (end - start) * length, (end + start) / 2 * length
    shift = {"sedan": 0.0, "hatch": -0.08, "suv": -0.12, "van": -0.15}[style]
    b.slab(
        (middle, 0, belt),
        (cabin, width * 0.92, (height - belt) * 0.86),
        GLASS,
        top=(scale, 0.84),
        shift=shift,
        material=Material.GLASS,
    )
    b.slab(
        (middle + shift, 0, belt + (height - belt) * 0.86),
        (cabin * scale * 1.02, width * 0.78, (height - belt) * 0.14),
        paint,
    )
    for x in (0.08, -0.5):  # pillars
        b.slab(
            (middle + cabin * x * 0.5, 0, belt),
            (0.12, width * 0.925, (height - belt) * 0.86),
            paint,
            top=(1, 0.85),
            shift=shift * 0.5,
        )
    if rng.random() < 0.2:
        b.slab((middle, 0, height), (cabin * 0.5, width * 0.6, 0.12), DARK)
    wheels(b, (length * 0.31, -length * 0.3), width / 2 - 0.1, wheel)
    lamps(b, length / 2 - 0.03, -length / 2 + 0.03, width / 2 - 0.22, belt * 0.72)
    plates(b, length / 2, -length / 2, 0.42)
    b.slab((length / 2 - 0.02, 0, 0.35), (0.06, width * 0.7, 0.14), DARK)
    return b


def _pickup(rng: Rng, paint: Vec3) -> Builder:
    b = Builder()
    length, width, height = rng.uniform(5.2, 6.0), rng.uniform(1.9, 2.1), rng.uniform(1.8, 2.0)
    b.slab((0, 0, 0.4), (length, width, 0.62), paint, top=(0.99, 0.95))
    b.slab(
        (0.25, 0, 1.0),
        (length * 0.36, width * 0.94, height - 1.08),
        GLASS,
        top=(0.72, 0.86),
        shift=-0.08,
        material=Material.GLASS,
    )
    b.slab((0.17, 0, height - 0.1), (length * 0.27, width * 0.8, 0.1), paint)
    b.slab((-length * 0.3, 0, 1.0), (length * 0.34, width * 0.8, 0.05), DARK)
    wheels(b, (length * 0.32, -length * 0.3), width / 2 - 0.1, 0.4)
    lamps(b, length / 2 - 0.02, -length / 2 + 0.02, width / 2 - 0.2, 0.8)
    return b


@thing("truck", "vehicle.truck", "lane", "lorry", "box truck", "pickup truck", detection="truck", weight=3)
def truck(rng: Rng, paint: Vec3) -> Builder:
    """Pickup, box truck, tanker or loaded flat bed."""
    if rng.random() < 0.3:
        return _pickup(rng, paint)
    b = Builder()
    length, width, height = rng.uniform(6, 10), rng.uniform(2.2, 2.6), rng.uniform(2.8, 3.8)
    cab = rng.uniform(1.6, 2.2)
    cab_h = min(height - 0.2, rng.uniform(2.3, 2.9))
    x = length / 2 - cab / 2
    b.slab((x, 0, 0.5), (cab, width * 0.95, cab_h - 0.5), paint, top=(0.86, 0.96), shift=-0.1)
    b.slab(
        (x + cab / 2 - 0.1, 0, cab_h * 0.55),
        (0.16, width * 0.85, cab_h * 0.33),
        GLASS,
        shift=-0.08,
        material=Material.GLASS,
    )
    for y in (-1, 1):
        b.slab(
            (x + 0.1, y * (width * 0.475 - 0.02), cab_h * 0.55),
            (cab * 0.5, 0.06, cab_h * 0.3),
            GLASS,
            material=Material.GLASS,
        )
    bed = length - cab - 0.2
    bx = -length / 2 + bed / 2
    b.slab((0, 0, 0.55), (length * 0.96, width * 0.6, 0.3), DARK)
    kind = rng.random()
    cargo = WHITE if rng.random() < 0.5 else any_colour(rng, 0.2, 0.9)
    if kind < 0.6:
        b.slab((bx, 0, 0.85), (bed, width, height - 0.85), cargo)
    elif kind < 0.8:
        b.tube((bx - bed / 2, 0, 1.75), (bx + bed / 2, 0, 1.75), width * 0.45, cargo, segments=16)
    else:  # flat bed with load
        b.slab((bx, 0, 0.85), (bed, width, 0.2), WOOD[0])
        for y in (-1, 1):
            b.slab((bx, y * width * 0.48, 1.05), (bed, 0.06, 0.45), cargo)
        b.slab(
            (bx + rng.uniform(-0.1, 0.1) * bed, 0, 1.05),
            (bed * rng.uniform(0.4, 0.8), width * 0.7, rng.uniform(0.5, 1.4)),
            pick(rng, WOOD),
        )
    wheels(b, (length / 2 - 0.9, -length * 0.22, -length * 0.36), width / 2 - 0.15, 0.48)
    lamps(b, length / 2, -length / 2, width / 2 - 0.3, 0.75)
    return b


@thing("bus", "vehicle.bus.rigid", "lane", "coach", "city bus", "school bus", detection="bus", weight=2)
def bus(rng: Rng, paint: Vec3) -> Builder:
    """City bus or coach with a window band."""
    b = Builder()
    length, width, height = rng.uniform(9, 13), rng.uniform(2.5, 2.9), rng.uniform(2.9, 3.6)
    b.slab((0, 0, 0.35), (length, width, height - 0.35), paint, top=(0.985, 0.95))
    band, glass_h = height * 0.45, height * 0.34
    b.slab((0, 0, band), (length * 0.93, width + 0.04, glass_h), GLASS, top=(1, 0.97), material=Material.GLASS)
    b.slab((length / 2 - 0.02, 0, band * 0.8), (0.08, width * 0.88, glass_h * 1.25), GLASS, material=Material.GLASS)
    b.slab((-length / 2 + 0.02, 0, band), (0.08, width * 0.7, glass_h), GLASS, material=Material.GLASS)
    stripe = any_colour(rng, 0.1, 0.9)
    b.slab((0, 0, 0.7), (length * 0.99, width + 0.03, 0.25), stripe)
    for x in np.arange(-length * 0.42, length * 0.42, 1.4):
        b.slab((x, 0, band), (0.12, width + 0.06, glass_h), paint, top=(1, 0.97))
    b.slab((-length * 0.2, 0, height), (length * 0.3, width * 0.6, 0.18), (0.75, 0.75, 0.75))
    wheels(b, (length * 0.31, -length * 0.28), width / 2 - 0.12, 0.5)
    lamps(b, length / 2, -length / 2, width / 2 - 0.35, 0.7)
    return b
