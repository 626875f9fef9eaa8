"""Colours of what is seen in a room: patterns of walls, floors and materials, light of two lamps, soft shadows."""

import cv2
import numpy as np
from numpy.typing import NDArray

from clip2_world.catalog import Rng
from clip2_world.mesh import Floats
from clip2_world.rooms.furniture_parts import Finish
from clip2_world.rooms.room import Room, Style
from clip2_world.streets.surface import look_up
from clip2_world.tracing import Ints

_AMBIENT, _REACH, _GLOW, _GLOSS = 0.42, 3.0, 1.25, 0.06
_COARSE = 4
"""Pixels between the rays that shadows are found with."""


def shade(room: Room, face: Ints, p: Floats, cosine: Floats, toward: Floats, shadow: Floats) -> Floats:
    """Radiance (N, 3) of points p (N, 3) on faces (N,).

    Args:
        cosine: (N,) between the unit ray and the face's normal, signed.
        toward: (N, 3) unit rays.
        shadow: (N, 2) share of the first lamp's light and of the ambient light that arrives.
    """
    solid, style = room.solid, room.style
    n = solid.normals[face] * -np.sign(cosine)[:, None]
    finish = solid.materials[face]
    albedo = _albedo(room, solid.colours[face], finish, p, n)
    light = np.empty_like(albedo)
    light[:] = ((_AMBIENT + 0.1 * n[:, 2]) * shadow[:, 1])[:, None]
    for k, (lamp, tint) in enumerate(zip(style.lamps, style.tints)):
        to_lamp = lamp - p
        square = np.einsum("ij,ij->i", to_lamp, to_lamp)
        power = np.maximum(np.einsum("ij,ij->i", n, to_lamp), 0) / np.sqrt(square)
        power *= _REACH / (_REACH + square)
        if k == 0:
            power *= shadow[:, 0]
        light += power[:, None] * tint
    radiance = albedo * light
    _add_gloss(radiance, albedo, finish, n, cosine, toward)
    glow = (finish == Finish.GLOW) | (finish == Finish.BACKLIT)
    radiance[glow] = albedo[glow] * np.float32(_GLOW)
    return radiance


def _add_gloss(radiance: Floats, albedo: Floats, finish: Floats, n: Floats, cosine: Floats, toward: Floats) -> None:
    """Reflections of an imagined room, bright above and darker below, on metal, glass and lacquer."""
    shiny = np.flatnonzero((finish == Finish.METAL) | (finish == Finish.GLASS) | (finish == Finish.SCREEN))
    if not len(shiny):
        return
    up = toward[shiny, 2] + 2 * np.abs(cosine[shiny]) * n[shiny, 2]
    seen = 0.45 + 0.35 * up + 0.12 * np.sin(9 * toward[shiny, 0] + 7 * toward[shiny, 1])
    metal = finish[shiny] == Finish.METAL
    share = np.where(metal, 0.45, _GLOSS + 0.5 * (1 - np.abs(cosine[shiny])) ** 3).astype(np.float32)
    tint = np.where(metal[:, None], albedo[shiny] * 1.3, 1.0)
    radiance[shiny] = radiance[shiny] * (1 - share)[:, None] + (share * seen)[:, None] * tint


def _albedo(room: Room, colour: Floats, finish: Floats, p: Floats, n: Floats) -> Floats:
    """Own colour (N, 3) of surfaces, with their patterns."""
    style = room.style
    for value, pattern in _PATTERNS.items():
        rows = np.flatnonzero(finish == value)
        if len(rows):
            colour[rows] = pattern(style, colour[rows], p[rows], n[rows])
    return colour


def _wood(style: Style, colour: Floats, p: Floats, n: Floats) -> Floats:
    """Grain that runs along the longer way: lengthwise on tops, across on fronts."""
    flat = np.abs(n[:, 2]) > 0.7
    along: Floats = np.where(flat, p[:, 1], p[:, 0] + p[:, 1])
    across: Floats = np.where(flat, p[:, 0], p[:, 2])
    tone = look_up(style.noise, along * 5, across * 150) + 0.5 * look_up(style.noise, along * 2, across * 40)
    return colour * (1 + 0.13 * tone)[:, None]


def _fabric(style: Style, colour: Floats, p: Floats, n: Floats) -> Floats:
    weave = np.float32(160) * (p[:, :2] + p[:, 2:])
    return colour * (1 + 0.12 * look_up(style.noise, weave[:, 0], weave[:, 1]))[:, None]


def _leaves(style: Style, colour: Floats, p: Floats, n: Floats) -> Floats:
    return colour * (1 + 0.5 * look_up(style.noise, p[:, 0] * 90 + p[:, 2] * 60, p[:, 1] * 90 + p[:, 2] * 70))[:, None]


def _floor(style: Style, colour: Floats, p: Floats, n: Floats) -> Floats:
    x, y = p[:, 0], p[:, 1]
    if style.floor == "carpet":
        return colour * (1 + 0.14 * look_up(style.noise, x * 130, y * 130))[:, None]
    row = np.floor(y / style.scale)
    if style.floor == "tiles":
        column = np.floor(x / style.scale)
        tone = 1 + 0.06 * look_up(style.noise, column * 7, row * 5)
        joint = np.minimum(np.mod(x, style.scale), np.mod(y, style.scale)) < 0.008
    else:
        start = x + 0.77 * row
        tone = 1 + 0.16 * look_up(style.noise, np.floor(start / 1.2) * 9, row * 5)
        tone += 0.08 * look_up(style.noise, x * 5, y * 150)
        joint = (np.mod(y, style.scale) < 0.004) | (np.mod(start, 1.2) < 0.004)
    tone[joint] *= 0.65
    return colour * tone[:, None]


def _wall(style: Style, colour: Floats, p: Floats, n: Floats) -> Floats:
    z = p[:, 2]
    u: Floats = n[:, 0] * p[:, 1] - n[:, 1] * p[:, 0]
    if style.wall == "stripes":
        other = np.mod(u, style.scale) < style.scale / 2
    elif style.wall == "two tones":
        other = z < 1.0
    else:
        other = np.zeros(len(p), bool)
    colour = np.where(other[:, None], style.other_colour, colour)
    if style.wall == "tiles":
        side = 0.6 * style.scale
        joint = (np.minimum(np.mod(u, side), np.mod(z, side)) < 0.006) & (z < 2.0)
        colour[joint] *= np.float32(0.75)
    return colour * (1 + 0.02 * look_up(style.noise, u * 60, z * 60))[:, None]


_PATTERNS = {
    Finish.WOOD: _wood,
    Finish.FABRIC: _fabric,
    Finish.LEAVES: _leaves,
    Finish.FLOOR: _floor,
    Finish.WALL: _wall,
}


def soft_shadow(room: Room, p: Floats, n: Floats, seen: NDArray[np.bool_], rng: Rng) -> Floats:
    """(H, W, 2) share of the first lamp's and of the ambient light at points p (H, W, 3) with normals n (H, W, 3).

    Traced on a coarse grid towards random places of the lamp and of the half space, then smoothed: fine enough for
    shadows with soft edges, and for corners that get less light.
    """
    height, width = seen.shape
    q, m, there = p[::_COARSE, ::_COARSE], n[::_COARSE, ::_COARSE], seen[::_COARSE, ::_COARSE].ravel()
    size = q.shape[:2]
    q, m = q.reshape(-1, 3), m.reshape(-1, 3)
    start = q + np.float32(0.01) * m
    lamp = room.style.lamps[0] + rng.uniform(-0.2, 0.2, q.shape).astype(np.float32) * np.array([1, 1, 0.1], np.float32)
    ways = [lamp - start, 0.9 * m + _unit(rng.standard_normal(q.shape, dtype=np.float32))]
    limit = (np.float32(0.97), np.float32(0.6))
    light = np.ones((*size, 2), np.float32)
    for k, way in enumerate(ways):
        face, far = room.solid.first_hit(start, np.ascontiguousarray(way))
        near = np.clip(far / limit[k], 0, 1) if k else (far > limit[k]).astype(np.float32)
        open_share = np.where((face < 0) | ~there, 1, near).astype(np.float32).reshape(size)
        light[..., k] = cv2.GaussianBlur(open_share, (0, 0), 2.2 if k else 1.2)
    light[..., 1] = 0.35 + 0.65 * light[..., 1]
    return cv2.resize(light, (width, height), interpolation=cv2.INTER_LINEAR)


def _unit(v: Floats) -> Floats:
    return v / (np.linalg.norm(v, axis=1, keepdims=True) + np.float32(1e-9))
