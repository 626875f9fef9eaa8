"""Poses from KITTI's GPS and inertial unit (OXTS), as the raw development kit makes them (convertOxtsToPose.m).

Latitude and longitude become metres by a Mercator projection of the sphere with radius r = 6378137 m, scaled by the
cosine s of the drive's first latitude: x = s·r·lon, y = s·r·ln tan(π/4 + lat/2), z = altitude; the rotation is
Rz(yaw)·Ry(pitch)·Rx(roll).
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from clip2.geometry import rigid
from clip2.runtime.errors import InputError
from clip2.scans.texts import read_text

Matrix = NDArray[np.float64]
RADIUS_M = 6378137.0


def read_poses(files: Mapping[str, Path]) -> dict[str, Matrix]:
    """(4, 4) ``T_scene_from_imu`` of each packet; the scene: x east, y north, z up, its origin where the first one is.

    Args:
        files: stem → a packet's file, in time order.

    Raises:
        InputError: a file is no packet.
    """
    packets = {stem: _packet(path) for stem, path in files.items()}
    scale = np.cos(next(iter(packets.values()))[0]) if packets else 1.0
    places = {stem: _place(packet, scale) for stem, packet in packets.items()}
    origin = next(iter(places.values())) if places else np.zeros(3)
    return {
        stem: rigid(Rotation.from_euler("xyz", packet[3:6]).as_matrix(), places[stem] - origin)
        for stem, packet in packets.items()
    }


def _packet(path: Path) -> NDArray[np.float64]:
    """Latitude, longitude (radians), altitude (metres), roll, pitch, yaw (radians)."""
    try:
        values = np.array(read_text(path).split()[:6], np.float64)
    except ValueError:
        values = np.empty(0)
    if values.size < 6 or not np.isfinite(values).all() or abs(values[0]) >= 90 or abs(values[1]) > 360:
        raise InputError(
            f"{path}: not a packet of OXTS (latitude, longitude, altitude, roll, pitch, yaw …); unpack it again"
        )
    return np.array([*np.radians(values[:2]), *values[2:]])


def _place(packet: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
    latitude, longitude, altitude = packet[:3]
    return np.array(
        [scale * RADIUS_M * longitude, scale * RADIUS_M * np.log(np.tan(np.pi / 4 + latitude / 2)), altitude]
    )
