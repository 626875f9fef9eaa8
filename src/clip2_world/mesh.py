"""Coloured triangle meshes assembled from a few analytic primitives. Axes: x forward, y left, z up, metres."""

from dataclasses import dataclass, field
from enum import IntEnum
from functools import cache, cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

Vec3 = ArrayLike
"""Three numbers: a position or a size in metres, or an RGB colour in [0, 1]."""
Floats = NDArray[np.float32]
WHEEL_BLACK, RIM_GREY = (0.06, 0.06, 0.07), (0.55, 0.55, 0.58)


class Material(IntEnum):
    """How a surface is shaded and how it answers to the LiDAR."""

    PLAIN = 0
    GROUND = 1
    FACADE = 2
    FOLIAGE = 3
    GLASS = 4
    RETRO = 5


@dataclass
class Mesh:
    """Triangles with a colour and a material each."""

    vertices: Floats  # (V, 3)
    faces: NDArray[np.int32]  # (F, 3) vertex indices
    colours: Floats  # (F, 3) RGB in [0, 1]
    materials: NDArray[np.uint8]  # (F,) Material

    @cached_property
    def extents(self) -> Floats:
        """(3,) size of the bounding box."""
        return self.vertices.max(0) - self.vertices.min(0)

    def centred(self) -> "Mesh":
        """The same mesh with its bounding box centred on x = y = 0 and its lowest vertex at z = 0."""
        low, high = self.vertices.min(0), self.vertices.max(0)
        shift = np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]], np.float32)
        return Mesh(self.vertices - shift, self.faces, self.colours, self.materials)

    @cached_property
    def normals(self) -> Floats:
        """(F, 3) unit normals; which side they point to depends on the faces' winding."""
        a, b, c = (self.vertices[self.faces[:, k]] for k in range(3))
        n = np.cross(b - a, c - a)
        return n / (np.linalg.norm(n, axis=1, keepdims=True) + np.float32(1e-12))

    def posed(self, yaw: float, position: ArrayLike) -> Floats:
        """(V, 3) vertices turned by ``yaw`` (radians about +z) and moved to ``position`` (3,)."""
        return self.vertices @ turn_z(yaw) + np.asarray(position, np.float32)


def turn_z(yaw: float) -> Floats:
    """Matrix that turns row vectors by ``yaw`` about +z: ``row @ matrix``."""
    c, s = np.cos(yaw), np.sin(yaw)
    return np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]], np.float32)


@cache
def _box_faces() -> NDArray[np.int32]:
    quads = [(0, 3, 2, 1), (4, 5, 6, 7), (0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7)]
    return np.array([t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))], np.int32)


@cache
def _sphere(rings: int, segments: int) -> tuple[Floats, NDArray[np.int32]]:
    """Unit sphere of latitude rings: vertices and faces."""
    polar = np.linspace(0, np.pi, rings + 1)
    around = np.linspace(0, 2 * np.pi, segments, endpoint=False)
    p, a = np.meshgrid(polar, around, indexing="ij")
    vertices = np.stack([np.sin(p) * np.cos(a), np.sin(p) * np.sin(a), np.cos(p)], -1).reshape(-1, 3)
    faces = []
    for ring in range(rings):
        for segment in range(segments):
            i, j = ring * segments + segment, ring * segments + (segment + 1) % segments
            if ring > 0:
                faces.append((i, i + segments, j))
            if ring < rings - 1:
                faces.append((j, i + segments, j + segments))
    return vertices.astype(np.float32), np.array(faces, np.int32)


@cache
def _tube_faces(segments: int) -> NDArray[np.int32]:
    faces = []
    low_cap, high_cap = 2 * segments, 2 * segments + 1
    for i in range(segments):
        j = (i + 1) % segments
        faces += [(i, j, segments + i), (j, segments + j, segments + i)]
        faces += [(low_cap, j, i), (high_cap, segments + i, segments + j)]
    return np.array(faces, np.int32)


@dataclass
class Builder:
    """Collects primitives into one mesh. ``seat`` is where a rider's hip goes, on things that people ride."""

    seat: tuple[float, float, float] | None = None
    _vertices: list[Floats] = field(default_factory=list)
    _faces: list[NDArray[np.int32]] = field(default_factory=list)
    _colours: list[Floats] = field(default_factory=list)
    _materials: list[NDArray[np.uint8]] = field(default_factory=list)
    _count: int = 0

    def add(self, vertices: ArrayLike, faces: NDArray[np.int32], colour: Vec3, material: int = Material.PLAIN) -> None:
        """Add triangles; ``colour`` is one RGB or one a face (F, 3)."""
        self._vertices.append(np.asarray(vertices, np.float32))
        self._faces.append(faces + self._count)
        self._colours.append(np.broadcast_to(np.asarray(colour, np.float32), (len(faces), 3)))
        self._materials.append(np.full(len(faces), material, np.uint8))
        self._count += len(self._vertices[-1])

    def slab(
        self,
        base: Vec3,
        size: Vec3,
        colour: Vec3,
        top: tuple[float, float] = (1, 1),
        shift: float = 0.0,
        yaw: float = 0.0,
        pitch: float = 0.0,
        material: int = Material.PLAIN,
    ) -> None:
        """Box standing on ``base``; its top may be scaled by ``top`` (x, y) and shifted along x."""
        lx, ly, height = np.asarray(size, np.float64)
        sx, sy = lx / 2, ly / 2
        corners = [(-sx, -sy), (sx, -sy), (sx, sy), (-sx, sy)]
        v = np.array([(x, y, 0) for x, y in corners] + [(x * top[0] + shift, y * top[1], height) for x, y in corners])
        if pitch:
            c, s = np.cos(pitch), np.sin(pitch)
            v = v @ np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])
        if yaw:
            v = v @ turn_z(yaw)
        self.add(v + np.asarray(base, np.float64), _box_faces(), colour, material)

    def tube(
        self,
        start: Vec3,
        end: Vec3,
        radius: float,
        colour: Vec3,
        end_radius: float | None = None,
        segments: int = 10,
        material: int = Material.PLAIN,
    ) -> None:
        """Cylinder, or frustum of a cone, between two points."""
        a, b = np.asarray(start, np.float64), np.asarray(end, np.float64)
        axis = (b - a) / (np.linalg.norm(b - a) + 1e-9)
        side = np.cross(axis, (0.0, 0.0, 1.0) if abs(axis[2]) < 0.9 else (1.0, 0.0, 0.0))
        side = side / np.linalg.norm(side)
        up = np.cross(axis, side)
        angle = np.linspace(0, 2 * np.pi, segments, endpoint=False)
        ring = np.cos(angle)[:, None] * side + np.sin(angle)[:, None] * up
        far = radius if end_radius is None else end_radius
        v = np.concatenate([a + ring * radius, b + ring * far, a[None], b[None]])
        self.add(v, _tube_faces(segments), colour, material)

    def ball(
        self,
        centre: Vec3,
        radii: Vec3,
        colour: Vec3,
        material: int = Material.PLAIN,
        rings: int = 6,
        segments: int = 10,
    ) -> None:
        """Ellipsoid with the given half axes."""
        v, f = _sphere(rings, segments)
        self.add(v * np.asarray(radii, np.float32) + np.asarray(centre, np.float32), f, colour, material)

    def wheel(self, x: float, y: float, radius: float, width: float = 0.22) -> None:
        """Tyre and rim standing on z = 0, axle along y."""
        half = width / 2
        self.tube((x, y - half, radius), (x, y + half, radius), radius, WHEEL_BLACK, segments=14)
        half += 0.01
        self.tube((x, y - half, radius), (x, y + half, radius), radius * 0.55, RIM_GREY, segments=10)

    def ring(
        self, centre: Vec3, radius: float, thickness: float, colour: Vec3, normal: str = "y", segments: int = 14
    ) -> None:
        """Polygonal torus, e.g. a bicycle's tyre, about the axis ``normal``."""
        angle = np.linspace(0, 2 * np.pi, segments + 1)
        c, s, zero = np.cos(angle), np.sin(angle), np.zeros_like(angle)
        plane = {"y": (c, zero, s), "z": (c, s, zero), "x": (zero, c, s)}[normal]
        points = np.stack(plane, -1) * radius + np.asarray(centre, np.float64)
        for p, q in pairwise(points):
            self.tube(p, q, thickness, colour, segments=5)

    def build(self) -> Mesh:
        """One mesh of all that was added."""
        return Mesh(
            np.concatenate(self._vertices),
            np.concatenate(self._faces).astype(np.int32),
            np.concatenate(self._colours),
            np.concatenate(self._materials),
        )
