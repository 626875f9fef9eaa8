"""Puts furniture into a rectangular room: against walls, beside and around other pieces, on top of them, on walls.

The room's floor is [0, width] x [0, depth], z up, metres. Walls are numbered 0 (x = 0), 1 (y = 0), 2 (x = width) and
3 (y = depth). Nothing is put where its upright bounding box would cut into another piece's.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clip2_world.catalog import Rng
from clip2_world.mesh import Mesh
from clip2_world.rooms.catalog import HUNG, ON, ROOM_CATALOGUE, Furniture, make_furniture
from clip2_world.tracing import Part, Solid

TRIES = 14
WALL_YAWS = (0.0, np.pi / 2, np.pi, -np.pi / 2)
"""Yaw at which a piece's back is against each wall."""
TOUCH = 0.005
"""Metres by which boxes may overlap: things stand on one another."""
_SOFT = ("bed", "sofa", "pillow")
Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Placed:
    """A piece in a room: turned by ``yaw`` (radians about z); it stands on ``position`` (3,), below its centre."""

    piece: Furniture
    position: Vector
    yaw: float

    @property
    def kind(self) -> str:
        """Its class."""
        return self.piece.kind

    @property
    def mesh(self) -> Mesh:
        """Its shape, in its own frame."""
        return self.piece.mesh

    @property
    def front(self) -> Vector:
        """(3,) horizontal unit vector in which it looks."""
        return np.array([np.cos(self.yaw), np.sin(self.yaw), 0.0])

    @cached_property
    def bounds(self) -> Vector:
        """(2, 3) lowest and highest corner of its upright bounding box."""
        l, w, h = np.asarray(self.mesh.extents, np.float64)
        c, s = abs(np.cos(self.yaw)), abs(np.sin(self.yaw))
        half = np.array([l * c + w * s, l * s + w * c, 0]) / 2
        return np.stack([self.position - half, self.position + half + (0, 0, h)])


class Layout:
    """A room that fills up. The ``put_…`` methods give what they placed, or None where nothing fitted."""

    def __init__(self, rng: Rng, size: Vector) -> None:
        self.rng, self.size = rng, size
        self.pieces: list[Placed] = []
        self._taken: list[Vector] = []

    def keep_free(self, low: ArrayLike, high: ArrayLike) -> None:
        """Put nothing into a box from now on."""
        self._taken.append(np.stack([np.asarray(low, np.float64), np.asarray(high, np.float64)]))

    def put_against_wall(self, name: str, place: str, gap: float = 0.02, corner: bool = False) -> Placed | None:
        """Back to a random wall, on the floor or at the class's height."""
        kind = ROOM_CATALOGUE[name]
        piece = make_furniture(name, self.rng, place)
        for _ in range(TRIES):
            wall = int(self.rng.integers(4))
            room = self._wall_length(wall) - float(piece.mesh.extents[1])
            if room <= 0.04:
                continue
            along = self.rng.choice([0.04, room - 0.04]) if corner else self.rng.uniform(0.02, room - 0.02)
            z = self.rng.uniform(*kind.height) if place == HUNG else 0.0
            if place == HUNG:
                gap = 0.005
            placed = self._try(piece, self._at_wall(piece, wall, along, gap, z), WALL_YAWS[wall])
            if placed:
                return placed
        return None

    def put_free(self, name: str, place: str) -> Placed | None:
        """Somewhere on the floor, turned anyhow, or square to the walls where it is a table."""
        piece = make_furniture(name, self.rng, place)
        for _ in range(TRIES):
            yaw = self.rng.choice(WALL_YAWS) if name == "table" else self.rng.uniform(-np.pi, np.pi)
            at = np.array([*(self.rng.uniform(0.15, 0.85, 2) * self.size[:2]), 0.0])
            placed = self._try(piece, at, float(yaw))
            if placed:
                return placed
        return None

    def put_beside(self, host: Placed, name: str, place: str, gap: float = 0.04) -> Placed | None:
        """To the left or to the right of a piece, the backs in line."""
        piece = make_furniture(name, self.rng, place)
        left = np.array([-host.front[1], host.front[0], 0.0])
        back = (piece.mesh.extents[0] - host.mesh.extents[0]) / 2
        aside = (host.mesh.extents[1] + piece.mesh.extents[1]) / 2 + gap
        for side in self.rng.permutation([-1, 1]):
            at = host.position + host.front * back + left * side * aside
            placed = self._try(piece, at * (1, 1, 0), host.yaw)
            if placed:
                return placed
        return None

    def put_facing(self, host: Placed, name: str, place: str, turn: float, gap: float) -> Placed | None:
        """Before a piece, on the side ``turn`` radians from its front, and looking at it."""
        piece = make_furniture(name, self.rng, place)
        yaw = host.yaw + turn
        out = np.array([np.cos(yaw), np.sin(yaw), 0.0])
        sides = np.asarray(host.mesh.extents[:2], np.float64)
        reach, across = (sides[0], sides[1]) if abs(np.cos(turn)) > 0.5 else (sides[1], sides[0])
        left = np.array([-out[1], out[0], 0.0])
        for _ in range(5):
            slide = self.rng.uniform(-0.3, 0.3) * max(0.0, across - 0.5)
            at = host.position * (1, 1, 0) + out * (reach / 2 + piece.mesh.extents[0] / 2 + gap) + left * slide
            placed = self._try(piece, at, yaw + np.pi + self.rng.normal(0, 0.1))
            if placed:
                return placed
        return None

    def put_before(self, host: Placed, name: str, place: str, gap: float, shift: float, z: float) -> Placed | None:
        """A hanging thing before a piece and looking the same way, ``shift`` metres to its left, at height ``z``."""
        piece = make_furniture(name, self.rng, place)
        left = np.array([-host.front[1], host.front[0], 0.0])
        out = (host.mesh.extents[0] + piece.mesh.extents[0]) / 2 + gap
        at = (host.position + host.front * out + left * shift) * (1, 1, 0) + (0, 0, z)
        return self._try(piece, at, host.yaw)

    def put_on(self, host: Placed, name: str) -> Placed | None:
        """On top of a piece, where rays from above find room that is level enough."""
        piece = make_furniture(name, self.rng, ON)
        turn = self.rng.uniform(-np.pi, np.pi) if name in ("bag", "pillow", "plant") else self.rng.normal(0, 0.12)
        if name in ("sink", "display"):
            turn = 0.0
        probe = Placed(piece, np.zeros(3), float(turn)).bounds[:, :2] * (0.8 if name == "sink" else 0.9)
        solid = Solid([Part(host.mesh, 0)])
        level = 0.16 if host.kind in _SOFT else 0.03
        inner = np.asarray(host.mesh.extents[:2], np.float64) / 2 - probe[1]
        if (inner < -0.03).any():
            return None
        for _ in range(TRIES):
            spot = self.rng.uniform(-1, 1, 2) * np.maximum(inner, 0)
            if name == "display":
                spot[0] = -max(inner[0], 0) * self.rng.uniform(0.3, 1)
            if name == "sink":
                spot[0] = 0.0
            heights = _heights(solid, probe + spot, float(host.mesh.extents[2]))
            if heights is None or np.ptp(heights) > level or heights.max() < 0.25:
                continue
            c, s = np.cos(host.yaw), np.sin(host.yaw)
            offset = (spot[0] * c - spot[1] * s, spot[0] * s + spot[1] * c, float(heights.max()))
            placed = self._try(piece, np.add(host.position, offset), host.yaw + float(turn), besides=host)
            if placed:
                return placed
        return None

    def _try(self, piece: Furniture, position: Vector, yaw: float, besides: Placed | None = None) -> Placed | None:
        """Put a piece there unless it leaves the room or cuts into something other than ``besides``."""
        placed = Placed(piece, np.asarray(position, np.float64), float(yaw))
        low, high = placed.bounds
        if (low < -1e-6).any() or (high > self.size + 1e-6).any():
            return None
        for other in [p.bounds for p in self.pieces if p is not besides] + self._taken:
            if ((low < other[1] - TOUCH) & (high > other[0] + TOUCH)).all():
                return None
        self.pieces.append(placed)
        return placed

    def _wall_length(self, wall: int) -> float:
        return float(self.size[1] if wall % 2 == 0 else self.size[0])

    def _at_wall(self, piece: Furniture, wall: int, along: float, gap: float, z: float) -> Vector:
        """Position of a piece whose side is ``along`` metres from the wall's start."""
        depth, width = np.asarray(piece.mesh.extents[:2], np.float64)
        away, run = gap + depth / 2, along + width / 2
        x = {0: away, 2: self.size[0] - away}.get(wall, run)
        y = {1: away, 3: self.size[1] - away}.get(wall, run)
        return np.array([x, y, z])


def _heights(solid: Solid, area: Vector, top: float) -> Vector | None:
    """Heights of a piece under a 5 x 5 grid over ``area`` (2, 2), its own frame; None where a ray misses it."""
    (x0, y0), (x1, y1) = area.tolist()
    x, y = np.meshgrid(np.linspace(x0, x1, 5), np.linspace(y0, y1, 5))
    start = np.stack([x.ravel(), y.ravel(), np.full(25, top + 1)], -1).astype(np.float32)
    down = np.tile(np.array([[0, 0, -1]], np.float32), (25, 1))
    face, distance = solid.first_hit(start, down)
    return None if (face < 0).any() else top + 1 - distance.astype(np.float64)
