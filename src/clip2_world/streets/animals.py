"""Dogs, deer and horses. x forward, y left, z up, metres."""

from clip2_world.catalog import DARK, WOOD, Rng, thing
from clip2_world.mesh import Builder, Vec3


def four_legged(
    b: Builder, coat: Vec3, length: float, height: float, girth: float, neck: float, head: float, tail: float
) -> tuple[float, float]:
    """Body, legs, neck, head, ears and tail; gives x and z of the top of the neck."""
    body = height - girth
    b.ball((0, 0, body), (length * 0.5, girth * 0.8, girth), coat)
    for x in (-length * 0.36, length * 0.36):
        for y in (-girth * 0.5, girth * 0.5):
            b.tube((x, y, body), (x + 0.03, y, 0), girth * 0.28, coat, girth * 0.14, segments=6)
    nx, nz = length * 0.5 + neck * 0.5, body + girth * 0.4 + neck * 0.85
    b.tube((length * 0.38, 0, body + girth * 0.2), (nx, 0, nz), girth * 0.45, coat, girth * 0.3, segments=7)
    b.ball((nx + head * 0.35, 0, nz + 0.02), (head * 0.6, head * 0.28, head * 0.3), coat)
    for y in (-1, 1):
        b.tube(
            (nx, y * head * 0.2, nz + head * 0.15),
            (nx - 0.02, y * head * 0.3, nz + head * 0.55),
            head * 0.1,
            coat,
            0.01,
            segments=5,
        )
    b.tube(
        (-length * 0.47, 0, body + girth * 0.4),
        (-length * 0.5 - tail * 0.5, 0, body + girth * 0.4 + tail * 0.5),
        girth * 0.16,
        coat,
        0.02,
        segments=5,
    )
    return nx, nz


@thing(
    "dog", "animal", "pavement", "puppy", "dog on the street", colours=("black", "brown", "beige", "white"), weight=1.5
)
def dog(rng: Rng, paint: Vec3) -> Builder:
    """Dog."""
    b, s = Builder(), rng.uniform(0.75, 1.25)
    four_legged(b, paint, 0.75 * s, 0.55 * s, 0.14 * s, 0.22 * s, 0.22 * s, 0.3 * s)
    return b


@thing("deer", "animal", "verge", "stag", "wild deer", colours=("brown", "beige"))
def deer(rng: Rng, paint: Vec3) -> Builder:
    """Stag with antlers."""
    b, s = Builder(), rng.uniform(0.9, 1.2)
    x, z = four_legged(b, paint, 1.3 * s, 1.05 * s, 0.24 * s, 0.55 * s, 0.32 * s, 0.15)
    for y in (-1, 1):
        a, c = (x - 0.05, y * 0.08, z + 0.1), (x - 0.2, y * 0.28, z + 0.5 * s)
        b.tube(a, c, 0.025, WOOD[2], segments=5)
        b.tube(c, (x + 0.05, y * 0.34, z + 0.68 * s), 0.02, WOOD[2], segments=5)
        b.tube((x - 0.12, y * 0.18, z + 0.3 * s), (x + 0.1, y * 0.22, z + 0.5 * s), 0.02, WOOD[2], segments=5)
    return b


@thing("horse", "animal", "verge", "pony", "brown horse", colours=("brown", "black", "white", "beige"))
def horse(rng: Rng, paint: Vec3) -> Builder:
    """Horse with mane."""
    b, s = Builder(), rng.uniform(0.85, 1.1)
    x, z = four_legged(b, paint, 1.9 * s, 1.55 * s, 0.36 * s, 0.75 * s, 0.55 * s, 0.1)
    b.tube((-0.92 * s, 0, 1.4 * s), (-1.1 * s, 0, 0.6 * s), 0.1, DARK, 0.05, segments=6)
    b.tube((0.75 * s, 0, 1.55 * s), (x - 0.08, 0, z + 0.15), 0.1, DARK, 0.08, segments=5)
    return b
