"""Range images of Waymo's LiDARs → points, as `range_image_utils.py` of waymo-research/waymo-open-dataset makes them.

Row i of H looks up by the i-th beam inclination, the highest first; column j of W has the azimuth
((W − j − ½) / W · 2 − 1) · π − atan2(E₁₀, E₀₀), E being the LiDAR's place in the vehicle. The top LiDAR turns while
the vehicle drives: each of its pixels has the vehicle's pose at its own time, and goes through the world to the frame.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from clip2.geometry import invert

Matrix = NDArray[np.float64]


def inclinations(values: NDArray[np.float64] | None, low: float, high: float, height: int) -> NDArray[np.float64]:
    """(H,) radians, for each row of a range image: those of the calibration, or between its least and largest.

    Raises:
        ValueError: they are not as many as rows.
    """
    if values is None or not len(values):
        upward = low + (np.arange(height) + 0.5) / height * (high - low)
    else:
        upward = np.asarray(values, np.float64)
    if len(upward) != height:
        raise ValueError(f"{len(upward)} beam inclinations for a range image of {height} rows")
    return upward[::-1]


def points_of(
    image: NDArray[np.float32], beams: NDArray[np.float64], T_vehicle_from_lidar: Matrix,
    pixel_poses: NDArray[np.float32] | None = None, T_world_from_vehicle: Matrix | None = None,
) -> NDArray[np.float32]:  # fmt: skip
    """(N, 4) x y z intensity of the pixels that measured something, in the vehicle's frame at the frame's time, metres.

    Args:
        image: (H, W, 2 or more) range (metres; 0 or less is none) and intensity.
        beams: (H,), :func:`inclinations`.
        pixel_poses: (H, W, 6) roll, pitch, yaw, x, y, z of the vehicle in the world, for each pixel.
        T_world_from_vehicle: (4, 4) at the frame's time; with ``pixel_poses``.
    """
    width = image.shape[1]
    row, column = np.nonzero(image[:, :, 0] > 0)
    distance = image[row, column, 0].astype(np.float64)
    turn = np.arctan2(T_vehicle_from_lidar[1, 0], T_vehicle_from_lidar[0, 0])
    azimuth = ((width - column - 0.5) / width * 2 - 1) * np.pi - turn
    up = beams[row]
    flat = np.cos(up) * distance
    xyz = np.column_stack([np.cos(azimuth) * flat, np.sin(azimuth) * flat, np.sin(up) * distance])
    xyz = xyz @ T_vehicle_from_lidar[:3, :3].T + T_vehicle_from_lidar[:3, 3]
    if pixel_poses is not None and T_world_from_vehicle is not None:
        pose = pixel_poses[row, column].astype(np.float64)
        T_vehicle_from_world = invert(T_world_from_vehicle)
        # "xyz", fixed axes: Rz(yaw) · Ry(pitch) · Rx(roll)
        world = Rotation.from_euler("xyz", pose[:, :3]).apply(xyz) + pose[:, 3:] if len(pose) else xyz
        xyz = world @ T_vehicle_from_world[:3, :3].T + T_vehicle_from_world[:3, 3]
    return np.column_stack([xyz, image[row, column, 1]]).astype(np.float32)
