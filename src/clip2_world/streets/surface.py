"""Procedural colours of what has no colour of its own: ground, facades, leaves, sky."""

import numpy as np
from numpy.typing import NDArray

from clip2_world.catalog import Rng
from clip2_world.mesh import Floats
from clip2_world.streets.layout import LANE, Layout
from clip2_world.streets.weather import Weather

_ASPHALT, _PAINT, _YELLOW, _KERBSTONE = 0.27, 0.78, (0.75, 0.6, 0.15), 0.62
_SLABS, _JOINT, _GRASS, _BARE = (0.52, 0.5, 0.47), 0.38, (0.24, 0.38, 0.13), (0.5, 0.49, 0.47)


def make_noise(rng: Rng, size: int = 256) -> Floats:
    """(size, size) tileable multi-scale noise in [-1, 1]."""
    total = np.zeros((size, size), np.float32)
    for step, gain in ((1, 0.35), (4, 0.3), (16, 0.35)):
        coarse = rng.uniform(-1, 1, (size // step, size // step)).astype(np.float32)
        total += gain * np.kron(coarse, np.ones((step, step), np.float32))
    return total


def look_up(noise: Floats, u: Floats, v: Floats) -> Floats:
    """Noise at (u, v), nearest texel, repeating."""
    mask = len(noise) - 1
    return noise[np.floor(u).astype(np.int32) & mask, np.floor(v).astype(np.int32) & mask]


def ground_colours(layout: Layout, noise: Floats, p: Floats) -> Floats:
    """RGB (N, 3) of ground positions p (N, 3): asphalt, markings, kerb, pavement and verge."""
    s, d = layout.route.locate(p[:, 0], p[:, 1])
    y = np.abs(d)
    colour = np.full((len(p), 3), _ASPHALT, np.float32)
    edge = layout.lanes * LANE
    dashed = (np.mod(s, 6) < 3) & (np.abs(np.mod(y + LANE / 2, LANE) - LANE / 2) < 0.07) & (y > 0.5) & (y < edge - 0.5)
    zebra = (np.abs(s - layout.zebra) < 1.6) & (np.mod(y, 1.0) < 0.5) & (y < edge)
    white = dashed | (np.abs(y - edge + 0.12) < 0.06)
    middle = np.abs(y - 0.12) < 0.05
    beyond = y - layout.kerb  # metres past the kerb; negative on a road
    if layout.junction is not None:
        n, t = layout.junction.route.locate(p[:, 0], p[:, 1])
        t = np.abs(t)
        aside = t - layout.junction.half_width
        white &= aside > 4
        middle &= aside > 4
        white |= (np.abs(aside - 4.6) < 0.2) & (d * (s - layout.junction.station) > 0) & (y < edge)  # stop lines
        zebra |= (np.abs(aside - 2.4) < 1.6) & (np.mod(y, 1.0) < 0.5) & (y < edge)
        zebra |= (np.abs(beyond - 2.4) < 1.6) & (np.mod(t, 1.0) < 0.5) & (aside < 0)
        middle |= (t < 0.06) & (beyond > 4.5) & (np.mod(n, 6) < 3)
        beyond = np.minimum(beyond, aside)
    colour[white | zebra] = _PAINT
    colour[middle] = _YELLOW
    colour[beyond > -0.01] = _KERBSTONE
    walk = beyond > 0.25
    colour[walk] = _SLABS
    colour[walk & ((np.mod(s, 1.2) < 0.04) | (np.mod(y, 1.2) < 0.04))] = _JOINT
    colour[beyond > layout.pavement] = _GRASS if layout.grass else _BARE
    colour *= (1 + 0.16 * look_up(noise, p[:, 0] * 12, p[:, 1] * 12))[:, None]
    return colour


def facade_colours(p: Floats, normals: Floats, base: Floats) -> Floats:
    """RGB (N, 3) of walls: rows of windows and a darker plinth over the wall's own colour ``base`` (N, 3)."""
    u = normals[:, 0] * p[:, 1] - normals[:, 1] * p[:, 0]
    z = p[:, 2]
    in_u, in_z = np.mod(u, 2.6), np.mod(z, 3.1)
    window = (in_u > 0.7) & (in_u < 1.9) & (in_z > 1.0) & (in_z < 2.5) & (np.abs(normals[:, 2]) < 0.5)
    tone = 0.12 + 0.25 * np.mod(np.floor(u[window] / 2.6) * 0.618 + np.floor(z[window] / 3.1) * 0.37, 1)
    colour = base.copy()
    colour[(z < 0.9) & ~window] *= 0.75
    colour[window] = tone[:, None] * np.array([0.8, 0.95, 1.15], np.float32)
    return colour


def leaf_tone(noise: Floats, p: Floats) -> Floats:
    """Factor (N,) that breaks up a crown of leaves."""
    return 1 + 0.55 * look_up(noise, p[:, 0] * 18 + p[:, 2] * 9, p[:, 1] * 18 + p[:, 2] * 15)


def sky_colours(weather: Weather, noise: Floats, rays: Floats) -> Floats:
    """RGB (N, 3) of the sky in the directions ``rays`` (N, 3)."""
    up = np.clip(rays[:, 2], 0, 1)
    near: Floats = np.float32(14) / (up + np.float32(0.15))
    shift = np.float32(500)
    cloud = look_up(noise, rays[:, 0] * near + shift, rays[:, 1] * near + shift)
    colour: NDArray[np.float32] = np.sqrt(up)[:, None] * (weather.zenith - weather.horizon)
    colour += weather.horizon
    colour += (np.float32(0.05) * cloud)[:, None]
    return colour
