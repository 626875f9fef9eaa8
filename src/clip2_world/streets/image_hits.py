"""What each pixel of a camera sees and whether the sun shines there, with about half of the rays that there are pixels.

Rays go through the pixels of one colour of a chequerboard. A pixel of the other colour whose four neighbours all see
the same face sees it too, at the depth that lies between theirs; only the rest need rays of their own. A line one pixel
wide crosses pixels of both colours, so nothing thin is lost.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from clip2_world.mesh import Floats
from clip2_world.streets.rig import Camera
from clip2_world.tracing import NOBODY, Ints, View

SHADOW_LIFT = np.float32(0.02)
"""Metres by which shadow rays start off their surface."""
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class ImageHits:
    """Pixels in row order: rays (N, 3) in the street frame, face or ``NOBODY``, depth along the ray, sunlit."""

    rays: Floats
    face: Ints
    depth: Floats
    sunlit: Flags

    def part(self, rows: slice) -> "ImageHits":
        """Some of the pixels."""
        return ImageHits(self.rays[rows], self.face[rows], self.depth[rows], self.sunlit[rows])


def trace_image(view: View, camera: Camera, rotation: NDArray[np.float64], centre: NDArray[np.float64]) -> ImageHits:
    """Trace a camera's image; ``rotation`` (3, 3) is camera to street frame, ``centre`` (3,) the optical centre."""
    shape = (camera.height, camera.width)
    local = pixel_rays(camera)
    rays = local @ rotation.T.astype(np.float32)
    face, depth, between = _first_hits(view, rays, local[:, 2], centre, shape)
    return ImageHits(rays, face, depth, _sunlit(view, rays, face, depth, between, centre, shape))


def pixel_rays(camera: Camera) -> Floats:
    """(H * W, 3) unit vectors through the pixels' centres, camera frame."""
    return _pixel_rays(camera.width, camera.height, tuple(camera.intrinsic.ravel()))


@lru_cache(maxsize=16)
def _pixel_rays(width: int, height: int, intrinsic: tuple[float, ...]) -> Floats:
    u, v = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    rays = np.stack([u, v, np.ones_like(u)], -1).reshape(-1, 3) @ np.linalg.inv(np.reshape(intrinsic, (3, 3))).T
    return (rays / np.linalg.norm(rays, axis=1, keepdims=True)).astype(np.float32)


@lru_cache(maxsize=4)
def _chequerboard(shape: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.int64], Flags]:
    """Flat indices of the first colour and of the second; which (H, W) of the second have four neighbours."""
    y, x = np.indices(shape)
    second = (y + x) % 2 == 1
    inner = second.copy()
    inner[[0, -1]] = inner[:, [0, -1]] = False
    return np.flatnonzero(~second), np.flatnonzero(second), inner


def _first_hits(
    view: View, rays: Floats, forward: Floats, centre: NDArray[np.float64], shape: tuple[int, int]
) -> tuple[Ints, Floats, Flags]:
    """Face and depth of all pixels, and which (N,) were filled in from their neighbours."""
    first, second, inner = _chequerboard(shape)
    face, depth = np.full(shape, NOBODY, np.int32), np.ones(shape, np.float32)
    face.ravel()[first], depth.ravel()[first] = view.first_hit(centre, rays[first])
    between = np.zeros(shape, bool)
    up, down, left, right = face[:-2, 1:-1], face[2:, 1:-1], face[1:-1, :-2], face[1:-1, 2:]
    between[1:-1, 1:-1] = inner[1:-1, 1:-1] & (up == down) & (left == right) & (up == left)
    faces, depths, filled = face.ravel(), depth.ravel(), between.ravel()
    inside = np.flatnonzero(filled)
    faces[inside] = faces[inside - 1]
    nearness = np.float32(1) / (depths * forward)  # 1 / z is linear over the image of a plane
    depths[inside] = 2 / ((nearness[inside - 1] + nearness[inside + 1]) * forward[inside])
    rest = second[~filled[second]]
    faces[rest], depths[rest] = view.first_hit(centre, rays[rest])
    return faces, depths, filled


def _sunlit(
    view: View,
    rays: Floats,
    face: Ints,
    depth: Floats,
    between: Flags,
    centre: NDArray[np.float64],
    shape: tuple[int, int],
) -> Flags:
    """Whether (N,) the sun shines on what a pixel sees; pixels in between whose neighbours agree go with them."""
    sun, lit = view.street.weather.sun, np.zeros(len(face), bool)
    turned = np.zeros(len(face), bool)  # faces seen from the side that the sun shines on
    seen = np.flatnonzero(face >= 0)
    normals = view.normals[face[seen]]
    turned[seen] = (normals @ sun) * np.einsum("ij,ij->i", normals, rays[seen]) < 0

    def cast(pixels: NDArray[np.int64]) -> None:
        n = view.normals[face[pixels]]
        n *= np.sign(n @ sun)[:, None]
        start = rays[pixels] * depth[pixels, None] + centre.astype(np.float32) + n * SHADOW_LIFT
        lit[pixels] = ~view.blocked(start, sun)

    cast(np.flatnonzero(turned & ~between))
    grid = lit.reshape(shape)
    around = np.zeros(shape, np.uint8)
    for neighbour in (grid[:-2, 1:-1], grid[2:, 1:-1], grid[1:-1, :-2], grid[1:-1, 2:]):
        around[1:-1, 1:-1] += neighbour
    around = around.ravel()
    lit |= turned & between & (around == 4)
    cast(np.flatnonzero(turned & between & (around > 0) & (around < 4)))
    return lit
