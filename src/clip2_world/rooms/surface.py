"""Scans of rooms: pictures from several places, and the surface that a reconstruction from them gives."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clip2_world.catalog import Rng
from clip2_world.mesh import Floats
from clip2_world.rgbd import RgbdFrame, RoomScan
from clip2_world.rooms.camera import take_poses, take_rgbd, trace
from clip2_world.rooms.room import Room, make_room
from clip2_world.tracing import Ints

CELL, NOISE = 0.035, 0.005
"""Metres between vertices, and the standard deviation of their positions' error."""
_STEP_PIXELS, _LONGEST_EDGE = 0.004, 0.12
"""Share of the image's width between the samples; metres of an edge beyond which a surface is torn."""
Indices = NDArray[np.int64]


def take_frames(seed: int, count: int, width: int) -> tuple[Room, list[RgbdFrame]]:
    """The room with this seed and ``count`` pictures of it; depends on the arguments alone."""
    room = make_room(seed)
    rng = np.random.default_rng((seed, 1))
    return room, [take_rgbd(room, pose, width, rng) for pose in take_poses(room, count, rng)]


def scan_room(seed: int, n_frames: int, width: int, name: str = "") -> RoomScan:
    """A room's pictures and its surface, as far as the pictures show it."""
    room, frames = take_frames(seed, n_frames, width)
    rng = np.random.default_rng((seed, 2))
    vertices, colours, faces, owners = _surface(room, frames, rng)
    return RoomScan(name or f"room_{seed}", room.objects, frames, vertices, colours, faces, owners)


def _surface(room: Room, frames: list[RgbdFrame], rng: Rng) -> tuple[Floats, NDArray[np.uint8], Ints, Ints]:
    """Vertices, colours, faces and owners of the surface that the pictures see.

    As a reconstruction that averages many pictures would, it has true positions with a small error (the depth images'
    own noise is far larger at some metres) wherever some picture measured a depth. Samples are merged by cubes of
    ``CELL`` metres, those of different owners apart.
    """
    samples = [_samples(room, frame) for frame in frames]
    starts = np.cumsum([0, *(len(points) for points, *_ in samples)])
    points = np.concatenate([s[0] for s in samples])
    colour = np.concatenate([s[1] for s in samples])
    owner = np.concatenate([s[2] for s in samples])
    triangles = np.concatenate([s[3] + start for s, start in zip(samples, starts)])
    cells = np.column_stack([owner, np.floor(points / CELL)])
    _, first, member, size = np.unique(_key(cells), return_index=True, return_inverse=True, return_counts=True)
    vertices = np.stack([np.bincount(member, points[:, k]) for k in range(3)], -1) / size[:, None]
    colours = np.stack([np.bincount(member, colour[:, k]) for k in range(3)], -1) / size[:, None]
    vertices += rng.normal(0, NOISE, vertices.shape)
    faces = _distinct(member[triangles])
    return vertices.astype(np.float32), np.round(colours).astype(np.uint8), faces.astype(np.int32), owner[first]


def _samples(room: Room, frame: RgbdFrame) -> tuple[Floats, Floats, Ints, Indices]:
    """Points (N, 3), colours (N, 3) and owners (N,) on a grid of a picture's pixels, and triangles between them."""
    step = max(1, round(_STEP_PIXELS * frame.image.shape[1]))
    depth, owners = frame.depth[::step, ::step], frame.owners[::step, ::step]
    v, u = (index.ravel().astype(np.float32) * step for index in np.indices(depth.shape))
    seen = trace(room, frame.T_room_from_cam, frame.K, u, v)
    there = (depth.ravel() > 0) & (seen.face >= 0)
    number = np.full(depth.size, -1, np.int64)
    number[there] = np.arange(there.sum())
    corners = _grid_triangles(number.reshape(depth.shape))
    points = seen.points[there]
    longest = max_edge(points, corners)
    colour = frame.image[::step, ::step].reshape(-1, 3)[there].astype(np.float32)
    return points, colour, owners.ravel()[there], corners[longest < _LONGEST_EDGE]


def max_edge(points: Floats, triangles: Indices) -> Floats:
    """(F,) longest edge of each triangle, metres."""
    a, b, c = (points[triangles[:, k]] for k in range(3))
    edges = np.stack([np.linalg.norm(p - q, axis=1) for p, q in ((a, b), (b, c), (c, a))])
    return edges.max(0) if edges.shape[1] else np.zeros(0, np.float32)


def _grid_triangles(number: Indices) -> Indices:
    """Triangles (F, 3), anticlockwise for the camera, between neighbours of a grid of point numbers (-1: none)."""
    a, b, c, d = number[:-1, :-1], number[1:, :-1], number[1:, 1:], number[:-1, 1:]
    both = np.concatenate([np.stack(t, -1).reshape(-1, 3) for t in ((a, b, c), (a, c, d))])
    return both[(both >= 0).all(1)]


def _distinct(faces: Indices) -> Indices:
    """Each triangle once, those that have collapsed left out; in a stable order."""
    a, b, c = faces.T
    faces = faces[(a != b) & (b != c) & (c != a)]
    _, first = np.unique(_key(np.sort(faces, axis=1)), return_index=True)
    return faces[np.sort(first)]


def _key(rows: ArrayLike) -> Indices:
    """One number (N,) a row of integers (N, 3 or 4), different for different rows: far faster to sort than rows."""
    table = np.asarray(rows, np.int64)
    table = table - table.min(0, initial=0)
    key = np.zeros(len(table), np.int64)
    for column in table.T:
        key = key * (column.max(initial=0) + 1) + column
    return key
