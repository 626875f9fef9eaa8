"""LiDAR sweeps of a street: range noise, dropout and intensity."""

import numpy as np
from numpy.typing import NDArray

from clip2.geometry import yaw_rotation
from clip2_world.catalog import Rng
from clip2_world.mesh import Floats, Material
from clip2_world.streets.rig import Lidar
from clip2_world.tracing import Ints, Tracer

_REFLECTIVITY = np.array([1.0, 0.35, 0.6, 0.55, 0.15, 2.2], np.float32)  # by Material
_GLASS_LOSS, _WEAK_LOSS, _RAIN_LOSS = 0.5, 0.35, 0.05


def sweep(tracer: Tracer, lidar: Lidar, time: float, rng: Rng) -> tuple[Floats, Ints]:
    """One turn of the LiDAR, all of it at ``time`` (seconds).

    Returns:
        (N, 5) x y z intensity ring in the sensor's frame, as nuScenes stores them, and the actor (N,) that each hit.
    """
    street = tracer.street
    view = tracer.view(time)
    ego, yaw = street.ego_pose(time)
    turn = yaw_rotation(yaw)
    local, ring = _beams(lidar)
    rays = local @ (turn @ lidar.rotation).T.astype(np.float32)
    face, distance = view.first_hit(ego + turn @ lidar.position, rays)
    hit = np.flatnonzero((face >= 0) & (distance > lidar.min_range) & (distance < lidar.max_range))
    face, distance, rays, local, ring = face[hit], distance[hit], rays[hit], local[hit], ring[hit]
    material = view.materials[face]
    cosine = np.abs(np.einsum("ij,ij->i", view.normals[face], rays))
    signal = view.colours[face].mean(1) * _REFLECTIVITY[material] * (0.3 + 0.7 * cosine)
    lost = lidar.dropout + _RAIN_LOSS * street.weather.wet + _GLASS_LOSS * (material == Material.GLASS)
    lost = lost + _WEAK_LOSS * (signal < 0.05 * (distance / 40) ** 2)
    keep = rng.random(len(hit)) > lost
    measured = distance[keep] + rng.normal(0, lidar.range_noise, keep.sum())
    intensity = np.clip(np.round(signal[keep] * 90 + rng.normal(0, 3, keep.sum())), 0, 255)
    points = np.column_stack([local[keep] * measured[:, None], intensity, ring[keep]]).astype(np.float32)
    return points, view.owners[face[keep]]


def _beams(lidar: Lidar) -> tuple[Floats, NDArray[np.int64]]:
    """Unit vectors (steps * rings, 3) in the sensor's frame, and their rings."""
    azimuth = np.arange(lidar.steps) * 2 * np.pi / lidar.steps
    a, e = np.meshgrid(azimuth, lidar.elevations, indexing="ij")
    local = np.stack([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)], -1).reshape(-1, 3)
    return local.astype(np.float32), np.tile(np.arange(len(lidar.elevations)), lidar.steps)
