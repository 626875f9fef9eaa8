"""What a depth camera of the first Kinect's kind measures: noise that grows with distance, steps, and holes."""

import cv2
import numpy as np
from numpy.typing import NDArray

from clip2_world.catalog import Rng
from clip2_world.mesh import Floats
from clip2_world.rooms.furniture_parts import Finish

NEAREST, FARTHEST, STEP = 0.4, 6.0, 0.001
_BASELINE = 0.075
"""Metres between projector and camera."""
_HOLES = {Finish.GLASS: -0.1, Finish.BACKLIT: 0.0, Finish.SCREEN: 0.5, Finish.METAL: 1.0}
"""Where a random field with standard deviation 1 exceeds this, a surface of the finish gives nothing back."""
_DARK, _DARK_HOLE, _GRAZING = 0.05, 1.1, 0.14


def noise_sigma(z: Floats) -> Floats:
    """Standard deviation of the measured depth, metres, at depths z (metres)."""
    return np.float32(0.0015) * z * z + np.float32(0.001)


def measure(z: Floats, cosine: Floats, finish: Floats, colour: Floats, focal: float, rng: Rng) -> Floats:
    """Measured depth (H, W), metres, 0 where there is none.

    Args:
        z: (H, W) true depth, 0 where nothing is.
        cosine: (H, W) of the angle between ray and surface normal, 0 to 1.
        finish: (H, W) kind of surface.
        colour: (H, W) brightness of the surface, 0 to 1.
        focal: focal length, pixels.
    """
    depth = z + noise_sigma(z) * rng.standard_normal(z.shape, dtype=np.float32)
    depth = np.round(depth / np.float32(STEP)) * np.float32(STEP)
    field = _patches(rng, z.shape)
    hole = (z < NEAREST) | (depth > FARTHEST) | (cosine < _GRAZING * (1 + 0.5 * field))
    for value, level in _HOLES.items():
        hole |= (finish == value) & (field > level)
    hole |= (colour < _DARK) & (field > _DARK_HOLE)
    hole |= _edge_shadow(z, focal)
    depth[hole] = 0
    return depth


def _patches(rng: Rng, shape: tuple[int, ...]) -> Floats:
    """(H, W) smooth random field with standard deviation of about 1."""
    coarse = rng.standard_normal((shape[0] // 10 + 2, shape[1] // 10 + 2), dtype=np.float32)
    field = cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return field + np.float32(0.3) * rng.standard_normal(shape, dtype=np.float32)


def _edge_shadow(z: Floats, focal: float) -> NDArray[np.bool_]:
    """Where the projector's light is blocked: beside the left edge of what stands before something else.

    The projector is to the right of the camera's axis by ``_BASELINE``: light that falls on column u comes along column
    u - disparity of its image, so a pixel is in the shadow when one to its right has its light from further left.
    """
    disparity = np.float32(focal * _BASELINE) / np.maximum(z, np.float32(0.3))
    source = disparity - np.arange(z.shape[1], dtype=np.float32)
    leftmost = np.maximum.accumulate(source[:, ::-1], axis=1)[:, ::-1]
    return leftmost > source + np.float32(0.5)
