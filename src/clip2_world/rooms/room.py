"""Random rooms: size, walls, floor, light and furniture. x, y along the walls, z up, metres; a corner at the origin."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from clip2.geometry import rigid, yaw_rotation
from clip2_world.catalog import Rng, pick
from clip2_world.mesh import Builder, Floats, Mesh
from clip2_world.rgbd import NOTHING, RoomObject
from clip2_world.rooms.catalog import BATHROOM, BEDROOM, KITCHEN, LIVING, OFFICE
from clip2_world.rooms.furniture_parts import Finish, one_of, wood_tone
from clip2_world.rooms.layout import Layout, Placed, Vector
from clip2_world.rooms.plan import furnish
from clip2_world.streets.surface import make_noise
from clip2_world.tracing import Part, Solid

HEIGHT = 2.5
_SHARES = {BEDROOM: 0.27, LIVING: 0.2, OFFICE: 0.19, BATHROOM: 0.18, KITCHEN: 0.16}
_WALLS = (
    (0.88, 0.87, 0.83),
    (0.8, 0.82, 0.86),
    (0.86, 0.8, 0.7),
    (0.72, 0.8, 0.74),
    (0.9, 0.9, 0.9),
    (0.66, 0.7, 0.78),
)


@dataclass(frozen=True)
class Style:
    """Look of walls and floor.

    Attributes:
        floor: "planks", "tiles" or "carpet".
        wall: "plain", "stripes", "two tones" or "tiles".
        scale: metres across one plank, tile or stripe.
        noise: (S, S) tileable noise in [-1, 1].
        lamps: (2, 3) where light comes from.
        tints: (2, 3) RGB power of each.
    """

    floor: str
    floor_colour: Floats
    wall: str
    wall_colour: Floats
    other_colour: Floats
    scale: float
    noise: Floats
    lamps: Floats
    tints: Floats


@dataclass(frozen=True)
class Room:
    """A furnished room: ``kind`` is what it is for, ``size`` (3,) metres; a piece's number is its index."""

    seed: int
    kind: str
    size: Vector
    pieces: tuple[Placed, ...]
    shell: Mesh
    style: Style

    @cached_property
    def solid(self) -> Solid:
        """All faces, ready for ray queries."""
        parts = [Part(self.shell, NOTHING)]
        return Solid(parts + [Part(p.mesh, k, p.position, p.yaw) for k, p in enumerate(self.pieces)])

    @cached_property
    def objects(self) -> list[RoomObject]:
        """The pieces as boxes, in their order."""
        return [_boxed(piece) for piece in self.pieces]


def make_room(seed: int) -> Room:
    """The room with this seed."""
    rng = np.random.default_rng(seed)
    kind = str(rng.choice(list(_SHARES), p=list(_SHARES.values())))
    longest = {BATHROOM: 4.0, KITCHEN: 5.0}.get(kind, 6.0)
    size = np.array([rng.uniform(3.0, longest), rng.uniform(3.0, longest), HEIGHT])
    style = _style(rng, kind, size)
    layout = Layout(rng, size)
    furnish(layout, kind)
    return Room(seed, kind, size, tuple(layout.pieces), _shell(rng, size, style), style)


def _boxed(placed: Placed) -> RoomObject:
    size = np.asarray(placed.mesh.extents, np.float64)
    centre = np.add(placed.position, (0, 0, size[2] / 2))
    return RoomObject(placed.kind, rigid(yaw_rotation(placed.yaw), centre), size)


def _style(rng: Rng, kind: str, size: Vector) -> Style:
    wet = kind in (BATHROOM, KITCHEN)
    floor = str(rng.choice(["planks", "tiles", "carpet"], p=[0.2, 0.75, 0.05] if wet else [0.55, 0.1, 0.35]))
    floor_colour = wood_tone(rng) if floor == "planks" else np.array(pick(rng, _WALLS)) * rng.uniform(0.45, 0.95)
    wall = str(
        rng.choice(["plain", "stripes", "two tones", "tiles"], p=[0.4, 0, 0.1, 0.5] if wet else [0.7, 0.15, 0.15, 0])
    )
    wall_colour = np.clip(np.array(pick(rng, _WALLS)) + rng.normal(0, 0.03, 3), 0, 0.95)
    other = np.clip(wall_colour * rng.uniform(0.75, 0.95) + rng.normal(0, 0.04, 3), 0, 0.95)
    lamps = np.array(
        [[*(rng.uniform(0.3, 0.7, 2) * size[:2]), HEIGHT - 0.15], [*(rng.uniform(0.05, 0.95, 2) * size[:2]), 1.7]]
    )
    warm = np.array([1.0, rng.uniform(0.88, 1.0), rng.uniform(0.7, 1.0)])
    tints = np.stack([warm * rng.uniform(0.7, 1.1), np.array([0.85, 0.95, 1.05]) * rng.uniform(0.1, 0.6)])
    colours = (np.asarray(c, np.float32) for c in (floor_colour, wall_colour, other))
    one, two, three = colours
    scale = float(rng.uniform(0.1, 0.18) if floor == "planks" else rng.uniform(0.25, 0.5))
    return Style(
        floor, one, wall, two, three, scale, make_noise(rng), lamps.astype(np.float32), tints.astype(np.float32)
    )


def _shell(rng: Rng, size: Vector, style: Style) -> Mesh:
    """Floor, ceiling, walls, baseboards and a ceiling lamp."""
    b = Builder()
    w, d, h = size
    white = (0.9, 0.9, 0.88)
    b.slab((w / 2, d / 2, -0.1), (w, d, 0.1), style.floor_colour, material=Finish.FLOOR)
    b.slab((w / 2, d / 2, h), (w, d, 0.1), white)
    board = one_of(rng, white, white, style.other_colour * 0.6)
    for sign, x in ((-1, 0.0), (1, w)):
        b.slab((x + sign * 0.05, d / 2, 0), (0.1, d, h), style.wall_colour, material=Finish.WALL)
        b.slab((x - sign * 0.004, d / 2, 0), (0.008, d, 0.08), board)
    for sign, y in ((-1, 0.0), (1, d)):
        b.slab((w / 2, y + sign * 0.05, 0), (w, 0.1, h), style.wall_colour, material=Finish.WALL)
        b.slab((w / 2, y - sign * 0.004, 0), (w, 0.008, 0.08), board)
    x, y, _ = style.lamps[0]
    b.ball((x, y, h), (0.18, 0.18, 0.08), (1.0, 0.97, 0.9), Finish.GLOW, 6, 12)
    return b.build()
