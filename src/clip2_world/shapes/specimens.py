"""Single specimens of everything that the built-in worlds show, and points on their surfaces."""

import zlib

import numpy as np

from clip2_world.catalog import Rng, make
from clip2_world.mesh import Floats, Mesh
from clip2_world.rooms.catalog import ROOM_CATALOGUE, make_furniture
from clip2_world.shapes.settings import ShapesSettings
from clip2_world.streets.inventory import CATALOGUE

Y_UP_FROM_Z_UP = np.array([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]])
"""(x, y, z) with z up → (y, z, x) with y up, as object sets have it; a rotation."""
SHAPES: tuple[str, ...] = tuple(sorted({*CATALOGUE, *ROOM_CATALOGUE}))
"""The fine names of everything that stands in a street or in a room."""


def specimen_rng(settings: ShapesSettings, use: str, name: str, number: int) -> Rng:
    """Randomness that depends on the seed, what the specimen is for, its name and number, and on nothing else."""
    return np.random.default_rng((settings.first_seed, zlib.crc32(f"{use}/{name}".encode()), number))


def specimen(name: str, rng: Rng) -> Mesh:
    """A random thing of a fine name: x forward, y left, z up, metres, standing on z = 0 around x = y = 0.

    A chair stands in the street and in a room, and looks different there: either is as likely.
    """
    from_room = name in ROOM_CATALOGUE and (name not in CATALOGUE or rng.random() < 0.5)
    return make_furniture(name, rng).mesh if from_room else make(name, rng).mesh


def surface_points(mesh: Mesh, n: int, rng: Rng) -> Floats:
    """(n, 3) points, uniform over the triangles' area: all sides of a thing, its inner faces too, as of a CAD model."""
    a, b, c = (mesh.vertices[mesh.faces[:, k]].astype(np.float64) for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    face = rng.choice(len(area), n, p=area / area.sum())
    u, v = rng.uniform(size=(2, n, 1))
    outside = u + v > 1  # the other half of the parallelogram
    u, v = np.where(outside, 1 - u, u), np.where(outside, 1 - v, v)
    return (a[face] + u * (b - a)[face] + v * (c - a)[face]).astype(np.float32)
