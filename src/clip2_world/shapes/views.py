"""What a camera sees of one specimen: a colour portrait, or the points of a depth scan from one side."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from clip2_world.catalog import Rng
from clip2_world.mesh import Builder, Floats, Mesh
from clip2_world.tracing import NOBODY, Ints, Part, Solid

CONTEXT = 1.15
"""Side of a portrait over the longer side of the thing in it: as mined crops are framed."""
PORTRAIT_SIDE = 96
"""Pixels."""
_FINER = 2
"""Rays a pixel and axis."""
_GAMMA = 1 / 1.25
_AMBIENT, _KEY_LIGHT, _FILL_LIGHT = 0.45, 0.6, 0.2
SCAN_SIDE = 72
"""Rays a side of each depth image."""
_DEPTH_NOISE = 0.0015
"""Standard deviation over the squared distance, 1/metres: structured light cameras'."""
_POSE_NOISE = 0.006
"""Metres by which the views of a scan miss each other."""
_ASIDE = np.radians(70)
"""Largest angle between a view and a thing's front (+x): the backs of furniture are against walls."""
Vector = NDArray[np.float64]


def portrait(mesh: Mesh, rng: Rng, side: int = PORTRAIT_SIDE) -> tuple[NDArray[np.uint8], Vector]:
    """A picture of a thing on a plain background, from its front half, framed as mined crops are.

    Returns:
        (side, side, 3) uint8 RGB and the box (4,) xyxy of the thing in it, pixels.
    """
    centre = (mesh.vertices.max(0) + mesh.vertices.min(0)).astype(np.float64) / 2
    radius = float(np.linalg.norm(mesh.vertices - centre, axis=1).max())
    towards = direction(rng.uniform(-_ASIDE, _ASIDE), rng.uniform(0.05, 0.6))
    eye, rotation = centre + towards * radius * rng.uniform(2.5, 4), looking(-towards)
    seen = (mesh.vertices - eye) @ rotation
    plane = seen[:, :2] / seen[:, 2:]
    low, high = plane.min(0), plane.max(0)
    frame = float((high - low).max()) * CONTEXT
    corner = (low + high) / 2 - frame / 2
    rays = _fan(corner, corner + frame, side * _FINER) @ rotation.T
    background = np.full(3, rng.uniform(0.35, 0.95)) + rng.normal(0, 0.03, 3)
    lamp = direction(rng.uniform(-np.pi, np.pi), rng.uniform(0.6, 1.2))
    colours = _shaded(Solid([Part(mesh, 0)]), eye, rays, lamp, towards, background)
    fine = (np.clip(colours, 0, 1) ** _GAMMA).reshape(side * _FINER, side * _FINER, 3)
    image = cv2.resize(fine, (side, side), interpolation=cv2.INTER_AREA)
    box = (np.concatenate([low, high]) - np.tile(corner, 2)) * (side / frame)
    return np.round(image * 255).astype(np.uint8), box


def direction(azimuth: float, elevation: float) -> Vector:
    """Unit vector (3,), z up; radians."""
    flat = np.cos(elevation)
    return np.array([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)])


def looking(forward: Vector) -> Vector:
    """(3, 3) rotation of an upright camera (x right, y down, z forward) into the world; columns are its axes."""
    right = np.cross(forward, (0.0, 0.0, 1.0))
    right /= np.linalg.norm(right)
    return np.column_stack([right, np.cross(forward, right), forward])


def _fan(low: Vector, high: Vector, side: int) -> Vector:
    """(side², 3) rays of depth 1 through the pixels of a square of the image plane, row by row."""
    steps = (np.arange(side) + 0.5) / side
    x, y = np.meshgrid(low[0] + steps * (high - low)[0], low[1] + steps * (high - low)[1])
    return np.stack([x, y, np.ones_like(x)], -1).reshape(-1, 3)


def _trace(solid: Solid, eye: Vector, rays: Vector) -> tuple[Ints, Floats]:
    """Face (N,) or ``NOBODY``, and distance (N,) in lengths of the rays."""
    origins = np.broadcast_to(eye.astype(np.float32), rays.shape).copy()
    return solid.first_hit(origins, np.ascontiguousarray(rays, np.float32))


def _shaded(solid: Solid, eye: Vector, rays: Vector, lamp: Vector, fill: Vector, background: Vector) -> Vector:
    """RGB (N, 3) along the rays: ambient light, a lamp and a weaker one at the camera; no shadows."""
    face, _ = _trace(solid, eye, rays)
    colours = np.tile(background, (len(rays), 1))
    hit = face >= 0
    normals = solid.normals[face[hit]].astype(np.float64)
    normals *= -np.sign(np.einsum("ij,ij->i", normals, rays[hit]))[:, None]  # towards the camera
    light = _AMBIENT + _KEY_LIGHT * np.maximum(normals @ lamp, 0) + _FILL_LIGHT * np.maximum(normals @ fill, 0)
    colours[hit] = solid.colours[face[hit]] * light[:, None]
    return colours


@dataclass(frozen=True)
class ObjectScan:
    """Points (N, 3) of a thing and its surroundings, metres, z up, floor at 0; ``own`` (N,): those of the thing.

    ``size`` (3,) is its box, turned by ``yaw`` (radians) about z, standing on the origin.
    """

    points: Floats
    own: NDArray[np.bool_]
    size: Floats
    yaw: float


def scan(mesh: Mesh, rng: Rng) -> ObjectScan:
    """Scan a thing that stands in a room with a depth camera, from two or three places at one side of it."""
    yaw = rng.uniform(-np.pi, np.pi)
    azimuth = yaw + rng.uniform(-_ASIDE, _ASIDE) * 0.6
    size = mesh.extents
    radius, middle = float(np.linalg.norm(size)) / 2, np.array([0, 0, size[2] / 2], np.float64)
    solid = Solid([Part(mesh, 0, yaw=yaw), *_surroundings(size, yaw, azimuth, rng)])
    clouds, own = [], []
    for _ in range(rng.integers(2, 4)):
        towards = direction(azimuth + rng.uniform(-_ASIDE, _ASIDE) * 0.4, rng.uniform(0.15, 0.7))
        distance = radius * rng.uniform(1.6, 2.4) + 0.4
        eye, half = middle + towards * distance, radius / distance * 1.1
        rays = _fan(np.full(2, -half), np.full(2, half), SCAN_SIDE) @ looking(-towards).T
        face, depth = _trace(solid, eye, rays)
        hit = face >= 0
        noisy = depth[hit] + rng.normal(0, 1, hit.sum()) * _DEPTH_NOISE * depth[hit] ** 2
        clouds.append(eye + rays[hit] * noisy[:, None] + rng.normal(0, _POSE_NOISE, 3))
        own.append(solid.owners[face[hit]] != NOBODY)
    return ObjectScan(np.concatenate(clouds).astype(np.float32), np.concatenate(own), size, float(yaw))


def _surroundings(size: Floats, yaw: float, azimuth: float, rng: Rng) -> list[Part]:
    """Floor, often a wall at the back of the thing, sometimes something in front of it on the cameras' side."""
    reach = float(np.linalg.norm(size))
    room = Builder()
    room.slab((0, 0, -0.05), (8 * reach + 2, 8 * reach + 2, 0.05), (0.5, 0.5, 0.5))
    if rng.random() < 0.7:
        back = direction(yaw, 0.0) * (-size[0] / 2 - 0.06 - rng.uniform(0, 0.25))
        room.slab(back, (0.1, 8 * reach + 2, 4 * reach + 2), (0.8, 0.8, 0.8), yaw=yaw)
    if rng.random() < 0.4:
        front = direction(azimuth, 0.0) * (0.65 * reach)
        aside = direction(azimuth + np.pi / 2, 0.0) * rng.uniform(-0.5, 0.5) * reach
        room.slab(front + aside, rng.uniform(0.08, 0.2, 3) * reach * (1, 1, 4), (0.3, 0.3, 0.3), yaw=azimuth)
    return [Part(room.build(), NOBODY)]
