"""A handheld RGB-D camera in a room: where it is held, and the colour and depth that it takes."""

from collections import Counter
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from clip2.geometry import rigid
from clip2_world.catalog import Rng
from clip2_world.mesh import Floats
from clip2_world.rgbd import NOTHING, RgbdFrame
from clip2_world.rooms.depth import measure
from clip2_world.rooms.layout import Placed, Vector
from clip2_world.rooms.room import Room
from clip2_world.rooms.shading import shade, soft_shadow
from clip2_world.tracing import Ints

FOCAL = 0.73
"""Focal length over the image's width."""
BLOCK = 1 << 15
"""Pixels shaded at a time."""
_MARGIN, _TRIES, _CANDIDATES = 0.3, 40, 6


def intrinsics(width: int) -> NDArray[np.float64]:
    """(3, 3) camera matrix of a 4:3 image; integer (u, v) is a pixel's centre."""
    height = round(width * 0.75)
    return np.array([[FOCAL * width, 0, (width - 1) / 2], [0, FOCAL * width, (height - 1) / 2], [0, 0, 1]])


def take_poses(room: Room, count: int, rng: Rng) -> list[NDArray[np.float64]]:
    """Camera → room (4, 4) of ``count`` pictures that look at the pieces by turns, at first at one of each kind."""
    order = _by_turns(room.pieces, rng)
    if not order:
        middle = np.append(room.size[:2] / 2, 0.7)
        return [_look(np.array([*(room.size[:2] * 0.2), 1.5]), middle, rng) for _ in range(count)]
    return [_pose_before(room, order[k % len(order)], rng) for k in range(count)]


def _by_turns(pieces: tuple[Placed, ...], rng: Rng) -> list[int]:
    """Numbers of the pieces in random order: one of each kind, then the second of each kind that has two…"""
    earlier: Counter[str] = Counter()
    turns = []
    for number in rng.permutation(len(pieces)):
        kind = pieces[number].kind
        turns.append((earlier[kind], int(number)))
        earlier[kind] += 1
    return [number for _, number in sorted(turns, key=lambda turn: turn[0])]


def _pose_before(room: Room, number: int, rng: Rng) -> NDArray[np.float64]:
    """A pose that looks at one piece from 1.5 to 4 m, unhidden and with others around where that can be had."""
    target = room.pieces[number]
    aim = np.add(target.position, (0, 0, target.mesh.extents[2] / 2))
    best, best_score, candidates = np.array([room.size[0] / 2, room.size[1] / 2, 1.5]), -1.0, 0
    for _ in range(_TRIES):
        side = np.arctan2(target.front[1], target.front[0]) + rng.uniform(-1.3, 1.3)
        eye = aim + rng.uniform(1.5, 4.0) * np.array([np.cos(side), np.sin(side), 0])
        eye[2] = rng.uniform(1.2, 1.7)
        if (eye[:2] < _MARGIN).any() or (eye[:2] > room.size[:2] - _MARGIN).any() or _in_the_way(room.pieces, eye):
            continue
        score = _seen_share(room, number, eye, rng) + 0.08 * _around(room.pieces, eye, aim)
        if score > best_score:
            best, best_score = eye, score
        candidates += 1
        if candidates == _CANDIDATES:
            break
    return _look(best, aim, rng)


def _around(pieces: tuple[Placed, ...], eye: Vector, aim: Vector) -> int:
    """How many pieces are within the picture's width when a camera at ``eye`` looks at ``aim``."""
    to = np.array([piece.position[:2] for piece in pieces]) - eye[:2]
    ahead = (aim - eye)[:2]
    cosine = to @ ahead / (np.linalg.norm(to, axis=1) * np.linalg.norm(ahead) + 1e-9)
    return int((cosine > np.cos(np.arctan(0.45 / FOCAL))).sum())


def _in_the_way(pieces: tuple[Placed, ...], eye: Vector) -> bool:
    """Whether the camera would be in a piece, or so near that it fills the picture."""
    near = np.array([0.4, 0.4, 0.5])
    return any(((eye > piece.bounds[0] - near) & (eye < piece.bounds[1] + near)).all() for piece in pieces)


def _seen_share(room: Room, number: int, eye: Vector, rng: Rng) -> float:
    """Share of 16 random vertices of a piece, pulled in a little, that can be seen from ``eye``."""
    piece = room.pieces[number]
    world = piece.mesh.posed(piece.yaw, piece.position)
    ends = world[rng.integers(len(world), size=16)]
    rays = (ends - eye.astype(np.float32)).astype(np.float32)
    face, distance = room.solid.first_hit(np.tile(eye.astype(np.float32), (16, 1)), rays)
    own = (face >= 0) & (room.solid.owners[np.maximum(face, 0)] == number)
    return float((own | (distance > 0.98)).mean())


def _look(eye: Vector, aim: Vector, rng: Rng) -> NDArray[np.float64]:
    """Pose at ``eye`` turned nearly towards ``aim``: 5 to 25 degrees down, rolled a little."""
    to = aim - eye
    yaw = np.arctan2(to[1], to[0]) + rng.normal(0, 0.1)
    down = np.arctan2(-to[2], np.hypot(to[0], to[1])) + rng.normal(0, 0.05)
    down = np.clip(down, np.radians(5), np.radians(25))
    roll = rng.normal(0, np.radians(1.5))
    forward = np.array([np.cos(yaw) * np.cos(down), np.sin(yaw) * np.cos(down), -np.sin(down)])
    right = np.cross(forward, (0, 0, 1))
    right /= np.linalg.norm(right)
    below = np.cross(forward, right)
    c, s = np.cos(roll), np.sin(roll)
    return rigid(np.stack([c * right + s * below, c * below - s * right, forward], axis=1), eye)


@dataclass(frozen=True)
class Trace:
    """What pixels see: rays (N, 3) with 1 along the optical axis, face (N,) or -1, true depth (N,), points (N, 3)."""

    rays: Floats
    face: Ints
    depth: Floats
    points: Floats


def trace(room: Room, pose: NDArray[np.float64], K: NDArray[np.float64], u: Floats, v: Floats) -> Trace:
    """Trace one ray through each pixel (u, v), both (N,)."""
    local = np.stack([u, v, np.ones_like(u)], -1) @ np.linalg.inv(K).T
    rays = (local @ pose[:3, :3].T).astype(np.float32)
    centre = pose[:3, 3].astype(np.float32)
    face, depth = room.solid.first_hit(np.tile(centre, (len(rays), 1)), rays)
    depth = np.where(face < 0, 0, depth).astype(np.float32)
    return Trace(rays, face, depth, centre + rays * depth[:, None])


def take_rgbd(room: Room, pose: NDArray[np.float64], width: int, rng: Rng) -> RgbdFrame:
    """Colour and depth from ``pose`` (camera → room), ``width`` pixels wide and 4:3."""
    K = intrinsics(width)
    size = (round(width * 0.75), width)
    v, u = (index.ravel().astype(np.float32) for index in np.indices(size))
    seen = trace(room, pose, K, u, v)
    solid = room.solid
    hit = seen.face >= 0
    face = np.maximum(seen.face, 0)
    length = np.sqrt(np.einsum("ij,ij->i", seen.rays, seen.rays))
    toward = seen.rays / length[:, None]
    normals = solid.normals[face]
    cosine = np.einsum("ij,ij->i", normals, toward)
    facing = (normals * -np.sign(cosine)[:, None]).reshape(*size, 3)
    shadow = soft_shadow(room, seen.points.reshape(*size, 3), facing, hit.reshape(size), rng).reshape(-1, 2)
    colour = np.empty_like(seen.rays)
    for start in range(0, len(colour), BLOCK):
        part = slice(start, start + BLOCK)
        colour[part] = shade(room, face[part], seen.points[part], cosine[part], toward[part], shadow[part])
    colour[~hit] = 0
    depth = measure(
        seen.depth.reshape(size),
        np.abs(cosine).reshape(size),
        solid.materials[face].reshape(size),
        solid.colours[face].max(1).reshape(size),
        float(K[0, 0]),
        rng,
    )
    owners = np.where(hit, solid.owners[face], NOTHING).astype(np.int32).reshape(size)
    owners[depth == 0] = NOTHING
    return RgbdFrame(_develop(colour.reshape(*size, 3), rng), depth, owners, K, pose)


def _develop(colour: Floats, rng: Rng) -> NDArray[np.uint8]:
    """Exposure, white balance, blur of the lens, tone curve and sensor noise: radiance to 8-bit RGB."""
    exposure = rng.uniform(0.36, 0.5) / max(float(np.median(colour[::4, ::4])), 0.05)
    gains = np.clip(exposure, 0.6, 2.5) * (1 + rng.normal(0, 0.03, 3))
    image = cv2.GaussianBlur(np.clip(colour * gains.astype(np.float32), 0, 1), (3, 3), 0.6)
    image = cv2.pow(image, 1 / 1.5) * np.float32(255)
    image += rng.uniform(1.5, 4.0) * rng.standard_normal(image.shape, dtype=np.float32)
    developed: NDArray[np.uint8] = np.clip(image, 0, 255).astype(np.uint8)
    return developed
