"""Ray queries against a street at one instant (Embree through the package embreex)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from numpy.typing import ArrayLike, NDArray

from clip2_world.mesh import Floats, Mesh, turn_z
from clip2_world.streets.street import Actor, Street

NOBODY = -1
"""Owner of triangles that belong to no actor, and face of rays that hit nothing."""
MOVING_RANGE = 95.0
"""Metres from the ego car beyond which moving actors are left out."""
Ints = NDArray[np.int32]


@dataclass(frozen=True)
class Part:
    """A mesh put somewhere: turned by ``yaw`` (radians) and moved to ``position`` (3,); ``owner`` is its actor."""

    mesh: Mesh
    owner: int
    position: ArrayLike = (0.0, 0.0, 0.0)
    yaw: float = 0.0


class Solid:
    """Triangles ready for ray queries, with the attributes of each face."""

    def __init__(self, parts: Sequence[Part]) -> None:
        meshes = [part.mesh for part in parts]
        starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
        faces = np.concatenate([mesh.faces + int(start) for mesh, start in zip(meshes, starts)]).astype(np.int32)
        vertices = np.concatenate([part.mesh.posed(part.yaw, part.position) for part in parts])
        self.normals = np.concatenate([part.mesh.normals @ turn_z(part.yaw) for part in parts])
        self.colours = np.concatenate([mesh.colours for mesh in meshes])
        self.materials = np.concatenate([mesh.materials for mesh in meshes])
        self.owners = np.repeat([part.owner for part in parts], [len(mesh.faces) for mesh in meshes]).astype(np.int32)
        self._scene = EmbreeScene()
        self._kept_alive = (TriangleMesh(self._scene, vertices, faces), vertices, faces)

    def first_hit(self, origins: Floats, rays: Floats) -> tuple[Ints, Floats]:
        """Face (N,) first hit, ``NOBODY`` where there is none, and its distance (N,) in units of the rays' length."""
        found = self._scene.run(origins, rays, query="INTERSECT", output=1)
        return found["primID"], found["tfar"]

    def blocks(self, origins: Floats, direction: Floats) -> NDArray[np.bool_]:
        """Whether anything lies in one direction (3,) from each origin (N, 3)."""
        return np.asarray(self._scene.run(origins, direction[None], query="OCCLUDED")) >= 0


@dataclass(frozen=True)
class Sector:
    """A wedge of the ground plane: what a camera at ``apex`` (2,) can see or what can throw a shadow there."""

    apex: NDArray[np.float64]
    heading: float
    half_angle: float

    def may_hold(self, position: ArrayLike, radius: float) -> bool:
        """Whether a disc on the ground may reach into the wedge."""
        dx, dy = np.asarray(position, np.float64)[:2] - self.apex
        distance = float(np.hypot(dx, dy))
        if distance <= radius:
            return True
        off = abs((np.arctan2(dy, dx) - self.heading + np.pi) % (2 * np.pi) - np.pi)
        return bool(off < self.half_angle + np.arcsin(radius / distance))


class View:
    """The street at one time: what never moves and what moves, as one set of faces."""

    def __init__(self, street: Street, solids: Sequence[Solid]) -> None:
        self.street = street
        self._solids = solids
        self.normals = np.concatenate([s.normals for s in solids])
        self.colours = np.concatenate([s.colours for s in solids])
        self.materials = np.concatenate([s.materials for s in solids])
        self.owners = np.concatenate([s.owners for s in solids])

    def first_hit(self, origin: ArrayLike, rays: Floats) -> tuple[Ints, Floats]:
        """Face (N,) and distance (N,) of what rays (N, 3) from one origin (3,) meet first."""
        origins = np.empty(rays.shape, np.float32)
        origins[:] = np.asarray(origin, np.float32)
        face, distance = self._solids[0].first_hit(origins, rays)
        start = len(self._solids[0].owners)
        for solid in self._solids[1:]:
            other, reach = solid.first_hit(origins, rays)
            nearer = (other >= 0) & (reach < distance)
            face[nearer], distance[nearer] = other[nearer] + start, reach[nearer]
            start += len(solid.owners)
        return face, distance

    def blocked(self, origins: Floats, direction: Floats) -> NDArray[np.bool_]:
        """Whether anything lies in one direction (3,) from each origin (N, 3)."""
        hidden = self._solids[0].blocks(origins, direction)
        for solid in self._solids[1:]:
            hidden |= solid.blocks(origins, direction)
        return hidden


class Tracer:
    """Builds views of one street; the part that stands still is built once."""

    def __init__(self, street: Street) -> None:
        self.street = street
        fixed = [Part(street.static, NOBODY)]
        fixed += [_part(number, actor, 0.0) for number, actor in enumerate(street.actors) if not actor.moving]
        self._fixed = Solid(fixed)
        self._moving = [(number, actor) for number, actor in enumerate(street.actors) if actor.moving]

    def view(self, time: float, sector: Sector | None = None) -> View:
        """The street at ``time`` (seconds); moving actors that can not matter inside ``sector`` may be left out."""
        ego, _ = self.street.ego_pose(time)
        parts = []
        for number, actor in self._moving:
            position, _ = actor.pose(time)
            if np.hypot(*(position - ego)[:2]) > MOVING_RANGE:
                continue
            if sector is None or sector.may_hold(position, self._reach(actor)):
                parts.append(_part(number, actor, time))
        return View(self.street, [self._fixed, Solid(parts)] if parts else [self._fixed])

    def _reach(self, actor: Actor) -> float:
        """Radius (metres) around an actor that its body and its shadow stay within."""
        sun = self.street.weather.sun
        return actor.radius + float(actor.mesh.extents[2] * np.hypot(sun[0], sun[1]) / sun[2])


def _part(number: int, actor: Actor, time: float) -> Part:
    position, yaw = actor.pose(time)
    return Part(actor.mesh, number, position, yaw)
