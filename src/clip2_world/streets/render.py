"""Camera images of a street: sun, shadow, sky, haze, gloss and sensor noise."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from clip2.geometry import yaw_rotation
from clip2_world.catalog import Rng
from clip2_world.mesh import Floats, Material
from clip2_world.streets.image_hits import ImageHits, trace_image
from clip2_world.streets.rig import Camera
from clip2_world.streets.street import Street
from clip2_world.streets.surface import facade_colours, ground_colours, leaf_tone, sky_colours
from clip2_world.tracing import NOBODY, Ints, Sector, Tracer, View

BLOCK = 1 << 16
"""Pixels shaded at a time: few enough for the working arrays to stay in the processor's cache."""
GAMMA = 1 / 1.25
_AMBIENT, _DIRECT, _GLASS_GLOSS, _PAINT_GLOSS, _WET_GLOSS = 1.15, 0.85, 0.35, 0.05, 0.3


@dataclass(frozen=True)
class Picture:
    """An image (H, W, 3) uint8 RGB, and the number of the actor seen at each pixel (H, W), ``NOBODY`` where none."""

    image: NDArray[np.uint8]
    owners: Ints


def camera_pose(street: Street, camera: Camera, time: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rotation (3, 3) camera to street frame, and the optical centre (3,) in the street frame."""
    ego, yaw = street.ego_pose(time)
    turn = yaw_rotation(yaw)
    return turn @ camera.rotation, ego + turn @ camera.position


def camera_sector(street: Street, camera: Camera, time: float) -> Sector:
    """The wedge of ground that a camera sees, a little wider."""
    rotation, centre = camera_pose(street, camera, time)
    forward = rotation[:, 2]
    half = np.arctan(0.55 * camera.width / camera.intrinsic[0, 0])
    return Sector(centre[:2], float(np.arctan2(forward[1], forward[0])), float(half) + 0.05)


def take_picture(tracer: Tracer, camera: Camera, time: float, rng: Rng) -> Picture:
    """What a camera sees at ``time`` (seconds), with the camera and every actor where they are then."""
    street = tracer.street
    rotation, centre = camera_pose(street, camera, time)
    view = tracer.view(time, camera_sector(street, camera, time))
    hits = trace_image(view, camera, rotation, centre)
    colour = np.empty(hits.rays.shape, np.float32)
    for start in range(0, len(colour), BLOCK):
        part = slice(start, start + BLOCK)
        colour[part] = _shade(view, centre.astype(np.float32), hits.part(part))
    size = (camera.height, camera.width)
    owners = np.full(len(colour), NOBODY, np.int32)
    seen = hits.face >= 0
    owners[seen] = view.owners[hits.face[seen]]
    return Picture(_develop(colour.reshape(*size, 3), street.grain, rng), owners.reshape(size))


def _shade(view: View, centre: Floats, hits: ImageHits) -> Floats:
    """Radiance (N, 3) that comes back along the rays."""
    street, weather = view.street, view.street.weather
    seen = hits.face >= 0
    colour = np.empty(hits.rays.shape, np.float32)
    colour[~seen] = sky_colours(weather, street.noise, hits.rays[~seen])
    face, depth, rays = hits.face[seen], hits.depth[seen], hits.rays[seen]
    p = rays * depth[:, None] + centre
    n = view.normals[face]
    cosine = np.einsum("ij,ij->i", n, rays)
    n *= -np.sign(cosine)[:, None]  # towards the camera
    cosine = np.abs(cosine)
    albedo, gloss = _surface(view, face, p, n, cosine)
    light = np.empty((len(p), 2), np.float32)  # from the sky, from the sun
    light[:, 0] = np.float32(0.42) + np.float32(0.2) * n[:, 2]
    light[:, 1] = np.maximum(n @ weather.sun, 0) * hits.sunlit[seen]
    sky = (weather.zenith + weather.horizon) * np.float32(0.5 * _AMBIENT)
    albedo *= light @ np.stack([sky, np.float32(_DIRECT) * weather.sun_colour])
    mirrored = rays[:, 2] + 2 * cosine * n[:, 2]  # height of the reflected ray: how much of the sky it sees
    gloss *= np.clip(mirrored, 0, 1)
    clear = np.exp(np.float32(-weather.haze) * depth)
    albedo *= clear[:, None]
    albedo += (gloss * clear + 1 - clear)[:, None] * weather.horizon
    colour[seen] = albedo
    return colour


def _surface(view: View, face: Ints, p: Floats, n: Floats, cosine: Floats) -> tuple[Floats, Floats]:
    """Albedo (N, 3) and gloss (N,) of the points p (N, 3) on faces (N,) with normals n (N, 3)."""
    street = view.street
    albedo, material = view.colours[face], view.materials[face]
    gloss = np.zeros(len(face), np.float32)
    gloss[material == Material.PLAIN] = _PAINT_GLOSS
    gloss[material == Material.GLASS] = _GLASS_GLOSS
    ground = np.flatnonzero(material == Material.GROUND)
    if len(ground):
        wet = np.float32(street.weather.wet)
        albedo[ground] = ground_colours(street.layout, street.noise, p[ground]) * (1 - np.float32(0.2) * wet)
        gloss[ground] = np.float32(_WET_GLOSS) * wet * (1 - cosine[ground]) ** 3
    wall = np.flatnonzero(material == Material.FACADE)
    if len(wall):
        albedo[wall] = facade_colours(p[wall], n[wall], albedo[wall])
    leaf = np.flatnonzero(material == Material.FOLIAGE)
    if len(leaf):
        albedo[leaf] *= leaf_tone(street.noise, p[leaf])[:, None]
    return albedo, gloss


def _develop(colour: Floats, grain: Floats, rng: Rng) -> NDArray[np.uint8]:
    """Blur of the lens, tone curve and sensor noise: radiance (H, W, 3) to 8-bit RGB."""
    image = cv2.pow(cv2.GaussianBlur(np.clip(colour, 0, 1.2), (3, 3), 0.55), GAMMA)
    noise = _stretch(grain, image.size, int(rng.integers(len(grain)))).reshape(image.shape)
    developed: NDArray[np.uint8] = cv2.addWeighted(image, 255, noise, rng.uniform(1.5, 4.5), -0.5, dtype=cv2.CV_8U)
    return developed


def _stretch(values: Floats, size: int, start: int) -> Floats:
    """``size`` values from ``start`` on, over and over."""
    turns = -(-(start + size) // len(values))
    return np.concatenate([values] * turns)[start : start + size]
